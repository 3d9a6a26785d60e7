"""Objects in a real S3: parts, what broken processes leave, outages, and what is checked at a start."""

import hashlib
import json
import os
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pytest
from botocore.awsrequest import AWSResponse
from structlog.testing import capture_logs

from store import settings
from store.blobs.bucket import Patience, Refused
from store.blobs.place import Place
from store.blobs.s3 import S3Blobs
from store.blobs.sealed import CHUNK
from store.blobs.upload import PART, PARTS_OF_ALL, PARTS_OF_ONE
from store.errors import NotFound, SettingsError, Stopping, TryAgain, Unreachable
from store.house import SealedObject, open_object
from tests.seaweed import ACCESS_KEY, BUCKET, SECRET_KEY, Gate, Seaweed

KEY = bytes(range(32))
NAME = "cases/a/1"
# Notices an outage at once, and waits for its end; or gives up at once.
QUICK = Patience(connect=0.5, answer=1, outage=60)
IMPATIENT = Patience(connect=0.5, answer=5, outage=0.5)
PATIENCE = 30.0
R = TypeVar("R")


@pytest.fixture
def url(seaweed: Seaweed) -> str:
    return seaweed.url()


@pytest.fixture
def blobs(url: str) -> Iterator[S3Blobs]:
    with opened(url) as made:
        yield made


@pytest.fixture
def gate(seaweed: Seaweed) -> Iterator[Gate]:
    with Gate(seaweed.endpoint) as standing:
        yield standing


@contextmanager
def opened(
    url: str, key: str = ACCESS_KEY, secret: str = SECRET_KEY, patience: Patience = QUICK
) -> Iterator[S3Blobs]:
    made = S3Blobs.open(url, key, secret, patience, patience)
    try:
        yield made
    finally:
        made.close()


def write(blobs: S3Blobs, data: bytes, name: str = NAME) -> None:
    writing = blobs.create(name)
    for start in range(0, len(data), CHUNK):
        writing.write(data[start : start + CHUNK])
    writing.commit()
    writing.abort()


def until(true: Callable[[], object]) -> None:
    """Looks again and again until something another thread does is so."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def through_an_outage(seaweed: Seaweed, outage: str, work: Callable[[], R]) -> R:
    """Begins the work while the server is away, which comes back once that was noticed."""
    with ThreadPoolExecutor(1) as pool:
        with capture_logs() as logs, getattr(seaweed, outage)():
            future = pool.submit(work)
            until(lambda: logs)
            assert not future.done()
        return future.result(PATIENCE)


@pytest.mark.parametrize(
    ("size", "parts"),
    [(0, 0), (1, 0), (PART - 1, 0), (PART, 0), (PART + 1, 2), (2 * PART, 2), (2 * PART + 1, 3)],
)
def test_parts_are_of_one_size_and_the_last_is_never_empty(
    blobs: S3Blobs, seaweed: Seaweed, size: int, parts: int
) -> None:
    data = os.urandom(size)
    write(blobs, data)
    assert blobs.size(NAME) == size
    assert blobs.read(NAME, 0, size + 1) == data
    assert blobs.read(NAME, PART - 1, PART + 1) == data[PART - 1 : PART + 1]
    tag = seaweed.client.head_object(Bucket=BUCKET, Key=blobs.place.key(NAME))["ETag"]
    assert tag.strip('"').partition("-")[2] == (str(parts) if parts else "")


def test_few_parts_are_on_their_way_at_once(
    blobs: S3Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight objects at once, as eight threads write them: the memory is bounded for each and all."""
    most: list[int] = []
    start = blobs.couriers.start

    def counted(*arguments):
        future = start(*arguments)
        most.append(PARTS_OF_ALL - blobs.couriers.room._value)
        return future

    def one(number: int) -> None:
        writing = blobs.create(f"cases/{number}")
        for _ in range(4 * PART // CHUNK + 1):
            writing.write(bytes(CHUNK))
            assert len(writing.under_way) <= PARTS_OF_ONE
        writing.commit()

    monkeypatch.setattr(blobs.couriers, "start", counted)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))
    assert max(most) == PARTS_OF_ALL
    assert blobs.couriers.room._value == PARTS_OF_ALL
    assert len(blobs.names("cases/")) == 8


def test_an_aborted_object_leaves_nothing(blobs: S3Blobs, seaweed: Seaweed, url: str) -> None:
    writing = blobs.create(NAME)
    writing.write(bytes(4 * PART))
    assert seaweed.below(url)
    writing.abort()
    writing.abort()
    assert seaweed.below(url) == []


