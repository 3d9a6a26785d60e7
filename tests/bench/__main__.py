"""The speed and memory table: python -m tests.bench [row]; writes build/bench.json."""

import json
import sys
from pathlib import Path

from tests.bench import (
    answer_45mb,
    blobs_45mb,
    contacts,
    dkim,
    first_picture,
    imap,
    page_weight,
    pictures,
    prepare,
    receive,
    serving,
    split,
    weld,
)

ROWS = {
    "answer-45mb": answer_45mb.measure,
    "receive-60mb": receive.measure_large,
    "receive-2000x5kb": receive.measure_small,
    "receive-20x60mb": receive.measure_many,
    "split-60mb": split.measure,
    "imap-60mb": imap.measure,
    "dkim-60mb": dkim.measure,
    "blobs-45mb": blobs_45mb.measure,
    "weld-1m": weld.measure,
    "prepare-300k": prepare.measure,
    "bytes-1m": prepare.measure_bytes,
    "contacts-250k": contacts.measure,
    "picture-2x300k": pictures.measure,
    "first-picture-1m": first_picture.measure,
    "page-memory-3x1m": page_weight.measure,
    "bundle-brotli": page_weight.measure_bundle,
    "serve-mesh": serving.measure,
    "readers-200": serving.measure_readers,
}
OUT = Path("build/bench.json")


def main(only: str | None = None) -> int:
    """Measures all rows, or those whose name begins with `only`; returns 1 if one does not hold."""
    rows = []
    for name, measure in ROWS.items():
        if only is None or name.startswith(only):
            rows += measure()
    for row in rows:
        mark = "holds" if row["holds"] else "FALLS SHORT"
        print(
            f"{row['name']:32} ours {row['ours']:9.2f} {row['unit']:6} "
            f"{row['peer']} {row['theirs']:9.2f} {row['unit']:6} "
            f"{row['ratio']:6.2f}x (reach {row['reach']}) {mark}"
        )
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(rows, indent=1) + "\n")
    return 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
