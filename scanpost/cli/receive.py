"""`scanpost receive`."""

from pathlib import Path

import click

from inbound.auth.envelope import Envelope
from inbound.auth.fields import values
from inbound.auth.verdict import Trust
from inbound.door.receive import Receiver
from inbound.door.sink import MailSink
from scanpost.cli.run import in_house
from store.errors import MailRefused, Refusal
from store.house import House

PEER = "file"
_AT_ONCE = 1 << 20


@click.command
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--to", default="", help="The address it was sent to; share@DOMAIN when not named.")
@click.option("--sender", default="", help="The envelope's sender; the author when not named.")
def command(file: Path, to: str, sender: str) -> None:
    """Take in a mail from a file, as if it had come by the door.

    Whoever may run this vouches for the mail; its author must be a member all the same. A running
    `scanpost serve` works on it at once, else the next one does.
    """

    async def work(house: House) -> None:
        address = to or f"share@{house.settings.domain}"
        click.echo(f"Taken as {await _take(house, file, address, sender)}.")

    in_house(work)


async def _take(house: House, file: Path, to: str, sender: str) -> str:
    receiver = Receiver(house, trust=Trust([], frozenset({PEER})))
    arriving = None
    try:
        with await house.threads.run(house.spool.beside_others):
            receiver.check_room()
            await receiver.check_recipient(to)
            arriving = receiver.open([to])
            await house.threads.run(_feed, file, arriving.sink)
            author = next(iter(values(arriving.sink.header, b"from")), b"").decode(errors="replace")
            return await receiver.commit(arriving, Envelope(PEER, sender or author, [to]))
    except MailRefused as refusal:
        raise Refusal(f"{file} was not taken: {refusal}") from None
    finally:
        if arriving:
            arriving.abort()
        receiver.close()


def _feed(file: Path, sink: MailSink) -> None:
    """Files on disk may have lost their CRs; no mail on the wire has (RFC 5322 2.1)."""
    with file.open("rb") as opened:
        lone = b"\r\n" not in opened.read(_AT_ONCE)
        opened.seek(0)
        while piece := opened.read(_AT_ONCE):
            sink.take(piece.replace(b"\n", b"\r\n") if lone else piece)
    sink.end()