def test_unfinished_uploads_are_swept_once_they_are_old(
    blobs: S3Blobs, seaweed: Seaweed, url: str
) -> None:
    with opened(seaweed.url()) as others:
        for store in (blobs, others):
            store.create(NAME).write(bytes(2 * PART))  # and here the process was killed
        assert blobs.sweep_unfinished(3600) == 0
        assert blobs.sweep_unfinished(-5) == 1
        assert seaweed.below(url) == []
        assert blobs.sweep_unfinished(-5) == 0
        assert others.sweep_unfinished(-5) == 1


def test_more_names_than_a_page_holds_are_listed(blobs: S3Blobs, seaweed: Seaweed) -> None:
    wanted = [f"cases/a/{number:04}" for number in range(1_003)]
    with ThreadPoolExecutor(8) as pool:
        for name in wanted:
            key = blobs.place.key(name)
            pool.submit(seaweed.client.put_object, Bucket=BUCKET, Key=key, Body=b"")
    assert blobs.names("cases/a/") == wanted


def test_what_is_no_name_is_not_found(blobs: S3Blobs) -> None:
    for name in ("", "/", "a//b", "a/../b", "./a", "a\0b", "a/"):
        for ask in (blobs.create, blobs.size, blobs.delete, lambda name: blobs.read(name, 0, 1)):
            with pytest.raises(NotFound):
                ask(name)


def test_prefixes_keep_two_servers_apart(blobs: S3Blobs, seaweed: Seaweed) -> None:
    with opened(seaweed.url()) as others:
        write(blobs, b"ours")
        assert others.names("") == []
        with pytest.raises(NotFound):
            others.size(NAME)


@pytest.mark.parametrize("outage", ["paused", "dead"])
def test_a_write_rides_out_an_outage(blobs: S3Blobs, seaweed: Seaweed, outage: str) -> None:
    data = os.urandom(4 * PART)
    target = SealedObject(blobs, KEY, NAME)
    target.write(data[: PART + 2 * CHUNK])

    def finish() -> None:
        target.write(data[PART + 2 * CHUNK :])
        target.commit()

    through_an_outage(seaweed, outage, finish)
    assert b"".join(open_object(blobs, KEY, NAME).pieces()) == data
    assert blobs.sweep_unfinished(-5) == 0


@pytest.mark.parametrize("outage", ["paused", "dead"])
def test_a_read_rides_out_an_outage(blobs: S3Blobs, seaweed: Seaweed, outage: str) -> None:
    data = os.urandom(3 * CHUNK)
    target = SealedObject(blobs, KEY, NAME)
    target.write(data)
    target.commit()
    pieces = open_object(blobs, KEY, NAME).pieces()
    first = next(pieces)
    assert first + through_an_outage(seaweed, outage, lambda: b"".join(pieces)) == data


def test_a_deletion_rides_out_an_outage(blobs: S3Blobs, seaweed: Seaweed) -> None:
    write(blobs, b"x")
    through_an_outage(seaweed, "paused", lambda: blobs.delete(NAME))
    assert blobs.names("") == []


def test_a_long_outage_is_left_to_a_later_attempt(seaweed: Seaweed, url: str) -> None:
    with opened(url, patience=IMPATIENT) as blobs:
        write(blobs, b"x")
        writing = blobs.create("cases/a/2")
        writing.write(bytes(2 * PART))
        asked = [
            lambda: blobs.size(NAME),
            lambda: blobs.read(NAME, 0, 1),
            lambda: blobs.delete(NAME),
            lambda: blobs.names(""),
            lambda: write(blobs, b"x"),
            writing.commit,
        ]
        with seaweed.dead():
            for ask in asked:
                with pytest.raises(Unreachable, match=r"gave no answer to .* tried again later"):
                    ask()
            writing.abort()  # says nothing: the sweep does it
        assert blobs.sweep_unfinished(-5) == 1
        assert blobs.names("") == [NAME]


def test_nobody_listening_is_an_outage_too(seaweed: Seaweed) -> None:
    url = seaweed.url(endpoint="http://127.0.0.1:1")
    with (
        opened(url, patience=IMPATIENT) as blobs,
        pytest.raises(TryAgain, match=r"objects at 127\.0\.0\.1:1 gave no answer to reading"),
    ):
        blobs.size(NAME)


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "SlowDown"), (500, "InternalError"), (429, ""), (400, "RequestTimeout")],
)
def test_not_now_is_asked_again(seaweed: Seaweed, gate: Gate, status: int, code: str) -> None:
    for method, path in (
        ("POST", "uploads"),
        ("PUT", "partNumber=2"),
        ("POST", "uploadId"),
        ("GET", NAME),
    ):
        gate.answer(status, code, method, path, times=1)
    data = os.urandom(2 * PART)
    with opened(seaweed.url(endpoint=gate.endpoint)) as blobs:
        write(blobs, data)
        assert blobs.read(NAME, 0, len(data)) == data


