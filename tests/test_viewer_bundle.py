"""The committed bundle is what its sources make, small, and carries the licences of what is in it."""

import gzip
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from viewer.templates import BUNDLE, STATIC

WEB = STATIC.parent / "web"
LARGEST = 180_000  # bytes of script and style on the wire, brotli
INFLATE = (
    "process.stdout.write(require('zlib').brotliDecompressSync(require('fs').readFileSync(0)))"
)


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The static folder of a fresh build in a copy of the sources: what CI of a clean clone makes."""
    npm = shutil.which("npm")
    assert npm, "npm is missing: deploy/packages.sh test installs it"
    web = tmp_path_factory.mktemp("bundle") / "web"
    shutil.copytree(WEB, web, ignore=shutil.ignore_patterns("node_modules"))
    commands = [
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"],
        ["run", "check"],
        ["run", "build"],
    ]
    for command in commands:
        done = subprocess.run(  # its output is told below
            [npm, *command], cwd=web, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"npm {command}:\n{done.stdout}{done.stderr}"
    return web.parent / "static"


def inflated_brotli(path: Path) -> bytes:
    node = shutil.which("node")
    assert node
    done = subprocess.run(
        [node, "-e", INFLATE], input=path.read_bytes(), capture_output=True, check=True
    )
    return done.stdout


def inflated_gzip(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def test_the_committed_bundle_is_what_the_sources_make(rebuilt: Path) -> None:
    assert sorted(path.name for path in rebuilt.iterdir()) == sorted(
        path.name for path in STATIC.iterdir()
    )
    plain = [path for path in sorted(rebuilt.iterdir()) if path.suffix not in (".br", ".gz")]
    assert len(plain) == 7, "three scripts, style, licences, words, list"
    for path in plain:
        same = path.read_bytes() == (STATIC / path.name).read_bytes()
        assert same, f"{path.name} differs from its sources: run `make web` and commit the result"


# Another zlib packs the same bytes otherwise, so the packed files are compared by what is in them.
@pytest.mark.parametrize(
    ("suffix", "inflate"),
    [(".br", inflated_brotli), (".gz", inflated_gzip)],
    ids=["brotli", "gzip"],
)
def test_compressed_twins_hold_the_same_bytes(
    suffix: str, inflate: Callable[[Path], bytes]
) -> None:
    for built in BUNDLE["outputs"].values():
        twin = inflate(STATIC / f"{built['file']}{suffix}")
        assert twin == (STATIC / built["file"]).read_bytes()


def test_each_file_is_named_by_its_hash() -> None:
    assert set(BUNDLE["outputs"]) == {"app.js", "app.css", "upload.js", "worker.js"}
    for built in BUNDLE["outputs"].values():
        sha256 = hashlib.sha256((STATIC / built["file"]).read_bytes()).hexdigest()
        assert built["sha256"] == sha256
        assert built["file"].split(".")[1] == sha256[:10]


def test_the_page_needs_at_most_180_kb_of_script_and_style() -> None:
    packed = [
        (STATIC / f"{built['file']}.br").stat().st_size for built in BUNDLE["outputs"].values()
    ]
    assert sum(packed) <= LARGEST


def test_every_package_in_the_bundle_is_named_with_its_licence_and_as_the_lockfile_has_it() -> None:
    licences = (STATIC / "THIRD_PARTY_LICENSES.txt").read_text()
    lock = json.loads((WEB / "package-lock.json").read_text())["packages"]
    assert [package["name"] for package in BUNDLE["packages"]] == ["three"]
    for package in BUNDLE["packages"]:
        locked = lock[f"node_modules/{package['name']}"]
        assert package["integrity"] == locked["integrity"]
        assert package["version"] == locked["version"]
        assert f"{package['name']} {package['version']} ({package['license']})" in licences
    assert "Permission is hereby granted" in licences
    script = (STATIC / BUNDLE["outputs"]["app.js"]["file"]).read_text()
    assert "THIRD_PARTY_LICENSES.txt" in script[:100]


def test_the_lockfile_names_no_registry_and_pins_every_package() -> None:
    text = (WEB / "package-lock.json").read_text()
    assert '"resolved"' not in text
    for name, package in json.loads(text)["packages"].items():
        assert not name or package["integrity"].startswith("sha512-"), name
    wanted = json.loads((WEB / "package.json").read_text())
    for versions in (wanted["dependencies"], wanted["devDependencies"]):
        assert all(version[0].isdigit() for version in versions.values()), versions


def test_nothing_in_the_bundle_reaches_for_another_origin() -> None:
    style = (STATIC / BUNDLE["outputs"]["app.css"]["file"]).read_text()
    assert "url(" not in style
    assert "@import" not in style
