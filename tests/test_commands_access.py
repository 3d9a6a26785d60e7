"""ACCESS, PASSWORD, NOTIFY and DOWNLOADS, from the door to the letter; and where a password never goes."""

import dataclasses

import pytest
import sqlalchemy as sa

from inbound.talk.grammar import Said, read_order, read_reply
from outbound.compose import compose
from store import passwords
from store.house import House
from store.model import Letter
from store.records.schema import metadata
from store.states import AccessMode, Strength
from tests.clicks import (
    Thread,
    confirmation_of,
    deliver,
    letters_of,
    new_letters,
    open_site,
    open_thread,
    publish_domain,
    said,
    trail,
)
from tests.fakedns import FakeDns
from tests.fakes import ANNA, KIM, mail

VERBS = {"ACCESS", "PASSWORD", "NOTIFY", "DOWNLOADS", "CODE", "STATUS"}
WORDS = "gull teapot 4711"


async def text_of(house: House, letter: Letter) -> str:
    return (await compose(house, letter)).data.decode().replace("=\r\n", "")


async def everything(house: House) -> str:
    """Every row of every table, and every file of the data folder but the objects and the spool."""
    rows = []
    async with house.database.read() as connection:
        for table in metadata.sorted_tables:
            rows += [repr(tuple(row)) for row in await connection.execute(sa.select(table))]
    return "\n".join(rows)


# ---------------------------------------------------------------- the words


@pytest.mark.parametrize(
    ("line", "verb", "text"),
    [
        ("ACCESS code", "ACCESS", "CODE"),
        ("access Link.", "ACCESS", "LINK"),
        ("Zugang gebunden", "ACCESS", "BOUND"),
        ("acceso código", "ACCESS", "CODE"),
        ("访问 验证码", "ACCESS", "CODE"),
        ("ACCESS", "ACCESS", ""),
        ("NOTIFY on", "NOTIFY", "ON"),
        ("benachrichtigen aus", "NOTIFY", "OFF"),
        ("通知 开启", "NOTIFY", "ON"),
        ("Downloads off", "DOWNLOADS", "OFF"),
        ("descargas activar", "DOWNLOADS", "ON"),
        ("下载 关闭", "DOWNLOADS", "OFF"),
    ],
)
def test_four_languages_and_one_meaning(line: str, verb: str, text: str) -> None:
    reading = read_reply(line, VERBS)
    assert reading.said is Said.COMMAND
    assert reading.order is not None
    assert (reading.order.verb, reading.order.text) == (verb, text)
    assert reading.order.unknown == []
    assert reading.order.code == ""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"PASSWORD {WORDS}", WORDS),
        (f"password: {WORDS}", WORDS),
        (f"PASSWORD:{WORDS}", WORDS),
        (f"Passwort “{WORDS}”", WORDS),
        (f"Contraseña: {WORDS}", WORDS),
        (f"密码：{WORDS}", WORDS),
        ("PASSWORD: what is it?", "what is it?"),
        ("PASSWORD Tr0ub4dor&3 C-1042 kim@clinic.example", "Tr0ub4dor&3 C-1042 kim@clinic.example"),
        ("PASSWORD off.", "OFF"),
        ("Kennwort aus", "OFF"),
        ("PASSWORD", ""),
    ],
)
def test_the_words_are_taken_as_they_were_typed_and_not_shown(line: str, words: str) -> None:
    reading = read_reply(f"{line}\n\nAnna", VERBS)
    assert reading.said is Said.COMMAND
    assert reading.order is not None
    assert reading.order.text == words
    shown = reading.line + reading.order.line + reading.order.trail
    assert words in ("", "OFF") or words not in shown
    assert read_order(line) == reading.order


@pytest.mark.parametrize(
    "line",
    [
        "Password?",
        "Password please",
        "Password is teapot4711",
        "Password protect this case please",
        "The password is teapot4711",
        "Hi, password teapot4711 for Kim",
        "pasword teapot4711",
        "Passwort ist teapot4711",
        "密码是teapot4711",
        "Hello Anna,\npassword teapot4711",
    ],
)
def test_what_may_be_a_sentence_is_asked_back_without_its_words(line: str) -> None:
    reading = read_reply(line, VERBS)
    assert reading.said is Said.NEARLY
    assert reading.order is not None
    assert reading.order.verb == "PASSWORD"
    assert "teapot" not in repr(dataclasses.astuple(reading))


