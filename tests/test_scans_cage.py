"""The cage, tried from inside: each test forks a child, shuts the cage around it and lets it try."""

import ctypes
import errno
import faulthandler
import fcntl
import importlib
import mmap
import os
import pickle
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inbound.scans import cage, landlock, seccomp

ROOT = Path(__file__).parent.parent
MEASURES = ["no new privileges", "network namespace", "capabilities", "landlock", "seccomp"]


def caged(work: Callable[[], Any]) -> Any:
    """What `work` gives or raises inside the cage, as (measures, result or OSError)."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            measures = cage.shut()
            try:
                result = work()
            except OSError as error:
                result = error
            os.write(writer, pickle.dumps((measures, result)))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(answer)


def measures_here() -> list[str]:
    return caged(lambda: None)[0]


HERE = measures_here()
needs_filter = pytest.mark.skipif("seccomp" not in HERE, reason="no seccomp filters here")
needs_landlock = pytest.mark.skipif("landlock" not in HERE, reason="no Landlock here")
needs_a_wall = pytest.mark.skipif(
    not {"seccomp", "landlock"} & set(HERE), reason="neither Landlock nor seccomp here"
)


def refused(work: Callable[[], Any]) -> bool:
    _, result = caged(work)
    return isinstance(result, OSError) and result.errno in {errno.EPERM, errno.EACCES}


def test_measures_are_named_in_the_order_in_which_they_are_taken() -> None:
    assert [measure for measure in MEASURES if measure in HERE] == HERE
    assert "no new privileges" in HERE


@needs_filter
@pytest.mark.parametrize(
    ("family", "kind"),
    [
        (socket.AF_INET, socket.SOCK_STREAM),
        (socket.AF_INET6, socket.SOCK_DGRAM),
        (socket.AF_UNIX, socket.SOCK_STREAM),
        (socket.AF_NETLINK, socket.SOCK_RAW),
    ],
)
def test_no_socket_is_made(family: int, kind: int) -> None:
    assert refused(lambda: socket.socket(family, kind))


@needs_filter
def test_a_socket_from_before_connects_and_binds_nowhere() -> None:
    with socket.socket() as listening, socket.socket() as old:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        assert refused(lambda: old.connect(listening.getsockname()))
        assert refused(lambda: old.bind(("127.0.0.1", 0)))


@needs_a_wall
def test_no_file_is_made_changed_or_removed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("as it was")
    for attempt in (
        lambda: (tmp_path / "new").write_text("x"),
        lambda: kept.write_text("x"),
        lambda: kept.open("a"),
        lambda: kept.open("r+"),
        lambda: os.truncate(kept, 0),
        kept.unlink,
        lambda: kept.rename(tmp_path / "moved"),
        (tmp_path / "folder").mkdir,
        lambda: (tmp_path / "link").symlink_to("/etc"),
        lambda: os.link(kept, tmp_path / "link"),
        lambda: os.mkfifo(tmp_path / "pipe"),
        lambda: os.open(tmp_path, os.O_TMPFILE | os.O_RDWR),
        tmp_path.rmdir,
    ):
        assert refused(attempt)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert kept.read_text() == "as it was"


@needs_filter
def test_no_file_changes_its_rights_or_times(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.touch(0o600)
    assert refused(lambda: kept.chmod(0o777))
    assert refused(lambda: os.utime(kept, (0, 0)))
    assert kept.stat().st_mode & 0o777 == 0o600


@needs_a_wall
def test_no_program_is_started() -> None:
    assert refused(lambda: os.execv("/bin/true", ["true"]))
    assert refused(lambda: subprocess.run(["/bin/true"], check=True))


@needs_landlock
def test_the_parents_memory_and_environment_stay_closed() -> None:
    parent = os.getpid()
    assert refused(lambda: Path(f"/proc/{parent}/mem").read_bytes())
    assert refused(lambda: Path(f"/proc/{parent}/environ").read_bytes())


@needs_filter
@pytest.mark.skipif(sys.maxsize < 2**32, reason="numbers of 64-bit calls")
def test_rare_calls_fail_and_do_not_kill() -> None:
    column = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
    numbers = {name: pair[column] for name, pair in seccomp._REFUSED.items()}

    def attempt() -> dict[str, int]:
        libc = ctypes.CDLL(None, use_errno=True)
        answers = {}
        for name, number in numbers.items():
            if number is not None:
                zero = ctypes.c_long(0)
                ctypes.set_errno(0)
                libc.syscall(ctypes.c_long(number), zero, zero, zero, zero, zero)
                answers[name] = ctypes.get_errno()
        return answers

    _, answers = caged(attempt)
    assert set(answers.values()) == {errno.EPERM}
    assert {"socket", "connect", "bind", "ptrace", "execve", "execveat", "bpf", "keyctl"} <= set(
        answers
    )


@needs_filter
def test_calls_under_foreign_numbers_are_refused() -> None:
    def attempt() -> int:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall(ctypes.c_long(0x4000_0000 + 41), *[ctypes.c_long(0)] * 3)
        return ctypes.get_errno()

    assert caged(attempt)[1] == errno.EPERM


def test_memory_files_are_read_mapped_written_and_grown() -> None:
    given, result = os.memfd_create("given"), os.memfd_create("result")
    os.write(given, b"a scan")

    def work() -> bytes:
        with mmap.mmap(given, 0, access=mmap.ACCESS_READ) as mapped:
            data = bytes(mapped)
        os.ftruncate(result, 4096)
        with mmap.mmap(result, 4096) as mapped:
            mapped[4090:] = data
        with open(result, "r+b", buffering=0, closefd=False) as file:
            file.write(data.upper())
        return data

    assert caged(work)[1] == b"a scan"
    assert os.fstat(result).st_size == 4096
    assert os.pread(result, 6, 0) == b"A SCAN"
    assert os.pread(result, 6, 4090) == b"a scan"
    os.close(given)
    os.close(result)


def test_modules_are_imported_and_threads_run() -> None:
    name = "wave"
    assert name not in sys.modules

    def work() -> tuple[str, list[int]]:
        module = __import__(name)
        done: list[int] = []
        thread = threading.Thread(target=done.append, args=(1,))
        thread.start()
        thread.join()
        return module.__name__, done

    assert caged(work)[1] == (name, [1])


def test_a_module_with_native_code_is_imported() -> None:
    def work() -> float:
        from numpy import fft, random  # noqa: PLC0415 -- the point of the test

        assert random.default_rng(1).random() < 1
        return float(np.abs(fft.fft(np.ones(64)) @ np.eye(64)).sum())

    assert caged(work)[1] == 64.0


def test_the_child_still_ends_with_its_parent() -> None:
    def work() -> int:
        signal = ctypes.c_int(0)
        ctypes.CDLL(None).prctl(2, ctypes.byref(signal))
        return signal.value

    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        ctypes.CDLL(None).prctl(1, 9)
        cage.shut()
        os.write(writer, bytes([work()]))
        os._exit(0)
    assert os.read(reader, 1) == bytes([9])
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)


def test_nothing_is_raised_when_it_is_shut_twice() -> None:
    _, again = caged(cage.shut)
    assert "no new privileges" in again


def test_shutting_costs_less_than_five_milliseconds() -> None:
    program = """
