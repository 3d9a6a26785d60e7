"""Objects in an S3: Cloudflare R2, Amazon, or any other. docs/objects.md says how to set one up.

Deleted is what a HEAD no longer finds. What a broken process left half written is no object, but is
kept by the store until `sweep_unfinished`.
"""

from collections.abc import Iterator
from typing import Any, Self

from store.blobs import privacy
from store.blobs.bucket import READING, WRITING, Bucket, Patience, Refused
from store.blobs.place import Place
from store.blobs.upload import Couriers, S3Writing
from store.clock import SECOND, SystemClock
from store.errors import NotFound, SettingsError, TryAgain


class S3Blobs:
    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.place = bucket.place
        self.couriers = Couriers()

    @classmethod
    def open(
        cls,
        url: str,
        access_key: str = "",
        secret_key: str = "",
        reading: Patience = READING,
        writing: Patience = WRITING,
    ) -> Self:
        """Makes ready; nothing is asked of the store yet.

        Args:
            url: as `store.blobs.place` reads it.
            access_key: with `secret_key`, the credentials; empty: boto3 looks in its usual places.
            secret_key: see `access_key`.
            reading: the patience with what a person waits for.
            writing: the patience with all else.

        Raises:
            SettingsError: the URL, or what boto3 is set to, cannot be used.
        """
        try:
            place = Place.of(url)
        except ValueError as error:
            raise SettingsError(f"SCANPOST_BLOBS_URL {error}.") from None
        return cls(Bucket(place, access_key, secret_key, reading, writing))

    def create(self, name: str) -> S3Writing:
        return S3Writing(self.bucket, self.couriers, name)

    def size(self, name: str) -> int:
        head = self.bucket.head(self.bucket.reading, f"reading {name}", self.place.key(name))
        if head is None:
            raise NotFound(f"The object {name} does not exist.")
        return int(head["ContentLength"])

    def read(self, name: str, start: int, end: int) -> bytes:
        key, span = self.place.key(name), f"bytes={start}-{end - 1}"
        if start >= end:  # No range says this; whether the object exists is still asked.
            self.size(name)
            return b""
        try:
            return self.bucket.fetch(self.bucket.reading, f"reading {name}", Key=key, Range=span)
        except Refused as refusal:
            if refusal.status == 416:  # RFC 9110 15.5.17: the object ends before the range begins
                return b""
            if refusal.code == "NoSuchKey":
                raise NotFound(f"The object {name} does not exist.") from None
            raise

    def names(self, prefix: str) -> list[str]:
        below = self.place.keys_below(prefix)
        marks = {"NextContinuationToken": "ContinuationToken"}
        found = self._pages("list_objects_v2", "Contents", below, marks)
        return sorted(self.place.name(each["Key"]) for each in found)

    def delete(self, name: str) -> None:
        key, deed, client = self.place.key(name), f"deleting {name}", self.bucket.writing
        self.bucket.ask(client, deed, "delete_object", Key=key)
        if self.bucket.head(client, deed, key) is not None:
            raise TryAgain(
                f"The object {name} in {self.place} is still there after its deletion. It is deleted"
                " again later; look for a lock or a rule of the bucket that keeps objects."
            )

    def sweep_unfinished(self, older_than_seconds: float) -> int:
        before = SystemClock().now() - older_than_seconds * SECOND
        marks = {"NextKeyMarker": "KeyMarker", "NextUploadIdMarker": "UploadIdMarker"}
        uploads = self._pages(
            "list_multipart_uploads", "Uploads", self.place.keys_below("cases/"), marks
        )
        old = [each for each in uploads if int(each["Initiated"].timestamp() * SECOND) <= before]
        for upload in old:
            self.bucket.drop_upload(self.bucket.writing, upload["Key"], upload["UploadId"])
        return len(old)

    def check(self) -> None:
        privacy.check(self.bucket)

    def close(self) -> None:
        self.bucket.close()
        self.couriers.stop()

    def _pages(
        self, method: str, field: str, prefix: str, marks: dict[str, str]
    ) -> Iterator[dict[str, Any]]:
        """All that a listing lists, page by page; `marks` says what of a page asks for the next."""
        begin: dict[str, str] = {}
        while True:
            page = self.bucket.ask(
                self.bucket.writing, f"listing {prefix}", method, Prefix=prefix, **begin
            )
            yield from page.get(field, [])
            begin = {asked: page[said] for said, asked in marks.items() if page.get(said)}
            if not page.get("IsTruncated") or not begin:
                return
