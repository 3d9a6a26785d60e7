"""From a letter's row to the mail: text and HTML, the picture, and headers that keep threads together.

Links and token addresses are derived here, at the last moment, from the case's key; a case that has
ended has no key, and its letters no links. Whatever came from outside is cleaned of line breaks
before it gets near a header (RFC 5322 2.2).
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from typing import Any
from urllib.parse import quote

import css_inline
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from outbound.posting import Posting
from store.errors import Gone
from store.house import House, object_name, open_object, remark_object
from store.model import LONGEST_SUBJECT, UNASKED_LETTERS, Case, Letter, Person
from store.records import access, cases, knocks, labs
from store.states import PersonKind
from store.tokens import MasterPurpose, Purpose

PRODUCT = "scanpost"
MOST_REFERENCES = 20
_PNG = b"\x89PNG"
_PICTURED = {"answer", "share", "version", "reminder", "verdict"}
_VERDICTS = ("APPROVE", "CHANGES")
# Fields that are never to be folded within a word.
_WHOLE = {"message-id", "in-reply-to", "references", "list-unsubscribe"}
_LONG_LINES = SMTP.clone(max_line_length=998)
_MESSAGE_ID = re.compile(r"<[!-=?-~]{1,900}>")
_BREAKING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


class _Folding(EmailPolicy):
    """Folds as SMTP does, but for Message-IDs and links: a long one would become an encoded word, and
    none.
    """

    def fold_binary(self, name: str, value: str) -> bytes:
        if name.lower() in _WHOLE:
            return _LONG_LINES.fold_binary(name, value)
        return super().fold_binary(name, value)


_FOLDING = _Folding(linesep="\r\n")
_ENVIRONMENT = Environment(
    loader=PackageLoader("templates", "."),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_INLINER = css_inline.CSSInliner(
    keep_style_tags=True, keep_at_rules=True, load_remote_stylesheets=False
)


@dataclass(frozen=True)
class _Wires:
    """What connects a letter with its case: addresses, the link, the picture."""

    reply_to: str
    envelope_sender: str
    link: str
    picture: bytes | None
    lab_name: str
    public_id: str
    digits: str = ""  # of a code that was asked for
    way_out: str = ""  # a page where the reader refuses letters


async def compose(house: House, letter: Letter) -> Posting:
    """The mail of a letter, the same in everything that matters at every attempt."""
    wires = await _wires(house, letter)
    values = _values(house, letter, wires)
    text = _ENVIRONMENT.get_template(f"mail/{letter.kind}.txt").render(values)
    html = _ENVIRONMENT.get_template(f"mail/{letter.kind}.html").render(values)
    mail = _headers(house, letter, wires)
    mail.set_content(_tidy(text), cte="quoted-printable")
    mail.add_alternative(_INLINER.inline(html), subtype="html", cte="quoted-printable")
    if wires.picture:
        page = mail.get_payload()[1]  # type: ignore[index]
        seen = wires.picture.startswith(_PNG)
        page.add_related(  # type: ignore[union-attr]
            wires.picture,
            "image",
            "png" if seen else "jpeg",
            cid="<picture@scanpost>",
            disposition="inline",
            filename="seen.png" if seen else "scans.jpg",
        )
    data = mail.as_bytes(policy=_FOLDING)
    return Posting(letter.id, wires.envelope_sender, letter.recipient, data)


def clean(value: str) -> str:
    """One line of text: no control, no line separator, no mark that turns the writing round.

    "=?" is taken apart: a header class would decode it, line breaks and all (RFC 2047).
    """
    return " ".join(_BREAKING.sub(" ", value).replace("=?", "= ?").split())


async def _wires(house: House, letter: Letter) -> _Wires:
    addressing = house.settings.addressing
    bounce = addressing.bounce(house.keys.token(MasterPurpose.BOUNCE, letter.id))
    link = _confirm_link(house, letter)
    if letter.case_id is None:
        return _Wires(addressing.share(), bounce, link, None, PRODUCT, "none")
    async with house.database.read() as connection:
        case = await cases.case(connection, letter.case_id)
        lab = await labs.lab(connection, case.lab_id)
        owner = await access.owner_of(connection, case.id)
        person = await access.person(connection, letter.person_id) if letter.person_id else None
        try:
            key = await house.case_key(connection, case.id)
        except Gone:
            return _Wires(addressing.share(), bounce, link, None, lab.name, case.public_id)
    reply = access.token_of(key, person or owner, Purpose.REPLY)
    return _Wires(
        reply_to=addressing.share(reply),
        envelope_sender=bounce,
        link=_link(house, key, person) if person else "",
        picture=await house.object_threads.run(_picture, house, key, case, letter),
        lab_name=lab.name,
        public_id=case.public_id,
        digits=_digits(key, letter),
        way_out=_way_out(house, key, letter, person),
    )


def _digits(key: bytes, letter: Letter) -> str:
    """The code of the letters that hold one, as people read it: "482 113"."""
    knock = (letter.context or {}).get("knock")
    if not knock:
        return ""
    digits = knocks.digits_of(key, knock)
    return f"{digits[:3]} {digits[3:]}"


def _way_out(house: House, key: bytes, letter: Letter, person: Person | None) -> str:
    """Where a reviewer refuses letters; of what they did not ask for only."""
    unasked = letter.kind in UNASKED_LETTERS
    reviewer = person is not None and person.kind is PersonKind.REVIEWER
    return f"{_link(house, key, person)}/stop" if unasked and reviewer and person else ""


def _confirm_link(house: House, letter: Letter) -> str:
    """The link that waits for a click, of the letters that hold one."""
    row = (letter.context or {}).get("confirmation")
    if not row:
        return ""
    return f"{house.settings.base_url}/c/{house.keys.token(MasterPurpose.CONFIRM, row)}"


def _upload_link(house: House, letter: Letter) -> str:
    """The link of the upload page that a letter shows, in a case's thread or not."""
    page = (letter.context or {}).get("upload")
    if not page:
        return ""
    return f"{house.settings.base_url}/u/{house.keys.token(MasterPurpose.UPLOAD, page['id'])}"


