"""A letter in its envelope, and what takes it."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Posting:
    """A letter in its envelope.

    Attributes:
        letter_id: the same at every attempt.
        sender: the envelope sender; empty when a failure is nobody's to hear.
        data: the whole mail, lines ending in CR LF.
    """

    letter_id: str
    sender: str
    recipient: str
    data: bytes


class Relay(Protocol):
    async def send(self, posting: Posting) -> str:
        """Hands a letter over; returns what the relay said.

        Raises:
            RelayBusy: another attempt may succeed.
            LetterRefused: none will.
        """
        ...
