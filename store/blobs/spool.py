"""The spool: a mail as it came, sealed under its own key, until its case and letters are committed.

A spool file is the wrapped key (40 bytes) and the sealed mail. It is durable when `commit` returns:
file and folder are synced, which is what lets the door say 250. Methods block.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import IO, Self

from store.blobs.folder import FolderWriting, sync_folder
from store.blobs.keys import KEY, WRAPPED, Keys
from store.blobs.sealed import SealedReader, SealedWriter
from store.errors import NotFound


class Spool:
    def __init__(self, root: Path, keys: Keys) -> None:
        self.root = root
        self.keys = keys
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def alone(self) -> AbstractContextManager[object]:
        """Waits until nobody takes in mail besides `serve`, and keeps others out in its `with`."""
        return self._locked(fcntl.LOCK_EX)

    def beside_others(self) -> AbstractContextManager[object]:
        """Keeps a starting `serve` from tidying up while a command takes in a mail."""
        return self._locked(fcntl.LOCK_SH)

    def create(self, mail_id: str) -> "SpoolWriting":
        return SpoolWriting(self.root / f"{mail_id}.sealed", self.keys, mail_id)

    def commit_all(self, writings: Sequence["SpoolWriting"]) -> list[OSError | None]:
        """Makes mails durable that are whole, with one sync of the folder for all of them.

        Returns:
            For each its error, or None where the mail is durable.
        """
        errors = [writing.commit_entry() for writing in writings]
        if not all(errors):
            sync_folder(self.root)
        return errors

    def open(self, mail_id: str) -> "SpooledMail":
        """Raises NotFound when the mail has been discarded."""
        try:
            return SpooledMail(self.root / f"{mail_id}.sealed", self.keys, mail_id)
        except FileNotFoundError:
            raise NotFound(f"The mail {mail_id} is no longer in the spool.") from None

    def scratch(self, pieces: Iterable[bytes]) -> "Scratch":
        """What was unpacked from a mail, to be read in windows, in a file without a name."""
        file = tempfile.TemporaryFile(dir=self.root)  # noqa: SIM115 -- Scratch closes it
        try:
            return Scratch(file, pieces)
        except BaseException:
            file.close()
            raise

    def discard(self, mail_id: str) -> None:
        (self.root / f"{mail_id}.sealed").unlink(missing_ok=True)

    def discard_all(self, mail_ids: Iterable[str]) -> None:
        for mail_id in mail_ids:
            self.discard(mail_id)

    def mail_ids(self) -> set[str]:
        return {path.name.removesuffix(".sealed") for path in self.root.glob("*.sealed")}

    def remove_unfinished(self) -> int:
        """Removes what a killed process left half received; returns how many."""
        left = list(self.root.glob("*.tmp"))
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def _locked(self, how: int) -> AbstractContextManager[object]:
        held = ExitStack()
        lock = os.open(self.root.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        held.callback(os.close, lock)
        fcntl.flock(lock, how)
        return held

    def free_bytes(self) -> int:
        disk = os.statvfs(self.root)
        return disk.f_bavail * disk.f_frsize


class Scratch(SealedReader):
    """Bytes under a key that is nowhere written down. Use it in a `with`: they go with it."""

    def __init__(self, file: IO[bytes], pieces: Iterable[bytes]) -> None:
        self.file = file
        key = os.urandom(KEY)
        writer = SealedWriter(file, key, "scratch")
        for piece in pieces:
            writer.write(piece)
        writer.finish()
        file.flush()
        stored = os.fstat(file.fileno()).st_size
        super().__init__(self._read_at, stored, key, "scratch")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def _read_at(self, start: int, end: int) -> bytes:
        return os.pread(self.file.fileno(), end - start, start)


class SpoolWriting:
    def __init__(self, path: Path, keys: Keys, mail_id: str) -> None:
        key, wrapped = keys.new()
        self.file = FolderWriting(path)
        try:
            self.file.write(wrapped)
            self.sealed = SealedWriter(self.file, key, mail_id)
        except OSError:
            self.file.abort()
            raise

    def write(self, data: bytes | memoryview) -> None:
        self.sealed.write(data)

    def commit(self) -> None:
        self.sealed.finish()
        self.file.commit()

    def commit_entry(self) -> OSError | None:
        """One of many (see Spool.commit_all); an error leaves the others alone."""
        try:
            self.sealed.finish()
            self.file.commit_entry()
        except OSError as error:
            return error
        return None

    def abort(self) -> None:
        self.file.abort()


class SpooledMail(SealedReader):
    """A spooled mail, readable in windows. Close it, or use it in a `with`."""

    def __init__(self, path: Path, keys: Keys, mail_id: str) -> None:
        self.fd = os.open(path, os.O_RDONLY)
        key = keys.unwrap(os.pread(self.fd, WRAPPED, 0))
        stored = os.fstat(self.fd).st_size - WRAPPED
        super().__init__(self._read_at, stored, key, mail_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _read_at(self, start: int, end: int) -> bytes:
        return os.pread(self.fd, end - start, WRAPPED + start)
