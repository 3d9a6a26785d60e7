"""Row `blobs-45mb`: three attachments of 15 MB into an S3, sealed on their way.

Ours is the product's way: pieces as they come out of a mail, sealed, in parts, committed. The peer is
boto3's `upload_file` of the same bytes, unsealed, from files that lie ready. Both use clients of the
same settings and the same SeaweedFS on loopback.
"""

import os
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from store.blobs.s3 import S3Blobs
from store.house import SealedObject
from tests.bench.rows import interleaved
from tests.seaweed import ACCESS_KEY, SECRET_KEY, Seaweed

RUNS = 9  # each takes a fifth of a second
FILES, SIZE, PIECE = 3, 15_000_000, 256 * 1024
REACH = 0.8


def measure() -> list[dict[str, Any]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Seaweed(Path(folder) / "seaweed") as server,
        closing(S3Blobs.open(server.url(), ACCESS_KEY, SECRET_KEY)) as blobs,
    ):
        paths = [Path(folder) / f"{number}.stl" for number in range(FILES)]
        for path in paths:
            path.write_bytes(os.urandom(SIZE))
        sides = {"ours": lambda: _ours(blobs, paths), "theirs": lambda: _theirs(blobs, paths)}
        found = interleaved(sides, RUNS)
    ours, theirs = found["ours"]["MB/s"], found["theirs"]["MB/s"]
    ratio = ours / theirs
    row = {
        "name": "blobs-45mb",
        "ours": round(ours, 1),
        "theirs": round(theirs, 1),
        "peer": "boto3 upload_file",
        "unit": "MB/s",
        "ratio": round(ratio, 2),
        "reach": f">= {REACH:g}x",
        "holds": ratio >= REACH,
    }
    return [row]


def _ours(blobs: S3Blobs, paths: list[Path]) -> dict[str, float]:
    started = time.perf_counter()
    for path in paths:
        target = SealedObject(blobs, bytes(32), f"ours/{path.name}")
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                target.write(piece)
        target.commit()
    return _rate(started)


def _theirs(blobs: S3Blobs, paths: list[Path]) -> dict[str, float]:
    s3, place = blobs.bucket.writing.s3, blobs.place
    started = time.perf_counter()
    for path in paths:
        s3.upload_file(str(path), place.bucket, place.key(f"theirs/{path.name}"))
    return _rate(started)


def _rate(started: float) -> dict[str, float]:
    return {"MB/s": FILES * SIZE / 1e6 / (time.perf_counter() - started)}
