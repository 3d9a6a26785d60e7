"""Header fields as bytes (RFC 5322 2.2), before any library has made up its mind about them."""

from collections.abc import Iterator


def raw_fields(header: bytes) -> Iterator[bytes]:
    """Each field as it came, line ends inside it, in order; and each line that has no colon.

    Line by line and not by one pattern: a pattern that looks for a colon from every place takes
    minutes over a long line that has none.
    """
    lines: list[bytes] = []
    for line in header.split(b"\r\n"):
        if line.startswith((b" ", b"\t")) and lines:
            lines.append(line)
            continue
        if lines:
            yield b"\r\n".join(lines)
        lines = [line] if b":" in line else []
        if not lines:
            yield line
    if lines:
        yield b"\r\n".join(lines)


def fields(header: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Name and unfolded value of each field, in order; None for a line that has no colon."""
    for raw in raw_fields(header):
        name, colon, value = raw.partition(b":")
        yield name, value.replace(b"\r\n", b"") if colon else None


def values(header: bytes, *names: bytes) -> list[bytes]:
    """The unfolded values of all fields with one of these names, in lower case."""
    return [
        value.strip()
        for name, value in fields(header)
        if value is not None and name.strip().lower() in names
    ]
