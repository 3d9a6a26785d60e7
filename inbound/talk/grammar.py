"""The grammar of commands: the first line that a person typed is one, is nearly one, or is none.

Nothing is ever guessed: quotes, signatures and disclaimers are full of verbs, and what only looks like
a command is asked back. What counts as typed, inbound/mail/quotes.py says; the verbs are in words.py.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from inbound.commands.shape import Order
from inbound.mail.quotes import DECORATION, is_blank, own_lines, plain, typed_lines, visible
from inbound.mail.text import tidy
from inbound.talk.heads import LONGEST, LONGEST_SHOWN, Head, head_of
from inbound.talk.passphrase import HIDDEN, VERB, may_be_none, password_order
from inbound.talk.typed_codes import SIX, UNUSABLE_CODE, code_below, reads_as_code, usable
from inbound.talk.words import (
    chinese_in,
    choice_of,
    is_greeting,
    is_hedged,
    is_mere_praise,
    is_wish,
    meant_in,
)

_ALONE = {"LIST", "HELP", "STOP"}  # "List of changes below" is a comment
_WITH_TEXT = {"APPROVE", "CHANGES", "COMMENT"}
_WITH_ADDRESSES = {"ADD", "RESEND", "REVOKE", "ADDRESS"}
_ONLY_ADDRESSES = {"ADD", "ADDRESS"}  # "Add 14" is a wish for a tooth
_WITH_SUBJECT = {"UPLOAD"}  # an address makes any words behind it a subject
_ONLY_SHOWS = {"STATUS", "LIST", "HELP", "CODE"}  # "Status?" asks for it, "Revoke?" is not sure
_NEEDS_CODE = {"DELETE", "ADD", "EXPORT", "CLOSE", "ADDRESS", "2FA"}
_ADDRESS = re.compile(r"[^\s<>@,;]+@[^\s<>@,;]+\.[^\s<>@,;]+")
_DAYS = re.compile(r"([+-]?\d{1,9})\s*(?:d|days?|tage?n?|días?|dias?|天|日)?", re.IGNORECASE)
_DAY_WORDS = {"d", "day", "days", "tag", "tage", "tagen", "día", "días", "dia", "dias", "天", "日"}
_MARKS = re.compile(r"#?[\w][\w./#-]*\d[\w./-]*|#\w+|\d+")
_PUBLIC_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{6,10}")
_BETWEEN = re.compile(r"\s*(?:[-–—:：]\s+)?")


class Said(StrEnum):
    COMMAND = "command"  # The first line is a command.
    NEARLY = "nearly"  # It holds a verb, or nearly spells one: to be asked back.
    NOTE = "note"  # It is neither: what was typed is for people.
    NOTHING = "nothing"  # Nothing was typed above the quotation or the signature.


@dataclass(frozen=True)
class Reading:
    said: Said
    order: Order | None = None  # for COMMAND; for NEARLY the one that was probably meant
    line: str = ""  # the first line as it was read, without a code


def read_reply(text: str, verbs: Collection[str]) -> Reading:
    """What a mail's body says to us.

    Args:
        text: the body, with quotations and signature.
        verbs: what this person may say. The verbs of others are commands too, for a kind refusal,
            but nearly one of them is none.
    """
    lines = typed_lines(text, _is_command)
    if not lines:
        return Reading(Said.NOTHING)
    line, below = visible(lines[0]), lines[1:]
    head = head_of(line)
    order = _order_of(head, below) if head else None
    if head and order and _is_sure(head, order, verbs):
        return Reading(Said.COMMAND, order, _without_code(line, order))
    meant = _meant(line, head, below, verbs)
    # Behind a greeting nothing acts, but "Hi, revoke Kim please" must not be mailed to Kim.
    if meant is None and is_greeting(line):
        place = next((at for at, one in enumerate(below) if not is_blank(one)), len(below))
        line = visible("".join(below[place : place + 1]))
        meant = _meant(line, head_of(line), below[place + 1 :], verbs)
    return Reading(Said.NEARLY if meant else Said.NOTE, meant, _without_code(line, meant))


def first_line(text: str) -> str:
    """The first line that was typed, in plain letters."""
    lines = typed_lines(text, _is_command)
    return plain(lines[0][:LONGEST]) if lines else ""


def read_order(line: str, verbs: Collection[str] | None = None) -> Order | None:
    """The command that one line begins with, or None; what is not understood stays in `unknown`."""
    head = head_of(visible(line))
    order = _order_of(head, []) if head else None
    return order if order and (verbs is None or order.verb in verbs) else None


def find_order_below(text: str) -> bool:
    """Whether a command stands on a line of its own further down: said back, never obeyed."""
    # Our own letters, quoted without ">", explain each command in more words.
    return any(map(_is_command, own_lines(text)[1:]))


def same_order(one: Reading, other: Reading) -> bool:
    """Whether two readings, of a mail's text and of its HTML, make us do the same.

    Programs break lines at other places in the text: only the begin of a free text is compared.
    """
    if one.said is not Said.COMMAND and other.said is not Said.COMMAND:
        return True
    if one.said is not other.said or one.order is None or other.order is None:
        return False
    first, second = _letters_of(one.order.text), _letters_of(other.order.text)
    length = min(40, max(len(first), len(second)))
    alike = first[:length] == second[:length]
    return alike and _what_it_does(one.order) == _what_it_does(other.order)


def _what_it_does(order: Order) -> tuple[object, ...]:
    named = (order.recipients, order.cases, order.unknown)
    return (
        order.verb,
        order.days,
        order.version,
        order.code,
        *([word.lower() for word in words] for words in named),
    )


def _letters_of(text: str) -> str:
    return "".join(filter(str.isalnum, text[:400].casefold()))


def _order_of(head: Head, below: list[str]) -> Order | None:
    """The order of a line and, where it goes on there, of those below; None if too much is said."""
    if head.verb in _WITH_TEXT:
        return _with_text(head, below)
    if head.verb == VERB:
        return password_order(head)
    if len(head.rest) > LONGEST:
        return None
    rest, code = _split_code(head)
    if rest and head.verb in _ALONE:
        return None
    words = plain(rest).split()
    if head.verb in _WITH_ADDRESSES:
        more = _more_addresses(rest, below)
        words, below = plain(" ".join([rest, *more])).split(), below[len(more) :]
    order = _with_arguments(head.verb, words)
    order.cases.extend(head.cases)
    return replace(order, code=code or code_below(below)[1])


def _is_command(line: str) -> bool:
    head = head_of(visible(line))
    order = _order_of(head, []) if head else None
    return bool(head and order and _is_whole(head, order))


def _is_whole(head: Head, order: Order) -> bool:
    """Whether there is nothing in a line but what its verb takes."""
    if order.unknown or _doubts(head, order):
        return False
    if head.verb in _WITH_TEXT:
        return not head.rest or head.behind == ":"
    return head.verb not in _ONLY_ADDRESSES or bool(order.recipients) or not head.rest


def _is_sure(head: Head, order: Order, verbs: Collection[str]) -> bool:
    """Whether a line that begins with a verb is a command, or is only nearly one."""
    # Of others only what is whole: to a dentist "Changes to 14" is what it is in any letter.
    if order.verb not in verbs or _is_whole(head, order):
        return _is_whole(head, order)
    if _doubts(head, order):
        return False
    if head.verb in _WITH_TEXT:
        return True
    if head.verb in _ONLY_ADDRESSES:
        return bool(order.recipients) or any("@" in word for word in order.unknown)
    if head.verb in _WITH_SUBJECT and order.recipients:
        return True
    # Behind an argument stands a slip, to be told of; before it stands a sentence.
    first = next(iter(plain(head.rest).split()), "")
    return "@" in first or not _with_arguments(head.verb, [first]).unknown


def _doubts(head: Head, order: Order) -> bool:
    """Whether somebody wonders, or sets a condition, or writes a sentence that begins like this."""
    ends = head.behind if head.verb in _WITH_TEXT else f"{head.behind} {plain(head.rest[-20:])}"
    asks = "?" in ends[len(ends.rstrip(DECORATION)) :] or "?" in head.behind
    if asks and head.verb not in _ONLY_SHOWS and head.verb != VERB:
        return True
    if head.verb not in _WITH_TEXT:
        return head.verb == VERB and may_be_none(head)
    if head.rest and not head.apart:  # Chinese without a blank: "修改得很好" is praise
        return True
    if order.verb == "CHANGES" and (
        head.behind or _BETWEEN.sub("", head.rest, count=1) != head.rest
    ):
        return False
    paragraph = order.text[:LONGEST_SHOWN].partition("\n\n")[0]
    if order.verb == "APPROVE":
        return _takes_back(head, order.text[:LONGEST_SHOWN], paragraph)
    return bool(head.rest) and is_hedged(order.verb, plain(paragraph))


def _takes_back(head: Head, text: str, paragraph: str) -> bool:
    """Whether what stands behind APPROVE makes it none: somebody mills a crown because of it."""
    first = plain(_BETWEEN.sub("", head.rest, count=1))
    said_on_purpose = head.behind == ":" or first != plain(head.rest)
    if head.rest and is_hedged("APPROVE", plain(paragraph)):
        return True
    if head.rest and not said_on_purpose and not is_mere_praise(first):
        return True
    below = plain(text[len(first) :]) if head.rest else plain(text)
    return is_hedged("APPROVE", " ".join(below.split()[:1])) or is_wish(below)


# ---------------------------------------------------------------- what stands behind a verb


def _with_text(head: Head, below: list[str]) -> Order:
    first = _BETWEEN.sub("", head.rest, count=1)
    place, code = code_below(below)
    # "Code of the crown: A2" belongs to the text.
    if code == UNUSABLE_CODE:
        place, code = -1, ""
    below = [line for index, line in enumerate(below) if index != place]
    marks = [*head.cases, *([f"v{head.version}"] if head.version is not None else [])]
    verb = " ".join([head.verb, *marks])
    line = f"{verb}{':' if marks and first else ''} {plain(first[:LONGEST_SHOWN])}".strip()
    text = tidy("\n".join([first, *below]))
    return Order(
        head.verb, line, cases=list(head.cases), code=code, text=text, version=head.version
    )


def _with_arguments(verb: str, words: list[str], leave_out: bool = False) -> Order:
    """The order of a verb and the words behind it; `leave_out` says not to keep unknown ones."""
    order, kept = Order(verb, verb), []
    pieces = _without_names(words) if verb in _ONLY_ADDRESSES else words
    days, text = None, ""
    for word in pieces:
        known = True
        bare = word if word.startswith(("#", "-", "+")) else word.strip(DECORATION + "<>")
        number = _DAYS.fullmatch(bare.strip("*_.,;:!"))
        if "@" in word:
            known = _take_addresses(word, order)
        elif verb == "EXTEND" and number and days is None:
            days = int(number[1])
        elif bare.lower() in _DAY_WORDS and days is not None:
            pass
        elif (chosen := choice_of(verb, bare)) and not text:
            text = chosen
            words = [text if one is word else one for one in words]
        elif _MARKS.fullmatch(bare) or _PUBLIC_ID.fullmatch(bare):
            order.cases.append(bare)
        elif bare:
            known = False
            order.unknown.append(bare)
        if known:
            kept.append(choice_of(verb, bare) or word)
    if leave_out:
        order.unknown.clear()
    line = " ".join([verb, *(kept if leave_out else words)])
    return replace(order, line=line[:LONGEST_SHOWN], days=days, text=text)


def _take_addresses(word: str, order: Order) -> bool:
    """Whether all is understood of a word that holds an "@": addresses between commas."""
    known = True
    for piece in re.split(r"[,;<>]+", word):
        bare = piece.strip(DECORATION)
        if _ADDRESS.fullmatch(bare):
            order.recipients.append(bare.lower())
        elif bare:
            known = False
            order.unknown.append(bare)
    return known


def _without_names(words: list[str]) -> list[str]:
    """Words without the names before addresses: "Kim Lee <kim@clinic.example>"."""
    kept: list[str] = []
    for piece in re.split(r"[,;>]", " ".join(words)):
        name, bracket, address = piece.rpartition("<")
        named = bracket and "@" in address and "@" not in name
        kept += [address] if named else piece.replace("<", " ").split()
    return kept


def _more_addresses(first: str, below: list[str]) -> list[str]:
    """The lines below into which a program has broken a long list of addresses."""
    more: list[str] = []
    for line in map(visible, below):
        last = more[-1] if more else first
        goes_on = not last or last.endswith((",", ";"))
        if not line and goes_on:
            more.append("")
            continue
        words = re.split(r"[,;]" if "<" in line else r"[\s,;]", line)
        if not line or not all("@" in word for word in words if word.strip()):
            break
        more.append(line)
    return more if sum(map(len, more)) <= LONGEST else []


# ---------------------------------------------------------------- codes


def _split_code(head: Head) -> tuple[str, str]:
    """What stands behind a verb without the code at its end, and the code as it was typed."""
    words = head.rest.split()
    if head.verb == "ACCESS":  # one of whose words is CODE
        return head.rest, ""
    if head.verb == "CODE":
        return ("", usable(words)) if reads_as_code(words) else (head.rest, "")
    for index, word in enumerate(words):
        inner = head_of(word)
        if inner and inner.verb == "CODE":
            after = [*inner.rest.split(), *words[index + 1 :]]
            return " ".join(words[:index]), usable(after)
    *before, last = words or [""]
    # Six digits alone are one only behind the name of the case: else they may be that name.
    named = head.verb == "2FA" or bool(_with_arguments(head.verb, before).cases)
    if head.verb in _NEEDS_CODE and named and SIX.fullmatch(last.strip(DECORATION)):
        return " ".join(before), last.strip(DECORATION)
    return head.rest, ""


def _without_code(line: str, order: Order | None) -> str:
    """A line as it is shown: a code that was not spent is a secret, and so is a password."""
    if order and order.verb in (VERB, "ACCESS"):
        return HIDDEN if order.verb == VERB else plain(line)[:LONGEST_SHOWN]
    words = line[:LONGEST].split()
    for index in range(max(1, len(words) - 3), len(words)):
        inner = head_of(words[index])
        if order and order.verb not in _WITH_TEXT and inner and inner.verb == "CODE":
            words = words[:index]
            break
    bare = order and order.verb in _NEEDS_CODE and words[-1].strip(DECORATION) not in order.cases
    if len(words) > 1 and bare and SIX.fullmatch(words[-1].strip(DECORATION)):
        words.pop()
    return plain(" ".join(words))[:LONGEST_SHOWN]


# ---------------------------------------------------------------- nearly a command


def _meant(line: str, head: Head | None, below: list[str], verbs: Collection[str]) -> Order | None:
    """The order that a line which is none may have been meant as."""
    found = (head.verb, plain(head.rest).split()) if head and head.verb in verbs else None
    found = found or _verb_within(plain(line[:LONGEST_SHOWN]), len(line), verbs)
    if found is None:
        return None
    verb, words = found
    if verb == VERB:
        return Order(verb, verb)
    if verb in _WITH_TEXT:
        return Order(verb, verb, text=tidy("\n".join([line, *below])))
    rest, _ = _split_code(Head(verb, "", " ".join(words), apart=True))
    return _with_arguments(verb, [] if verb in _ALONE else rest.split(), leave_out=True)


def _verb_within(line: str, length: int, verbs: Collection[str]) -> tuple[str, list[str]] | None:
    """The verb in a line and the words behind it."""
    tokens = line.split()
    words: list[tuple[str, int]] = []
    for place, token in enumerate(tokens):
        if "@" in token or "://" in token:  # somebody's name, not their word
            continue
        pieces = re.findall(r"[^\W_]+", token)
        joined = ["".join(pieces)] if len(pieces) > 1 else []  # "re-send"
        words += [(word, place) for word in [*joined, *pieces]]
    if len(words) > 3 and all(len(word) == 1 for word, _ in words):  # "R E V O K E"
        words = [("".join(word for word, _ in words), len(tokens))]
    if found := meant_in([word for word, _ in words], verbs, length):
        verb, place = found
        return verb, tokens[words[place][1] + 1 :]
    chinese = chinese_in(line, verbs)
    return (chinese, []) if chinese else None