import inbound.scans.nursery, os, time
from inbound.scans import cage
for _ in range(5):
    if not os.fork():
        before = time.process_time()
        cage.shut()
        print(time.process_time() - before, flush=True)
        os._exit(0)
    os.wait()
"""
    told = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
    )
    costs = [float(line) for line in told.stdout.split()]
    assert len(costs) == 5
    assert min(costs) < 0.005


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_somebody_without_privileges_gets_the_same_walls() -> None:
    def work() -> Any:
        os.setgid(65534)
        os.setuid(65534)
        measures = cage.shut()
        try:
            socket.socket()
        except PermissionError:
            return measures
        return []

    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, pickle.dumps(work()))
        os._exit(0)
    os.waitpid(child, 0)
    measures = pickle.loads(os.read(reader, 4096))
    os.close(reader)
    os.close(writer)
    assert set(measures) >= set(HERE) - {"network namespace"}  # some kernels keep it for root


@pytest.mark.parametrize(
    ("version", "size", "rights"),
    [
        (1, 8, 0x1FFF),
        (2, 8, 0x3FFF),
        (3, 8, 0x7FFF),
        (4, 16, 0x7FFF),
        (5, 16, 0xFFFF),
        (7, 24, 0xFFFF),
    ],
)
def test_landlock_is_asked_for_what_its_version_knows(version: int, size: int, rights: int) -> None:
    fields = landlock.rights(version)
    assert len(fields) == size
    assert struct.unpack_from("=Q", fields)[0] == rights


@pytest.mark.parametrize(
    ("machine", "arch", "calls"),
    [
        ("x86_64", 0xC000003E, {"socket": 41, "execve": 59, "unlink": 87, "read": 0, "mmap": 9}),
        (
            "aarch64",
            0xC00000B7,
            {"socket": 198, "execve": 221, "unlink": 35, "read": 63, "mmap": 222},
        ),
    ],
)
def test_the_filter_of_both_architectures(machine: str, arch: int, calls: dict[str, int]) -> None:
    program = seccomp.program(machine, 4711)
    opening, flags_at = {"x86_64": (257, 2), "aarch64": (56, 2)}[machine]
    for name, number in calls.items():
        assert verdict(program, number, arch) == ("allow" if name in {"read", "mmap"} else "refuse")
    reading, writing = [0, 0, os.O_RDONLY | os.O_CLOEXEC], [0, 0, os.O_WRONLY]
    assert flags_at == 2
    assert verdict(program, opening, arch, reading) == "allow"
    assert verdict(program, opening, arch, writing) == "refuse"
    assert verdict(program, opening, arch, [0, 0, os.O_CREAT]) == "refuse"
    assert verdict(program, calls["read"], 0x40000003) == "refuse"  # a 32-bit program
    assert verdict(program, 0x40000000 + calls["read"], arch) == "refuse"


def verdict(program: bytes, number: int, arch: int, arguments: list[int] | None = None) -> str:
    """What the kernel would make of the filter: classic BPF, the five instructions that are used."""
    call = struct.pack("=IIQ6Q", number, arch, 0, *([*(arguments or []), 0, 0, 0, 0, 0, 0][:6]))
    rows = list(struct.iter_unpack("=HBBI", program))
    at, loaded = 0, 0
    while True:
        code, yes, no, value = rows[at]
        at += 1
        if code == 0x20:
            loaded = struct.unpack_from("=I", call, value)[0]
        elif code == 0x06:
            return {0x7FFF0000: "allow", 0x00050001: "refuse", 0x00050026: "unknown"}[value]
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
            at += yes if holds else no


@pytest.mark.parametrize("wall", [landlock, seccomp])
def test_each_wall_alone_keeps_files_as_they_are(
    wall: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = wall.__name__.rpartition(".")[2]
    if name not in HERE:
        pytest.skip(f"no {name} here")
    for other in {landlock, seccomp} - {wall}:
        monkeypatch.setattr(other, "restrict", lambda _: False)
    kept = tmp_path / "kept"
    kept.write_text("as it was")
    assert name in caged(lambda: None)[0]
    for attempt in (
        lambda: kept.write_text("x"),
        (tmp_path / "new").touch,
        lambda: os.truncate(kept, 0),
        kept.unlink,
        lambda: kept.rename(tmp_path / "moved"),
        lambda: os.execv("/bin/true", ["true"]),
    ):
        assert refused(attempt)
    assert kept.read_text() == "as it was"


@needs_landlock
def test_secrets_of_the_same_user_are_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "master.key"
    secret.write_bytes(b"the key to everything")
    secret.chmod(0o600)
    (tmp_path / "link").symlink_to(secret)
    assert secret in tmp_path.iterdir()
    for attempt in (
        secret.read_bytes,
        (tmp_path / "link").read_bytes,
        lambda: Path(f"/proc/self/root/{secret}").read_bytes(),
        lambda: Path(f"/proc/self/cwd/{os.path.relpath(secret)}").read_bytes(),
        lambda: next(tmp_path.iterdir()),
        lambda: next(Path("/").iterdir()),
        Path("/etc/passwd").read_bytes,
        Path(__file__).read_bytes,
    ):
        assert refused(attempt)


@needs_landlock
def test_a_data_folder_beside_the_packages_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, data = tmp_path / "jawbone", tmp_path / "scanpost-data"
    package.mkdir()
    data.mkdir()
    (package / "__init__.py").touch()
    (package / "lazily.py").write_text("FOUND = 32")
    (data / "master.key").write_text("the key to everything")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("jawbone")
    assert caged(lambda: importlib.import_module("jawbone.lazily").FOUND)[1] == 32
    assert refused((data / "master.key").read_bytes)
    del sys.modules["jawbone"]


LAZY = [
    "fast_simplification",
    "trimesh",
    "trimesh.exchange.load",
    "scipy.spatial",
    "scipy.sparse",
    "scipy.sparse.linalg",
    "scipy.linalg",
    "scipy.optimize",
    "pypdf",
    "pypdf.generic",
    "pydicom",
    "pydicom.filereader",
    "pydicom._dicom_dict",
    "PIL.Image",
    "PIL.ImageCms",
    "inbound.scans.jobs",
]


@pytest.mark.parametrize("child", [sys.executable, "fork"])
def test_what_is_imported_lazily_is_still_imported(child: str) -> None:
    if child == "fork":  # a child of this process, which has imported who knows what
        assert caged(lambda: [importlib.import_module(name).__name__ for name in LAZY])[1] == LAZY
        return
    program = f"""
