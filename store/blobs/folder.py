"""Objects in a local folder: the default."""

import contextlib
import os
from pathlib import Path

from store.clock import SECOND, SystemClock
from store.errors import NotFound
from store.tokens import new_id


class FolderBlobs:
    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def create(self, name: str) -> "FolderWriting":
        return FolderWriting(self._path(name))

    def size(self, name: str) -> int:
        try:
            return self._path(name).stat().st_size
        except FileNotFoundError:
            raise NotFound(f"The object {name} does not exist.") from None

    def read(self, name: str, start: int, end: int) -> bytes:
        try:
            with self._path(name).open("rb") as file:
                return os.pread(file.fileno(), max(0, end - start), start)
        except FileNotFoundError:
            raise NotFound(f"The object {name} does not exist.") from None

    def names(self, prefix: str) -> list[str]:
        folder = self._path(prefix)
        if not folder.is_dir():
            return []
        found = (path for path in folder.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.root)) for path in found)

    def delete(self, name: str) -> None:
        path = self._path(name)
        path.unlink(missing_ok=True)
        self._remove_empty(path.parent)

    def sweep_unfinished(self, older_than_seconds: float) -> int:
        before = SystemClock().now() - older_than_seconds * SECOND
        swept = 0
        for path in list(self.root.rglob("*.tmp")):
            with contextlib.suppress(FileNotFoundError):  # committed meanwhile
                if path.stat().st_mtime_ns // 1_000_000 <= before:
                    path.unlink()
                    swept += 1
                    self._remove_empty(path.parent)
        return swept

    def check(self) -> None:
        """The folder was made, or refused, when this was."""

    def close(self) -> None:
        """Nothing stays open between two calls."""

    def _path(self, name: str) -> Path:
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise NotFound(f"{name!r} is not the name of an object.")
        return path

    def _remove_empty(self, folder: Path) -> None:
        while folder != self.root.resolve() and folder.is_relative_to(self.root.resolve()):
            try:
                folder.rmdir()
            except OSError:  # not empty, or already gone
                return
            folder = folder.parent


class FolderWriting:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.folders = [path.parent]
        self.unfinished = path.with_name(f"{path.name}.{new_id()}.tmp")
        try:
            self.fd = _new_file(self.unfinished)
        except FileNotFoundError:
            self.folders += _make_folders(path.parent)
            self.fd = _new_file(self.unfinished)

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.fd, view) :]

    def commit(self) -> None:
        self.commit_entry()
        for folder in self.folders:
            sync_folder(folder)

    def commit_entry(self) -> None:
        """Durable but for the folder's entry: whoever commits many syncs their folder once."""
        os.fdatasync(self.fd)
        self.unfinished.rename(self.path)
        os.close(self.fd)
        self.fd = -1

    def abort(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self.unfinished.unlink(missing_ok=True)


def _new_file(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)


def _make_folders(folder: Path) -> list[Path]:
    """Makes a folder and those above it; returns the ones that have got a new entry by it."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return [each.parent for each in missing]


def sync_folder(folder: Path) -> None:
    """Makes a new or renamed entry of a folder durable: fsync of the file alone does not."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
