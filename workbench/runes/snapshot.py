"""An index as bytes and back: `runes-index/1`, as docs/reference/runes-index.md states it.

A magic line with the version, the SHA-256 of what follows, and MessagePack. What a
snapshot says is checked before it is believed: types, supply, and the chain of state hashes.
One that rests on a state taken over has a magic line of its own, so that nothing which does not
know the mark can read it without.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from hashlib import sha256
from struct import Struct, error
from typing import Annotated, TypeVar

import msgspec

from workbench.core.rune import MAX_U64, MAX_U128, Network, RuneId
from workbench.core.runestone import Terms
from workbench.errors import InputError
from workbench.runes.entry_rows import (
    Amount,
    Count,
    EntryRow,
    Id,
    Row,
    Txid,
    entry_of,
    entry_row,
    pair_of,
)
from workbench.runes.history import (
    etch_line,
    etchings_of,
    events_of,
    first_hash,
    next_hash,
    trusted_hash,
)
from workbench.runes.ledger import Change, Doubt, Held, Ledger
from workbench.runes.records import RECORDS

FORMAT = b"runes-index/"
MAGIC = FORMAT + b"1\n"
TRUSTED = FORMAT + b"1 trusted\n"
_DIGEST = 32
_OUTPUT = Struct("<32sII")  # txid as printed, output, number of pairs
_PAIR = Struct("<QIQQ")  # rune id, and the amount's low and high half

T = TypeVar("T", bound=Held | None)


class _Step(Row, frozen=True):
    height: Count
    below: Txid | None
    text: str
    balances: bytes
    counts: list[tuple[Id, Amount, Amount]]


class _Body(Row, frozen=True):
    network: Network
    window: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    first: Count | None
    tip: Txid | None
    hashes: bytes
    entries: list[EntryRow]
    balances: bytes
    doubts: list[tuple[Id, Txid, Amount]]
    steps: list[_Step]
    seen: list[tuple[Count, bytes]]


class _TrustedBody(_Body, frozen=True):
    trust: Txid  # as long as a transaction id: 64 hexadecimal digits


class Step(msgspec.Struct, frozen=True):
    """One block that can be taken back. `below` is the hash of the block before it, where known;
    `text` is empty before the network's first Runes block."""

    height: int
    below: str | None
    text: str
    change: Change


class State(msgspec.Struct, kw_only=True):
    """Everything that an index holds. `hashes` are of the blocks from `first` on; `tip` is the
    last block's own hash, where known; `trust` the sha256 of what the state at `first` was taken
    over from, where it was not computed."""

    ledger: Ledger
    window: int
    first: int | None = None
    tip: str | None = None
    hashes: list[bytes] = []
    steps: list[Step] = []
    seen: dict[int, bytes] = {}
    trust: str | None = None


def dump(state: State) -> bytes:
    """The snapshot; the same state gives the same bytes."""
    ledger = state.ledger
    form: type[_Body] = _Body if state.trust is None else _TrustedBody
    trust = {} if state.trust is None else {"trust": state.trust}
    body = form(
        network=ledger.network,
        window=state.window,
        first=state.first,
        tip=state.tip,
        hashes=b"".join(state.hashes),
        entries=[entry_row(entry) for entry in ledger.entries.values()],
        balances=_packed(ledger.balances),
        doubts=[(pair_of(d.id), d.txid, str(number)) for number, d in ledger.doubts.items()],
        steps=[_step_row(step) for step in state.steps],
        seen=list(state.seen.items()),
        **trust,
    )
    raw = msgspec.msgpack.encode(body)
    return (TRUSTED if trust else MAGIC) + sha256(raw).digest() + raw


def load(data: bytes) -> State:
    """The state of a snapshot. Raises InputError for what is none, is damaged or is not true."""
    raw, form = _opened(data)
    try:
        body = msgspec.msgpack.decode(raw, type=form)
        state = _state(body)
    except (msgspec.DecodeError, error, ValueError, LookupError, MemoryError) as reason:
        raise _untrue(str(reason)) from None
    _check(state)
    RECORDS.read(f"an index of {state.ledger.network}", sha256(data).hexdigest())
    return state


def _opened(data: bytes) -> tuple[memoryview, type[_Body]]:
    """What follows the checksum, which holds, and its form."""
    if not isinstance(data, bytes):
        raise InputError.field("snapshot", data, "the bytes that snapshot() returned")
    if not data.startswith(FORMAT):
        raise InputError(
            "these {size} bytes are no snapshot of a Runes index; give what snapshot() returned",
            size=len(data),
        )
    magic = TRUSTED if data.startswith(TRUSTED) else MAGIC
    if not data.startswith(magic):
        raise InputError(
            "the snapshot is of the form {found}; this workbench reads {known}: "
            "build the index anew, or update",
            found=ascii(data.split(b"\n", 1)[0][:24].decode("ascii", "replace")),
            known=MAGIC.decode().strip(),
        )
    start = len(magic)
    digest, raw = data[start : start + _DIGEST], memoryview(data)[start + _DIGEST :]
    if sha256(raw).digest() != digest:
        raise InputError(
            "the snapshot is damaged: its {size} bytes do not give its checksum; "
            "restore another one",
            size=len(data),
        )
    return raw, _TrustedBody if magic == TRUSTED else _Body


def _untrue(reason: str) -> InputError:
    return InputError(
        "the snapshot contradicts itself ({reason}): it was not written by snapshot(); "
        "restore another one",
        reason=reason,
    )