import importlib, inbound, store
from inbound.scans import cage
print(cage.shut())
for name in {LAZY}:
    importlib.import_module(name)
from PIL import Image, ImageFont
import io, numpy, scipy.linalg
for kind in ("PNG", "JPEG", "WEBP", "JPEG2000"):
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, kind)
    Image.open(io.BytesIO(out.getvalue())).load()
ImageFont.load_default()
print(scipy.linalg.inv(numpy.eye(3)).sum())
"""
    told = subprocess.run(
        [child, "-c", program], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == [str(HERE), "3.0"]


@needs_filter
def test_no_process_is_started() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    fork = {"x86_64": 57, "aarch64": None}[os.uname().machine]
    assert refused(os.fork)
    assert refused(lambda: os.posix_spawn("/bin/true", ["true"], {}))
    assert caged(lambda: [libc.syscall(ctypes.c_long(435), 0, 0), ctypes.get_errno()])[1] == [
        -1,
        errno.ENOSYS,
    ]
    if fork:
        assert caged(lambda: [libc.syscall(ctypes.c_long(fork)), ctypes.get_errno()])[1] == [
            -1,
            errno.EPERM,
        ]


@needs_filter
def test_signals_and_limits_reach_nobody_else() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as other:
        for attempt in (
            lambda: os.kill(other.pid, signal.SIGTERM),
            lambda: os.kill(other.pid, 0),
            lambda: os.kill(os.getppid(), 0),
            lambda: os.kill(0, signal.SIGTERM),
            lambda: os.kill(-1, signal.SIGTERM),
            lambda: os.pidfd_open(other.pid),
            lambda: signal.pidfd_send_signal(os.pidfd_open(os.getpid()), 0),
            lambda: resource.prlimit(other.pid, resource.RLIMIT_NOFILE, (8, 8)),
            lambda: resource.prlimit(other.pid, resource.RLIMIT_NOFILE),
            lambda: fcntl.fcntl(0, fcntl.F_SETOWN, other.pid),
        ):
            assert refused(attempt)
        assert other.poll() is None
        other.kill()
    limit = caged(lambda: resource.prlimit(0, resource.RLIMIT_NOFILE))[1]
    assert limit == resource.getrlimit(resource.RLIMIT_NOFILE)


def ended(work: Callable[[], object]) -> int:
    """By which signal a caged child ends that does this."""
    child = os.fork()
    if not child:
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        cage.shut()
        work()
        os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


def _worked() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1, resource.RLIM_INFINITY))
    while True:
        pass


def _in_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.mark.parametrize(
    ("work", "number"),
    [
        (os.abort, signal.SIGABRT),
        (lambda: _in_thread(os.abort), signal.SIGABRT),
        (lambda: ctypes.string_at(0), signal.SIGSEGV),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), signal.SIGKILL),
        (lambda: signal.raise_signal(signal.SIGTERM), signal.SIGTERM),
        (_worked, signal.SIGXCPU),
    ],
)
def test_the_child_itself_still_ends_as_it_should(
    work: Callable[[], object], number: signal.Signals
) -> None:
    assert ended(work) == number


def test_linear_algebra_runs_in_threads() -> None:
    program = """