@pytest.mark.parametrize(
    "line",
    [
        "The screw access is mesial of 14, please check the margin",
        "The excess cement at 30 was removed",
        "You can download both files from the page",
        "I have downloaded both",
        "Please notify the patient",
    ],
)
def test_what_a_lab_writes_every_day_is_no_command(line: str) -> None:
    assert read_reply(line, VERBS - {"CODE"}).said is Said.NOTE


# ---------------------------------------------------------------- what they do


async def test_access_changes_the_way_in_and_says_how_to_undo_it(house: House) -> None:
    thread = await open_thread(house)
    for mode, word in (
        (AccessMode.CODE, "a code that is mailed"),
        (AccessMode.LINK, "Whoever has"),
    ):
        before = (await thread.now()).access
        [answer] = await thread.say(f"ACCESS {mode}")
        assert (await thread.now()).access is mode
        assert word in said(answer)
        text = await text_of(house, answer)
        assert f"Reply ACCESS {before.upper()} to undo it." in text
        assert f"You wrote: ACCESS {mode.upper()}" in text
    [answer] = await thread.say("ACCESS LINK")
    assert "so already" in said(answer)
    for wrong in ("ACCESS", "ACCESS 12345"):
        [answer] = await thread.say(wrong)
        assert (await thread.now()).access is AccessMode.LINK
    [answer] = await thread.say("ACCESS")
    assert "ACCESS LINK, ACCESS BOUND or ACCESS CODE" in said(answer)


async def test_notify_and_downloads_go_on_and_off(house: House) -> None:
    thread = await open_thread(house)
    assert ((await thread.now()).tells_views, (await thread.now()).downloads) == (False, True)
    [answer] = await thread.say("NOTIFY ON")
    assert "for the first time" in said(answer)
    [answer] = await thread.say("DOWNLOADS OFF")
    assert "not download" in said(answer)
    assert ((await thread.now()).tells_views, (await thread.now()).downloads) == (True, False)
    for line in ("NOTIFY ON", "DOWNLOADS OFF"):
        [answer] = await thread.say(line)
        assert "already" in said(answer)
    for line in ("NOTIFY", "DOWNLOADS"):
        [answer] = await thread.say(line)
        assert f"Say {line} ON or {line} OFF." in said(answer)
    await thread.say("NOTIFY OFF")
    await thread.say("DOWNLOADS ON")
    assert ((await thread.now()).tells_views, (await thread.now()).downloads) == (False, True)


async def test_status_says_how_links_open_and_what_else_was_said(house: House) -> None:
    thread = await open_thread(house)
    [answer] = await thread.say("STATUS")
    text = await text_of(house, answer)
    assert "A link opens with a click on its first device, with a mailed code on others." in text
    assert "password" not in text.replace("ACCESS, PASSWORD", "").lower()
    for line in ("ACCESS CODE", f"PASSWORD {WORDS}", "DOWNLOADS OFF", "NOTIFY ON"):
        [answer] = await thread.say(line)
    text = await text_of(house, answer)
    for sentence in (
        "Links open with a mailed code, on every device.",
        "A password is asked for.",
        "Reviewers cannot download the scans.",
        "You are told when somebody looks for the first time.",
    ):
        assert sentence in text


async def test_a_reviewer_may_say_none_of_them(house: House) -> None:
    thread = await open_thread(house)
    for line in ("ACCESS LINK", f"PASSWORD: {WORDS}", "DOWNLOADS OFF", "NOTIFY ON"):
        answers = await thread.say(line, sender=KIM)
        assert "for the lab itself to say" in said(answers[-1])
        assert WORDS not in repr(answers)
    now = await thread.now()
    assert (now.access, now.password, now.downloads, now.tells_views) == (
        AccessMode.BOUND,
        "",
        True,
        False,
    )


