"""`scanpost demo`."""

import asyncio
from pathlib import Path

import click

from scanpost import demo


@click.command
@click.option(
    "--folder", default="demo-data", help="Where it keeps its data; emptied at each start."
)
@click.option("--once", is_flag=True, help="End as soon as the letters are there.")
def command(folder: str, *, once: bool) -> None:
    """Try it: mail yourself a two-jaw case over SMTP, and look at the letters and the page.

    Everything runs on this machine, on loopback.
    """
    asyncio.run(demo.run(Path(folder), once=once))
