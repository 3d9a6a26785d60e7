"""Who may do what: the one table of what a command weighs and how well its author is known.

                 SENT                      SIGNED, VOUCHED
    READ         at once                   at once
    SAFE         at once                   at once
    CHANGE       after a click             at once
    HARM         after a click (+ code)    after a click, or with a code

The click is on a link that goes to the registered mailbox and nowhere else. Whoever has set up codes
needs one for harm, in the mail or on the page: their mailbox alone is not enough any more. A code in a
mail that is not signed is not even looked at, so that nobody can lock a member out by guessing.
"""

from enum import StrEnum

from inbound.commands.shape import Weight
from store.states import Strength


class Way(StrEnum):
    """How a command comes to be carried out."""

    NOW = "now"  # The mail is proof enough.
    CLICK = "click"  # The link in a letter to the registered mailbox must be pressed.
    CODE = "code"  # The mail must bring a code.


_LEAST = {Strength.SENT: 0, Strength.SIGNED: 1, Strength.VOUCHED: 1}
_WAYS = {
    Weight.READ: (Way.NOW, Way.NOW),
    Weight.SAFE: (Way.NOW, Way.NOW),
    Weight.CHANGE: (Way.CLICK, Way.NOW),
    Weight.HARM: (Way.CLICK, Way.CLICK),
}


def way_of(weight: Weight, strength: Strength, *, has_codes: bool) -> Way:
    """Args:
    has_codes: whether the member has set up a second factor.
    """
    column = _LEAST[strength]  # NONE never comes so far
    way = _WAYS[weight][column]
    signed = column == 1
    return Way.CODE if weight is Weight.HARM and has_codes and signed else way
