"""What a child that reads hostile bytes can no longer do, even if a reader's native code is taken over.

No network, no change to any file, no look at any but its own modules, no other program or process. Four walls of
the kernel, each open to a process without privileges, each standing alone where another is missing: namespaces(7),
capabilities(7), Landlock and a seccomp filter. What was open before stays usable: memory files are read, written
and mapped, and modules can still be imported. Walls stand for the calling thread and its offspring, so `shut`
comes before any other thread.
"""

import contextlib
import ctypes
import struct
import sys
from collections.abc import Callable

from inbound.scans import landlock, seccomp

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2
_PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 38, 39
_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000
_CAPABILITY_VERSION = 0x2008_0522
_CAP_DAC_READ_SEARCH = 2  # root may have to read modules that belong to somebody else


def shut() -> list[str]:
    """Closes the cage around the calling process for good, as far as its kernel permits.

    Returns:
        the measures that hold, of "no new privileges", "network namespace", "capabilities", "landlock" and
        "seccomp". A kernel or a container without one of them gives fewer; nothing is raised.
    """
    if not sys.platform.startswith("linux"):
        return []
    # Each step may need what the next one takes away.
    steps: dict[str, Callable[[ctypes.CDLL], bool]] = {
        "no new privileges": _keep_privileges_low,
        "network namespace": _leave_network,
        "capabilities": _drop_capabilities,
        "landlock": landlock.restrict,
        "seccomp": seccomp.restrict,
    }
    held = []
    libc = ctypes.CDLL(None, use_errno=True)
    for measure, close in steps.items():
        with contextlib.suppress(OSError, AttributeError, ValueError, ctypes.ArgumentError):
            if close(libc):
                held.append(measure)
    return held


def _keep_privileges_low(libc: ctypes.CDLL) -> bool:
    _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1)
    return _prctl(libc, _PR_GET_NO_NEW_PRIVS) == 1


def _leave_network(libc: ctypes.CDLL) -> bool:
    """An empty network: for root by itself, for anybody else inside a user namespace of its own."""
    signal = ctypes.c_int(0)
    libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(signal))
    ways = (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET)
    left = any(libc.unshare(way) == 0 for way in ways)
    # A change of credentials may make the kernel forget that this process ends with its parent.
    _prctl(libc, _PR_SET_PDEATHSIG, signal.value)
    return left


def _drop_capabilities(libc: ctypes.CDLL) -> bool:
    """Gives up what root, or the owner of a new namespace, could do beyond its own files, reading excepted."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0), 8)
    sets = ctypes.create_string_buffer(24)  # effective, permitted, inheritable; the low half first
    if libc.capget(header, sets):
        return False
    kept = struct.unpack_from("=I", sets, 4)[0] & 1 << _CAP_DAC_READ_SEARCH
    struct.pack_into("=6I", sets, 0, kept, kept, 0, 0, 0, 0)
    return bool(libc.capset(header, sets) == 0)


def _prctl(libc: ctypes.CDLL, option: int, value: int = 0) -> int:
    zero = ctypes.c_ulong(0)
    return int(libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero))
