"""What kind of mail this is: an ordered table, the first rule that fits decides.

Only a person's mail is acted on or answered. What asks for silence (X-Auto-Response-Suppress,
Feedback-ID) is no proof of a robot and is read like any other; a robot is told by RFC 3834, RFC 6522
and by what responders write. A kind is told by what a mail is; who may be believed is told by tokens,
and not here.
"""

import re
from collections.abc import Callable
from enum import StrEnum

from inbound.mail.skeleton import Contents
from inbound.talk.away import names_responder, says_away
from store.addresses import Addressing, Desk
from store.tokens import has_shape


class Kind(StrEnum):
    OWN = "own"  # One of our letters came back to us: dropped.
    BOUNCE = "bounce"  # A mail system says what became of a letter (inbound/talk/reports.py).
    COMPLAINT = "complaint"  # A mailbox provider says what a person thinks of a letter.
    RECEIPT = "receipt"  # A letter was read, or deleted unread: nobody asked.
    AUTO_REPLY = "auto-reply"  # Out of office and the like: never obeyed, never answered.
    LIST = "list"  # Sent to many by a list: no command, no answer.
    CALENDAR = "calendar"  # An invitation: no command.
    HUMAN = "human"


def classify(contents: Contents, sender: str, domain: str) -> Kind:
    """Args: the mail, its envelope sender ("" for <>), and our mail domain."""
    for kind, fits in _RULES:
        if fits(contents, sender, domain):
            return kind
    return Kind.HUMAN


def is_returned(mail: Contents, sender: str) -> bool:
    """Whether a mail system says in plain words, without a report, that a letter did not arrive.

    A person may write as postmaster@, but not with an empty envelope sender.
    """
    name = _author(mail).partition("@")[0]
    by_system = name in _DAEMONS
    if not sender and not by_system:
        by_system = name == "postmaster" or "x-failed-recipients" in mail.headers
    return by_system and _UNDELIVERED.search(f"{mail.subject}\n{mail.body[:_BEGIN]}") is not None


def _is_own(mail: Contents, sender: str, domain: str) -> bool:
    # The domain alone says nothing: a lab whose own domain this is writes such ids too.
    local, _, at = mail.header("message-id").strip("<>").lower().partition("@")
    if at == domain and has_shape(local):
        return True
    if mail.header("x-scanpost-kind") and sender.lower().endswith(f"@{domain}"):
        return True
    ours = Addressing(domain)
    loops = [loop.strip("<> ").lower() for loop in mail.headers.get("x-loop", [])]
    return any(loop == domain or _is_letters(loop, ours) for loop in [_author(mail), *loops])


def _is_letters(address: str, ours: Addressing) -> bool:
    """Whether our letters come from an address; people and mail systems write as postmaster@."""
    own = ours.read(address)
    return own is not None and own.desk is not Desk.OPERATOR


def _is_bounce(mail: Contents, sender: str, _domain: str) -> bool:
    kind = _report_type(mail)
    return is_returned(mail, sender) if kind is None else kind in ("delivery-status", "")


def _is_complaint(mail: Contents, _sender: str, _domain: str) -> bool:
    return _report_type(mail) == "feedback-report"  # RFC 5965 2


def _is_receipt(mail: Contents, _sender: str, _domain: str) -> bool:
    return _report_type(mail) == "disposition-notification"  # RFC 8098 3


def _is_auto_reply(mail: Contents, sender: str, _domain: str) -> bool:
    # RFC 3834 5: anything but "no" is automatic. The others are what responders wrote before it.
    if any(_word(value) != "no" for value in mail.headers.get("auto-submitted", [])):
        return True
    if any(name in mail.headers and _word(mail.header(name)) != "no" for name in _RESPONDERS):
        return True
    if mail.header("delivered-to").lower() == "autoresponder" or _report_type(mail) is not None:
        return True
    precedence = _precedence(mail)
    if precedence & {"auto_reply", "auto-reply"} or not sender:
        return True
    # By its subject alone nobody is a robot: people write about their holidays too.
    odd = "x-auto-response-suppress" in mail.headers or bool(precedence & {"bulk", "junk"})
    return names_responder(mail.subject) and (odd or says_away(mail.body))


def _is_list(mail: Contents, _sender: str, _domain: str) -> bool:
    bulk = mail.header("precedence").lower() in ("list", "bulk", "junk")
    return bulk or bool(mail.header("list-id") or mail.header("list-unsubscribe"))


def _is_calendar(mail: Contents, _sender: str, _domain: str) -> bool:
    return mail.invitation or mail.header("content-type").lower().startswith("text/calendar")


def _report_type(mail: Contents) -> str | None:
    """RFC 6522 3: what a multipart/report reports; empty if it does not say, None if it is none."""
    written = mail.header("content-type").lower()
    if not written.startswith("multipart/report"):
        return None
    found = _REPORT_TYPE.search(written)
    return found[1] if found else ""


def _precedence(mail: Contents) -> set[str]:
    names = ("precedence", "x-precedence")
    return {value.lower() for name in names for value in mail.headers.get(name, [])}


def _word(value: str) -> str:
    """The first word of a field: parameters and comments may follow (RFC 3834 5)."""
    return re.split(r"[\s;(]", value.strip().lower(), maxsplit=1)[0]


def _author(mail: Contents) -> str:
    """The address in From, more forgivingly than a person's is read: Sendmail names no domain."""
    written = mail.header("from").lower()
    if "<" in written:
        return written.rpartition("<")[2].partition(">")[0].strip()
    return written.partition("(")[0].strip()


_RESPONDERS = (
    "x-autoreply",
    "x-autorespond",
    "x-autoresponder",
    "x-autoreply-from",
    "x-autogenerated",
    "x-fc-machinegenerated",
)
_DAEMONS = frozenset({"mailer-daemon", "mailerdaemon", "mail-daemon", "mdaemon"})
_BEGIN = 4_000  # characters of a text in which a mail system has said what it wants
_REPORT_TYPE = re.compile(r"\breport-type\s*=\s*\"?([\w.-]+)")
_UNDELIVERED = re.compile(
    r"undeliver|not (?:yet )?(?:be |been )?(?:able to )?deliver|n't (?:be )?(?:able to )?deliver"
    r"|unable to deliver|unable to send|delivery (?:has )?(?:fail|been delayed|is delayed|delayed"
    r"|incomplete|status notification|problem|report)|failure notice|fail(?:ed|ure) to deliver"
    r"|return(?:ed|ing) (?:mail|message|to sender)|message (?:delayed|rejected)|permanent (?:fatal )?err"
    r"|unzustellbar|nicht zugestellt|nicht zustellbar|no (?:se )?(?:pudo|ha podido) (?:ser )?entreg"
    r"|non (?:remis|distribu|délivr)|pas pu être (?:remis|distribu|délivr)|退信|退回|无法送达|投递失败",
    re.IGNORECASE,
)
_RULES: list[tuple[Kind, Callable[[Contents, str, str], bool]]] = [
    (Kind.OWN, _is_own),
    (Kind.BOUNCE, _is_bounce),
    (Kind.COMPLAINT, _is_complaint),
    (Kind.RECEIPT, _is_receipt),
    (Kind.AUTO_REPLY, _is_auto_reply),
    (Kind.LIST, _is_list),
    (Kind.CALENDAR, _is_calendar),
]
