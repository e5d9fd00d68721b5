"""The fence around the query worker: what the kernel refuses it, whatever its SQL says.

DuckDB's own settings are not enough. Attaching a file puts its path, and the path with
`.wal`, on DuckDB's list of allowed paths, and there `COPY ... TO` may write: measured on
2.0, `WITH x AS (COPY t TO 'side.duckdb.wal') FROM x` does, and counts as a SELECT. Linux
can refuse it for the process: a seccomp filter that lets files be opened for reading only.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import resource
import struct
import sys
from pathlib import Path

# System calls by the kernel's tables. First what is refused whole: changing names, folders,
# modes and owners; openat2; sockets and connections; io_uring; starting or tracing programs.
_REFUSED = {
    "x86_64": (
        "76 85 82 264 316 86 265 88 266 87 263 83 258 84 133 259 90 91 268 452 92 93 94 260 "
        "437 41 42 425 57 58 59 322 101 311"
    ),
    "aarch64": "45 38 276 37 36 35 34 33 52 53 452 54 55 437 198 203 425 221 281 117 271",
}
# Then `open` and `openat`, refused where the flags in the argument given ask to write.
_OPENING = {"x86_64": {2: 1, 257: 2}, "aarch64": {56: 2}}
_MACHINE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_WRITING = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND
_LOAD, _EQUAL, _ANY, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _REFUSE, _ALL_THREADS = 0x7FFF0000, 0x00050000 | errno.EACCES, 1
_PR_SET_NO_NEW_PRIVS, _SECCOMP_SET_FILTER, _X32 = 38, 1, 0x40000000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def forbid_writing() -> bool:
    """From here on this process opens no file for writing, removes and renames nothing,
    reaches no network and starts no program. False where the kernel cannot promise it."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _MACHINE:
        return False
    code = ctypes.create_string_buffer(b"".join(_filter(machine)))
    program = _Program(len(code.raw) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    done: int = libc.syscall(
        _SECCOMP[machine], _SECCOMP_SET_FILTER, _ALL_THREADS, ctypes.byref(program)
    )
    return done == 0


def limit_memory(limit_mb: int) -> None:
    """Let this process map `limit_mb` MB (of 2**20 bytes) more than it has mapped now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    bound = pages * resource.getpagesize() + limit_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))


def _filter(machine: str) -> list[bytes]:
    """The filter as classic BPF: each instruction is code, two jumps and a constant."""
    code = [
        _instruction(_LOAD, 4),  # the architecture
        _instruction(_EQUAL, _MACHINE[machine], yes=1),
        _instruction(_RETURN, _REFUSE),
        _instruction(_LOAD, 0),  # the system call's number
        _instruction(_ANY, _X32, no=1),  # the x32 twins of every call
        _instruction(_RETURN, _REFUSE),
    ]
    for number in map(int, _REFUSED[machine].split()):
        code += [_instruction(_EQUAL, number, no=1), _instruction(_RETURN, _REFUSE)]
    for number, argument in _OPENING[machine].items():
        code += [
            _instruction(_EQUAL, number, no=4),
            _instruction(_LOAD, 16 + 8 * argument),
            _instruction(_ANY, _WRITING, no=1),
            _instruction(_RETURN, _REFUSE),
            _instruction(_RETURN, _ALLOW),
        ]
    return [*code, _instruction(_RETURN, _ALLOW)]


def _instruction(code: int, constant: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, constant)
