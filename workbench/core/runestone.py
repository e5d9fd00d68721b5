"""The Runes message codec: scripts to a runestone or cenotaph, and back, as ord reads them.

Source of every rule: ord 0.27.1 (crate `ordinals` 0.0.15); where an implementer would
slip, the comment says so. `decipher` raises on no input whatever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from workbench.core.rune import (
    MAX_DIVISIBILITY,
    MAX_SPACERS,
    MAX_U32,
    MAX_U64,
    MAX_U128,
    RuneId,
    rune_name,
)
from workbench.errors import InputError

MAGIC = b"\x6a\x5d"
"""OP_RETURN OP_13: how the script that carries the message starts."""
COMMIT_CONFIRMATIONS = 6
_CHUNK = 520  # the longest push that consensus allows

Flaw = Literal[
    "opcode",
    "invalid-script",
    "varint",
    "edict-output",
    "edict-rune-id",
    "trailing-integers",
    "truncated-field",
    "supply-overflow",
    "unrecognized-flag",
    "unrecognized-even-tag",
]
"""Why a message is a cenotaph; where several hold, the first of this order is kept."""

_BODY, _FLAGS, _RUNE, _PREMINE, _CAP, _AMOUNT = 0, 2, 4, 6, 8, 10
_HEIGHT_START, _HEIGHT_END, _OFFSET_START, _OFFSET_END = 12, 14, 16, 18
_MINT, _POINTER, _DIVISIBILITY, _SPACERS, _SYMBOL = 20, 22, 1, 3, 5
_ETCHING, _TERMS, _TURBO = 1, 2, 4  # the flags, as bits

Fields = dict[int, list[int]]
T = TypeVar("T")


class VarintError(ValueError):
    """A varint that the protocol does not take: `overlong`, `overflow` or `unterminated`."""


class Edict(msgspec.Struct, frozen=True):
    """Move `amount` atomic units of rune `id` to `output`.

    An `output` equal to the number of outputs splits over all that are not OP_RETURN.
    """

    id: RuneId
    amount: int
    output: int


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of an open mint; heights are absolute, offsets count from the etching."""

    amount: int | None = None
    cap: int | None = None
    height: tuple[int | None, int | None] = (None, None)
    offset: tuple[int | None, int | None] = (None, None)


class Etching(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a new rune. `rune` is its number; None asks for a reserved one."""

    divisibility: int | None = None
    premine: int | None = None
    rune: int | None = None
    spacers: int | None = None
    symbol: str | None = None
    terms: Terms | None = None
    turbo: bool = False

    @property
    def supply(self) -> int | None:
        """Premine + cap * amount in atomic units; None where that exceeds 2^128 - 1."""
        terms = self.terms or Terms()
        supply = (self.premine or 0) + (terms.cap or 0) * (terms.amount or 0)
        return supply if supply <= MAX_U128 else None


class Runestone(msgspec.Struct, frozen=True, kw_only=True):
    """A well-formed message: what it asks for, which need not be what the chain grants."""

    edicts: tuple[Edict, ...] = ()
    etching: Etching | None = None
    mint: RuneId | None = None
    pointer: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The shape of `ord decode`: integers stay integers, up to 2^128 - 1."""
        return {
            "Runestone": {
                "edicts": [
                    {"id": str(edict.id), "amount": edict.amount, "output": edict.output}
                    for edict in self.edicts
                ],
                "etching": _etching_json(self.etching) if self.etching else None,
                "mint": str(self.mint) if self.mint else None,
                "pointer": self.pointer,
            }
        }


class Cenotaph(msgspec.Struct, frozen=True, kw_only=True):
    """A malformed message: all runes of its inputs burn, and its mint and etching are void.

    `etching` is the number of the rune that it etches with supply 0.
    """

    flaw: Flaw
    etching: int | None = None
    mint: RuneId | None = None

    def to_json(self) -> dict[str, Any]:
        """The shape of `ord decode`."""
        return {
            "Cenotaph": {
                "etching": None if self.etching is None else rune_name(self.etching),
                "flaw": self.flaw,
                "mint": str(self.mint) if self.mint else None,
            }
        }


def _etching_json(etching: Etching) -> dict[str, Any]:
    fields = msgspec.structs.asdict(etching)
    if etching.rune is not None:
        fields["rune"] = rune_name(etching.rune)
    if etching.terms is not None:
        terms = msgspec.structs.asdict(etching.terms)
        fields["terms"] = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in terms.items()
        }
    return fields


