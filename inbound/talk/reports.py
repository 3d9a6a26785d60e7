"""What machines report of our letters: delivery (RFC 3464, RFC 6533) and complaints (RFC 5965).

Everything here is what somebody claims; a token in the address that was written to makes it believed,
and that is decided elsewhere. A report counts for one recipient only: each of our letters goes to one.
"""

import email.message
import logging
import re
from dataclasses import dataclass

import flufl.bounce

from inbound.mail.charsets import readable_text
from inbound.mail.decoding import decoded
from inbound.mail.parts import Part, Windows
from inbound.mail.skeleton import Contents, read_contents
from inbound.mail.words import parameter
from inbound.talk.away import one_line
from inbound.talk.classify import is_returned
from store.statuses import (
    Action,
    Fate,
    action_of,
    fate_of,
    meaning,
    precise,
    reply_in,
    status_in,
)

__all__ = ["Bounce", "Complaint", "Fate", "read_bounce", "read_complaint"]

LONGEST_REASON = 300
LARGEST = 64 * 1024  # of a report's fields; nobody writes more about one recipient
_OWN_WORDS, _LINE = 16 * 1024, 998  # of a plain bounce: RFC 5322 2.1.1 for the latter
_LONGEST_FIELD, _MOST_GROUPS = 4_000, 100
_STATUS = frozenset({"message/delivery-status", "message/global-delivery-status"})
_FEEDBACK = frozenset({"message/feedback-report"})
_RETURNED = frozenset(
    {"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"}
)
_ADDRESS = re.compile(r"[^@\s<>()\[\],;:\"]++@[^@\s<>()\[\],;:\"]++")
_LONGEST_ADDRESS = 320
_ESCAPED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")  # RFC 6533 3
_TYPE = re.compile(r"[\w.-]{1,40}\s*;")
_CODES = re.compile(r"\b([245]\d\d)[- ]([245]\.\d{1,3}\.\d{1,3})(?= )")
_COPY = re.compile(
    r"(?im)^(?:.{0,80}(?:copy of (?:the|your) |original message|message follows)"
    r"|(?:return-path|received):)"
)
Group = dict[str, list[str]]  # fields by their names in lower case

# What its detectors stumble over is the writer's affair, and not for our log.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Bounce:
    """
    Attributes:
        recipient: in lower case; empty if unknown.
        status: such as "5.1.1", or empty.
        reason: what the mail system said, in one line for people; may be empty.
    """

    fate: Fate
    recipient: str
    status: str
    reason: str


@dataclass(frozen=True)
class Complaint:
    """
    Attributes:
        kind: RFC 5965 7.3: "abuse", "fraud", "virus", "other", "not-spam" (the opposite of a
            complaint), "auth-failure" (RFC 6591: no person has complained).
        recipient: who complained, in lower case; empty if unknown or withheld.
        token_address: the envelope sender of the letter complained of, in lower case.
    """

    kind: str
    recipient: str
    token_address: str


def read_bounce(mail: Windows, root: Part, sender: str) -> Bounce | None:
    """What became of one letter to one recipient; None if that is not what the mail says.

    Args:
        sender: of the envelope, "" for <>; `classify` has called the mail a bounce.
    """
    parts = _parts(root, _STATUS)
    if root.type == "multipart/report" and parts:
        return _of_report(mail, parts)
    contents = read_contents(mail, root)
    if not is_returned(contents, sender):
        return None
    return _of_report(mail, parts) if parts else _of_letter(contents)


def read_complaint(mail: Windows, root: Part) -> Complaint | None:
    """Who complained of which letter; None if the mail is no complaint."""
    parts = _parts(root, _FEEDBACK)
    if root.type != "multipart/report" or len(parts) != 1:
        return None
    report = next((one for one in _groups(_text(mail, parts[0])) if "feedback-type" in one), None)
    if report is None:
        return None
    complainers = {_address(value) for value in report.get("original-rcpt-to", [])}
    sender = _address(_first(report, "original-mail-from"))
    return Complaint(
        kind=one_line(_first(report, "feedback-type").lower(), 40),
        recipient=complainers.pop() if len(complainers) == 1 else "",
        token_address=sender or _return_path(mail, root),
    )


def _of_report(mail: Windows, parts: list[Part]) -> Bounce | None:
    if len(parts) != 1 or len(_begin(mail, parts[0])) == LARGEST:
        return None
    groups = _groups(_text(mail, parts[0]))
    # RFC 3464 2.1: the first block is about the message, each that follows about one recipient.
    recipients = [one for one in groups if {"final-recipient", "original-recipient"} & one.keys()]
    if len(recipients) > _MOST_GROUPS:
        return None
    told = dict.fromkeys(_told(one) for one in recipients)
    failed = [bounce for action, bounce in told if action is Action.FAILED]
    if len(failed) == 1 or len(told) == 1:
        return failed[0] if failed else next(iter(told))[1]
    return None


def _told(group: Group) -> tuple[Action, Bounce]:
    """What a block of fields says of its recipient (RFC 3464 2.3)."""
    diagnostic = _said_once(_without_type(_first(group, "diagnostic-code")))
    status = precise(status_in(_first(group, "status")), diagnostic)
    action = action_of(_first(group, "action"), status, diagnostic)
    address = _address(_first(group, "final-recipient"))
    return action, Bounce(
        fate=fate_of(action, status, diagnostic),
        recipient=address or _address(_first(group, "original-recipient")),
        status=status,
        reason=_reason(diagnostic, status),
    )


