"""The frames of DuckDB's write-ahead log, as far as damage shows in them. Reads files, opens none.

DuckDB names the byte of an entry whose checksum is wrong, and refuses. But an entry whose size
is wrong it takes for the unfinished end of a killed writer's log, and a log whose head is wrong
for no log: both open without a word, and the next checkpoint deletes what was acknowledged. So
the frames are walked before DuckDB sees the log.

The layout is that of DuckDB 2.0's storage/wal_replay.cpp: a head, then entries of size (8 bytes),
checksum (8 bytes) and `size` bytes. Every entry begins with its type and ends with two bytes 0xff.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import numpy as np

_HEAD = re.compile(
    rb"d\x00be\x00[\x01-\x1f]f\x00\x10(?:[\x00-\x7f]|[\x80-\xff]\x01){16}"
    rb"g\x00[\x80-\xff]{0,9}[\x00-\x7f]\xff\xff"
)
"""Type, version, the database's 16 bytes, and the number of the checkpoint that it follows; each
byte and the number in groups of seven bits."""
_ENTRY = re.compile(rb"(?=d\x00.)", re.DOTALL)
_FRAME = struct.Struct("<QQ")
_LEAST_BYTES = 3
"""Of an entry: its type and the two bytes at its end."""
HEAD_BYTES = 64
"""More than any head has."""
_WORD = np.uint64(0xBF58476D1CE4E5B9)
_MASK = (1 << 64) - 1
_MIX = 0xC6A4A7935BD1E995


def head_of(log: bytes) -> int:
    """The length of a log's head; 0 where there is none."""
    found = _HEAD.match(log)
    return found.end() if found else 0


def walk(log: bytes, start: int) -> Iterator[int]:
    """Where each entry ends, from `start` on, as far as the sizes lead."""
    while start + _FRAME.size < len(log):
        size, _ = _FRAME.unpack_from(log, start)
        start += _FRAME.size + size
        if size < _LEAST_BYTES or start > len(log):
            return
        yield start


def damage(log: bytes) -> int | None:
    """The byte at which a log is damaged in a way that DuckDB would pass over; None for none.

    A log that ends in the midst of an entry is not damaged: its writer was killed.
    """
    head = end = head_of(log)
    for end in walk(log, head):  # noqa: B007  # the last one counts
        pass
    if end == len(log) or next(entries(log, end + min(end, 1)), None) is None:
        return None
    return first_wrong(log) if head else 0


def is_unreadable(log: bytes) -> bool:
    """Whether nothing of a log can be read, so that DuckDB would delete it without a word: no
    head, or only zeros behind one. Of a writer that was killed at its first entry a head, or a
    part of one, may be all that there is."""
    head = head_of(log)
    if head:
        rest = log[head:]
        return bool(rest) and not any(rest)
    begun = len(log) < HEAD_BYTES and log.startswith(b"d\0"[: len(log)])
    return not begun and next(entries(log, -_FRAME.size), None) is None


def first_wrong(log: bytes) -> int:
    """Where the first entry begins that is not whole; the log's end where all are."""
    start = head_of(log)
    for end in walk(log, start):
        _, stated = _FRAME.unpack_from(log, start)
        if checksum(log[start + _FRAME.size : end]) != stated:
            break
        start = end
    return start


def entries(log: bytes, start: int) -> Iterator[int]:
    """Every place from `start` on at which a whole entry with a right checksum begins."""
    for found in _ENTRY.finditer(log, start + _FRAME.size):
        place = found.start() - _FRAME.size
        size, stated = _FRAME.unpack_from(log, place)
        if _LEAST_BYTES <= size <= len(log) - found.start():
            body = log[found.start() : found.start() + size]
            if body.endswith(b"\xff\xff") and checksum(body) == stated:
                yield place


def checksum(body: bytes) -> int:
    """DuckDB's checksum (common/checksum.cpp): exclusive or of the products of its words."""
    words = len(body) // 8
    found = 5381
    if words:
        products = np.frombuffer(body, "<u8", words) * _WORD
        found ^= int(np.bitwise_xor.reduce(products))
    rest = body[words * 8 :]
    return found ^ _of_rest(rest) if rest else found


def _of_rest(rest: bytes) -> int:
    """MurmurHash64A of fewer than eight bytes."""
    found = 0xE17A1465 ^ (len(rest) * _MIX & _MASK)
    found = (found ^ int.from_bytes(rest, "little")) * _MIX & _MASK
    found = (found ^ found >> 47) * _MIX & _MASK
    return found ^ found >> 47
