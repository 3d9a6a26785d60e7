"""An object on its way into an S3, in parts of one size, as R2 wants them.

While one part is being filled, others travel: three of an object and six of all at most, so that the
memory for it is bounded. Nothing lies on the local disk.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from io import BytesIO
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from threading import BoundedSemaphore
from typing import Any, ParamSpec, TypeVar

import structlog

from store.blobs.bucket import Bucket, Refused
from store.errors import Stopping, TryAgain
from store.tokens import new_id

PART = 8 << 20
PARTS_OF_ONE = 3
PARTS_OF_ALL = 6
_TYPE = "application/octet-stream"

P = ParamSpec("P")
R = TypeVar("R")
log = structlog.get_logger()


class S3Writing:
    """An object on its way: one request if it fits into a part, else a multipart upload.

    A part is a map of memory of its own: no copy is made of it, and what it took goes back to the
    system when it has arrived.
    """

    def __init__(self, bucket: Bucket, couriers: "Couriers", name: str) -> None:
        self.bucket = bucket
        self.couriers = couriers
        self.key = bucket.place.key(name)
        self.deed = f"writing {name}"
        self.mark = new_id()
        self.upload = ""
        self.part: mmap | None = None  # the one that is being filled
        self.filled = 0
        self.under_way: deque[Future[str]] = deque()
        self.arrived: list[str] = []  # the ETags of the parts before those

    def write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            # A full part waits until more comes: the last one is never empty.
            if self.filled == PART:
                self._send_part()
            self.part = self.part or mmap(-1, PART, flags=MAP_PRIVATE | MAP_ANONYMOUS)
            taken = min(len(rest), PART - self.filled)
            self.part[self.filled : self.filled + taken] = rest[:taken]
            self.filled += taken
            rest = rest[taken:]

    def commit(self) -> None:
        if self.upload:
            self._send_part()
            while self.under_way:
                self._take_in()
            self._complete()
            self.upload = ""
        else:
            self._ask("put_object", Body=self._cut(), ContentType=_TYPE)
            self.part = None

    def abort(self) -> None:
        self.part = None
        if not self.upload:
            return
        for part in self.under_way:
            part.cancel()
        wait(self.under_way)
        try:  # Briefly: an error is on its way to somebody, and the sweep ends what is left.
            self.bucket.drop_upload(self.bucket.reading, self.key, self.upload)
        except TryAgain as trouble:
            log.warning("unfinished upload left to the sweep", problem=str(trouble))
        self.upload = ""

    def _send_part(self) -> None:
        if not self.upload:
            begun = self._ask(
                "create_multipart_upload", ContentType=_TYPE, Metadata={"upload": self.mark}
            )
            self.upload = begun["UploadId"]
        while len(self.under_way) >= PARTS_OF_ONE:
            self._take_in()
        number = len(self.arrived) + len(self.under_way) + 1
        self.under_way.append(self.couriers.start(self._upload_part, number, self._cut()))
        self.part, self.filled = None, 0

    def _cut(self) -> mmap | BytesIO:
        """The part as far as it is filled."""
        if self.part is None:
            return BytesIO()
        if self.filled < len(self.part):
            self.part.resize(self.filled)
        return self.part

    def _upload_part(self, number: int, part: mmap | BytesIO) -> str:
        with part:
            sent = self._ask("upload_part", UploadId=self.upload, PartNumber=number, Body=part)
            return str(sent["ETag"])

    def _take_in(self) -> None:
        """Waits for the oldest part; one that has failed stays there, and fails every commit."""
        self.arrived.append(self.under_way[0].result())
        self.under_way.popleft()

    def _complete(self) -> None:
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(self.arrived, 1)]
        try:
            self._ask(
                "complete_multipart_upload",
                UploadId=self.upload,
                MultipartUpload={"Parts": parts},
            )
        except Refused as refusal:
            # Done before, and only the answer was lost?
            if refusal.code != "NoSuchUpload" or not self._has_appeared():
                raise

    def _has_appeared(self) -> bool:
        head = self.bucket.head(self.bucket.writing, self.deed, self.key)
        return head is not None and head.get("Metadata", {}).get("upload") == self.mark

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        return self.bucket.ask(self.bucket.writing, self.deed, method, Key=self.key, **params)


class Couriers:
    """The threads that carry parts, and the room there is for parts."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(PARTS_OF_ALL, thread_name_prefix="scanpost-s3")
        self.room = BoundedSemaphore(PARTS_OF_ALL)

    def start(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> "Future[R]":
        """Has a thread do the work, as soon as there is room for one more part."""
        self.room.acquire()
        try:
            future = self.pool.submit(work, *args, **kwargs)
        except RuntimeError:  # stopped meanwhile
            self.room.release()
            raise Stopping("The server is stopping.") from None
        future.add_done_callback(lambda _: self.room.release())
        return future

    def stop(self) -> None:
        self.pool.shutdown()
