"""A real S3 server for tests: SeaweedFS, private, on loopback ports of its own, killable."""

import contextlib
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ACCESS_KEY, SECRET_KEY = "scanpost-tests", "a-secret-of-the-tests"
BUCKET = "objects"
START = 60.0  # seconds until it answers
KINDS = ("master", "volume", "filer", "s3")


class Seaweed:
    """A server in a process group of its own, which ends with this process whatever happens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "data").mkdir(parents=True)
        (folder / "s3.json").write_text(_IDENTITIES)
        self.ports = free_ports(2 * len(KINDS))
        self.process: subprocess.Popen[bytes] | None = None
        self.watcher: subprocess.Popen[bytes] | None = None
        self.numbers = itertools.count(1)
        self.client = self.client_of(ACCESS_KEY, SECRET_KEY)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports[KINDS.index('s3')]}"

    def url(self, bucket: str = BUCKET, endpoint: str = "") -> str:
        """A URL for SCANPOST_BLOBS_URL with a prefix that nothing lies under yet."""
        endpoint = endpoint or self.endpoint
        return f"s3://{bucket}/t{next(self.numbers)}?endpoint_url={endpoint}&region=auto"

    def client_of(self, access_key: str, secret_key: str) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            region_name="auto",
            config=Config(
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                connect_timeout=1,
                read_timeout=5,
                max_pool_connections=20,
            ),
        )

    def below(self, url: str) -> list[str]:
        """What lies under the prefix of a URL: keys of objects and of unfinished uploads."""
        prefix = url.partition("?")[0].removeprefix(f"s3://{BUCKET}/") + "/"
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        found = [each["Key"] for page in pages for each in page.get("Contents", [])]
        uploads = self.client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix)
        return found + [each["Key"] for each in uploads.get("Uploads", [])]

    def __enter__(self) -> Self:
        try:
            self.start()
            self.make_bucket(BUCKET)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Starts, and waits until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command(), stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        # Waits for its pipe: when nobody holds the other end any more, it kills the server.
        self.watcher = subprocess.Popen(
            ["sh", "-c", 'read -r _; kill -9 -"$1"', "sh", str(self.process.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._wait_until(self.client.list_buckets)

    def kill(self) -> None:
        """SIGKILL, as a power cut does it; `start` brings it back with what it had."""
        if self.watcher is not None:
            assert self.watcher.stdin is not None
            self.watcher.kill()
            self.watcher.wait()
            self.watcher.stdin.close()
            self.watcher = None
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def close(self) -> None:
        self.kill()
        self.client.close()
        for port in self.ports:
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # its own sockets
                path.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Takes connections and does not answer: the worst kind of outage."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)

    @contextlib.contextmanager
    def dead(self) -> Iterator[None]:
        """Takes no connections, and forgets what it had in memory alone."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    def make_bucket(self, name: str) -> None:
        self.client.create_bucket(Bucket=name)
        self._wait_until(lambda: self.client.put_object(Bucket=name, Key="ready", Body=b"x"))
        self.client.delete_object(Bucket=name, Key="ready")

    def _command(self) -> list[str]:
        grpc = len(KINDS)
        return [
            str(Path(sys.executable).with_name("weed")),
            "server",
            f"-dir={self.folder}/data",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *(f"-{kind}.port={self.ports[n]}" for n, kind in enumerate(KINDS)),
            *(f"-{kind}.port.grpc={self.ports[n + grpc]}" for n, kind in enumerate(KINDS)),
            "-filer",
            "-s3",
            f"-s3.config={self.folder}/s3.json",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.peers=none",  # alone: no election, ready in two seconds instead of three to eight
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=256",
            "-volume.max=200",
        ]

    def _wait_until(self, works: Callable[[], object]) -> None:
        until = time.monotonic() + START
        while True:
            try:
                works()
            except (BotoCoreError, ClientError) as error:
                assert self.process is not None
                if time.monotonic() > until or self.process.poll() is not None:
                    log = (self.folder / "log").read_text(errors="replace")[-3000:]
                    raise AssertionError(f"SeaweedFS does not start: {error!r}\n{log}") from None
                time.sleep(0.05)
            else:
                return


_IDENTITIES = f"""{{"identities": [{{
  "name": "tests",
  "credentials": [{{"accessKey": "{ACCESS_KEY}", "secretKey": "{SECRET_KEY}"}}],
  "actions": ["Admin", "Read", "Write", "List", "Tagging"]
}}]}}"""


def free_ports(count: int) -> list[int]:
    """Ports below those that outgoing connections take, so that they are free after a restart too."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for port in random.sample(range(15_000, 30_000), 2_000):
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise AssertionError("no free ports")


class Gate:
    """A proxy before an S3 server, that answers some requests itself or loses their answers.

    `rules` are asked one after the other, method and path at hand; the first that returns something
    decides: a status and a code to be answered at once, or that the request is passed on, and of the
    answer nothing (LOSE) or only half of the body (CUT) comes back.
    """

    LOSE, CUT = -1, -2

    def __init__(self, behind: str) -> None:
        self.behind = behind.removeprefix("http://")
        self.rules: list[Callable[[str, str], tuple[int, str] | None]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.thread = Thread(target=self.server.serve_forever, args=(0.01,))

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer(self, status: int, code: str, method: str, path: str, times: int = 10**9) -> None:
        """Adds a rule: so many requests with this method and this in their path get this answer."""
        left = itertools.repeat((status, code), times)
        self.rules.append(
            lambda met, at: next(left, None) if met == method and path in at else None
        )

    def decide(self, method: str, path: str) -> tuple[int, str] | None:
        return next(filter(None, (rule(method, path) for rule in self.rules)), None)


def _handler_of(gate: Gate) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, code = gate.decide(self.command, self.path) or (0, "")
            self.close_connection = True
            if status > 0:
                self._send(status, {}, f"<Error><Code>{code}</Code></Error>".encode())
                return
            answered, headers, answer = self._pass_on(body)
            if status != Gate.LOSE:
                self._send(answered, headers, answer, cut=status == Gate.CUT)

        do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815

        def _pass_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = HTTPConnection(gate.behind, timeout=30)
            try:
                headers = {name: value for name, value in self.headers.items() if name != "Expect"}
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                return answer.status, dict(answer.getheaders()), answer.read()
            finally:
                connection.close()

        def _send(
            self, status: int, headers: dict[str, str], body: bytes, *, cut: bool = False
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name not in ("Connection", "Content-Length", "Transfer-Encoding", "Date"):
                    self.send_header(name, value)
            length = headers.get("Content-Length", "0") if self.command == "HEAD" else len(body)
            self.send_header("Content-Length", str(length))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if cut else body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
