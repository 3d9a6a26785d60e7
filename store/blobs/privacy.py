"""What is looked at before anything is put into a bucket: may we, may others, is deleted deleted."""

from io import BytesIO
from typing import Any

import structlog

from store.blobs.bucket import Bucket, Refused
from store.errors import SettingsError, Unreachable
from store.tokens import new_id

log = structlog.get_logger()
PROBE = "check"  # how the name of an object begins that is there for the time of the check


def check(bucket: Bucket) -> None:
    """Tries what will be needed; a store that does not answer is only logged.

    Raises:
        SettingsError: there is no such bucket, or it refuses us, or it lets others read, or it keeps
            what is deleted.
    """
    try:
        _can_be_listed(bucket)
        _forgets_what_is_deleted(bucket)
        _can_be_written_and_is_private(bucket)
    except Unreachable as outage:
        log.warning("objects cannot be reached, nothing was checked", problem=str(outage))
    except Refused as refusal:
        raise SettingsError(
            f"The object store {bucket.place} refuses what scanpost needs ({refusal.code}). Check"
            " SCANPOST_S3_ACCESS_KEY and SCANPOST_S3_SECRET_KEY, and that they may read, write, list"
            " and delete objects in this bucket."
        ) from None


def _can_be_listed(bucket: Bucket) -> None:
    try:
        prefix = bucket.place.prefix
        bucket.ask(bucket.reading, "listing", "list_objects_v2", Prefix=prefix, MaxKeys=1)
    except Refused as refusal:
        if refusal.code != "NoSuchBucket":
            raise
        raise SettingsError(
            f"There is no bucket {bucket.place}. Make it, and keep it private, or correct"
            " SCANPOST_BLOBS_URL."
        ) from None


def _forgets_what_is_deleted(bucket: Bucket) -> None:
    try:
        answer = bucket.ask(bucket.reading, "saying whether it versions", "get_bucket_versioning")
    except Refused as refusal:
        # R2 has no versions and says NotImplemented; a narrow key may not ask.
        log.info("bucket does not say whether it keeps versions", code=refusal.code)
        return
    if answer.get("Status") == "Enabled":
        raise SettingsError(
            f"The bucket {bucket.place} keeps versions: scans would stay in it after their deletion."
            " Take a bucket without versioning."
        )


def _can_be_written_and_is_private(bucket: Bucket) -> None:
    place = {"Key": bucket.place.key(f"{PROBE}-{new_id()}")}
    body = BytesIO(b"scanpost")
    bucket.ask(bucket.reading, "writing a test object", "put_object", Body=body, **place)
    try:
        bucket.fetch(bucket.reading, "reading a test object", **place)
        if _others_can(bucket, "list_objects_v2", Prefix=bucket.place.prefix, MaxKeys=1) or (
            _others_can(bucket, "head_object", **place)
        ):
            raise SettingsError(
                f"The bucket {bucket.place} can be read without credentials. Make it private."
            )
    finally:
        bucket.ask(bucket.reading, "deleting a test object", "delete_object", **place)


def _others_can(bucket: Bucket, method: str, **params: Any) -> bool:
    try:
        bucket.ask(bucket.unsigned, "letting others read", method, **params)
    except Refused:
        return False
    return True
