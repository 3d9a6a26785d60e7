"""What comes between 354 and the end of DATA (RFC 5321 4.5.2): the end mark, and the doubled dots.

Only CRLF.CRLF ends a mail. Whatever else an attacker hopes to be taken for an end reaches the sink,
which refuses it.
"""

from typing import Protocol

_END = b"\r\n.\r\n"
# What may be the beginning of the end mark and must wait for the next bytes.
_HELD_BACK = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")


class Taking(Protocol):
    def take(self, data: bytes) -> None: ...

    def end(self) -> None: ...


class DataReader:
    """Feed it what the client sends, in any pieces; the mail itself goes into the sink."""

    def __init__(self, sink: Taking) -> None:
        self.sink = sink
        # DATA begins as if after a line end, so that a dot in the first column counts.
        self.held = b"\r\n"
        self.skip = 2

    def feed(self, chunk: bytes) -> bytes | None:
        """Takes bytes from the wire; returns None, or after the end mark what came behind it."""
        data = self.held + chunk
        # Most of a large mail is base64, which holds no dot: one look settles it.
        end = data.find(_END) if b"." in data else -1
        if end >= 0:
            self._pass(data[: end + 2])
            self.sink.end()
            return data[end + len(_END) :]
        keep = next((len(mark) for mark in _HELD_BACK if data.endswith(mark)), 0)
        self.held = data[len(data) - keep :]
        self._pass(data[: len(data) - keep])
        return None

    def _pass(self, data: bytes) -> None:
        if b"." in data:
            data = data.replace(b"\r\n.", b"\r\n")
        if self.skip and data:
            data, self.skip = data[self.skip :], 0
        self.sink.take(data)