def test_a_cut_answer_is_asked_for_again(seaweed: Seaweed, gate: Gate) -> None:
    gate.answer(Gate.CUT, "", "GET", NAME, times=2)
    with opened(seaweed.url(endpoint=gate.endpoint)) as blobs:
        write(blobs, b"whole")
        assert blobs.read(NAME, 0, 5) == b"whole"


def test_a_commit_whose_answer_was_lost_has_happened(seaweed: Seaweed, gate: Gate) -> None:
    gate.answer(Gate.LOSE, "", "POST", "uploadId", times=1)
    gate.answer(404, "NoSuchUpload", "POST", "uploadId")
    data = os.urandom(2 * PART)
    with opened(seaweed.url(endpoint=gate.endpoint)) as blobs:
        write(blobs, data)
        assert blobs.read(NAME, 0, len(data)) == data


def test_an_upload_that_vanished_is_no_commit_even_if_an_older_object_stands_there(
    seaweed: Seaweed, gate: Gate
) -> None:
    url = seaweed.url(endpoint=gate.endpoint)
    with opened(url) as blobs:
        write(blobs, os.urandom(2 * PART))
        gate.answer(404, "NoSuchUpload", "POST", "uploadId")
        with pytest.raises(Refused, match=r"refused writing cases/a/1 .NoSuchUpload."):
            write(blobs, os.urandom(2 * PART))


def test_a_part_that_is_refused_fails_the_object_for_good(seaweed: Seaweed, gate: Gate) -> None:
    url = seaweed.url(endpoint=gate.endpoint)
    gate.answer(403, "AccessDenied", "PUT", "partNumber=1")
    with opened(url) as blobs:
        writing = blobs.create(NAME)
        with pytest.raises(Refused, match="AccessDenied"):
            writing.write(bytes(6 * PART))
        with pytest.raises(Refused, match="AccessDenied"):
            writing.commit()
        writing.abort()
        assert seaweed.below(url) == []


def test_what_is_still_there_after_its_deletion_is_said(seaweed: Seaweed, gate: Gate) -> None:
    gate.answer(204, "", "DELETE", NAME)
    with opened(seaweed.url(endpoint=gate.endpoint)) as blobs:
        write(blobs, b"x")
        with pytest.raises(TryAgain, match="is still there after its deletion"):
            blobs.delete(NAME)


def test_closing_ends_the_waiting(seaweed: Seaweed, url: str) -> None:
    with ThreadPoolExecutor(1) as pool, opened(url) as blobs:
        writing = blobs.create(NAME)
        writing.write(bytes(2 * PART))
        with capture_logs() as logs, seaweed.dead():
            future = pool.submit(writing.commit)
            until(lambda: logs)
            blobs.close()
            with pytest.raises(Stopping):
                future.result(PATIENCE)
            with pytest.raises(Stopping):
                blobs.create(NAME).write(bytes(2 * PART))


def test_a_private_bucket_passes_the_check_and_nothing_stays(
    blobs: S3Blobs, seaweed: Seaweed, url: str
) -> None:
    blobs.check()
    assert seaweed.below(url) == []


def test_calls_that_r2_does_not_know_do_not_matter(seaweed: Seaweed, gate: Gate) -> None:
    gate.answer(501, "NotImplemented", "GET", "versioning")
    with opened(seaweed.url(endpoint=gate.endpoint)) as blobs:
        blobs.check()


def test_what_goes_out_is_what_r2_understands() -> None:
    """No checksum of its own and no trailer; the signature covers the bytes."""
    seen = []

    def answer(request, **_named):
        seen.append(request)
        return AWSResponse(request.url, 200, {"ETag": '"x"'}, Nothing())

    with opened(
        "s3://scans/lab?endpoint_url=https://x.r2.cloudflarestorage.com&region=auto"
    ) as blobs:
        blobs.bucket.writing.s3.meta.events.register("before-send.s3", answer)
        write(blobs, b"abc")
    (request,) = seen
    assert request.url == f"https://x.r2.cloudflarestorage.com/scans/lab/{NAME}"
    headers = {name.lower(): str(value) for name, value in request.headers.items()}
    assert hashlib.sha256(b"abc").hexdigest() in headers["x-amz-content-sha256"]
    assert "/auto/s3/aws4_request" in headers["authorization"]
    assert not {name for name in headers if "checksum" in name or "trailer" in name}
    assert "content-encoding" not in headers


class Nothing:
    """The body of an empty answer."""

    def stream(self) -> Iterator[bytes]:
        return iter(())


