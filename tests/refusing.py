"""What is refused of a scan is told by the rest of a sentence: it begins with its verb, behind the file's name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from store.errors import ScanRefused


def refused(read: Callable[..., Any], *given: Any, **named: Any) -> str:
    """Why this is not read."""
    with pytest.raises(ScanRefused) as caught:
        read(*given, **named)
    return _plain(str(caught.value))


@contextmanager
def plain_refusals() -> Iterator[None]:
    """For what may be read or refused, and must not fail in any other way."""
    try:
        yield
    except ScanRefused as refusal:
        _plain(str(refusal))


def _plain(sentence: str) -> str:
    assert sentence[0].islower()
    assert sentence.endswith(".")
    return sentence
