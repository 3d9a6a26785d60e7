"""What tests of upload pages share: a page that was asked for by mail, and a program that fills it."""

import asyncio
import hashlib
import io
from dataclasses import dataclass, field
from typing import Any

from inbound.cases.uploads import upload_flow
from inbound.mail.opened import OpenedMail
from store.house import House
from store.model import Letter
from store.records import uploads
from store.tokens import MasterPurpose
from store.uploads import LARGEST_PIECE, Upload, UploadFile
from tests.clicks import Site, deliver, letters_of, new_letters, step_at_once
from tests.fakes import KIM, mail

WORDS = {"reviewers": KIM, "subject": "C-1042 crown #30", "note": "Margins please"}


def id_of(letter: Letter) -> str:
    """The upload whose link a letter brings."""
    return str((letter.context or {})["upload"]["id"])


def link_of(site: Site, letter: Letter) -> str:
    return f"{site.url}/u/{site.house.keys.token(MasterPurpose.UPLOAD, id_of(letter))}"


async def ask(house: House, line: str = "UPLOAD", **given: str) -> Letter:
    """Writes the command; the one letter that answers."""
    before = await letters_of(house)
    await deliver(house, mail("x", line, **given))  # type: ignore[arg-type]
    (letter,) = await new_letters(house, before)
    return letter


async def open_uploader(site: Site, line: str = "UPLOAD") -> "Uploader":
    letter = await ask(site.house, line)
    return Uploader(site, link_of(site, letter), id_of(letter))


@dataclass
class Uploader:
    """The upload page as a program meets it."""

    site: Site
    link: str
    id: str
    marks: int = 0
    sent: dict[str, bytes] = field(default_factory=dict)

    @property
    def house(self) -> House:
        return self.site.house

    async def ask(
        self, method: str, path: str = "", origin: str | None = None, **given: Any
    ) -> tuple[int, dict[str, Any]]:
        headers = {
            "Origin": self.site.url if origin is None else origin,
            **given.pop("headers", {}),
        }
        asked = self.site.client.request(method, self.link + path, headers=headers, **given)
        async with asked as answer:
            said = await answer.json() if "json" in answer.content_type else {}
            return answer.status, said

    async def add(self, name: str, size: int) -> int:
        """Announces a file; its number."""
        self.marks += 1
        given = {"name": name, "size": size, "mark": str(self.marks)}
        status, said = await self.ask("POST", "/files", json=given)
        assert status == 201, said
        return int(said["number"])

    async def send(self, file: int, offset: int, data: bytes) -> tuple[int, dict[str, Any]]:
        headers = {"Upload-Offset": str(offset), "Content-Type": "application/octet-stream"}
        return await self.ask("PATCH", f"/files/{file}", data=io.BytesIO(data), headers=headers)

    async def put(self, name: str, data: bytes) -> int:
        """A whole file, in the largest pieces."""
        file = await self.add(name, len(data))
        for start in range(0, len(data), LARGEST_PIECE):
            status, said = await self.send(file, start, data[start : start + LARGEST_PIECE])
            assert (status, said["received"]) == (200, min(len(data), start + LARGEST_PIECE))
        self.sent[name] = data
        return file

    async def share(self, **words: str) -> tuple[int, dict[str, Any]]:
        return await self.ask("POST", "/share", json={**WORDS, **words})

    async def row(self) -> Upload:
        async with self.house.database.read() as connection:
            found = await uploads.find(connection, self.id)
        assert found is not None
        return found

    async def files(self) -> list[UploadFile]:
        async with self.house.database.read() as connection:
            return await uploads.files_of(connection, self.id)

    async def run(self) -> Upload:
        """The flow, without the engine below it; the row after it."""
        await upload_flow(self.house, step_at_once, self.id)
        return await self.row()

    async def mailed(self) -> dict[str, str]:
        """The files of the mail that it has become, by name, with their SHA-256."""
        mail_id = (await self.row()).mail_id
        assert mail_id is not None
        return await asyncio.to_thread(files_in, self.house, mail_id)

    def objects(self) -> list[str]:
        return self.house.blobs.names("uploads/")


def files_in(house: House, mail_id: str) -> dict[str, str]:
    with OpenedMail(house.spool, mail_id) as opened:
        return {
            file.name: hashlib.sha256(b"".join(file.pieces())).hexdigest()
            for file in opened.files()
        }


def digests(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
