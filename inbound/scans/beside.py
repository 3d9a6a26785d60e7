"""The files that came in one mail or ZIP with a scan, found by base name; what a scan says of folders is not asked."""

import re
import unicodedata
from collections.abc import Mapping

_FOLDERS = re.compile(r"[/\\]")


class Beside:
    """Companion files by name, and which of them were wanted."""

    def __init__(self, files: Mapping[str, memoryview]) -> None:
        self._names = {alike(base_name(name)): name for name in reversed(list(files))}
        self._files = files
        self.used: set[str] = set()

    def find(self, wanted: str) -> memoryview | None:
        """The file of that base name, whatever its capitals and the folders before it."""
        name = self._names.get(alike(base_name(wanted)))
        if name is None:
            return None
        self.used.add(name)
        return self._files[name]


def alike(text: str) -> str:
    """The same for names that differ in capitals, or in how their accents are written (macOS)."""
    return unicodedata.normalize("NFC", text).casefold()


def folder_of(path: str) -> str:
    """Where a file lies: its path without its name."""
    return path[: len(path) - len(base_name(path))]


def base_name(path: str) -> str:
    """The last part of a path of any system."""
    return _FOLDERS.split(path.strip().strip("\"'"))[-1]
