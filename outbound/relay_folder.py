"""Letters as files: one .eml a letter, for trying things out and for tests."""

import os
from pathlib import Path

from outbound.posting import Posting
from store.threads import Threads


class FolderRelay:
    def __init__(self, folder: Path, threads: Threads) -> None:
        self.folder = folder
        self.threads = threads
        folder.mkdir(parents=True, exist_ok=True)

    async def send(self, posting: Posting) -> str:
        """Writes the letter under its id: a second attempt replaces the first, as a reader would."""
        return await self.threads.run(self._write, posting)

    def _write(self, posting: Posting) -> str:
        path = self.folder / f"{posting.letter_id}.eml"
        unfinished = path.with_suffix(".tmp")
        envelope = f"Return-Path: <{posting.sender}>\r\nDelivered-To: {posting.recipient}\r\n"
        with unfinished.open("wb") as file:
            file.write(envelope.encode() + posting.data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
        return f"written to {path.name}"
