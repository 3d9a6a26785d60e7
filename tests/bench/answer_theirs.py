"""The peer of `answer-45mb`: the well-kept libraries as they come."""

import asyncio
import base64
import io
import sys
from pathlib import Path
from typing import Any

import mailparser
import trimesh
from aiosmtpd.smtp import SMTP


class Handler:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        mail = mailparser.parse_from_bytes(envelope.content)
        for number, attachment in enumerate(mail.attachments):
            data = base64.b64decode(attachment["payload"])
            (self.folder / f"{number}.stl").write_bytes(data)
            mesh = trimesh.load(io.BytesIO(data), file_type="stl")
            with (self.folder / f"{number}.mesh").open("wb") as out:
                out.write(mesh.vertices.astype("<f4").tobytes())
                out.write(mesh.faces.astype("<i4").tobytes())
        print("done", flush=True)
        return "250 OK"


async def main(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    # Loaded before the measure begins, on both sides.
    trimesh.load(io.BytesIO(bytes(80) + b"\1\0\0\0" + bytes(50)), file_type="stl")
    handler = Handler(folder)
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="peer", data_size_limit=None, loop=loop), "127.0.0.1", 0
    )
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
