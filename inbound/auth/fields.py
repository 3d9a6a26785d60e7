"""Header fields as bytes (RFC 5322 2.2), before any library has made up its mind about them."""

from collections.abc import Iterator


def fields(header: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Name and unfolded value of each field, in order; None for a line that has no colon.

    Line by line and not by one pattern: a pattern that looks for a colon from every place takes
    minutes over a long line that has none.
    """
    name = b""
    lines: list[bytes] = []
    for line in header.split(b"\r\n"):
        if line.startswith((b" ", b"\t")) and lines:
            lines.append(line)
            continue
        if lines:
            yield name, b"".join(lines)
        name, colon, value = line.partition(b":")
        lines = [value] if colon else []
        if not colon:
            yield name, None
    if lines:
        yield name, b"".join(lines)


def values(header: bytes, *names: bytes) -> list[bytes]:
    """The unfolded values of all fields with one of these names, in lower case."""
    return [
        value.strip()
        for name, value in fields(header)
        if value is not None and name.strip().lower() in names
    ]