import inbound.scans.cage as cage, threading
cage.shut()
import numpy, os, scipy.linalg
one = numpy.random.default_rng(1).random((400, 400))
assert numpy.isfinite(one @ one).all()
assert abs(scipy.linalg.inv(one) @ one - numpy.eye(400)).max() < 1e-6
print(len(os.listdir("/proc/self/task")))
"""
    told = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "3"},
    )
    assert told.returncode == 0, told.stderr
    assert int(told.stdout) >= 3


@pytest.mark.parametrize(
    ("machine", "arch", "clone", "kill", "tgkill", "prlimit", "fcntl_"),
    [
        ("x86_64", 0xC000003E, 56, 62, 234, 302, 72),
        ("aarch64", 0xC00000B7, 220, 129, 131, 261, 25),
    ],
)
def test_what_calls_are_asked_decides(
    machine: str, arch: int, clone: int, kill: int, tgkill: int, prlimit: int, fcntl_: int
) -> None:
    program = seccomp.program(machine, 4711)
    for number, arguments, expected in (
        (clone, [0x3D0F00], "allow"),  # a thread, as the C library starts it
        (clone, [signal.SIGCHLD], "refuse"),
        (clone, [0x4100 | signal.SIGCHLD], "refuse"),  # vfork
        (435, [0, 0], "unknown"),
        (kill, [4711, 9], "allow"),
        (kill, [4712, 9], "refuse"),
        (kill, [2**64 - 4711, 9], "refuse"),
        (tgkill, [4711, 4713, 6], "allow"),
        (tgkill, [1, 1, 6], "refuse"),
        (prlimit, [0, 7], "allow"),
        (prlimit, [1, 7], "refuse"),
        (fcntl_, [3, fcntl.F_GETFL], "allow"),
        (fcntl_, [3, fcntl.F_DUPFD_CLOEXEC], "allow"),
        (fcntl_, [3, fcntl.F_SETOWN, 1], "refuse"),
        (fcntl_, [3, 10, 9], "refuse"),
        (fcntl_, [3, 15, 0], "refuse"),
    ):
        assert verdict(program, number, arch, arguments) == expected
