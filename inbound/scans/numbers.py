"""Numbers out of text, many at a time."""

import warnings

import numpy as np
from numpy.typing import NDArray


def numbers(text: bytes, expected: int | None = None) -> NDArray[np.float64]:
    """The blank-separated numbers of `text`, as float64.

    Raises:
        ValueError: something in it is no number, or there are not as many as `expected`.
    """
    found = _parsed(text) if text.strip() else np.empty(0)
    if expected is not None and len(found) != expected:
        raise ValueError
    return found


def widths(text: bytes) -> NDArray[np.int64]:
    """How many words each line of `text` has; a last line without its end counts too."""
    letters = np.frombuffer(text, np.uint8)
    solid = letters > 32
    begins = solid.copy()
    begins[1:] &= ~solid[:-1]
    ends = np.flatnonzero(letters == 10)
    if text and not text.endswith(b"\n"):
        ends = np.append(ends, len(letters) - 1)
    before = np.cumsum(begins, dtype=np.int64)[ends]
    return np.diff(before, prepend=0)


def _parsed(text: bytes) -> NDArray[np.float64]:
    if b"\0" in text:  # where C would stop reading without a word
        raise ValueError
    with warnings.catch_warnings():
        # numpy only warns of text that is no number, and gives what came before it
        warnings.simplefilter("error")
        try:
            return np.fromstring(text, dtype=np.float64, sep=" ")
        except DeprecationWarning as warning:
            raise ValueError from warning
