"""A stranger's first mail: it waits, sealed, for a click in the mailbox that it says it came from.

Nothing of it is read for anybody before the click. With the click they agree to the text in
store/consent.py; then they are a member and their mail runs by itself.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.letters import confirm_letter
from inbound.mail.skeleton import Contents
from store import consent
from store.house import House
from store.model import SIGNUP_LIFETIME, Confirmation, ConfirmationKind, Mail, MailState
from store.records import audit, confirmations, labs, mails, outbox
from store.tokens import MasterPurpose, derived_id


@dataclass(frozen=True)
class Stranger:
    """Who has written, as letters and pages show them."""

    address: str  # with a punycode domain: letters that look alike must not deceive
    domain: str

    @classmethod
    def of(cls, author: str) -> "Stranger":
        local, _, domain = author.rpartition("@")
        try:
            plain = domain if domain.isascii() else domain.encode("idna").decode()
        except UnicodeError:
            plain = domain
        return cls(f"{local}@{plain}", plain)


async def ask(house: House, connection: AsyncConnection, mail: Mail, contents: Contents) -> None:
    """Writes the one letter that a stranger gets, and lets their mail wait."""
    now = house.clock.now()
    confirmation_id = derived_id("signup", mail.id)
    stranger = Stranger.of(mail.author)
    await confirmations.create(
        connection,
        confirmation_id,
        house.keys.token(MasterPurpose.CONFIRM, confirmation_id),
        ConfirmationKind.SIGNUP,
        mail.author,
        {"shown": stranger.address},
        now,
        SIGNUP_LIFETIME,
        mail_id=mail.id,
    )
    draft = confirm_letter(
        mail.author,
        "",
        "Is this mail yours?",
        [
            f"Scans were mailed from {stranger.address} to {house.settings.addressing.share()}. They"
            " wait, sealed, and nobody has been told.",
            "If you sent them, open the page below and agree; they are shared at once. If you did"
            " not, do nothing: everything is destroyed after 24 hours.",
        ],
        "Open the page",
        confirmation_id,
        now + SIGNUP_LIFETIME,
        kind="signup",
        subject=contents.subject,
        in_reply_to=mail.message_id,
    )
    domain = house.settings.domain
    await outbox.write(connection, draft, domain, now, once=f"signup|{mail.id}")
    await audit.record(connection, now, mail.author, "sign-up asked for")
    await mails.settle(connection, mail.id, MailState.WAITING, "waits for sign-up")


async def admit(house: House, connection: AsyncConnection, confirmation: Confirmation) -> None:
    """The click came: a member, with a lab, and their mail goes on."""
    now, context = house.clock.now(), confirmation.context
    assert confirmation.mail_id is not None
    address = labs.canonical(confirmation.address)
    known = await labs.members_by_address(connection, {address})
    if address not in known:
        lab_id = await _lab_for(house, connection, address, context)
        name, company = str(context.get("name", "")), str(context.get("company", ""))
        member = await labs.add_member(connection, lab_id, address, name, company, now)
        await labs.record_consent(connection, member.id, consent.VERSION, address, now)
        await audit.record(
            connection,
            now,
            address,
            "member signed up",
            lab_id=lab_id,
            consent=consent.VERSION,
        )
    member_id = known[address].id if address in known else member.id
    await mails.adopt(connection, confirmation.mail_id, member_id, now)


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
    taken = await labs.find_lab(connection, wished)
    return (await labs.add_lab(connection, f"{wished} ({address})" if taken else wished, now)).id
