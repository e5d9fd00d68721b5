"""The outputs that a block spends, as a document beside it: without them no fee is known.

Two shapes are read: a list in input order (as Floresta and utreexo write it) and a
mapping from `txid:vout`; plain or as gzip. Values are satoshi.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import msgspec

from workbench.errors import InputError, shown

MAX_BYTES = 256 * 1024 * 1024
_GZIP = b"\x1f\x8b"


class SpentOutput(msgspec.Struct, frozen=True, gc=False):
    """One spent output; `height` is that of the block that made it, None where not known."""

    script: bytes
    value: int
    height: int | None = None


def read_spent(document: bytes, outpoints: Iterable[str]) -> dict[str, SpentOutput]:
    """The document as `txid:vout` to output. `outpoints` are the block's, in input order.

    Raises InputError where it is malformed, or does not have one entry for each outpoint.
    """
    wanted = list(outpoints)
    entries = _decoded(_unpacked(document))
    if isinstance(entries, list):
        if len(entries) != len(wanted):
            raise InputError(
                "the spent outputs are {count}; the block has {wanted} {wanted:input|inputs}",
                count=len(entries),
                wanted=len(wanted),
            )
        entries = dict(zip(wanted, entries, strict=True))
    missing = [outpoint for outpoint in wanted if outpoint not in entries]
    if missing:
        raise InputError(
            "the spent outputs lack {outpoint} and {count} more",
            outpoint=missing[0],
            count=len(missing) - 1,
        )
    return {outpoint: _output(outpoint, entries[outpoint]) for outpoint in wanted}


def spent_document(spent: Mapping[str, SpentOutput]) -> bytes:
    """The mapping shape, as JSON: what `read_spent` reads back."""
    return msgspec.json.encode(
        {
            outpoint: {
                "script": output.script.hex(),
                "value": output.value,
                "height": output.height,
            }
            for outpoint, output in spent.items()
        }
    )


def _unpacked(document: bytes) -> bytes:
    """The JSON text; a gzip is unpacked up to a bound, for a small one can hold much."""
    if not document.startswith(_GZIP):
        return document
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(document, MAX_BYTES)
    except zlib.error as error:
        raise InputError(
            "the spent outputs are no valid gzip: {reason}", reason=str(error)
        ) from None
    if not unpacker.eof:
        raise InputError(
            "the spent outputs are cut short or unpack to more than {limit} bytes", limit=MAX_BYTES
        )
    return text


def _decoded(text: bytes) -> Any:
    try:
        entries = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            "the spent outputs are not valid JSON: {reason}", reason=str(error)
        ) from None
    if not isinstance(entries, list | dict):
        raise InputError(
            "the spent outputs are {value}; allowed: a list or an object", value=shown(entries)
        )
    return entries


def _output(outpoint: str, entry: Any) -> SpentOutput:
    """One entry: `script`, `value`, `height`, or Floresta's names for them."""
    inner = entry.get("txout", entry) if isinstance(entry, dict) else None
    if isinstance(inner, dict):
        script = inner.get("script", inner.get("script_pubkey"))
        value = inner.get("value")
        height = entry.get("height", entry.get("creation_height"))
        if _is_hex(script) and _is_count(value) and (height is None or _is_count(height)):
            return SpentOutput(bytes.fromhex(script), value, height)
    raise InputError(
        "the spent output {outpoint} is {value}; allowed: script (hexadecimal), value (satoshi) "
        "and perhaps height",
        outpoint=outpoint,
        value=shown(entry),
    )


def _is_hex(value: Any) -> TypeGuard[str]:
    if not isinstance(value, str):
        return False
    try:
        return len(bytes.fromhex(value)) * 2 == len(value)  # fromhex also takes spaces
    except ValueError:
        return False


def _is_count(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 2**63