async def test_outside_of_a_thread_the_case_is_named_but_for_a_password(house: House) -> None:
    thread = await open_thread(house)
    await deliver(house, mail("please", "ACCESS CODE C-1042"))
    await deliver(house, mail("please", "DOWNLOADS C-1042 off"))
    now = await thread.now()
    assert (now.access, now.downloads) == (AccessMode.CODE, False)
    before = await letters_of(house)
    await deliver(house, mail("please", f"PASSWORD C-1042 {WORDS}"))
    [answer] = await new_letters(house, before)
    assert "reply in the case's thread" in said(answer)
    assert (await thread.now()).password == ""
    assert WORDS not in await text_of(house, answer)


async def test_a_subject_sets_no_password(house: House) -> None:
    thread = await open_thread(house)
    to = await thread.address()
    await deliver(house, mail(f"PASSWORD OFF #{thread.case.public_id}", "", to=to), to)
    await deliver(house, mail(f"PASSWORD {WORDS} #{thread.case.public_id}", "", to=to), to)
    assert (await thread.now()).password == ""


# ---------------------------------------------------------------- a password stays in its hash


async def test_a_password_is_kept_as_a_hash_and_said_nowhere(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    thread = await open_thread(house)
    [answer] = await thread.say(f"PASSWORD {WORDS}")
    kept = (await thread.now()).password
    assert passwords.is_right(WORDS, kept)
    text = await text_of(house, answer)
    assert "by telephone or in person" in text
    assert "You wrote: PASSWORD =E2=80=A6" in text
    for secret in (WORDS, "teapot", kept):
        assert secret not in text
    assert "teapot" not in await everything(house)
    assert "teapot" not in "".join(capfd.readouterr())
    lines = [line for line in await trail(house) if "password" in line[1]]
    assert lines == [(ANNA, "command password")]
    [answer] = await thread.say("PASSWORD: other odd words")
    assert "before it does not count" in said(answer)
    [answer] = await thread.say("PASSWORD OFF")
    assert (await thread.now()).password == ""
    assert "no password any more" in said(answer)
    [answer] = await thread.say("PASSWORD OFF")
    assert "no password already" in said(answer)


@pytest.mark.parametrize("words", ["", " short7", "x" * 201])
async def test_a_password_that_is_none_changes_nothing(house: House, words: str) -> None:
    thread = await open_thread(house)
    [answer] = await thread.say(f"PASSWORD: {words}")
    assert (await thread.now()).password == ""
    assert answer.kind == "notice"
    assert not words.strip() or words.strip() not in repr(answer)


async def test_a_password_that_waits_for_a_click_waits_as_its_hash_and_goes_with_it(
    house: House, dns: FakeDns
) -> None:
    publish_domain(dns, "lab.example")
    thread = await open_thread(house)
    async with open_site(house) as site:
        [asked] = await thread.say(f"PASSWORD {WORDS}", Strength.SENT)
        assert asked.kind == "confirm"
        assert (await thread.now()).password == ""
        waiting = await confirmation_of(house, asked)
        assert waiting.context["order"]["text"].startswith("$argon2id$")
        _, page = await site.get(site.link_of(asked))
        shown = page + await text_of(house, asked) + await everything(house)
        assert "teapot" not in shown
        assert "argon2" not in page + await text_of(house, asked)
        [answer] = await site.click(asked)
    assert "teapot" not in await text_of(house, answer)
    assert passwords.is_right(WORDS, (await thread.now()).password)
    assert (await confirmation_of(house, asked)).context == {}
    assert "teapot" not in await everything(house)


async def test_what_is_asked_back_does_not_show_it_either(house: House) -> None:
    thread = await open_thread(house)
    [answer] = await thread.say("The password is gull teapot 4711")
    assert "Did you mean PASSWORD?" in (answer.context or {})["heading"]
    assert "teapot" not in await text_of(house, answer)
    assert "teapot" not in await everything(house)


async def test_a_case_that_has_ended_takes_none_of_them(house: House) -> None:
    thread: Thread = await open_thread(house)
    async with house.database.write() as connection:
        cases = metadata.tables["cases"]
        ended = sa.update(cases).where(cases.c.id == thread.case.id)
        await connection.execute(ended.values(state="expired"))
    for line in ("ACCESS LINK", f"PASSWORD: {WORDS}", "DOWNLOADS OFF", "NOTIFY ON"):
        [answer] = await thread.say(line)
        assert "has ended" in said(answer), line
