"""Packages of a lockfile in a folder of ours, installed there once, without their scripts."""

import fcntl
import hashlib
import platform
import shutil
import subprocess
from pathlib import Path

INSTALL = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
PATIENCE = 600  # seconds


def installed(folder: Path) -> Path:
    """The `node_modules` of a folder as its lockfile wants them; git ignores what is put there."""
    lock = folder / "package-lock.json"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    modules = folder / "node_modules"
    mark = modules / ".installed"
    # Several test processes may want them at once: one installs, the others wait.
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != wanted:
            done = subprocess.run(
                INSTALL, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
            assert done.returncode == 0, f"npm ci in {folder}:\n{done.stdout}{done.stderr}"
            mark.write_text(wanted)
    return modules


def new_node(modules: Path) -> str:
    """A Node that is new enough for today's tools: the one among the packages, else the machine's."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), "")
    packed = modules / f"node-linux-{machine}/bin/node"
    if packed.exists():
        return str(packed)
    found = shutil.which("node")
    assert found, "node is missing: deploy/packages.sh test installs it"
    return found
