"""The settings table: name, type, default and help in one place.

Each is read from the environment (SCANPOST_<NAME>), from one TOML file (without the prefix;
SCANPOST_CONFIG names it, else ./scanpost.toml), and a secret also from the file that
SCANPOST_<NAME>_FILE names. docs/settings.md is written from this table.
"""

import os
import tomllib
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from store.addresses import Addressing
from store.blobs.place import Place
from store.errors import SettingsError

PREFIX = "SCANPOST_"
WITHOUT_ADDRESS = frozenset({"unix:", "imap"})


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    data_dir: Path = Field(
        Path("scanpost-data"),
        description="Folder for the database, the spool, the objects and the master key.",
    )
    domain: str = Field(
        "localhost", description="The mail domain: scans go to share@DOMAIN, letters come from it."
    )
    base_url: str = Field(
        "http://127.0.0.1:8080",
        description="What links begin with, as a browser reaches it; https in earnest.",
    )
    operator: str = Field(
        "operator@localhost",
        description="The mailbox of the person who runs this server; refusals name it.",
    )
    smtp_listen: str = Field(
        "127.0.0.1:8025", description="host:port of the SMTP listener; port 0 takes a free one."
    )
    smtp_certificate: Path | None = Field(
        None,
        description=(
            "PEM file with the certificate chain for STARTTLS, and smtp_key with its private key."
            " Read again when renewed. Unset: STARTTLS is not offered."
        ),
    )
    smtp_key: Path | None = Field(None, description="PEM file with the key of smtp_certificate.")
    proxies: str = Field(
        "",
        description=(
            "Networks (CIDR, comma separated) of load balancers in front of the SMTP listener that"
            " begin each connection with a PROXY protocol line (version 1 or 2)."
        ),
    )
    lmtp_listen: str = Field(
        "",
        description=(
            "host:port, or unix:/path, of the LMTP listener behind Postfix (deploy/postfix/)."
            " Unset: no LMTP."
        ),
    )
    imap_url: str = Field(
        "",
        repr=False,  # it may hold a password
        description=(
            "A mailbox to fetch mail from: imaps://user:password@host[:port][/folder]; imap:// asks"
            " for STARTTLS. docs/imap.md says more. Unset: no IMAP."
        ),
    )
    web_listen: str = Field(
        "127.0.0.1:8080", description="host:port of the web server; port 0 takes a free one."
    )
    relay_url: str = Field(
        "",
        repr=False,  # it may hold a password
        description=(
            "Where letters go: smtp://[user:password@]host[:port], smtps://…, or folder:///path,"
            " which writes one .eml a letter. Unset: the folder letters/ in the data folder."
        ),
    )
    blobs_url: str = Field(
        "",
        description=(
            "Where objects lie: s3://bucket[/prefix]?endpoint_url=https://…&region=auto for"
            " Cloudflare R2 or another S3 (docs/objects.md). Unset: the folder objects/ in the data"
            " folder."
        ),
    )
    s3_access_key: str = Field(
        "",
        repr=False,
        description="Access key for blobs_url. Unset: boto3 looks where it always does.",
    )
    s3_secret_key: str = Field(
        "", repr=False, description="Secret key for blobs_url, with s3_access_key."
    )
    trusted_clients: str = Field(
        "",
        description=(
            "Networks (CIDR, comma separated) whose mail counts as authenticated, like Postfix"
            " mynetworks; also unix: (LMTP by socket) and imap. Empty: every mail is verified."
            " 0.0.0.0/0 and ::/0 are refused."
        ),
    )
    sender_mode: Literal["mx", "relay"] = Field(
        "mx",
        description=(
            "Who brings mail to the SMTP listener: mx, the whole Internet (SPF, DKIM and DMARC are"
            " verified here); relay, a mail server of yours, whose Authentication-Results tell SPF"
            " (authserv_id). LMTP is always relay. docs/senders.md says more."
        ),
    )
    authserv_id: str = Field(
        "",
        description=(
            "The name by which the mail server in front of this one, or the IMAP provider, signs its"
            " Authentication-Results, such as mx.google.com. Unset: no such header is believed."
        ),
    )
    arc_sealers: str = Field(
        "",
        description=(
            "Domains (comma separated) whose ARC seals are believed about mail that they forward."
            " It counts like SPF, never like DKIM."
        ),
    )
    dns_servers: str = Field(
        "",
        description="host:port (comma separated) of resolving DNS servers. Unset: the system's.",
    )
    signup: str = Field(
        "closed",
        description=(
            "Who may become a member by mail: closed, nobody; domains:lab.example,… whoever writes"
            " from there; open, everybody. Each has to click a link first."
        ),
    )
    plus_addressing: Literal["+", "-", "off"] = Field(
        "+",
        description=(
            "What stands between share and the token in the address of a reply. off: replies come"
            " to share@DOMAIN, the letter they answer says which case they mean, and letters that come"
            " back are not noticed."
        ),
    )
    master_key_file: Path | None = Field(
        None,
        description=(
            "File with the master key (32 bytes in hexadecimal). Unset: master.key in the data"
            " folder, made at the first start. Losing it loses every case: keep a copy elsewhere."
        ),
    )
    max_mail_mb: int = Field(
        200, ge=1, le=2000, description="The largest mail that is taken, in MB of 1,048,576 bytes."
    )
    log_json: bool = Field(False, description="Log lines as JSON instead of readable text.")
    test_clock_file: Path | None = Field(
        None, description="For tests only: a file with the seconds by which the clock is moved."
    )

    @field_validator("base_url")
    @classmethod
    def _as_an_origin(cls, value: str) -> str:
        parts = urlsplit(value.rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path:
            msg = "must be http:// or https:// and a host, without a path"
            raise ValueError(msg)
        # As a browser writes an origin: lower case, without the port that goes without saying.
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        usual = {"http": 80, "https": 443}[parts.scheme]
        port = "" if parts.port in (None, usual) else f":{parts.port}"
        return f"{parts.scheme}://{host}{port}"

    @field_validator("domain")
    @classmethod
    def _lower(cls, value: str) -> str:
        return value.strip().rstrip(".").lower()

    @field_validator("blobs_url")
    @classmethod
    def _is_a_place(cls, value: str) -> str:
        if value:
            Place.of(value)
        return value

    @field_validator("proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        _networks(value)
        return value

    @field_validator("dns_servers")
    @classmethod
    def _are_servers(cls, value: str) -> str:
        for server in _listed(value):
            host, _ = host_and_port(server)
            ip_address(host)  # a name would have to be asked of the DNS
        return value

    @field_validator("signup")
    @classmethod
    def _is_a_way_to_sign_up(cls, value: str) -> str:
        kind, _, domains = value.strip().lower().partition(":")
        if kind in ("closed", "open") and not domains:
            return kind
        if kind == "domains" and _listed(domains):
            return f"domains:{','.join(_listed(domains))}"
        msg = "must be closed, open, or domains: and one domain or more"
        raise ValueError(msg)

    @field_validator("trusted_clients")
    @classmethod
    def _not_everybody(cls, value: str) -> str:
        for network in _networks(value):
            if network.prefixlen == 0:
                msg = f"{network} would let everybody in; name the hosts that may send"
                raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.addressing.is_ours(self.operator):
            msg = f"operator {self.operator} is an address of this server: letters would go round"
            raise ValueError(msg)
        for name in ("smtp_listen", "lmtp_listen", "web_listen"):
            listen = getattr(self, name)
            if listen and (name == "web_listen" or socket_path(listen) is None):
                host_and_port(listen)
        if (self.smtp_certificate is None) != (self.smtp_key is None):
            msg = "smtp_certificate and smtp_key need each other"
            raise ValueError(msg)
        if (self.s3_access_key == "") != (self.s3_secret_key == ""):
            msg = "s3_access_key and s3_secret_key need each other"
            raise ValueError(msg)
        return self

    @property
    def trusted_networks(self) -> list[IPv4Network | IPv6Network]:
        return _networks(self.trusted_clients)

    @property
    def trusted_sources(self) -> frozenset[str]:
        """Trusted ways of coming that have no address: "unix:", "imap"."""
        return frozenset(_listed(self.trusted_clients)) & WITHOUT_ADDRESS

    @property
    def addressing(self) -> Addressing:
        separator = "" if self.plus_addressing == "off" else self.plus_addressing
        return Addressing(self.domain, separator)

    @property
    def resolving_servers(self) -> list[tuple[str, int]]:
        return [host_and_port(server) for server in _listed(self.dns_servers)]

    @property
    def trusted_sealers(self) -> frozenset[str]:
        return frozenset(domain.lower().rstrip(".") for domain in _listed(self.arc_sealers))

    def may_sign_up(self, address: str) -> bool:
        """Whether a stranger of this address may become a member by mail."""
        kind, _, domains = self.signup.partition(":")
        return kind == "open" or address.rpartition("@")[2].lower() in _listed(domains)

    @property
    def proxy_networks(self) -> list[IPv4Network | IPv6Network]:
        return _networks(self.proxies)

    @property
    def max_mail_bytes(self) -> int:
        return self.max_mail_mb * 1024 * 1024

    @property
    def relay(self) -> str:
        return self.relay_url or f"folder://{(self.data_dir / 'letters').absolute()}"

    @property
    def secure(self) -> bool:
        return self.base_url.startswith("https://")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- the signature is given
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- the signature is given
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- the signature is given
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings


def load(**given: Any) -> Settings:
    """The settings of this process.

    Args:
        given: values that win over environment and file (command line, tests).

    Raises:
        SettingsError: names each setting that cannot be used, and why.
    """
    values = {**_from_toml(), **_from_secret_files()}
    from_environment = {
        name for name in Settings.model_fields if PREFIX + name.upper() in os.environ
    }
    kept = {name: value for name, value in values.items() if name not in from_environment}
    try:
        return Settings(**{**kept, **given})
    except ValidationError as error:
        problems = "; ".join(
            f"{PREFIX}{'_'.join(str(p) for p in e['loc']).upper()} {e['msg'].lower()}"
            for e in error.errors()
        )
        raise SettingsError(f"Settings cannot be used: {problems}.") from None


def unknown_names() -> list[str]:
    """Names in the environment that look like settings of ours and are none: likely a slip."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {f"{PREFIX}CONFIG"}
    return sorted(
        name
        for name in os.environ
        if name.startswith(PREFIX) and name not in known and name.removesuffix("_FILE") not in known
    )


def host_and_port(listen: str) -> tuple[str, int]:
    """Splits "host:port"; the host may be an IPv6 address in brackets."""
    host, separator, port = listen.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{listen!r} is not host:port")
    return host.strip("[]") or "127.0.0.1", int(port)


def socket_path(listen: str) -> Path | None:
    """The path of "unix:/path"; None for an address of the network."""
    return Path(listen.removeprefix("unix:")) if listen.startswith("unix:/") else None


def _listed(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _networks(value: str) -> list[IPv4Network | IPv6Network]:
    named = [part for part in _listed(value) if part not in WITHOUT_ADDRESS]
    return [ip_network(part, strict=False) for part in named]


def _from_toml() -> dict[str, Any]:
    named = os.environ.get(f"{PREFIX}CONFIG")
    path = Path(named or "scanpost.toml")
    if not path.exists():
        if named:
            raise SettingsError(f"The settings file {named} does not exist.")
        return {}
    try:
        values = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The settings file {path} is not TOML: {error}.") from None
    unknown = sorted(values.keys() - Settings.model_fields.keys())
    if unknown:
        raise SettingsError(f"The settings file {path} names what is no setting: {unknown[0]}.")
    return values


def _from_secret_files() -> dict[str, str]:
    found = {}
    for name in Settings.model_fields:
        variable = f"{PREFIX}{name.upper()}_FILE"
        if variable in os.environ:
            found[name] = _secret(variable)
    return found


def _secret(variable: str) -> str:
    try:
        return Path(os.environ[variable]).read_text().strip()
    except OSError as error:
        raise SettingsError(f"{variable} names a file that cannot be read: {error}.") from None
