"""An upload page: takes files piece by piece, for a day, and then they become one mail."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from store.clock import DAY
from store.model import Row

LIFETIME = DAY  # a page takes files as long
MOST_OPEN = 10  # live pages of a member
MOST_FILES = 200  # as many as a mail may have
LARGEST_PIECE = 4 << 20  # of a file, in one request
SMALLEST_PIECE = 256 << 10  # but for the last one: a file is at most so many objects


class UploadState(StrEnum):
    OPEN = "open"  # Waits for files, or is getting them.
    SHARED = "shared"  # "Share" was pressed; its files are becoming a mail.
    TAKEN = "taken"  # Its files have become a mail; its own copy of them is destroyed.
    OVER = "over"  # Nobody finished it in time, or its case or member is gone; its files are destroyed.
    DEAD = "dead"  # Its files could not become a mail; operator and member were told.


@dataclass(frozen=True)
class Upload(Row):
    id: str
    member_id: str
    case_id: str | None  # the case whose next version it becomes
    state: UploadState
    reviewers: str  # who shall see it, as a subject names them
    subject: str  # the case's number and title
    note: str
    created_at: int
    expires_at: int
    mail_id: str | None  # what it became
    due_at: int | None
    attempt: int

    def is_open(self, now: int) -> bool:
        """Whether it takes files."""
        return self.state is UploadState.OPEN and now < self.expires_at


@dataclass(frozen=True)
class UploadFile(Row):
    id: str
    upload_id: str
    number: int
    name: str  # as its sender named it
    size: int
    received: int  # bytes that are durable
    pieces: list[dict[str, Any]]  # in their order: name of the object, size, sha256

    @property
    def is_whole(self) -> bool:
        return self.received == self.size
