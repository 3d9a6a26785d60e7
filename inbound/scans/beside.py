"""The files that came in one mail or ZIP with a scan, found by base name; what a scan says of folders is not asked."""

import re
from collections.abc import Mapping

_FOLDERS = re.compile(r"[/\\]")


class Beside:
    """Companion files by name, and which of them were wanted."""

    def __init__(self, files: Mapping[str, memoryview]) -> None:
        self._names = {base_name(name).casefold(): name for name in reversed(list(files))}
        self._files = files
        self.used: set[str] = set()

    def find(self, wanted: str) -> memoryview | None:
        """The file of that base name, whatever its capitals and the folders before it."""
        name = self._names.get(base_name(wanted).casefold())
        if name is None:
            return None
        self.used.add(name)
        return self._files[name]


def base_name(path: str) -> str:
    """The last part of a path of any system."""
    return _FOLDERS.split(path.strip().strip("\"'"))[-1]
