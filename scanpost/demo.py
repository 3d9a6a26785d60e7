"""`scanpost demo`: the whole way once, on this machine, with a real mail over real SMTP.

Starts the service on loopback, adds a lab, makes a two-jaw case, mails it to itself as a designer
would, waits for the letters, and serves a page that shows them and sends replies to them.
"""

import asyncio
import shutil
import signal
import smtplib
import socket
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from pathlib import Path

from rich.console import Console
from rich.panel import Panel

from scanpost import jaws, logs
from scanpost.compose import Server, close_house, open_house
from scanpost.letters_page import LettersPage
from store import settings
from store.errors import ScanpostError
from store.house import House
from store.records import labs

DOMAIN = "scans.example"
DESIGNER, REVIEWER = "anna@acme-dental.example", "kim@clinic.example"
SUBJECT = f"Dr Kim <{REVIEWER}> C-1042 crown #30"
NOTE = "Please check the margin on the buccal side and the contact to 29.\n\nAnna\n"
TRIANGLES = 150_000  # a jaw
PATIENCE = 120.0  # seconds
MARK = ".scanpost-demo"


@dataclass(frozen=True)
class Ports:
    smtp: int
    web: int
    letters: int


async def run(folder: Path, *, once: bool = False) -> None:
    """Runs the demo and serves until it is stopped; with `once` it ends when the letters are there."""
    console = Console()
    logs.configure(as_json=False, quiet=True)
    _prepare_folder(folder)
    ports = Ports(_port(8025), _port(8080), _port(8081))
    house = await open_house(_settings(folder, ports))
    server = Server(house)
    page = LettersPage(folder / "letters", ports.smtp, DOMAIN)
    try:
        with console.status("Starting the service") as status:
            await _add_lab(house)
            await server.start()
            status.update("Making a case: two jaws and a crown")
            mail = await house.threads.run(designers_mail)
            status.update(f"Mailing it to share@{DOMAIN}: {len(mail) / 1e6:.0f} MB over SMTP")
            await house.threads.run(send, ports.smtp, mail)
            status.update("Reading the scans, drawing the picture, writing the letters")
            answer = await _answer(page)
        await page.start(ports.letters)
        _tell(console, answer, ports)
        if not once:
            await _until_stopped()
    finally:
        await page.stop()
        await server.stop()
        await close_house(house)


def designers_mail() -> bytes:
    """The mail of a designer with three scans attached."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = f"Anna Berg <{DESIGNER}>", f"share@{DOMAIN}"
    mail["Subject"], mail["Date"] = SUBJECT, formatdate(localtime=True)
    mail["Message-ID"] = make_msgid(domain="acme-dental.example")
    mail.set_content(NOTE)
    files = {
        "C-1042-UpperJaw.ply": jaws.ply_bytes(jaws.make_jaw(TRIANGLES, "upper")),
        "C-1042-LowerJaw.ply": jaws.ply_bytes(jaws.make_jaw(TRIANGLES, "lower")),
        "C-1042-crown-30.stl": jaws.stl_bytes(jaws.make_crown()),
    }
    for name, data in files.items():
        mail.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return mail.as_bytes()


def send(port: int, mail: bytes, sender: str = DESIGNER, recipient: str = "") -> None:
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail(sender, [recipient or f"share@{DOMAIN}"], mail)


def _prepare_folder(folder: Path) -> None:
    """Starts from nothing, in a folder that is ours: nobody else's is ever emptied."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise ScanpostError(f"{folder} is not empty and not from an earlier demo. Name another.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


def _settings(folder: Path, ports: Ports) -> settings.Settings:
    return settings.Settings(
        data_dir=folder,
        domain=DOMAIN,
        base_url=f"http://127.0.0.1:{ports.web}",
        operator=f"operator@{DOMAIN}",
        smtp_listen=f"127.0.0.1:{ports.smtp}",
        web_listen=f"127.0.0.1:{ports.web}",
        relay_url=f"folder://{(folder / 'letters').absolute()}",
        trusted_clients="127.0.0.1/32",
    )


async def _add_lab(house: House) -> None:
    now = house.clock.now()
    async with house.database.write() as connection:
        lab = await labs.add_lab(connection, "Acme Dental", now)
        await labs.add_member(connection, lab.id, DESIGNER, "Anna Berg", "Acme Dental", now)


async def _answer(page: "LettersPage") -> EmailMessage:
    """Waits for the letters; returns the owner's."""
    async with asyncio.timeout(PATIENCE):
        while True:
            kinds = {letter["X-Scanpost-Kind"]: letter for letter in page.letters()}
            if {"answer", "share"} <= kinds.keys():
                return kinds["answer"]
            if "notice" in kinds:
                raise ScanpostError(page.text_of(kinds["notice"]))
            await asyncio.sleep(0.1)


def _tell(console: Console, answer: EmailMessage, ports: Ports) -> None:
    text = LettersPage.text_of(answer)
    link = next(line.strip() for line in text.splitlines() if "/r/" in line)
    letters = f"http://127.0.0.1:{ports.letters}/"
    console.print(
        Panel(
            f"[bold]The answer's link[/bold]  {link}\n"
            f"[bold]The letters[/bold]        {letters}\n\n"
            "Among the letters, Dr Kim's holds the reviewer's own link. Under Anna's,\n"
            "reply with [bold]STATUS[/bold], [bold]EXTEND 7[/bold], [bold]REVOKE[/bold],"
            " [bold]RESEND[/bold], [bold]LIST[/bold] or [bold]HELP[/bold]\n"
            "and read what comes back.\n\n"
            f"By SMTP: 127.0.0.1 port {ports.smtp}, from {DESIGNER},\n"
            f"to share@{DOMAIN}, a reviewer's address in the subject.",
            title=str(answer["Subject"]).removeprefix("Re: "),
            expand=False,
        )
    )
    console.print("Serving on loopback only. Ctrl-C ends it.")


async def _until_stopped() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


def _port(wished: int) -> int:
    """The port that people expect, or a free one when it is taken."""
    for port in (wished, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            number: int = probe.getsockname()[1]
            return number
    raise ScanpostError("No free port was found on this machine.")
