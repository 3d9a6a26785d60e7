"""Who speaks to a case. Its address says which case; the proved author says who; nothing is guessed.

Capitals do not count; dots and +tags do: whoever writes from another form is somebody else, until
ADDRESS has made that form theirs.
"""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.commands.shape import Speaker
from store.model import Case, Mail
from store.records import access, labs


async def speaker_of(connection: AsyncConnection, mail: Mail, case: Case | None) -> Speaker:
    """Who has written a mail, and what they are to its case; perhaps nothing at all."""
    speaker = Speaker(mail.author, "", mail.strength)
    if mail.member_id is not None:
        member = await labs.member(connection, mail.member_id)
        # To another lab's case they are whoever that lab has asked, and are answered there.
        if case is None or case.lab_id == member.lab_id:
            speaker = replace(speaker, address=member.address, name=member.name, member=member)
    person = await access.reviewer_of(connection, case.id, mail.author) if case else None
    if person is None or person.revoked_at is not None:
        return speaker
    return replace(speaker, reviewer=person, name=speaker.name or person.name)