def _state(body: _Body) -> State:
    entries = {RuneId(*row.id): entry_of(row, place) for place, row in enumerate(body.entries)}
    doubts = {int(n): Doubt(RuneId(*id), txid) for id, txid, n in body.doubts}
    ids = {(rune.block, rune.tx): rune for rune in entries}
    balances: dict[str, Held] = {}
    for outpoint, held in _unpacked(body.balances, ids).items():
        if held is None:
            raise ValueError(f"{outpoint} holds nothing")
        balances[outpoint] = held
    if list(entries) != sorted(entries) or len(entries) != len(body.entries):
        raise ValueError("the runes are not in order")
    for row in body.steps:
        events_of(row.text)
    hashes = body.hashes
    return State(
        ledger=Ledger(body.network, entries, balances, doubts),
        window=body.window,
        first=body.first,
        tip=body.tip,
        hashes=[hashes[at : at + _DIGEST] for at in range(0, len(hashes), _DIGEST)],
        steps=[_step(row, ids) for row in body.steps],
        seen=dict(body.seen),
        trust=body.trust if isinstance(body, _TrustedBody) else None,
    )


def _check(state: State) -> None:
    """Supply = balances + burned, and each block that can be taken back gives its hash."""
    reason = supply_fault(state.ledger)
    if reason is not None:
        raise _untrue(reason)
    if (state.first is None) != (not state.hashes) or (state.trust and not state.hashes):
        raise _untrue("hashes without blocks")
    if state.trust is None and any(one.time is None for one in state.ledger.entries.values()):
        raise _untrue("a rune without a time")
    _check_steps(state)


def supply_fault(ledger: Ledger) -> str | None:
    """Why it cannot be true: a rune's supply is not what is held and burned, a name is given
    twice, or more was minted than the cap allows."""
    left: dict[RuneId, int] = defaultdict(int)
    for held in ledger.balances.values():
        for rune, amount in held:
            left[rune] += amount
    for rune, entry in ledger.entries.items():
        if entry.supply != left[rune] + entry.burned or entry.supply > MAX_U128:
            return f"the supply of {rune} is not what is held and burned"
        if entry.mints > ((entry.etching.terms or Terms()).cap or 0):
            return f"{rune} was minted more often than its cap allows"
    if len({entry.number for entry in ledger.entries.values()}) != len(ledger.entries):
        return "two runes have one name"
    return None


def _check_steps(state: State) -> None:
    first, hashes = state.first or 0, state.hashes
    applied = len(hashes) - (state.trust is not None)
    heights = [step.height for step in state.steps]
    following = range(first + len(hashes) - len(heights), first + len(hashes))
    if heights != list(following) or len(heights) != min(state.window, applied):
        raise _untrue("the blocks that can be taken back are not the last ones")
    start = first_hash(state.ledger.network)
    if state.trust and hashes[0] != trusted_hash(state.ledger.network, state.trust, first):
        raise _untrue("the first state hash is not that of what it was taken over from")
    for step in state.steps:
        place = step.height - first
        before = hashes[place - 1] if place else start
        if (next_hash(before, step.text) if step.text else before) != hashes[place]:
            raise _untrue(f"block {step.height} does not give its state hash")
    _check_etchings(state)


def _check_etchings(state: State) -> None:
    """The runes of the blocks that can be taken back are those of their texts, which are hashed."""
    told = {step.height: [*etchings_of(step.text)] for step in state.steps if step.text}
    held: dict[int, list[tuple[str, int | None, str]]] = {height: [] for height in told}
    for one in state.ledger.entries.values():
        if one.id.block in held:
            held[one.id.block].append((one.txid, one.time, etch_line(one)))
    for height, etched in told.items():
        if held[height] != etched:
            raise _untrue(f"block {height} etched other runes than its text says")


def _step_row(step: Step) -> _Step:
    change = step.change
    return _Step(
        height=step.height,
        below=step.below,
        text=step.text,
        balances=_packed(change.balances),
        counts=[(pair_of(r), str(m), str(b)) for r, (m, b) in sorted(change.counts.items())],
    )


def _step(row: _Step, ids: Mapping[Id, RuneId]) -> Step:
    counts = {ids[id]: (int(mints), int(burned)) for id, mints, burned in row.counts}
    change = Change(row.height, _unpacked(row.balances, ids), counts)
    return Step(row.height, row.below, row.text, change)


def _packed(balances: Mapping[str, Held | None]) -> bytes:
    """Each output and what it holds, by rising `txid:vout`; one that holds nothing has no pairs."""
    return b"".join(_records(balances))


def _records(balances: Mapping[str, Held | None]) -> Iterable[bytes]:
    pair = _PAIR.pack
    for outpoint in sorted(balances):
        held = balances[outpoint] or ()
        txid, output = outpoint.split(":")
        yield _OUTPUT.pack(bytes.fromhex(txid), int(output), len(held))
        for rune, amount in held:
            yield pair(rune.block, rune.tx, amount & MAX_U64, amount >> 64)


def _unpacked(packed: bytes, ids: Mapping[Id, RuneId]) -> dict[str, Held | None]:
    found: dict[str, Held | None] = {}
    position, end, pair = 0, len(packed), _PAIR.unpack_from
    while position < end:
        txid, output, count = _OUTPUT.unpack_from(packed, position)
        position += _OUTPUT.size
        held = []
        for _ in range(count):
            block, tx, low, high = pair(packed, position)
            held.append((ids[block, tx], high << 64 | low))
            position += _PAIR.size
        found[f"{txid.hex()}:{output}"] = tuple(held) or None
    return found
