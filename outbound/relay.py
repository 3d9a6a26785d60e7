"""Which relay a URL names."""

from pathlib import Path
from urllib.parse import urlsplit

from outbound.posting import Relay
from outbound.relay_folder import FolderRelay
from outbound.relay_smtp import SmtpRelay
from store.errors import SettingsError
from store.threads import Threads


def relay_of(url: str, threads: Threads) -> Relay:
    """The relay that _RELAY_URL names. Raises SettingsError."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "folder" and parts.path:
            return FolderRelay(Path(parts.path), threads)
        if parts.scheme in ("smtp", "smtps") and parts.hostname:
            return SmtpRelay.of(parts)
    except ValueError:  # a port that is no number
        pass
    raise SettingsError(
        "SCANPOST_RELAY_URL must be smtp://host:port, smtps://host:port or folder:///path."
    )
