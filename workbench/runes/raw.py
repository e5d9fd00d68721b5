"""The bytes of a raw block, however a file holds them: raw, xz, gzip or hexadecimal text."""

from __future__ import annotations

import lzma
import string
import zlib
from pathlib import Path

from workbench.core.rune import Network
from workbench.errors import InputError

MAX_BLOCK_BYTES = 8 * 1024 * 1024
"""Twice the largest block that consensus allows."""

REGTEST_BITS = bytes.fromhex("ffff7f20")
"""The header's target on regtest alone: the easiest that there is."""

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""What text in UTF-16 begins with: full of zeros, it looks like a block, and no version of a block
does so."""

_XZ = b"\xfd7zXZ\x00"
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_XZ_MEMORY = 128 * 1024 * 1024
_HEX = frozenset(b"0123456789abcdefABCDEF")
_TEXT = frozenset(string.printable.encode())
_HEADER = 80
_HEX_PROBE = 2 * _HEADER  # in raw bytes a header never looks like text
_PROBE = 4096
_TARGET_SIZE = 75  # the place in the header of the byte that says how long its target is


def read_raw_block(path: Path) -> bytes:
    """The raw block in a file, told by its content. Raises InputError above MAX_BLOCK_BYTES."""
    limit = 2 * MAX_BLOCK_BYTES + 1024  # hexadecimal text, and its line ends
    with path.open("rb") as file:
        body = file.read(limit + 1)
    if len(body) > limit:
        raise _too_large()
    return raw_block(body)


def network_of(raw: bytes) -> Network:
    """Regtest where the header asks for next to no work; else mainnet: a block does not say."""
    return "regtest" if raw[72:76] == REGTEST_BITS else "mainnet"


def is_raw_block(path: Path) -> bool:
    """Whether a file looks like a raw block, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(_PROBE)
    if head.startswith(_GZIP):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, _PROBE)
        except zlib.error:
            return False
    if head.startswith(_XZ):
        return True
    hexadecimal = len(head) >= _HEX_PROBE and _is_hex(head) and b"\x00" in _digits(head)
    return hexadecimal or (len(head) > _HEADER and _is_binary(head))


def _digits(head: bytes) -> bytes:
    """Hexadecimal text as far as it goes."""
    return bytes.fromhex(head[:_HEX_PROBE].decode("ascii"))


def _is_binary(head: bytes) -> bool:
    other = head.startswith((_PARQUET, *UTF_16))  # where by chance it looks like a header
    return not other and b"\x00" in head[:_HEADER] and head[_TARGET_SIZE] <= 0x20


def raw_block(body: bytes) -> bytes:
    """The raw block in these bytes. Raises InputError."""
    if body.startswith(_XZ):
        block = _unpacked(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY), body)
    elif body.startswith(_GZIP):
        block = _unpacked(zlib.decompressobj(wbits=31), body)
    elif _is_hex(body):
        block = _from_hex(body)
    else:
        block = body
    if len(block) > MAX_BLOCK_BYTES:
        raise _too_large()
    if _is_text(block) or block[_TARGET_SIZE : _TARGET_SIZE + 1] > b"\x20":
        raise InputError(
            "this is no Bitcoin block: its header names an impossible target; give a raw block "
            "(bytes, xz, gzip or hexadecimal text)"
        )
    return block


def _is_text(block: bytes) -> bool:
    head = block[:_HEADER]
    return bool(head) and _TEXT.issuperset(head)


def _unpacked(unpacker: lzma.LZMADecompressor | zlib._Decompress, body: bytes) -> bytes:
    try:
        block = unpacker.decompress(body, MAX_BLOCK_BYTES + 1)
    except (lzma.LZMAError, zlib.error) as error:
        raise InputError("the block cannot be unpacked: {reason}", reason=str(error)) from None
    if not unpacker.eof and len(block) <= MAX_BLOCK_BYTES:
        raise InputError("the packed block is cut short")
    return block


def _is_hex(body: bytes) -> bool:
    probe = body[:_HEX_PROBE].strip()
    return bool(probe) and _HEX.issuperset(probe)


def _from_hex(body: bytes) -> bytes:
    try:
        return bytes.fromhex(body.decode("ascii"))
    except ValueError as error:
        raise InputError(
            "the block is not valid hexadecimal: {reason}", reason=str(error)
        ) from None


def _too_large() -> InputError:
    return InputError(
        "the block is larger than {limit_mb} MB: no block of Bitcoin is",
        limit_mb=MAX_BLOCK_BYTES >> 20,
    )
