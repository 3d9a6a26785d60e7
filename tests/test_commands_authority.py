"""Who may do what: the table by itself, and each verb of it by the real path from the door on."""

import pytest

from inbound.commands.authority import Way, way_of
from inbound.commands.shape import Weight
from inbound.commands.table import COMMANDS
from store.errors import MailRefused
from store.house import House
from store.model import Letter
from store.states import CaseState, Strength
from tests.clicks import (
    code_now,
    deliver,
    letters_of,
    open_site,
    open_thread,
    publish_domain,
    said,
    set_up_codes,
    trail,
    wrong_code,
)
from tests.fakedns import FakeDns
from tests.fakes import ANNA, BEN, KIM, STRANGER, mail

READ, SAFE, CHANGE, HARM = Weight.READ, Weight.SAFE, Weight.CHANGE, Weight.HARM
NOW, CLICK, CODE = Way.NOW, Way.CLICK, Way.CODE
SENT, SIGNED, VOUCHED = Strength.SENT, Strength.SIGNED, Strength.VOUCHED
# What a verb weighs; written out, so that nobody moves one without a test that fails.
WEIGHTS = {
    "HELP": READ, "STATUS": READ, "LIST": READ, "COMMENT": READ, "UPLOAD": READ,
    "REVOKE": SAFE, "STOP": SAFE,
    "RESEND": CHANGE, "EXTEND": CHANGE, "APPROVE": CHANGE, "CHANGES": CHANGE,
    "ACCESS": CHANGE, "PASSWORD": CHANGE, "NOTIFY": CHANGE, "DOWNLOADS": CHANGE,
    "DELETE": HARM, "ADD": HARM, "ADDRESS": HARM, "2FA": HARM,
}  # fmt: skip
# By weight: SENT without codes, SENT with, SIGNED or VOUCHED without, with.
TABLE = {
    READ: (NOW, NOW, NOW, NOW),
    SAFE: (NOW, NOW, NOW, NOW),
    CHANGE: (CLICK, CLICK, NOW, NOW),
    HARM: (CLICK, CLICK, CLICK, CODE),
}
# A line of each verb that could be carried out, by a member or else by a reviewer.
LINES = {
    "HELP": "HELP", "STATUS": "STATUS", "LIST": "LIST", "COMMENT": "COMMENT margins",
    "REVOKE": "REVOKE", "RESEND": "RESEND", "EXTEND": "EXTEND 2",
    "DELETE": "DELETE", "ADD": "ADD lee@clinic.example", "ADDRESS": "ADDRESS anna@home.example",
    "2FA": "2FA OFF", "ACCESS": "ACCESS CODE", "PASSWORD": "PASSWORD three odd words",
    "NOTIFY": "NOTIFY ON", "DOWNLOADS": "DOWNLOADS OFF", "UPLOAD": "UPLOAD",
}  # fmt: skip
OF_REVIEWERS = {"STOP": "STOP", "APPROVE": "APPROVE", "CHANGES": "CHANGES thinner"}


def test_every_verb_has_the_weight_that_was_decided() -> None:
    assert {verb: command.weight for verb, command in COMMANDS.items()} == WEIGHTS
    assert LINES.keys() | OF_REVIEWERS.keys() == COMMANDS.keys()


@pytest.mark.parametrize("weight", Weight)
@pytest.mark.parametrize("strength", [SENT, SIGNED, VOUCHED])
@pytest.mark.parametrize("has_codes", [False, True])
def test_the_table(weight: Weight, strength: Strength, has_codes: bool) -> None:
    expected = TABLE[weight][2 * (strength > SENT) + has_codes]
    assert way_of(weight, strength, has_codes=has_codes) is expected


def test_nobody_unproved_has_a_way_and_harm_never_goes_without_a_second_factor() -> None:
    for weight in Weight:
        with pytest.raises(KeyError):
            way_of(weight, Strength.NONE, has_codes=False)
    ways = {
        way_of(HARM, strength, has_codes=codes)
        for strength in (SENT, SIGNED, VOUCHED)
        for codes in (False, True)
    }
    assert NOW not in ways


