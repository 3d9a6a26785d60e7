"""What a mail system means by the code it gives: is the address dead, or is it only this letter?

Enhanced status codes are RFC 3463's with RFC 5248's registry; SMTP replies are RFC 5321 4.2. Whoever
marks a living address as dead does more harm than whoever tries a dead one again: in doubt, and
wherever our own reputation is spoken of, the person is not to blame.
"""

import re
from enum import StrEnum


class Fate(StrEnum):
    PERMANENT = "permanent"  # The address does not exist or takes no mail.
    FULL = "full"  # The mailbox is full: the person exists.
    POLICY = "policy"  # A rule or our reputation: never the person's fault.
    TROUBLE = "trouble"  # This letter was given up for another reason.
    DELAYED = "delayed"  # The relay goes on trying.
    DELIVERED = "delivered"  # It arrived, or went on to where no reports are written.


class Action(StrEnum):
    """RFC 3464 2.3.3, as far as it makes a difference."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"


LONGEST = 2_000  # characters of a diagnostic that are looked at
_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)")
_REPLY = re.compile(r"(?<![\d.:-])([245]\d\d)(?=[ -]|$)")
# OpenSMTPD writes "error"; some write a word more, or a comment.
_ACTIONS = {
    "fail": Action.FAILED,
    "error": Action.FAILED,
    "delay": Action.DELAYED,
    "deliver": Action.DELIVERED,
    "relay": Action.DELIVERED,
    "expand": Action.DELIVERED,
}
_BY_CLASS = {"2": Action.DELIVERED, "4": Action.DELAYED, "5": Action.FAILED}
_MEANINGS = {
    "1.1": "The address does not exist.",
    "1.2": "The mail domain does not exist.",
    "1.3": "The address is not written correctly.",
    "1.6": "The mailbox has moved, and nobody knows where.",
    "1.10": "The domain takes no mail.",
    "2.1": "The mailbox is disabled.",
    "2.2": "The mailbox is full.",
    "2.3": "The letter is too large for the mailbox.",
    "3.4": "The letter is too large for the mail system.",
    "4.1": "The mail system does not answer.",
    "4.4": "The mail system cannot be found.",
    "4.7": "It took too long.",
    "7.1": "The mail system does not permit it.",
}
_GONE = frozenset({"1.1", "1.2", "1.3", "1.6", "1.10", "2.1"})
_NO_ROUTE = frozenset({"4.4", "4.310"})  # the latter is Exchange Online's
# Codes of systems that say no more than "failed": their words count.
_VAGUE = frozenset({"", "0.0", "1.0", "2.0", "5.0"})
# RFC 5321 4.2.3, RFC 7504: said of a recipient or its host.
_FINAL_REPLIES = frozenset({"521", "550", "551", "553", "556"})
_POLICY = re.compile(
    r"\b(?:block ?list|black ?list|blocklisted|blacklisted|blocked|banned|dnsbl|rbl|spamhaus|spamcop"
    r"|barracuda|spam|unsolicited|spf|dkim|dmarc|reputation|policy|policies|virus|malware"
    r"|content (?:rejected|filter)|message content|phishing|abuse|abusive|greylist(?:ed|ing)?"
    r"|relaying|relay access|authenticat(?:ed?|ion)|authori[sz]ed|sender)\b"
)
_FULL = re.compile(
    r"mailbox (?:is )?(?:full|has exceeded)|over ?quota|quota (?:is )?exceeded|exceeded? (?:\w+ )?quota"
    r"|exceeded storage|out of storage|insufficient (?:disk|storage)"
)
# "Too many messages for this person just now" has come with 5.2.1, from Gmail among others.
_BUSY = re.compile(r"rate that prevents|too quickly|too many|rate limit|try again")
_UNKNOWN = re.compile(
    r"(?:user|mailbox|recipient|account|address)(?: is| was| name)? (?:unknown|not found|invalid"
    r"|disabled|inactive|does ?n[o']t exist|does not exist|is not a valid)"
    r"|(?:unknown|no such|invalid|nonexistent|non-existent) (?:local )?"
    r"(?:user|mailbox|recipient|account|address|person)"
    r"|(?:no|not a valid|not a known) mailbox|not our customer|unrouteable address"
    r"|user doesn't have an? \S+ account|recipient(?: address)? not found|no longer (?:valid|exists)"
)
# Word for word what Outlook.com says with 5.5.0 of an address that was never there.
_OUTLOOK_UNKNOWN = "requested action not taken: mailbox unavailable"
_NO_HOST = re.compile(r"not found|no such|nxdomain|does not exist|unknown host|no mx|host unknown")


def status_in(text: str) -> str:
    """The first enhanced status code in a text, or nothing."""
    found = _ENHANCED.search(text[:LONGEST])
    return found[1] if found else ""


def reply_in(text: str) -> str:
    """The first SMTP reply code in a text, or nothing."""
    found = _REPLY.search(text[:LONGEST])
    return found[1] if found else ""


def meaning(status: str) -> str:
    """A sentence for people, where the mail system gave none."""
    return _MEANINGS.get(_topic(status), "")


def precise(status: str, diagnostic: str) -> str:
    """The status, or that of the diagnostic where the report says only "failed" (Exim: 5.0.0)."""
    said = status_in(diagnostic)
    return said if said and _topic(status) in _VAGUE and said[0] == (status or said)[0] else status


def action_of(written: str, status: str, diagnostic: str) -> Action:
    """What has been done: by the word of the report, or by the class of its codes."""
    word = written.strip().lower()
    for begin, action in _ACTIONS.items():
        if word.startswith(begin):
            return action
    return _BY_CLASS.get((status or reply_in(diagnostic))[:1], Action.FAILED)


def fate_of(action: Action, status: str, diagnostic: str) -> Fate:
    """What became of a letter.

    Args:
        status: as `precise` gives it; empty if there is none.
        diagnostic: what the mail system said in words.
    """
    if action is Action.DELIVERED:
        return Fate.DELIVERED
    if _topic(status) == "2.2":
        return Fate.FULL
    if action is Action.DELAYED:
        return Fate.DELAYED
    return _fate_of_failed(status, diagnostic[:LONGEST])


def _fate_of_failed(status: str, diagnostic: str) -> Fate:
    """A class 4 code here was given up at last: of this letter, and never held against the address."""
    topic, reply, words = _topic(status), reply_in(diagnostic), _words(diagnostic)
    unknown = _UNKNOWN.search(words) is not None
    if topic.startswith("7.") or (_POLICY.search(words) and not (unknown and topic in _GONE)):
        return Fate.POLICY
    if _FULL.search(words):
        return Fate.FULL
    if "4" in (status[:1], reply[:1]) or "5" not in (status[:1], reply[:1]):
        return Fate.TROUBLE
    return Fate.PERMANENT if _is_gone(topic, reply, words, unknown) else Fate.TROUBLE


def _is_gone(topic: str, reply: str, words: str, unknown: bool) -> bool:
    if topic in _GONE:
        return not _BUSY.search(words)
    if topic in _NO_ROUTE:
        return _NO_HOST.search(words) is not None
    if topic == "1.0" and reply in _FINAL_REPLIES:
        return True
    return (topic in _VAGUE and unknown) or (topic == "5.0" and _OUTLOOK_UNKNOWN in words)


def _topic(status: str) -> str:
    """The subject and detail of a status code (RFC 3463 2), whatever its class."""
    return status.partition(".")[2]


def _words(diagnostic: str) -> str:
    """Without addresses and links: a mailbox may be called "spam", and so may a page that helps."""
    words = diagnostic.lower().split()
    return " ".join(word for word in words if "@" not in word and "://" not in word)
