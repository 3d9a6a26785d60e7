"""System calls that the C library has no function for."""

import ctypes


def call(libc: ctypes.CDLL, number: int, *arguments: bytes | int | None) -> int:
    """What the kernel answers, -1 for an error; every argument goes as wide as a register."""
    libc.syscall.restype = ctypes.c_long
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return int(libc.syscall(ctypes.c_long(number), *wide))
