"""Mail to postmaster@, abuse@ and security@ (RFC 2142): a person must read it, so a person gets it.

Anybody may write there. The operator gets its words in a letter of ours, as text, with what it says
of itself and that nobody has verified that; no file goes with it.
"""

from inbound.mail.skeleton import Contents
from inbound.mail.text import note_of
from inbound.talk.classify import Kind
from store.house import House
from store.model import LetterDraft, Mail, MailState
from store.records import mails, outbox

LONGEST = 8_000  # characters
_PASSED_ON = frozenset({Kind.HUMAN, Kind.COMPLAINT, Kind.LIST})


async def pass_on(house: House, mail: Mail, contents: Contents, kind: Kind) -> None:
    """What robots write there is filed away, but for complaints."""
    now = house.clock.now()
    async with house.database.write() as connection:
        if kind in _PASSED_ON:
            body = note_of(contents.body)[:LONGEST] or contents.body.strip()[:LONGEST]
            draft = LetterDraft(
                kind="passed_on",
                recipient=house.settings.operator,
                subject=f"Mail to {mail.recipients[0]}: {contents.subject}"[:200],
                context={
                    "author": mail.author or mail.sender or "nobody who says a name",
                    "addressed": mail.recipients[0],
                    "about": contents.subject,
                    "text": body,
                },
            )
            domain = house.settings.domain
            await outbox.write(connection, draft, domain, now, once=f"passed on|{mail.id}")
        await mails.settle(connection, mail.id, MailState.DONE, f"operator: {kind}")
    house.poke()
