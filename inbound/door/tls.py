"""The certificate for STARTTLS, read again when its file has been renewed."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from store.errors import SettingsError

log = structlog.get_logger()


@dataclass
class Certificate:
    """
    Attributes:
        chain: PEM file with the certificate and those above it.
        key: PEM file with its private key.
    """

    chain: Path
    key: Path
    context: ssl.SSLContext = field(init=False)
    read_at: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        """Raises SettingsError when the files cannot be used."""
        try:
            self.read_at = self._times()
            self.context = self._load()
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"The certificate {self.chain} with the key {self.key} cannot be used: {error}."
            ) from None

    def current(self) -> ssl.SSLContext:
        """The context for the next dialogue; a renewal that cannot be read changes nothing."""
        try:
            times = self._times()
            if times != self.read_at:
                self.context, self.read_at = self._load(), times
                log.info("certificate read again", chain=str(self.chain))
        except (OSError, ssl.SSLError) as error:
            log.warning("certificate cannot be read", error=repr(error))
        return self.context

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # RFC 8996 retired what is older; a mail server that knows no newer sends in the clear.
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Without a password OpenSSL would ask for one at the terminal, and the server would wait.
        context.load_cert_chain(self.chain, self.key, password="")
        return context

    def _times(self) -> tuple[int, int]:
        return self.chain.stat().st_mtime_ns, self.key.stat().st_mtime_ns
