"""The files that a caged child still reads: its own modules and libraries; it changes and runs none (landlock(7)).

The keys, the database and everybody's scans belong to the user that children run as too, so that file permissions
would not keep them apart. A lazy import must go on working, whatever it loads: therefore the folders in which
Python and its packages are installed stay open, and of the project only the packages themselves, for the data
folder may lie beside them. What is open already, memory files above all, is not concerned.
"""

import contextlib
import ctypes
import os
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from inbound.scans.kernel import call

# The same numbers on every architecture: Landlock came after the tables were joined.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION, _BENEATH = 1, 1
_EXECUTE, _WRITE, _READ, _LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_AND_MAKE = 0x1FF0  # bits 4 to 12: directories, files, devices, sockets, pipes, links
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15  # since ABI 2, 3 and 5
_BIND_AND_CONNECT = 0b11  # TCP, since ABI 4
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11  # since ABI 6
_SYSTEM = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share"),
    *("/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/urandom", "/proc/self"),
    *("/proc/cpuinfo", "/sys/devices/system/cpu"),  # how many threads are worth while
)
_INSTALLED = ("/site-packages", "/dist-packages")


def restrict(libc: ctypes.CDLL) -> bool:
    """Closes all files but the readable ones, for this thread and its offspring; whether it holds."""
    version = call(libc, _CREATE, None, 0, _VERSION)
    if version < 1:
        return False
    handled = rights(version)
    ruleset = call(libc, _CREATE, handled, len(handled), 0)
    if ruleset < 0:
        return False
    try:
        for path in readable():
            with contextlib.suppress(OSError):  # not on this system, or not for this user
                _open(libc, ruleset, path)
        return call(libc, _RESTRICT, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def rights(version: int) -> bytes:
    """`struct landlock_ruleset_attr` of an ABI version: all that reads, changes, runs or connects."""
    files = _EXECUTE | _WRITE | _READ | _LIST | _REMOVE_AND_MAKE
    files |= _REFER if version >= 2 else 0
    files |= _TRUNCATE if version >= 3 else 0
    files |= _IOCTL_DEV if version >= 5 else 0
    fields = [files]
    fields += [_BIND_AND_CONNECT] if version >= 4 else []
    fields += [_ABSTRACT_SOCKETS_AND_SIGNALS] if version >= 6 else []
    return struct.pack(f"={len(fields)}Q", *fields)


def readable() -> list[str]:
    """Files, and folders with all in them; some may not exist. Libraries belong into a site-packages folder."""
    prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    libraries = {f"{prefix}/{name}" for prefix in prefixes for name in ("lib", "lib64")}
    libraries |= {path for path in sys.path if path.endswith(_INSTALLED)}
    libraries.add(str(Path(os.__file__).parent))
    open_already = tuple(f"{path}/" for path in libraries)
    packages = {path for path in _packages() if not path.startswith(open_already)}
    return [*_SYSTEM, *sorted(libraries), *sorted(packages)]


def _packages() -> Iterator[str]:
    """The folders of packages that are loaded; their modules may not be yet."""
    for name in [name for name in sys.modules if "." not in name]:
        module = sys.modules[name]
        # Without a file it is a namespace: any folder at all, with anything in it.
        if getattr(module, "__file__", None):
            yield from getattr(module, "__path__", ())


def _open(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        is_folder = stat.S_ISDIR(os.fstat(place).st_mode)
        rule = struct.pack("=Qi", _READ | _LIST if is_folder else _READ, place)
        call(libc, _ADD, ruleset, _BENEATH, rule, 0)
    finally:
        os.close(place)