def _link(house: House, key: bytes, person: Person) -> str:
    return f"{house.settings.base_url}/r/{access.token_of(key, person, Purpose.LINK)}"


def _picture(house: House, key: bytes, case: Case, letter: Letter) -> bytes | None:
    """What somebody saw when they said it, else the picture of the case."""
    context = letter.context or {}
    if seen := context.get("seen"):
        name = remark_object(case.id, seen, "checked")
        return b"".join(open_object(house.blobs, key, name).pieces())
    shown = context.get("case") or {}
    if not shown.get("picture") or letter.kind not in _PICTURED:
        return None
    name = object_name(case.id, shown["version_id"], 0, "picture")
    return b"".join(open_object(house.blobs, key, name).pieces())


def _values(house: House, letter: Letter, wires: _Wires) -> dict[str, Any]:
    def mailto(command: str) -> str:
        """A link that opens a reply with the command in it (RFC 6068: %20 and %0D%0A, one body)."""
        named = f"{command} #{wires.public_id}"
        if letter.version is not None and command.startswith(_VERDICTS):
            named += f" v{letter.version}"  # which version this letter is about
        # Where no token stands in the address, the command itself must name its case.
        said = command if house.settings.addressing.separator else named
        return f"mailto:{wires.reply_to}?subject={quote(named)}&body={quote(said)}%0D%0A"

    settings = house.settings
    return {
        **(letter.context or {}),
        "product": PRODUCT,
        "link": wires.link,
        "upload_link": _upload_link(house, letter),
        "has_picture": wires.picture is not None,
        "lab": wires.lab_name,
        "domain": settings.domain,
        "operator": settings.operator,
        "mailto": mailto,
        "digits": wires.digits,
        "subject": letter.subject,
    }


def _headers(house: House, letter: Letter, wires: _Wires) -> EmailMessage:
    domain = house.settings.domain
    mail = EmailMessage(policy=SMTP)
    sender = PRODUCT if wires.lab_name == PRODUCT else f"{clean(wires.lab_name)} via {PRODUCT}"
    mail["From"] = Address(sender, "share", domain)
    mail["To"] = _recipient(letter)
    mail["Reply-To"] = wires.reply_to
    mail["Subject"] = clean(letter.subject)[:LONGEST_SUBJECT]
    mail["Date"] = datetime.fromtimestamp(letter.created_at / 1000, UTC)
    mail["Message-ID"] = letter.message_id
    if _MESSAGE_ID.fullmatch(letter.in_reply_to):
        mail["In-Reply-To"] = letter.in_reply_to
    chain = [one for one in dict.fromkeys(letter.thread) if _MESSAGE_ID.fullmatch(one)]
    if chain:
        mail["References"] = " ".join(chain[:1] + chain[1:][-MOST_REFERENCES:])
    # RFC 3834 5: an answer, or a letter nobody wrote by hand; neither wants a robot's reply.
    mail["Auto-Submitted"] = "auto-replied" if letter.in_reply_to else "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["X-Loop"] = house.settings.addressing.share()
    if wires.way_out:
        mail["List-Unsubscribe"] = f"<{wires.way_out}>"
        if house.settings.secure:  # RFC 8058 3.1 asks for https
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail["X-Scanpost-Case"] = wires.public_id
    mail["X-Scanpost-Kind"] = letter.kind
    return mail


def _recipient(letter: Letter) -> Address:
    local, _, domain = letter.recipient.rpartition("@")
    return Address(clean(letter.recipient_name)[:80], local, domain)


def _tidy(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
