"""What a child that reads hostile bytes can no longer do, even if a reader's native code is taken over.

No network, no change to any file, no other program, no look into another process. Four walls of the kernel, each
open to a process without privileges, each standing alone where another is missing: namespaces(7), capabilities(7),
Landlock and a seccomp filter. What was open before stays usable: memory files are read, written and mapped, and
modules can still be imported. Walls stand for the calling thread and its offspring, so `shut` comes before any
other thread.
"""

import contextlib
import ctypes
import errno
import os
import struct
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2
_PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 38, 39
_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000
_CAPABILITY_VERSION = 0x2008_0522
_CAP_DAC_READ_SEARCH = 2  # root may have to read modules that belong to somebody else

# Landlock has the same numbers on every architecture: it came after the tables were joined.
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
_LANDLOCK_VERSION = 1
_EXECUTE, _WRITE = 1 << 0, 1 << 1
_REMOVE_AND_MAKE = 0x1FF0  # bits 4 to 12: directories, files, devices, sockets, pipes, links
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15  # since ABI 2, 3 and 5
_BIND_AND_CONNECT = 0b11  # TCP, since ABI 4
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11  # since ABI 6

_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_TSYNC = 1, 1
_ALLOW, _REFUSE = 0x7FFF_0000, 0x0005_0000 | errno.EPERM
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data, bytes
_X32 = 0x4000_0000  # x86-64's second table of calls, with other numbers
# O_WRONLY, O_RDWR, O_CREAT and O_TRUNC: the same bits on both architectures.
_WRITING = 0o1 | 0o2 | 0o100 | 0o1000

# Calls by (x86-64, aarch64) number; None where an architecture never had one.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # network
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    # other processes and programs
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    # the kernel's doors that have been broken most often
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    # other views of the files
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    # changes to files, for a kernel without Landlock and for what Landlock leaves alone
    "openat2": (437, 437),  # its flags lie in memory, where a filter cannot look
    "creat": (85, None),
    "truncate": (76, 45),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
}
# Calls that are refused when they open for writing: their numbers, and which argument holds the flags.
_OPENING: tuple[tuple[tuple[int | None, int | None], int], ...] = (((2, None), 1), ((257, 56), 2))
_SECCOMP = (317, 277)
_AUDIT_ARCH = (0xC000_003E, 0xC000_00B7)
_MACHINES = {"x86_64": 0, "aarch64": 1}  # to the column of the tables above


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
        "landlock": _forbid_writing,
        "seccomp": _filter_calls,
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


def _forbid_writing(libc: ctypes.CDLL) -> bool:
    version = _call(libc, _LANDLOCK_CREATE, None, 0, _LANDLOCK_VERSION)
    if version < 1:
        return False
    rights = landlock_rights(version)
    ruleset = _call(libc, _LANDLOCK_CREATE, rights, len(rights), 0)
    if ruleset < 0:
        return False
    try:
        return _call(libc, _LANDLOCK_RESTRICT, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def landlock_rights(version: int) -> bytes:
    """`struct landlock_ruleset_attr` of an ABI version: all that changes, runs or connects, and no reading."""
    files = _EXECUTE | _WRITE | _REMOVE_AND_MAKE
    files |= _REFER if version >= 2 else 0
    files |= _TRUNCATE if version >= 3 else 0
    files |= _IOCTL_DEV if version >= 5 else 0
    fields = [files]
    fields += [_BIND_AND_CONNECT] if version >= 4 else []
    fields += [_ABSTRACT_SOCKETS_AND_SIGNALS] if version >= 6 else []
    return struct.pack(f"={len(fields)}Q", *fields)


def _filter_calls(libc: ctypes.CDLL) -> bool:
    machine = os.uname().machine
    # A 32-bit program on a 64-bit kernel has other numbers; so has a big-endian one.
    if machine not in _MACHINES or ctypes.sizeof(ctypes.c_void_p) != 8 or sys.byteorder != "little":
        return False
    program = ctypes.create_string_buffer(seccomp_filter(machine))
    length = (len(program) - 1) // 8  # instructions; ctypes adds a zero byte
    # struct sock_fprog: the count, six bytes of padding, and where the instructions lie.
    handed = struct.pack("@HP", length, ctypes.addressof(program))
    number = _SECCOMP[_MACHINES[machine]]
    return _call(libc, number, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_TSYNC, handed) == 0


def seccomp_filter(machine: str) -> bytes:
    """The filter as classic BPF, 8 bytes an instruction; `machine` is "x86_64" or "aarch64".

    A call of another architecture is refused, then each call of the table, then an opening for writing.
    Whatever is refused fails with EPERM, as it would for want of a permission.
    """
    column = _MACHINES[machine]
    # From the end: the last instruction refuses, and jumps are told how far away it is.
    tail = [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    for numbers, flags in _OPENING:
        if (number := numbers[column]) is None:
            continue
        # Its own answer stands right behind it, for afterwards the call's number is forgotten.
        tail = [
            (_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, _ARGUMENTS + 8 * flags),
            (_ANY_BIT, 0, 1, _WRITING),
            (_RETURN, 0, 0, _REFUSE),
            (_RETURN, 0, 0, _ALLOW),
            *tail,
        ]
    for numbers in _REFUSED.values():
        if (number := numbers[column]) is not None:
            tail = [(_EQUAL, len(tail) - 1, 0, number), *tail]
    head = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, _AUDIT_ARCH[column]),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, len(tail) - 1, 0, _X32),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in [*head, *tail])


def _prctl(libc: ctypes.CDLL, option: int, value: int = 0) -> int:
    zero = ctypes.c_ulong(0)
    return int(libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero))


def _call(libc: ctypes.CDLL, number: int, *arguments: bytes | int | None) -> int:
    """A system call without a function of its own; every argument as wide as a register."""
    libc.syscall.restype = ctypes.c_long
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return int(libc.syscall(ctypes.c_long(number), *wide))
