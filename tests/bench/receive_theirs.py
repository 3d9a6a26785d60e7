"""The peer of the receive rows: stock aiosmtpd that keeps the bytes of the last mail."""

import asyncio
from typing import Any

from aiosmtpd.smtp import SMTP


class Handler:
    def __init__(self) -> None:
        self.content = b""

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.content = envelope.content
        return "250 OK"


async def main() -> None:
    loop = asyncio.get_running_loop()
    handler = Handler()
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="peer", data_size_limit=None, loop=loop), "127.0.0.1", 0
    )
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
