"""Links in a mail to places where files wait to be fetched. We never fetch one: whoever writes a link
would make this server ask any address they like, and what is there today is another file tomorrow.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote

MOST_LINKS = 500  # of a text that are looked at
_LINK = re.compile(r"https?://(?:[^\s/\"'<>@]{1,200}@)?([A-Za-z0-9.-]{4,253})", re.IGNORECASE)
# Hosts, and all below them. Portals only: the home page of a maker stands in many a signature.
_PLACES = {
    "wetransfer.com": "WeTransfer",
    "we.tl": "WeTransfer",
    "dropbox.com": "Dropbox",
    "db.tt": "Dropbox",
    "drive.google.com": "Google Drive",
    "drive.usercontent.google.com": "Google Drive",
    "onedrive.live.com": "OneDrive",
    "1drv.ms": "OneDrive",
    "sharepoint.com": "SharePoint",
    "icloud.com": "iCloud",
    "icloud-content.com": "iCloud",
    "swisstransfer.com": "SwissTransfer",
    "fromsmash.com": "Smash",
    "myairbridge.com": "MyAirBridge",
    "transfernow.net": "TransferNow",
    "filemail.com": "Filemail",
    "hightail.com": "Hightail",
    "app.box.com": "Box",
    "mega.nz": "MEGA",
    "pcloud.link": "pCloud",
    "drive.proton.me": "Proton Drive",
    "mediafire.com": "MediaFire",
    "portal.3shape.com": "3Shape",
    "3shapecommunicate.com": "3Shape Communicate",
    "meditlink.com": "Medit Link",
    "webview.dental": "exocad webview",
    "dentalshare.com": "exocad dentalshare",
    "myitero.com": "iTero",
    "dscore.com": "DS Core",
}


def places_named(texts: Iterable[str]) -> tuple[str, ...]:
    """Which of these places the links in some texts lead to, in their order, each once."""
    found: dict[str, None] = {}
    for text in texts:
        # Gateways write the true link into one of their own, with its signs escaped.
        for number, link in enumerate(_LINK.finditer(unquote(text))):
            if number == MOST_LINKS:
                break
            if place := _place_of(link[1].lower().rstrip(".")):
                found[place] = None
    return tuple(found)


def _place_of(host: str) -> str:
    """By the host, or a domain above it: "lab.sharepoint.com" is SharePoint."""
    while host:
        if host in _PLACES:
            return _PLACES[host]
        host = host.partition(".")[2]
    return ""