def _of_letter(contents: Contents) -> Bounce | None:
    """What a mail system says that writes no reports, such as qmail."""
    text = _own_words(contents.body)
    delayed, failed = _flufl(contents, text)
    addresses = {_address(one.decode("ascii", "replace")) for one in failed or delayed}
    if len(addresses) != 1:
        return None
    address = addresses.pop()
    diagnostic = _diagnostic(text)
    status = status_in(diagnostic)
    action = Action.FAILED if failed else Action.DELAYED
    fate = fate_of(action, status, diagnostic)
    return Bounce(fate, address, status, _reason(diagnostic, status)) if address else None


def _flufl(contents: Contents, text: str) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """The addresses that a heuristic finds delayed and failed."""
    letter = email.message.Message()
    for name in ("from", "subject", "x-mailer", "x-failed-recipients"):
        for value in contents.headers.get(name, [])[:1]:
            letter[name] = value[:_LINE]
    letter.set_payload(text)
    try:
        delayed, failed = flufl.bounce.all_failures(letter)
    except Exception:  # noqa: BLE001 -- its detectors were written for samples, not against enemies
        return frozenset(), frozenset()
    return delayed, failed


def _own_words(body: str) -> str:
    """What the mail system wrote before it returned the letter; in lines, for a long one takes long."""
    text = body[:_OWN_WORDS]
    copy = _COPY.search(text, text.find("@") + 1)
    lines = (text[: copy.start()] if copy else text).split("\n")
    return "\n".join(line[:_LINE] for line in lines)


def _diagnostic(text: str) -> str:
    """From the first line that has a code, or else an address, to the end of its paragraph."""
    lines = text.split("\n")
    coded = (at for at, line in enumerate(lines) if status_in(line) or reply_in(line))
    named = (at for at, line in enumerate(lines) if "@" in line)
    rest = lines[next(coded, next(named, len(lines))) :]
    end = next((at for at, line in enumerate(rest) if not line.strip()), len(rest))
    return _said_once(" ".join(" ".join(rest[:end]).split())[:_LONGEST_FIELD])


def _parts(root: Part, types: frozenset[str]) -> list[Part]:
    return [part for part in root.leaves() if part.type in types]


def _text(mail: Windows, part: Part) -> str:
    return readable_text(_begin(mail, part), parameter(part.headers, "charset"))


def _begin(mail: Windows, part: Part) -> bytes:
    data = b""
    for piece in decoded(mail, part):
        data += piece
        if len(data) >= LARGEST:
            break
    return data[:LARGEST]


def _groups(text: str) -> list[Group]:
    """Blocks of fields (RFC 3464 2.1), with an empty line between them."""
    groups: list[Group] = [{}]
    values: list[str] = []
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        if not line.strip():
            groups.append({})
            values = []
        elif line.startswith((" ", "\t")):
            if values and len(values[-1]) < _LONGEST_FIELD:
                values[-1] += f" {line.strip()}"
        elif colon:
            name = name.strip().lower()
            if name == "final-recipient" and name in groups[-1]:
                groups.append({})  # a program that forgets the empty line
            values = groups[-1].setdefault(name, [])
            values.append(value.strip()[:_LONGEST_FIELD])
        else:
            values = []
    return groups


def _first(group: Group, name: str) -> str:
    return next(iter(group.get(name, [])), "")


def _address(value: str) -> str:
    """The address in a field that may begin with a type and end with a comment (RFC 3464 2.3.2).

    The type is not asked for: "unknown;" and "local;" are written before mail addresses too.
    """
    plain = _without_type(value)
    if plain.endswith(")"):
        plain = plain.partition(" (")[0]
    address = _ESCAPED.sub(_unescaped, plain.strip(" <>\"'")).lower()
    whole = len(address) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(address)
    return address if whole and address.isprintable() else ""


def _without_type(value: str) -> str:
    return _TYPE.sub("", value, count=1).strip() if _TYPE.match(value) else value.strip()


def _unescaped(found: re.Match[str]) -> str:
    point = int(found[1], 16)
    return chr(point) if point < 0x110000 and not 0xD800 <= point < 0xE000 else found[0]


def _said_once(diagnostic: str) -> str:
    """Without the codes that SMTP repeats on every line of a long reply (RFC 5321 4.2.1)."""
    found = _CODES.search(diagnostic)
    if found is None:
        return diagnostic
    begin, rest = diagnostic[: found.start()], diagnostic[found.end() :]
    again = (f" {found[1]}-{found[2]} ", f" {found[1]} {found[2]} ")
    return f"{begin}{found[1]} {found[2]}" + rest.replace(again[0], " ").replace(again[1], " ")


def _reason(diagnostic: str, status: str) -> str:
    return one_line(diagnostic, LONGEST_REASON) or meaning(status)


def _return_path(mail: Windows, root: Part) -> str:
    """The envelope sender of the letter that came back with a report, as its receiver wrote it down."""
    for part in _parts(root, _RETURNED):
        header = _groups(_text(mail, part).lstrip("\n"))[0]
        return _address(_first(header, "return-path"))
    return ""
