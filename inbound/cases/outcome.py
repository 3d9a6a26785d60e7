"""What `announce` says to the flow of a mail."""

from enum import StrEnum


class Outcome(StrEnum):
    DONE = "done"  # Everything is committed; the raw mail can go.
    WAITS = "waits"  # A question came of it, for whose answer the mail stays.
    OUTRUN = "outrun"  # A newer version was shared meanwhile: it is to be compared with that one.
    DROPPED = "dropped"  # Its version is not shared; what was sealed of it is to go.
