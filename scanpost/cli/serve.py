"""`scanpost serve`."""

import asyncio

import click

from scanpost.compose import serve
from store import settings


@click.command
def command() -> None:
    """Run the service: SMTP, the work, and the web server, in one process.

    Logs a line with "ready" once mail is taken. SIGTERM stops it; work in flight is taken up again
    at the next start.
    """
    asyncio.run(serve(settings.load()))
