"""The demo's mailbox: a loopback page that shows the letters that were sent, and replies to them."""

import asyncio
import email
import html
import smtplib
from email.message import EmailMessage
from email.policy import SMTP, default
from email.utils import formatdate, make_msgid
from pathlib import Path

from aiohttp import web

from store.model import INVITATIONS

_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 720px; padding: 24px 16px; font: 16px/24px system-ui, sans-serif;
  background: #FBFAF7; color: #14202B; }
h1 { font-size: 20px; } h2 { font-size: 16px; margin: 32px 0 0; overflow-wrap: anywhere; }
p { margin: 0 0 8px; } .quiet { color: #5B6772; font-size: 14px; }
iframe { width: 100%; height: 720px; border: 1px solid #E4E0D8; border-radius: 8px; background: #FFF; }
form { display: flex; gap: 8px; margin: 8px 0; }
input { flex: 1; font: inherit; padding: 8px; border: 1px solid #E4E0D8; border-radius: 8px; }
button { font: inherit; padding: 8px 16px; border: 0; border-radius: 8px; background: #0F766E; color: #FFF; }
@media (prefers-color-scheme: dark) { body { background: #0E1418; color: #E8EDF0; } }
"""


class LettersPage:
    def __init__(self, folder: Path, smtp_port: int, domain: str) -> None:
        self.folder = folder
        self.smtp_port = smtp_port
        self.domain = domain
        app = web.Application()
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/letter/{id}", self._letter),
                web.get("/letter/{id}/picture", self._picture),
                web.post("/reply/{id}", self._reply),
            ]
        )
        self.runner = web.AppRunner(app, access_log=None)

    async def start(self, port: int) -> None:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", port).start()

    async def stop(self) -> None:
        await self.runner.cleanup()

    def letters(self) -> list[EmailMessage]:
        """All letters, the newest first."""
        files = sorted(self.folder.glob("*.eml"), key=lambda path: -path.stat().st_mtime_ns)
        return [self._read(path.stem) for path in files]

    @staticmethod
    def text_of(letter: EmailMessage) -> str:
        body = letter.get_body(("plain",))
        assert body is not None
        return str(body.get_content())

    def _read(self, letter_id: str) -> EmailMessage:
        path = self.folder / f"{letter_id}.eml"
        if not letter_id.isalnum() or not path.exists():
            raise web.HTTPNotFound
        letter = email.message_from_bytes(path.read_bytes(), policy=default)
        assert isinstance(letter, EmailMessage)
        return letter

    async def _index(self, _request: web.Request) -> web.Response:
        rows = "".join(self._row(letter) for letter in self.letters())
        return _page(f"<h1>Letters that scanpost sent</h1>{rows}")

    def _row(self, letter: EmailMessage) -> str:
        letter_id = str(letter["Message-ID"]).strip("<>").partition("@")[0]
        reply = ""
        if letter["X-Scanpost-Kind"] not in INVITATIONS:
            reply = (
                f'<form method="post" action="/reply/{letter_id}">'
                '<input name="line" aria-label="Your reply" placeholder="STATUS" required>'
                "<button>Reply</button></form>"
            )
        return (
            f"<h2>{html.escape(str(letter['Subject']))}</h2>"
            f'<p class="quiet">to {html.escape(str(letter["To"]))}</p>'
            f'<iframe title="Letter" sandbox="allow-popups allow-popups-to-escape-sandbox"'
            f' src="/letter/{letter_id}"></iframe>{reply}'
        )

    async def _letter(self, request: web.Request) -> web.Response:
        letter_id = request.match_info["id"]
        body = self._read(letter_id).get_body(("html",))
        assert body is not None
        text = str(body.get_content()).replace(
            "cid:picture@scanpost", f"/letter/{letter_id}/picture"
        )
        base = '<base target="_blank">'
        return web.Response(text=text.replace("<head>", f"<head>{base}"), content_type="text/html")

    async def _picture(self, request: web.Request) -> web.Response:
        for part in self._read(request.match_info["id"]).walk():
            if part.get_content_type() == "image/jpeg":
                return web.Response(body=part.get_payload(decode=True), content_type="image/jpeg")
        raise web.HTTPNotFound

    async def _reply(self, request: web.Request) -> web.Response:
        if request.host.partition(":")[0] not in ("127.0.0.1", "localhost"):
            raise web.HTTPForbidden  # another site's page that points its name at this machine
        letter = self._read(request.match_info["id"])
        line = str((await request.post()).get("line", ""))[:500]
        mail = self._reply_mail(letter, line)
        # In a thread: the server that answers runs on this loop.
        await asyncio.get_running_loop().run_in_executor(None, self._send, mail)
        return _page(
            "<h1>Sent</h1><p>The answer is there in a moment.</p>"
            '<meta http-equiv="refresh" content="2; url=/"><p><a href="/">All letters</a></p>'
        )

    def _send(self, mail: EmailMessage) -> None:
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=30) as client:
            client.sendmail(str(mail["From"]), [str(mail["To"])], mail.as_bytes())

    def _reply_mail(self, letter: EmailMessage, line: str) -> EmailMessage:
        mail = EmailMessage(policy=SMTP)
        mail["From"] = str(letter["Delivered-To"])
        mail["To"] = str(letter["Reply-To"])
        mail["Subject"] = f"Re: {str(letter['Subject']).removeprefix('Re: ')}"
        mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="acme-dental.example")
        mail["In-Reply-To"] = str(letter["Message-ID"])
        mail.set_content(f"{line}\n")
        return mail


def _page(body: str) -> web.Response:
    head = f'<meta charset="utf-8"><title>Letters</title><style>{_STYLE}</style>'
    viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    text = f'<!doctype html><html lang="en"><head>{head}{viewport}</head><body>{body}</body></html>'
    return web.Response(text=text, content_type="text/html")