def way_shown(found: list[Letter]) -> Way:
    """How a command was taken, by the letters that answer it."""
    for letter in found:
        if letter.kind == "confirm":
            return CLICK
        if "needs a code" in said(letter):
            return CODE
    return NOW


@pytest.mark.parametrize("strength", [SENT, SIGNED, VOUCHED])
@pytest.mark.parametrize("has_codes", [False, True])
async def test_a_members_mail_of_each_strength_takes_the_way_of_the_table(
    house: House, dns: FakeDns, strength: Strength, has_codes: bool
) -> None:
    publish_domain(dns, "lab.example")
    if has_codes:
        await set_up_codes(house)
    found, expected = {}, {}
    for number, (verb, line) in enumerate(LINES.items()):
        if verb == "2FA" and not has_codes:
            line = "2FA ON"  # noqa: PLW2901
        thread = await open_thread(house, f"C-{number}")
        letters = await thread.say(line, strength)
        assert letters, verb
        found[verb] = way_shown(letters)
        expected[verb] = TABLE[WEIGHTS[verb]][2 * (strength > SENT) + has_codes]
        case, people = await thread.now(), await thread.reviewers()
        if found[verb] is not NOW:  # nothing has happened
            assert (case.state, case.expires_at) == (CaseState.OPEN, thread.case.expires_at), verb
            assert people.keys() == {KIM}
            assert people[KIM].revoked_at is None
        assert {letter.recipient for letter in letters} <= {ANNA, KIM}
    assert found == expected


@pytest.mark.parametrize("strength", [SENT, SIGNED, VOUCHED])
async def test_a_reviewers_mail_of_each_strength_takes_the_way_of_the_table(
    house: House, dns: FakeDns, strength: Strength
) -> None:
    publish_domain(dns, "clinic.example")
    for number, (verb, line) in enumerate(OF_REVIEWERS.items()):
        thread = await open_thread(house, f"C-{number}")
        letters = await thread.say(line, strength, sender=KIM)
        assert way_shown(letters) is TABLE[WEIGHTS[verb]][2 * (strength > SENT)], verb
        if strength is SENT and verb != "STOP":
            assert [letter.recipient for letter in letters] == [KIM]
        else:
            assert {letter.recipient for letter in letters} == {KIM, ANNA}


async def test_a_reviewer_who_wrote_unsigned_approves_by_a_click(
    house: House, dns: FakeDns
) -> None:
    publish_domain(dns, "clinic.example")
    thread = await open_thread(house)
    [letter] = await thread.say("APPROVE nice", SENT, sender=KIM)
    async with open_site(house) as site:
        told = await site.click(letter)
    assert {one.recipient: one.kind for one in told} == {ANNA: "verdict", KIM: "transcript"}


@pytest.mark.parametrize("line", ["APPROVE", "CHANGES: thinner", "STOP"])
async def test_a_member_may_not_say_what_is_the_reviewers(house: House, line: str) -> None:
    thread = await open_thread(house)
    [letter] = await thread.say(line)
    assert "is for the reviewers of a case to say" in said(letter)
    assert letter.recipient == ANNA


@pytest.mark.parametrize("strength", [SENT, VOUCHED])
async def test_a_member_who_is_a_reviewer_too_may_approve(
    house: House, dns: FakeDns, strength: Strength
) -> None:
    publish_domain(dns, "lab.example")
    thread = await open_thread(house, people=BEN)
    told = await thread.say("APPROVE", strength, sender=BEN)
    if strength is SENT:
        [letter] = told
        async with open_site(house) as site:
            told = await site.click(letter)
    assert {one.recipient: one.kind for one in told} == {ANNA: "verdict", BEN: "transcript"}


