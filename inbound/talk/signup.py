"""A stranger's first mail: it waits, sealed, for a click in the mailbox that it says it came from.

Nothing of it is read for anybody before the click. With the click they agree to the text in
store/consent.py; then they are a member and their mail runs by itself.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.auth.dmarc import ascii_name
from inbound.cases.clicks import Click, ask_for_click
from inbound.cases.letters import reply_letter
from inbound.mail.skeleton import Contents
from store.clock import DAY
from store.house import House
from store.model import SIGNUP_LIFETIME, Confirmation, Mail
from store.records import audit, labs, mails, outbox
from store.states import ConfirmationKind, MailState
from store.tokens import derived_id


@dataclass(frozen=True)
class Stranger:
    """Who has written, as letters and pages show them."""

    address: str  # with a punycode domain: letters that look alike must not deceive

    @classmethod
    def of(cls, author: str) -> "Stranger":
        local, _, domain = author.rpartition("@")
        plain = ascii_name(domain) or domain.encode("ascii", "backslashreplace").decode()
        return cls(f"{local}@{plain}")


async def ask(
    house: House, connection: AsyncConnection, mail: Mail, contents: Contents
) -> MailState:
    """Writes the one letter that a stranger gets, and lets their mail wait; returns its state."""
    now = house.clock.now()
    if why := await _why_not(house, connection, mail):
        await _turn_away(house, connection, mail, contents, why)
        return MailState.DONE
    stranger = Stranger.of(mail.author)
    await ask_for_click(
        house,
        connection,
        Click(
            derived_id("signup", mail.id),
            ConfirmationKind.SIGNUP,
            mail.author,
            "Is this mail yours?",
            [
                f"A mail from {stranger.address} came to {house.settings.addressing.share()}. It waits,"
                " sealed, and nobody has been told.",
                "If you sent it, open the page below and agree; its scans are shared at once. If you"
                " did not, do nothing: it is destroyed after 24 hours.",
            ],
            "Open the page",
            lifetime=SIGNUP_LIFETIME,
            context={"shown": stranger.address},
            mail_id=mail.id,
            template="signup",
            subject=contents.subject,
            in_reply_to=mail.message_id,
        ),
    )
    await audit.record(connection, now, mail.author, "sign-up asked for")
    await mails.settle(connection, mail.id, MailState.WAITING, "waits for sign-up")
    return MailState.WAITING


async def _why_not(house: House, connection: AsyncConnection, mail: Mail) -> str:
    """Why a stranger's mail cannot wait; empty if it can."""
    known = await labs.member_by_address(connection, mail.author)
    if known and known.disabled_at is not None:
        return f"{mail.author} may not share here any more. Ask {house.settings.operator}."
    # The door looks too, but two mails that come at the same moment both pass it.
    if mail.author in await mails.waiting_strangers(connection):
        return (
            "Your first mail waits for you: press the link in the letter that was sent to you. This"
            " mail was not kept; send it again after that."
        )
    return ""


async def _turn_away(
    house: House, connection: AsyncConnection, mail: Mail, contents: Contents, why: str
) -> None:
    now = house.clock.now()
    context = {"heading": "Not done", "sentences": [why], "case": None}
    draft = reply_letter(mail, contents.subject, mail.author, "", "notice", context)
    once = f"not waiting|{mail.author}|{now // DAY}"
    await outbox.write(connection, draft, house.settings.domain, now, once=once)
    await mails.settle(connection, mail.id, MailState.DONE, "stranger turned away")


async def admit(house: House, connection: AsyncConnection, confirmation: Confirmation) -> None:
    """The click came: a member, with a lab, and their mail goes on."""
    now, context = house.clock.now(), confirmation.context
    assert confirmation.mail_id is not None
    address = labs.canonical(confirmation.address)
    known = await labs.member_by_address(connection, address)
    if known and known.disabled_at is not None:  # the operator's word counts, not the click's
        await mails.settle(connection, confirmation.mail_id, MailState.DONE, "not let in")
        return
    if known is None:
        lab_id = await _lab_for(house, connection, address, context)
        name, company = str(context.get("name", "")), str(context.get("company", ""))
        known = await labs.add_member(connection, lab_id, address, name, company, now)
        agreed = str(context["consent"])
        await labs.record_consent(connection, known.id, agreed, address, now)
        await audit.record(
            connection, now, address, "member signed up", lab_id=lab_id, consent=agreed
        )
    await mails.adopt(connection, confirmation.mail_id, known.id, now)


async def _lab_for(
    house: House, connection: AsyncConnection, address: str, context: dict[str, object]
) -> str:
    """A lab of their own: colleagues at one provider must not read each other's cases.

    Where the operator has named the domain, its people are one lab.
    """
    now = house.clock.now()
    domain = address.rpartition("@")[2]
    if house.settings.signup.startswith("domains:"):
        lab = await labs.find_lab(connection, domain)
        return (lab or await labs.add_lab(connection, domain, now)).id
    wished = str(context.get("company", "")) or address
    # A lab that is called like a domain would become that domain's, were it named one day.
    taken = await labs.find_lab(connection, wished) or "." in (ascii_name(wished) or "")
    name = f"{wished} ({address})" if taken else wished
    number = 2
    while await labs.find_lab(connection, name):  # somebody may have called theirs so on purpose
        name, number = f"{wished} ({address}, {number})", number + 1
    return (await labs.add_lab(connection, name, now)).id
