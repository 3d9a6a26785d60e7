"""Where objects lie in an S3: s3://bucket[/prefix]?endpoint_url=https://…&region=auto."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, urlsplit

from store.errors import NotFound

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class Place:
    """A bucket, or what lies in it under a prefix.

    Attributes:
        prefix: "" or what every key begins with, up to and with its last slash.
        endpoint_url: None is Amazon.
        region: None is what boto3 finds in its own settings.
    """

    bucket: str
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None

    @classmethod
    def of(cls, url: str) -> Self:
        """Reads a URL. Raises ValueError, which says what is wrong and repeats nothing of it."""
        parts = urlsplit(url)
        if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or parts.fragment:
            raise ValueError("must be s3:// and the name of a bucket, without user or password")
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if not options.keys() <= {"endpoint_url", "region"}:
            raise ValueError("may name endpoint_url and region after the question mark, no more")
        path = parts.path.strip("/")
        if path and not _is_name(path):
            raise ValueError("has a prefix that cannot be one")
        return cls(
            parts.netloc,
            f"{path}/" if path else "",
            _endpoint(options["endpoint_url"]) if "endpoint_url" in options else None,
            options.get("region"),
        )

    def __str__(self) -> str:
        """As a sentence names it: `bucket at host`."""
        host = urlsplit(self.endpoint_url).netloc if self.endpoint_url else "Amazon S3"
        return f"{self.bucket} at {host}"

    def key(self, name: str) -> str:
        """The key of an object in the bucket. Raises NotFound for a name that leads outside."""
        if not _is_name(name):
            raise NotFound(f"{name!r} is not the name of an object.")
        return self.prefix + name

    def keys_below(self, prefix: str) -> str:
        """What the keys of all objects below a folder begin with; "" is all there are."""
        return self.key(prefix.removesuffix("/")) + "/" if prefix else self.prefix

    def name(self, key: str) -> str:
        return key.removeprefix(self.prefix)


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("has an endpoint_url that is not http:// or https:// and a host")
    return url


def _is_name(name: str) -> bool:
    return "\0" not in name and not {"", ".", ".."} & set(name.split("/"))