@pytest.mark.parametrize(
    "line", [one for one in LINES.values() if one not in ("HELP", "COMMENT margins")]
)
async def test_a_reviewer_may_not_say_what_is_the_labs(house: House, line: str) -> None:
    thread = await open_thread(house)
    [letter] = await thread.say(line, sender=KIM)
    assert "is for the lab itself to say" in said(letter)
    assert "APPROVE, CHANGES, COMMENT, HELP, STOP" in said(letter)
    assert letter.recipient == KIM
    assert (await thread.now()).state is CaseState.OPEN
    assert (await thread.reviewers()).keys() == {KIM}
    assert (await thread.reviewers())[KIM].revoked_at is None


@pytest.mark.parametrize("line", [*LINES.values(), *OF_REVIEWERS.values()])
async def test_whoever_found_a_letter_may_say_nothing(house: House, line: str) -> None:
    thread = await open_thread(house)
    letters = await thread.say(line, sender=STRANGER, whose=ANNA)
    assert {one.recipient for one in letters} == {STRANGER, ANNA}
    assert all(one.kind == "notice" for one in letters)
    assert (await thread.now()).state is CaseState.OPEN
    assert (await thread.reviewers())[KIM].revoked_at is None


@pytest.mark.parametrize("line", ["APPROVE", "CHANGES thinner", "COMMENT hello"])
async def test_a_reviewer_whose_link_was_revoked_may_say_nothing(house: House, line: str) -> None:
    thread = await open_thread(house)
    address = await thread.address(KIM)
    await thread.say("REVOKE")
    before = len(await letters_of(house))
    await deliver(house, mail("Re: x", line, sender=KIM, to=address), address)
    assert "none of the people of this case" in said((await letters_of(house))[before])


# ---------------------------------------------------------------- who cannot lock a member out


@pytest.mark.parametrize("where", ["below", "behind"])
async def test_a_code_in_a_mail_that_is_not_signed_is_not_even_looked_at(
    house: House, dns: FakeDns, where: str
) -> None:
    publish_domain(dns, "lab.example")
    await set_up_codes(house)
    thread = await open_thread(house)
    for _ in range(12):
        code = wrong_code(house)
        line = f"DELETE C-1042\nCODE {code}" if where == "below" else f"DELETE C-1042 {code}"
        [letter] = await thread.say(line, SENT)
        assert letter.kind == "confirm"
        assert code not in str(letter.context)
    # The right one is not spent by it either, and counts in a mail that is signed.
    [letter] = await thread.say(f"DELETE C-1042\nCODE {code_now(house)}", SENT)
    assert letter.kind == "confirm"
    assert await thread.say(f"DELETE C-1042\nCODE {code_now(house)}", SIGNED) == []
    assert (await thread.now()).state is CaseState.DELETED


async def test_a_mail_that_nobody_proves_is_refused_and_counts_nothing(house: House) -> None:
    await set_up_codes(house)
    thread = await open_thread(house)
    to = await thread.address()
    for _ in range(7):
        with pytest.raises(MailRefused):
            await deliver(house, mail("Re", f"DELETE\nCODE {wrong_code(house)}", to=to), to, SENT)
    assert await thread.say(f"DELETE C-1042\nCODE {code_now(house)}") == []
    assert (await thread.now()).state is CaseState.DELETED


async def test_a_colleague_does_not_spend_or_lock_the_codes_of_another(house: House) -> None:
    await set_up_codes(house)
    thread = await open_thread(house)
    for _ in range(6):  # Ben has no codes of his own: he is asked for a click
        [letter] = await thread.say(
            f"DELETE C-1042\nCODE {code_now(house)}", sender=BEN, whose=ANNA
        )
        assert (letter.kind, letter.recipient) == ("confirm", BEN)
    assert await thread.say(f"DELETE C-1042\nCODE {code_now(house)}") == []
    assert (ANNA, "case deleted") in await trail(house)