@pytest.mark.parametrize(
    ("bucket", "key", "secret", "sentence"),
    [
        ("nosuchbucket", ACCESS_KEY, SECRET_KEY, "There is no bucket nosuchbucket at"),
        (BUCKET, ACCESS_KEY, "wrong", "refuses what scanpost needs .SignatureDoesNotMatch."),
        (BUCKET, "unknown", SECRET_KEY, "refuses what scanpost needs .InvalidAccessKeyId."),
    ],
)
def test_a_bucket_that_cannot_be_used_is_refused(
    seaweed: Seaweed, bucket: str, key: str, secret: str, sentence: str
) -> None:
    with (
        opened(seaweed.url(bucket), key, secret) as blobs,
        pytest.raises(SettingsError, match=sentence),
    ):
        blobs.check()


@pytest.mark.parametrize(
    ("bucket", "action", "what"),
    [("listed", "s3:ListBucket", ""), ("readable", "s3:GetObject", "/*")],
)
def test_a_bucket_that_others_can_read_is_refused(
    seaweed: Seaweed, bucket: str, action: str, what: str
) -> None:
    seaweed.make_bucket(bucket)
    allowed = {"Effect": "Allow", "Principal": "*", "Action": action}
    statement = {**allowed, "Resource": f"arn:aws:s3:::{bucket}{what}"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    seaweed.client.put_bucket_policy(Bucket=bucket, Policy=policy)
    with opened(seaweed.url(bucket)) as blobs:
        with pytest.raises(SettingsError, match=f"bucket {bucket} at .* without credentials"):
            blobs.check()
        assert blobs.names("") == []


def test_a_bucket_that_keeps_versions_is_refused(seaweed: Seaweed) -> None:
    seaweed.make_bucket("versioned")
    seaweed.client.put_bucket_versioning(
        Bucket="versioned", VersioningConfiguration={"Status": "Enabled"}
    )
    with (
        opened(seaweed.url("versioned")) as blobs,
        pytest.raises(SettingsError, match="keeps versions"),
    ):
        blobs.check()


def test_a_store_that_does_not_answer_at_the_start_is_only_logged(seaweed: Seaweed) -> None:
    url = seaweed.url(endpoint="http://127.0.0.1:1")
    with opened(url, patience=IMPATIENT) as blobs, capture_logs() as logs:
        blobs.check()
    assert "nothing was checked" in logs[-1]["event"]


def test_no_error_holds_a_credential(seaweed: Seaweed) -> None:
    key, secret = "AKIA-of-ours", "the-secret-of-ours"
    said = []
    for endpoint in (seaweed.endpoint, "http://127.0.0.1:1"):
        with opened(seaweed.url(endpoint=endpoint), key, secret, IMPATIENT) as blobs:
            for ask in (lambda: write(blobs, b"x"), lambda: blobs.size(NAME), blobs.check):
                with capture_logs() as logs:
                    try:
                        ask()
                    except (TryAgain, SettingsError) as error:
                        said += traceback.format_exception(error)
                said.append(repr(logs))
    with pytest.raises(SettingsError) as refused:
        S3Blobs.open(f"s3://{key}:{secret}@{BUCKET}")
    said.append(str(refused.value))
    assert "InvalidAccessKeyId" in "".join(said)
    assert key not in "".join(said)
    assert secret not in "".join(said)
    assert "botocore" not in "".join(said)


def test_credentials_come_from_botos_usual_places_too(
    seaweed: Seaweed, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    with opened(url, "", "") as blobs:
        write(blobs, b"x")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with opened(url, "", "") as blobs, pytest.raises(SettingsError, match="NoCredentialsError"):
        blobs.check()


@pytest.mark.parametrize(
    "wrong",
    [
        "https://r2.example/objects",
        "s3://",
        "s3://Under_Scored",
        "s3://key:secret@objects",
        "s3://objects?endpoint_url=r2.example",
        "s3://objects?endpoint_url=https://key:secret@r2.example",
        "s3://objects?region=auto&acl=public",
        "s3://objects/a/../b",
    ],
)
def test_a_url_that_cannot_be_used_is_named_and_not_repeated(wrong: str) -> None:
    with pytest.raises(SettingsError, match="SCANPOST_BLOBS_URL") as refused:
        settings.load(blobs_url=wrong)
    assert "secret" not in str(refused.value)


def test_a_url_says_bucket_prefix_endpoint_and_region() -> None:
    url = "s3://scans/lab/one/?endpoint_url=https://x.r2.cloudflarestorage.com&region=auto"
    place = Place.of(settings.load(blobs_url=url).blobs_url)
    assert place == Place("scans", "lab/one/", "https://x.r2.cloudflarestorage.com", "auto")
    assert str(place) == "scans at x.r2.cloudflarestorage.com"
    assert place.key("cases/a") == "lab/one/cases/a"
    assert str(Place.of("s3://scans")) == "scans at Amazon S3"


def test_a_key_without_its_secret_is_refused() -> None:
    with pytest.raises(SettingsError, match="need each other"):
        settings.load(s3_access_key="x")