def decode_varint(data: bytes, start: int = 0) -> tuple[int, int]:
    """The LEB128 integer at `start`, and the position after it. Raises VarintError.

    2^127 needs 19 bytes; zero-padded forms of up to 19 bytes are valid.
    """
    number = shift = 0
    for position in range(start, len(data)):
        byte = data[position]
        if shift > 126:
            raise VarintError("overlong")
        if shift == 126 and byte & 0x7C:
            raise VarintError("overflow")
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position + 1
        shift += 7
    raise VarintError("unterminated")


def encode_varint(number: int) -> bytes:
    """An integer from 0 to 2^128 - 1 as LEB128, shortest form."""
    if not 0 <= number <= MAX_U128:
        raise InputError.field("integer", number, "from 0 to 2^128 - 1")
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def decipher(scripts: Sequence[bytes]) -> Runestone | Cenotaph | None:
    """The message of a transaction with these output scripts; None where it carries none."""
    for script in scripts:
        if script.startswith(MAGIC):
            return _decipher(script, len(scripts))
    return None


def _decipher(script: bytes, outputs: int) -> Runestone | Cenotaph:
    payload = _payload(script)
    if isinstance(payload, str):
        return Cenotaph(flaw=payload)
    try:
        integers = _integers(payload)
    except VarintError:
        return Cenotaph(flaw="varint")
    fields, edicts, flaw = _message(integers, outputs)
    flags = _take(fields, _FLAGS, _any) or 0
    etching = _take_etching(fields, flags) if flags & _ETCHING else None
    if etching:
        flags &= ~(_ETCHING | _TERMS | _TURBO)
    mint = _take_mint(fields)
    pointer = _take(fields, _POINTER, lambda value: value if value < outputs else None)
    flaw = flaw or _late_flaw(etching, flags, fields)
    if flaw:
        return Cenotaph(flaw=flaw, etching=etching.rune if etching else None, mint=mint)
    return Runestone(edicts=edicts, etching=etching, mint=mint, pointer=pointer)


def _late_flaw(etching: Etching | None, flags: int, left: Fields) -> Flaw | None:
    """The flaw that shows once all known fields are taken, in the protocol's order."""
    if etching and etching.supply is None:
        return "supply-overflow"
    if flags:
        return "unrecognized-flag"
    return "unrecognized-even-tag" if any(tag % 2 == 0 for tag in left) else None


def _payload(script: bytes) -> bytes | Flaw:
    """The pushes after the magic, joined; any form of push will do."""
    pushes = []
    position, end = len(MAGIC), len(script)
    while position < end:
        opcode = script[position]
        position += 1
        if opcode > 78:
            return "opcode"
        if opcode > 75:  # OP_PUSHDATA1, 2 and 4: the length follows in 1, 2 or 4 bytes
            width = 1 << (opcode - 76)
            if position + width > end:
                return "invalid-script"
            opcode = int.from_bytes(script[position : position + width], "little")
            position += width
        if position + opcode > end:
            return "invalid-script"
        pushes.append(script[position : position + opcode])
        position += opcode
    return b"".join(pushes)


def _integers(payload: bytes) -> list[int]:
    integers = []
    position, end = 0, len(payload)
    while position < end:
        if payload[position] < 0x80:
            integers.append(payload[position])
            position += 1
        else:
            integer, position = decode_varint(payload, position)
            integers.append(integer)
    return integers


def _message(integers: list[int], outputs: int) -> tuple[Fields, tuple[Edict, ...], Flaw | None]:
    """Fields in order of arrival, then the edicts after tag 0, and the first flaw met."""
    fields: Fields = {}
    for place in range(0, len(integers), 2):
        tag = integers[place]
        if tag == _BODY:
            return fields, *_edicts(integers[place + 1 :], outputs)
        if place + 1 == len(integers):
            return fields, (), "truncated-field"
        fields.setdefault(tag, []).append(integers[place + 1])
    return fields, (), None


def _edicts(integers: list[int], outputs: int) -> tuple[tuple[Edict, ...], Flaw | None]:
    edicts: list[Edict] = []
    id = RuneId(0, 0)
    for place in range(0, len(integers), 4):
        four = integers[place : place + 4]
        if len(four) < 4:
            return tuple(edicts), "trailing-integers"
        following = id.next(four[0], four[1])
        if following is None:
            return tuple(edicts), "edict-rune-id"
        if four[3] > min(outputs, MAX_U32):  # equal to the number of outputs is a split
            return tuple(edicts), "edict-output"
        id = following
        edicts.append(Edict(id, four[2], four[3]))
    return tuple(edicts), None


