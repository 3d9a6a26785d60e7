"""One bucket of an S3: requests that ride out an outage, and refusals in sentences.

`Bucket` alone decides whether a request is made again. botocore makes each just once: its own retry
modes count attempts, and an outage lasts seconds. What may pass with time (no connection, no answer,
a cut answer, 5xx, SlowDown) is asked again until the patience for it is over.
"""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from threading import BoundedSemaphore, Event
from typing import Any, TypeVar

import boto3
import structlog
from botocore import UNSIGNED
from botocore import exceptions as boto
from botocore.config import Config
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from store.blobs.place import Place
from store.errors import SettingsError, Stopping, TryAgain, Unreachable

R = TypeVar("R")
log = structlog.get_logger()

CONNECTIONS = 16
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0  # seconds between two attempts
_FAILURES = (boto.ClientError, boto.BotoCoreError, ResponseParserError, HTTPError, OSError)
_NO_ANSWER = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    ResponseParserError,
    HTTPError,
    OSError,
)
# Amazon says 400 and 409 of these, although they pass.
_PASSING = frozenset({"RequestTimeout", "OperationAborted", "SlowDown"})


@dataclass(frozen=True)
class Patience:
    """In seconds: for a connection, for an answer, and until an outage is called one."""

    connect: float
    answer: float
    outage: float


READING = Patience(3, 4, 10)  # somebody waits before a browser
WRITING = Patience(10, 20, 75)  # only the work flow waits


