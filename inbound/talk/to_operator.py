"""Mail to postmaster@, abuse@ and security@ (RFC 2142): a person must read it, so a person gets it.

Anybody may write there. The operator gets its words in a letter of ours, as text, with what it says
of itself and that nobody has verified that; no file goes with it.
"""

from inbound.mail.skeleton import Contents
from inbound.talk.away import one_line
from inbound.talk.classify import Kind
from store.house import House
from store.model import LetterDraft, Mail
from store.records import mails, outbox
from store.states import MailState

LONGEST, _LINE = 8_000, 200  # characters
_PASSED_ON = frozenset({Kind.HUMAN, Kind.COMPLAINT, Kind.LIST})


async def pass_on(house: House, mail: Mail, contents: Contents, kind: Kind) -> None:
    """What robots write there is filed away, but for complaints; so is the operator's own mail.

    Their mailbox may answer every letter, and to postmaster@.
    """
    now = house.clock.now()
    async with house.database.write() as connection:
        if kind in _PASSED_ON and mail.author.lower() != house.settings.operator.lower():
            addressed = one_line(mail.recipients[0], _LINE)
            about = one_line(contents.subject, _LINE) or "(no subject)"
            draft = LetterDraft(
                kind="passed_on",
                recipient=house.settings.operator,
                subject=f"Mail to {addressed}: {about}"[:_LINE],
                context={
                    "author": one_line(mail.author or mail.sender, _LINE) or "nobody",
                    "addressed": addressed,
                    "about": about,
                    "text": _words(contents.body) or "(no text)",
                },
            )
            domain = house.settings.domain
            await outbox.write(connection, draft, domain, now, once=f"passed on|{mail.id}")
        await mails.settle(connection, mail.id, MailState.DONE, f"operator: {kind}")
    house.poke()


def _words(body: str) -> str:
    """All of it, quotes too: who reports abuse quotes it. Nothing that turns the writing round."""
    lines = body.strip()[:LONGEST].splitlines()
    return "\n".join("".join(c for c in line if c.isprintable() or c == "\t") for line in lines)
