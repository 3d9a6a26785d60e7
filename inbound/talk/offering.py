"""What is offered to a member whose mail meant to share and brought no scan: words about what was seen,
and a page that takes the files.
"""

from typing import Any

from inbound.cases.subject import read_subject
from inbound.cases.upload_pages import MOST_OFFERED, open_page
from inbound.talk.talk import Talk
from store.records.uploads import Words
from store.tokens import derived_id


def links_seen(talk: Talk) -> list[str]:
    """A sentence about links to files that wait elsewhere; none if there are none."""
    places = talk.contents.places
    if not places:
        return []
    named = places[0] if len(places) == 1 else f"{', '.join(places[:-1])} and {places[-1]}"
    return [
        f"Your mail holds a link to files at {named}. We do not open such links, so nothing was fetched."
    ]


async def offer_page(talk: Talk, once: str) -> dict[str, Any] | None:
    """What a letter needs to show an upload page; None for who did not mean to share, or has enough.

    Args:
        once: the occasion of the letter, where it is written one time only: so is the page.
    """
    member, contents = talk.speaker.member, talk.contents
    subject = read_subject(contents.subject, talk.house.settings.domain)
    if member is None or not (talk.left_out or contents.places or subject.reviewers):
        return None
    words = Words()
    if subject.reviewers:
        people = ", ".join(one.address for one in subject.reviewers)
        words = Words(people, f"{subject.code} {subject.title}".strip())
    upload_id = derived_id("upload", once or talk.mail.id)
    return await open_page(talk.house, talk.connection, upload_id, member, words, most=MOST_OFFERED)
