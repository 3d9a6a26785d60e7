"""Objects: large bytes under a name, sealed before they get here.

Names are `cases/<case id>/<what>` and `uploads/<upload id>/<piece>`; everything of a case or an
upload lies under one prefix, so that an end can delete and then list it. Methods block: call them through `store.threads`.
"""

from typing import Protocol


class Writing(Protocol):
    """An object that is being written; it appears under its name at `commit`, or never."""

    def write(self, data: bytes | memoryview) -> None: ...

    def commit(self) -> None:
        """Makes the object durable and visible, in the place of any older one."""
        ...

    def abort(self) -> None:
        """Leaves nothing behind; free to call after `commit`."""
        ...


class Blobs(Protocol):
    def create(self, name: str) -> Writing: ...

    def size(self, name: str) -> int:
        """Bytes of an object. Raises NotFound."""
        ...

    def read(self, name: str, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, fewer at the object's end. Raises NotFound."""
        ...

    def names(self, prefix: str) -> list[str]: ...

    def delete(self, name: str) -> None:
        """It is not an error if the object does not exist: a step may run twice."""
        ...

    def sweep_unfinished(self, older_than_seconds: float) -> int:
        """Removes what was begun so long ago and never committed; returns how many there were."""
        ...

    def check(self) -> None:
        """Looks at a start whether objects would be safe here. Raises SettingsError."""
        ...

    def close(self) -> None:
        """Ends the waiting for an outage to pass; nothing can be asked any more."""
        ...
