"""Letters to an SMTP relay (RFC 5321): a smarthost, or the Postfix next door."""

import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote

import aiosmtplib

from outbound.posting import Posting
from store.errors import LetterRefused, RelayBusy

TIMEOUT = 60.0  # seconds for each step of the dialogue


@dataclass(frozen=True)
class SmtpRelay:
    host: str
    port: int
    tls: bool
    trust: ssl.SSLContext
    user: str | None = None
    password: str | None = None

    @classmethod
    def of(cls, url: SplitResult) -> "SmtpRelay":
        tls = url.scheme == "smtps"
        return cls(
            host=url.hostname or "",
            port=url.port or (465 if tls else 25),
            tls=tls,
            trust=_trust(url.hostname or ""),
            user=unquote(url.username) if url.username else None,
            password=unquote(url.password) if url.password else None,
        )

    async def send(self, posting: Posting) -> str:
        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.user,
            password=self.password,
            use_tls=self.tls,
            # A password never goes out in the clear; without one, TLS is taken when it is offered.
            start_tls=True if self.user and not self.tls else None,
            tls_context=self.trust,
            timeout=TIMEOUT,
        )
        try:
            async with client:
                _, answer = await client.sendmail(posting.sender, [posting.recipient], posting.data)
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _by_code(error.recipients[0].code, error.recipients[0].message) from None
        except aiosmtplib.SMTPDataError as error:
            raise _by_code(error.code, error.message) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            # Greeting, login or sender refused: that is about us, and no letter's fault.
            raise RelayBusy(f"The relay {self.host} does not serve us: {error}") from None
        return answer


def _trust(host: str) -> ssl.SSLContext:
    """A relay on this machine may have a certificate that nobody signed."""
    context = ssl.create_default_context()
    if _is_loopback(host):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _by_code(code: int, message: str) -> LetterRefused | RelayBusy:
    answer = f"{code} {' '.join(message.split())}"
    return LetterRefused(answer) if code >= 500 else RelayBusy(answer)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