def _take(fields: Fields, tag: int, check: Callable[[int], T | None]) -> T | None:
    """The first value of a tag if `check` accepts it; else it stays unread in `fields`.

    What stays makes a cenotaph of the message if the tag is even, and is ignored if odd.
    """
    values = fields.get(tag)
    if not values:
        return None
    value = check(values[0])
    if value is not None:
        del values[0]
        if not values:
            del fields[tag]
    return value


def _take_mint(fields: Fields) -> RuneId | None:
    """The one field of two values: both are read, or neither."""
    values = fields.get(_MINT, ())
    mint = RuneId.checked(values[0], values[1]) if len(values) > 1 else None
    if mint:
        del fields[_MINT][:2]
        if not fields[_MINT]:
            del fields[_MINT]
    return mint


def _take_etching(fields: Fields, flags: int) -> Etching:
    return Etching(
        divisibility=_take(fields, _DIVISIBILITY, _up_to(MAX_DIVISIBILITY)),
        premine=_take(fields, _PREMINE, _any),
        rune=_take(fields, _RUNE, _any),
        spacers=_take(fields, _SPACERS, _up_to(MAX_SPACERS)),
        symbol=_take(fields, _SYMBOL, _scalar),
        terms=_take_terms(fields) if flags & _TERMS else None,
        turbo=bool(flags & _TURBO),
    )


def _take_terms(fields: Fields) -> Terms:
    height = _up_to(MAX_U64)
    return Terms(
        amount=_take(fields, _AMOUNT, _any),
        cap=_take(fields, _CAP, _any),
        height=(_take(fields, _HEIGHT_START, height), _take(fields, _HEIGHT_END, height)),
        offset=(_take(fields, _OFFSET_START, height), _take(fields, _OFFSET_END, height)),
    )


def _any(value: int) -> int:
    return value


def _up_to(limit: int) -> Callable[[int], int | None]:
    return lambda value: value if value <= limit else None


def _scalar(value: int) -> str | None:
    """A Unicode scalar value: surrogates are none, though Python has characters for them."""
    return None if value > 0x10FFFF or 0xD800 <= value <= 0xDFFF else chr(value)


def encipher(runestone: Runestone) -> bytes:
    """The script that says `runestone`, byte for byte as ord writes it; edicts sorted by id."""
    integers = [*_etching_integers(runestone.etching), *_rest_integers(runestone)]
    payload = b"".join(map(encode_varint, integers))
    chunks = (payload[start : start + _CHUNK] for start in range(0, len(payload), _CHUNK))
    return MAGIC + b"".join(map(_push, chunks))


def _rest_integers(runestone: Runestone) -> list[int]:
    integers = []
    if runestone.mint:
        integers += [_MINT, runestone.mint.block, _MINT, runestone.mint.tx]
    if runestone.pointer is not None:
        integers += [_POINTER, runestone.pointer]
    if runestone.edicts:
        integers.append(_BODY)
    previous = RuneId(0, 0)
    for edict in sorted(runestone.edicts, key=lambda edict: edict.id):
        step = previous.delta(edict.id) or (0, 0)
        integers += [*step, edict.amount, edict.output]
        previous = edict.id
    return integers


def _etching_integers(etching: Etching | None) -> list[int]:
    if etching is None:
        return []
    terms = etching.terms or Terms()
    flags = _ETCHING | (_TERMS if etching.terms else 0) | (_TURBO if etching.turbo else 0)
    fields = [
        (_FLAGS, flags),
        (_RUNE, etching.rune),
        (_DIVISIBILITY, etching.divisibility),
        (_SPACERS, etching.spacers),
        (_SYMBOL, None if etching.symbol is None else ord(etching.symbol)),
        (_PREMINE, etching.premine),
        (_AMOUNT, terms.amount),
        (_CAP, terms.cap),
        (_HEIGHT_START, terms.height[0]),
        (_HEIGHT_END, terms.height[1]),
        (_OFFSET_START, terms.offset[0]),
        (_OFFSET_END, terms.offset[1]),
    ]
    return [part for tag, value in fields if value is not None for part in (tag, value)]


def _push(data: bytes) -> bytes:
    """The shortest push of up to 520 bytes, never a number opcode: those are no data."""
    if len(data) <= 75:
        return bytes([len(data)]) + data
    if len(data) <= 255:
        return b"\x4c" + bytes([len(data)]) + data
    return b"\x4d" + len(data).to_bytes(2, "little") + data
