"""Row `split-60mb`: a 60 MB mail taken apart, its attachments decoded and stored, its texts read.

Ours reads the sealed spool in windows and seals each attachment into the object folder; the peer is
mail-parser on the whole mail, which writes the decoded attachments to plain files. Each side runs in a
process of its own and measures itself.
"""

import base64
import json
import resource
import subprocess
import sys
import tempfile
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

from tests.bench.rows import at_least, below, interleaved
from tests.fakes import ANNA, DOMAIN, KIM

MAIL_ID, KEY = "bench", bytes(32)
MAILS = {"small": (1000, 1000), "large": (30_000_000, 10_000_000, 3_850_000)}


def measure() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder))
        sides = {side: lambda side=side: _run(side, folder) for side in ("ours", "theirs")}
        found = interleaved(sides)
    ours, theirs = found["ours"], found["theirs"]
    return [
        at_least("split-60mb", ours["cpu"], theirs["cpu"], "mail-parser", "s CPU", 7),
        below("split-60mb-memory", ours["memory"], 10, "MB"),
    ]


def mail_of(*sizes: int) -> bytes:
    """Attachments of so many bytes, base64, beside a text in two forms."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = ANNA, f"share@{DOMAIN}", f"{KIM} C-60 large"
    mail["Message-ID"] = "<split@lab.example>"
    mail.set_content("please\n")
    mail.add_alternative("<p>please</p>", subtype="html")
    for number, size in enumerate(sizes, 1):
        data = (bytes(range(256)) * (size // 256 + 1))[:size]
        mail.add_attachment(data, "model", "stl", filename=f"{number}.stl")
    return mail.as_bytes()


def _prepare(folder: Path) -> None:
    from store.blobs.keys import Keys  # noqa: PLC0415 -- the peer's process must not load ours
    from store.blobs.spool import Spool  # noqa: PLC0415

    for name, sizes in MAILS.items():
        data = mail_of(*sizes)
        place = folder / name
        place.mkdir()
        (place / "mail.eml").write_bytes(data)
        writing = Spool(place / "spool", Keys(KEY)).create(MAIL_ID)
        writing.write(data)
        writing.commit()


def _run(side: str, folder: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.split", side, folder]
    output = subprocess.run(command, check=True, capture_output=True).stdout
    found: dict[str, float] = json.loads(output)
    return found


def _ours(folder: Path) -> Any:
    from inbound.mail.opened import OpenedMail  # noqa: PLC0415
    from store.blobs.folder import FolderBlobs  # noqa: PLC0415
    from store.blobs.keys import Keys  # noqa: PLC0415
    from store.blobs.spool import Spool  # noqa: PLC0415
    from store.house import SealedObject  # noqa: PLC0415

    spool, blobs = Spool(folder / "spool", Keys(KEY)), FolderBlobs(folder / "objects")

    def work() -> int:
        size = 0
        with OpenedMail(spool, MAIL_ID) as mail:
            assert mail.contents().text.strip() == "please"
            for file in mail.files():
                target = SealedObject(blobs, KEY, file.name)
                for piece in file.pieces():
                    target.write(piece)
                    size += len(piece)
                target.commit()
        return size

    return work


def _theirs(folder: Path) -> Any:
    import mailparser  # noqa: PLC0415

    def work() -> int:
        size = 0
        mail = mailparser.parse_from_file(str(folder / "mail.eml"))
        assert mail.text_plain[0].strip() == "please"
        for attachment in mail.attachments:
            data = base64.b64decode(attachment["payload"])
            (folder / attachment["filename"]).write_bytes(data)
            size += len(data)
        return size

    return work


def _measured(side: str, folder: Path) -> dict[str, float]:
    work = {"ours": _ours, "theirs": _theirs}[side]
    # A small mail first: whatever a library loads and allocates for good, on both sides.
    work(folder / "small")()
    work = work(folder / "large")
    memory, before = peak_here(anew=True), cpu_here()
    assert work() == sum(MAILS["large"])
    return {"cpu": cpu_here() - before, "memory": (peak_here() - memory) / 1e6}


def cpu_here() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_here(*, anew: bool = False) -> int:
    """The highest memory of this process in bytes, since it began or since it was last asked anew."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    print(json.dumps(_measured(sys.argv[1], Path(sys.argv[2]))))
