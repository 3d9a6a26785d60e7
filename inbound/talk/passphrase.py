"""PASSWORD and its words: told to nobody, shown nowhere, and taken only where they are meant as such."""

from inbound.commands.shape import Order
from inbound.mail.quotes import DECORATION, plain
from inbound.talk.heads import Head
from inbound.talk.words import choice_of, is_hedged

VERB = "PASSWORD"
HIDDEN = "PASSWORD …"  # what is shown of a line that holds one
_PAIRS = {'"': '"', "'": "'", "“": "”", "„": "“", "«": "»", "‘": "’"}


def password_order(head: Head) -> Order:
    """The words are what stands on the line behind the verb, without the quotes around it."""
    words = head.rest.strip()
    if choice_of("NOTIFY", plain(words).strip(DECORATION)) == "OFF":
        return Order(VERB, f"{VERB} OFF", text="OFF")
    if len(words) > 2 and _PAIRS.get(words[0]) == words[-1]:
        words = words[1:-1]
    return Order(VERB, HIDDEN if words else VERB, text=words)


def may_be_none(head: Head) -> bool:
    """Whether somebody asks for a password, or writes a sentence that begins with the word."""
    if "?" in head.behind:
        return True
    if not head.rest or head.behind == ":":
        return False
    if head.behind or not head.apart:  # "Password, please"; Chinese without a blank
        return True
    return head.rest.rstrip().endswith("?") or is_hedged(VERB, plain(head.rest))