class Refused(TryAgain):
    """The store understood and does not do it; only a person can change that, or nobody.

    Attributes:
        status: of HTTP; 0 if nothing was asked, for want of credentials.
        code: what the store calls it, e.g. "NoSuchKey".
    """

    def __init__(self, sentence: str, status: int, code: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code


class Bucket:
    """A bucket and the credentials for it; threads share one.

    Args:
        place: where it is.
        access_key: with `secret_key`, the credentials; empty: boto3 looks in its usual places.
        secret_key: see `access_key`.
        reading: the patience with what a person waits for.
        writing: the patience with all else.

    Raises:
        SettingsError: boto3 cannot use the endpoint or its own settings.
    """

    def __init__(
        self,
        place: Place,
        access_key: str = "",
        secret_key: str = "",
        reading: Patience = READING,
        writing: Patience = WRITING,
    ) -> None:
        self.place = place
        self.closing = Event()
        # Whether patience ran out and nothing has worked since: then each call tries once, so that
        # an outage does not hold everybody for as long as the first.
        self.away = False
        # Never more requests than connections; whoever holds all of them knows that none is made.
        self.lines = BoundedSemaphore(CONNECTIONS)
        try:
            session = boto3.session.Session(access_key or None, secret_key or None)
            self.reading = Client(session, place, reading)
            self.writing = Client(session, place, writing)
            self.unsigned = Client(session, place, reading, signature_version=UNSIGNED)
        except (boto.BotoCoreError, ValueError) as error:
            raise SettingsError(
                f"The object store {place} cannot be used ({type(error).__name__}). Check"
                " SCANPOST_BLOBS_URL, and boto3's own settings if there are any."
            ) from None

    def ask(self, client: "Client", deed: str, method: str, **params: Any) -> dict[str, Any]:
        """Calls a method of S3. Raises Unreachable, Refused, Stopping.

        A Body is a file: then the time limit is for each 16 kB that go out, not for all together.
        """

        def call(s3: Any) -> dict[str, Any]:
            if "Body" in params:
                params["Body"].seek(0)
            answer: dict[str, Any] = getattr(s3, method)(Bucket=self.place.bucket, **params)
            return answer

        return self._try(client, deed, call)

    def fetch(self, client: "Client", deed: str, **params: Any) -> bytes:
        """The bytes of get_object, whole or asked for again. Raises as `ask` does."""

        def call(s3: Any) -> bytes:
            answer = s3.get_object(Bucket=self.place.bucket, **params)
            with closing(answer["Body"]) as body:
                data: bytes = body.read()
                return data

        return self._try(client, deed, call)

    def head(self, client: "Client", deed: str, key: str) -> dict[str, Any] | None:
        """What is known of an object; None if there is none."""
        try:
            return self.ask(client, deed, "head_object", Key=key)
        except Refused as refusal:
            if refusal.status == 404:
                return None
            raise

    def drop_upload(self, client: "Client", key: str, upload: str) -> None:
        """Ends an unfinished upload; it is not an error if it has ended."""
        deed = f"ending an unfinished upload of {self.place.name(key)}"
        try:
            self.ask(client, deed, "abort_multipart_upload", Key=key, UploadId=upload)
        except Refused as refusal:
            if refusal.status != 404:
                raise

    def close(self) -> None:
        """Ends what waits for an outage to pass, waits for the requests that run, and closes."""
        self.closing.set()
        for _ in range(CONNECTIONS):
            self.lines.acquire()
        for client in (self.reading, self.writing, self.unsigned):
            client.s3.close()
        for _ in range(CONNECTIONS):
            self.lines.release()

    def _try(self, client: "Client", deed: str, call: Callable[[Any], R]) -> R:
        until = time.monotonic() + client.patience.outage
        pause = FIRST_PAUSE
        while True:
            try:
                with self.lines:
                    if self.closing.is_set():
                        raise Stopping("The server is stopping.")
                    answer = call(client.s3)
                    self.away = False
                    return answer
            except _FAILURES as error:
                status, code = _status_and_code(error)
                passes = _passes(error, status, code)
            # Outside the handler: what boto3 raised may hold more than anybody should read.
            if not passes:
                raise self._refused(deed, status, code)
            if time.monotonic() + pause > until or self.away:
                self.away = True
                raise self._unreachable(deed, code, client.patience.outage)
            if pause == FIRST_PAUSE:
                log.warning("object store does not answer", place=str(self.place), code=code)
            self.closing.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _refused(self, deed: str, status: int, code: str) -> Refused:
        sentence = (
            f"The object store {self.place} refused {deed} ({code}). It is tried again later; if that"
            " does not help, check the credentials and what they allow."
        )
        return Refused(sentence, status, code)

    def _unreachable(self, deed: str, code: str, seconds: float) -> Unreachable:
        return Unreachable(
            f"The object store {self.place} gave no answer to {deed} for {seconds:g} seconds ({code})."
            " It is tried again later; if this lasts, look after the store and the network."
        )


class Client:
    """A client of boto3 and the patience with it; botocore sets time limits for whole clients."""

    def __init__(self, session: Any, place: Place, patience: Patience, **config: Any) -> None:
        self.patience = patience
        self.s3 = session.client(
            "s3",
            endpoint_url=place.endpoint_url,
            region_name=place.region,
            config=Config(
                **{"signature_version": "s3v4", **config},
                # R2 stumbles over the checksums that boto3 adds of itself. The signature holds the
                # SHA-256 of each body anyway.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": "path" if place.endpoint_url else "auto"},
                retries={"total_max_attempts": 1, "mode": "standard"},
                connect_timeout=patience.connect,
                read_timeout=patience.answer,
                max_pool_connections=CONNECTIONS,
                tcp_keepalive=True,
            ),
        )


def _status_and_code(error: Exception) -> tuple[int, str]:
    """What a failure is called: by the store, in letters and figures, or by the library."""
    if not isinstance(error, boto.ClientError):
        return 0, type(error).__name__
    answer: dict[str, Any] = error.response
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return status, "".join(letter for letter in code if letter.isalnum())[:40] or str(status)


def _passes(error: Exception, status: int, code: str) -> bool:
    if not isinstance(error, boto.ClientError):
        return isinstance(error, _NO_ANSWER)
    not_now = status >= 500 and status != 501  # which R2 says of what it never does
    return not_now or status in (408, 429) or code in _PASSING
