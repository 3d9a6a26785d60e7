"""The calls that a caged child may no longer make: a seccomp filter over them (seccomp(2)).

What is refused fails with EPERM, as it would for want of a permission, and nothing is killed: libraries try rare
calls and go on without them. Threads may be started, processes may not; signals go nowhere but home, so that
abort() still ends the child.
"""

import ctypes
import errno
import os
import struct
import sys
from dataclasses import dataclass

from inbound.scans.kernel import call

Numbers = tuple[int | None, int | None]  # on x86-64 and aarch64; None where it never had the call
Instruction = tuple[int, int, int, int]  # operation, steps ahead if true and if false, value

_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_ALLOW, _REFUSE, _UNKNOWN = 0x7FFF_0000, 0x0005_0000 | errno.EPERM, 0x0005_0000 | errno.ENOSYS
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data, bytes
_X32 = 0x4000_0000  # x86-64's second table of calls, with other numbers
# O_WRONLY, O_RDWR, O_CREAT and O_TRUNC: the same bits on both architectures.
_WRITING = 0o1 | 0o2 | 0o100 | 0o1000
_THREAD = 0x0001_0000  # CLONE_THREAD
_SEND_SIGNALS = (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX: to anybody, when a pipe has news

# Calls by (x86-64, aarch64) number; None where an architecture never had one.
_REFUSED: dict[str, Numbers] = {
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
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "fork": (57, None),
    "vfork": (58, None),
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
# Its flags lie in memory, where a filter cannot look; told that it is unknown, the C library takes `clone`.
_CLONE3 = 435
_SECCOMP = (317, 277)
_AUDIT_ARCH = (0xC000_003E, 0xC000_00B7)
_MACHINES = {"x86_64": 0, "aarch64": 1}  # to the column of the tables above


@dataclass(frozen=True)
class _Condition:
    """A call whose answer hangs on the lower half of one argument, which is all that the kernel reads of it.

    Attributes:
        argument: counted from 0.
        test: `_EQUAL` or `_ANY_BIT`.
        values: if any of them holds, the answer is `then`, else `otherwise`.
    """

    numbers: Numbers
    argument: int
    test: int
    values: tuple[int, ...]
    then: int
    otherwise: int

    def instructions(self, column: int) -> list[Instruction]:
        """Ends in an answer of its own, for afterwards the call's number is forgotten."""
        number, several = self.numbers[column], len(self.values)
        if number is None:
            return []
        return [
            (_EQUAL, 0, several + 3, number),
            (_LOAD, 0, 0, _ARGUMENTS + 8 * self.argument),
            *[(self.test, several - at, 0, value) for at, value in enumerate(self.values)],
            (_RETURN, 0, 0, self.otherwise),
            (_RETURN, 0, 0, self.then),
        ]


def restrict(libc: ctypes.CDLL) -> bool:
    """Puts the filter over all threads of this process, for good; whether it holds."""
    machine = os.uname().machine
    # A 32-bit program on a 64-bit kernel has other numbers; so has a big-endian one.
    if machine not in _MACHINES or ctypes.sizeof(ctypes.c_void_p) != 8 or sys.byteorder != "little":
        return False
    code = program(machine, os.getpid())
    held = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: the count, six bytes of padding, and where the instructions lie.
    handed = struct.pack("@HP", len(code) // 8, ctypes.addressof(held))
    return call(libc, _SECCOMP[_MACHINES[machine]], _SET_MODE_FILTER, _ALL_THREADS, handed) == 0


def program(machine: str, pid: int) -> bytes:
    """The filter as classic BPF, 8 bytes an instruction.

    A call of another architecture is refused, then each call of the table, then those that depend on what they
    are asked.

    Args:
        machine: "x86_64" or "aarch64".
        pid: of the process that the filter is for: the only one that it may send signals to.
    """
    column = _MACHINES[machine]
    # From the end: the last instruction refuses, and jumps are told how far away it is.
    tail: list[Instruction] = [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    for condition in _conditions(pid):
        tail = [*condition.instructions(column), *tail]
    tail = [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _UNKNOWN), *tail]
    for numbers in _REFUSED.values():
        if (number := numbers[column]) is not None:
            tail = [(_EQUAL, len(tail) - 1, 0, number), *tail]
    head: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, _AUDIT_ARCH[column]),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, len(tail) - 1, 0, _X32),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in [*head, *tail])


def _conditions(pid: int) -> list[_Condition]:
    return [
        _Condition((2, None), 1, _ANY_BIT, (_WRITING,), _REFUSE, _ALLOW),  # open
        _Condition((257, 56), 2, _ANY_BIT, (_WRITING,), _REFUSE, _ALLOW),  # openat
        _Condition((56, 220), 0, _ANY_BIT, (_THREAD,), _ALLOW, _REFUSE),  # clone
        _Condition((62, 129), 0, _EQUAL, (pid,), _ALLOW, _REFUSE),  # kill
        _Condition((234, 131), 0, _EQUAL, (pid,), _ALLOW, _REFUSE),  # tgkill
        _Condition((200, 130), 0, _EQUAL, (pid,), _ALLOW, _REFUSE),  # tkill: the main thread
        _Condition((302, 261), 0, _EQUAL, (0, pid), _ALLOW, _REFUSE),  # prlimit64
        _Condition((72, 25), 1, _EQUAL, _SEND_SIGNALS, _REFUSE, _ALLOW),  # fcntl
    ]
