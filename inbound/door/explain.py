"""A member's mail that was refused where no dialogue could say so: they get a letter.

Nobody else does: an answer to a mail that nobody vouches for would reach whoever was named as its
author. Nor does a robot: it could answer back (RFC 3834 2).
"""

from inbound.auth.fields import values
from inbound.auth.fromheader import author_of
from inbound.auth.verdict import Trust
from inbound.door.receive import message_id
from store.errors import MailRefused
from store.house import House
from store.model import LetterDraft
from store.records import labs, outbox

_ROBOTS = (b"auto-submitted", b"precedence", b"list-id", b"x-auto-response-suppress")


async def explain(
    house: House, trust: Trust, header: bytes, peer: str, source: str, refusal: MailRefused
) -> None:
    """Writes the letter, once for the mail at this source."""
    if values(header, *_ROBOTS):
        return
    if not trust.covers(peer):
        return  # its end did not come, or cannot be read: no signature could prove it
    try:
        author = author_of(header)
    except MailRefused:
        return
    async with house.database.write() as connection:
        members = await labs.members_by_address(connection, {author})
        if author not in members:
            return
        member = members[author]
        draft = LetterDraft(
            kind="notice",
            recipient=member.address,
            recipient_name=member.name,
            subject="Your mail was not taken",
            context={"heading": "Not taken", "sentences": [str(refusal)], "case": None},
            in_reply_to=message_id(header),
            thread=[message_id(header)] if message_id(header) else [],
        )
        once = f"refused|{source}"
        await outbox.write(connection, draft, house.settings.domain, house.clock.now(), once)
    house.poke()
