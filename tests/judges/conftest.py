"""What the judges of the pages stand on: their programs, and a server behind TLS."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import npm
from tests.conftest import Running
from tests.tls import Certificate, TlsFront

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def judges() -> Path:
    """The packages of the judges' own lockfile."""
    return npm.installed(NODE)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def front(running: Running, certificate: Certificate) -> AsyncIterator[TlsFront]:
    """The running server as the world meets it: by https, with links that say so."""
    async with TlsFront(certificate, running.server.web_port) as opened:
        given = running.house.settings
        running.house.settings = given.model_copy(update={"base_url": opened.url})
        yield opened
