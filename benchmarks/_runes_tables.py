"""The tables of a batch of a made-up history, written a million rows at a time as Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks._runes_world import (
    ETCH,
    FIRST_HEIGHT,
    MINT,
    MOVE,
    PER_BLOCK,
    TOO_LATE,
    Array,
    Rows,
    World,
    happened,
    ints,
    made,
    names,
    spacers,
)
from workbench.runes.batch import Batch, Source, amount_columns, save_batch
from workbench.runes.tables import ARROW

CHUNK = 1_000_000
OTHERS = 2_000
SUBSIDY_SAT = 312_500_000
VSIZE = 998_000
_HEX = np.array([int.from_bytes(b"%02x" % one, "little") for one in range(256)], np.uint16)
_CAUSES = pa.array(["premine", "mint", "edict", "default"])
_KINDS = pa.array(["etched", "minted", "transferred", "burned"])

Columns = dict[str, Any]
Page = tuple[str, int, Callable[[slice], Columns]]
"""The name of a table, its rows, and the columns of a slice of them."""


def write_batch(folder: Path, events: int, seed: int) -> int:
    """A folder of Parquet as `save_batch` writes it; the number of its events."""
    world = made(events, seed)
    page = _Pages(world, np.random.default_rng(seed + 1))
    last = FIRST_HEIGHT + (len(world.transactions) - 1) // PER_BLOCK
    empty = Batch(
        id="made",
        network="mainnet",
        source=Source(producer="benchmarks/questions.py", address=None),
        completeness="state",
        first_height=FIRST_HEIGHT,
        last_height=last,
    )
    save_batch(empty, folder)
    for name, count, columns in page.tables():
        path = folder / f"{name}.parquet"
        with pq.ParquetWriter(path, ARROW[name], compression="zstd") as writer:
            for start in range(0, count, CHUNK):
                found = columns(slice(start, min(start + CHUNK, count)))
                writer.write_table(_table(name, found))
    return int(pq.read_metadata(folder / "events.parquet").num_rows)


def _table(name: str, columns: Columns) -> pa.Table:
    """Columns that are not given are null."""
    count = len(next(iter(columns.values())))
    arrays = [
        pa.array(columns[field.name], field.type)
        if field.name in columns
        else pa.nulls(count, field.type)
        for field in ARROW[name]
    ]
    return pa.Table.from_arrays(arrays, schema=ARROW[name])


def _hex(raw: Array, output: Array | None = None) -> Any:
    """Rows of bytes as hexadecimal text; with an output of one digit as an outpoint."""
    text = _HEX[raw].view(np.uint8)
    if output is not None:
        tail = np.stack([np.full(len(raw), ord(":")), ord("0") + output], axis=1)
        text = np.concatenate([text, tail.astype(np.uint8)], axis=1)
    offsets = np.arange(len(text) + 1, dtype=np.int32) * text.shape[1]
    body = np.ascontiguousarray(text)
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(offsets), pa.py_buffer(body))


class _Pages:
    """Each table, in the order of the chain."""

    def __init__(self, world: World, random: np.random.Generator) -> None:
        self._world, self._random = world, random
        count = len(world.transactions)
        self._order = np.argsort(world.transactions.time, kind="stable")
        self._rank = np.empty(count, np.int64)
        self._rank[self._order] = np.arange(count)
        self._ids = random.integers(0, 256, (count, 32), np.uint8)
        self._vsize = random.integers(150, 400, count)
        self._fee = (self._vsize * random.lognormal(3, 1, count)).astype(np.int64)
        self._scripts = pa.array(
            [
                f"0014{one.tobytes().hex()}"
                for one in random.integers(0, 256, (world.holders, 20), np.uint8)
            ]
        )
        runes = len(world.grants)
        heights, places = self._place(np.arange(runes))
        self._runes = pa.array([f"{a}:{b}" for a, b in zip(heights, places, strict=True)])

    def tables(self) -> Iterator[Page]:
        firsts = (self._blocks, self._runestones, self._etchings, self._mints)
        for page in (*firsts, self._allocations, self._events, self._inputs, self._balances):
            yield page()
        yield self._entries()

    def _place(self, transactions: Array) -> tuple[Array, Array]:
        rank = self._rank[transactions]
        return FIRST_HEIGHT + rank // PER_BLOCK, 1 + rank % PER_BLOCK

    def _where(self, transactions: Array) -> Columns:
        height, index = self._place(transactions)
        return {"height": height, "tx_index": index, "txid": _hex(self._ids[transactions])}

    def _of(self, rune: Array) -> Any:
        return self._runes.take(pa.array(rune))

    def _sorted(self, transactions: Array) -> Array:
        return np.argsort(self._rank[transactions], kind="stable")

    def _blocks(self) -> Page:
        count = (len(self._order) - 1) // PER_BLOCK + 1
        starts = np.arange(count) * PER_BLOCK
        fees = np.add.reduceat(self._fee[self._order], starts) + OTHERS * 5_000
        ids = self._random.integers(0, 256, (count, 32), np.uint8)

        def columns(part: slice) -> Columns:
            place = np.arange(part.start, part.stop)
            same = np.ones(len(place), np.int64)
            return {
                "height": FIRST_HEIGHT + place,
                "hash": _hex(ids[part]),
                "mined_at": (1_713_571_767 + 600 * place).astype("datetime64[s]"),
                "transactions": same * (PER_BLOCK + OTHERS + 1),
                "size_bytes": same * 1_600_000,
                "weight": same * 4 * VSIZE,
                "subsidy_sat": same * SUBSIDY_SAT,
                "coinbase_sat": SUBSIDY_SAT + fees[part],
                "fees_sat": fees[part],
                "vsize": same * VSIZE,
            }

        return "blocks", count, columns

    def _runestones(self) -> Page:
        whole = self._world.transactions

        def columns(part: slice) -> Columns:
            at = self._order[part]
            kind = whole.kind[at]
            mints = (kind == MINT) | (kind == TOO_LATE)
            masked = pa.array(whole.rune[at], mask=~mints)
            return {
                **self._where(at),
                "kind": pa.repeat("runestone", len(at)),
                "etches": pa.array(kind == ETCH),
                "mints": self._runes.take(masked),
                "edicts": (kind == MOVE).astype(np.int64),
                "outputs": np.full(len(at), 3),
                "vsize": self._vsize[at],
                "fee_sat": self._fee[at],
            }

        return "runestones", len(self._order), columns

    def _etchings(self) -> Page:
        world = self._world
        runes = len(world.grants)
        order = self._sorted(np.arange(runes))
        called = names(self._random, runes)
        whole = world.transactions
        mints = np.bincount(whole.rune[whole.kind == MINT], minlength=runes)

        def columns(part: slice) -> Columns:
            at = order[part]
            spaced = [called[place] for place in at]
            count = len(at)
            return {
                **self._where(at),
                "rune_id": self._of(at),
                "name": [name.replace("•", "") for name in spaced],
                "spaced_name": spaced,
                "symbol": pa.repeat("¤", count),
                "divisibility": np.full(count, 2),
                "spacers": [spacers(name) for name in spaced],
                "premine_high": world.premines.high[at],
                "premine_low": world.premines.low[at],
                "amount_high": world.grants.high[at],
                "amount_low": world.grants.low[at],
                "cap_high": np.zeros(count, np.uint64),
                "cap_low": (mints[at] + at % 3).astype(np.uint64),
                "turbo": pa.repeat(True, count),
                "terms": pa.repeat(True, count),
                "cenotaph": pa.repeat(False, count),
                "commitment": pa.repeat("valid", count),
            }

        return "etchings", runes, columns

    def _mints(self) -> Page:
        whole, lots = self._world.transactions, self._world.lots
        kind = whole.kind[self._order]
        order = self._order[(kind == MINT) | (kind == TOO_LATE)]
        holder = np.zeros(len(whole), np.int32)
        first = lots.output == 0
        holder[lots.maker[first]] = lots.holder[first]

        def columns(part: slice) -> Columns:
            at = order[part]
            return {
                **self._where(at),
                "rune_id": self._of(whole.rune[at]),
                "receiver": self._scripts.take(pa.array(holder[at])),
                "fee_sat": self._fee[at],
                "credited": pa.array(whole.kind[at] == MINT),
            }

        return "mints", len(order), columns

    def _held(self, lots: Rows) -> Columns:
        return {
            "rune_id": self._of(lots.rune),
            "script": self._scripts.take(pa.array(lots.holder)),
            "amount_high": lots.high,
            "amount_low": lots.low,
        }

    def _allocations(self) -> Page:
        lots = self._world.lots
        order = self._sorted(lots.maker)

        def columns(part: slice) -> Columns:
            rows = lots.take(order[part])
            causes = _CAUSES.take(pa.array(rows.cause))
            return {
                **self._where(rows.maker),
                **self._held(rows),
                "output": rows.output,
                "cause": causes,
            }

        return "allocations", len(lots), columns

    def _events(self) -> Page:
        rows = happened(self._world)
        order = self._sorted(rows.tx)

        def columns(part: slice) -> Columns:
            some = rows.take(order[part])
            return {
                **self._where(some.tx),
                "kind": _KINDS.take(pa.array(some.kind)),
                "rune_id": self._of(self._world.transactions.rune[some.tx]),
                "amount_high": some.high,
                "amount_low": some.low,
                "output": pa.array(some.output, pa.int64(), mask=some.output < 0),
                "cause": pa.array(["op-return"]).take(
                    pa.array(np.zeros(len(some), np.int8), mask=some.kind != 3)
                ),
            }

        return "events", len(rows), columns

    def _inputs(self) -> Page:
        lots = self._world.lots
        spent = np.flatnonzero(lots.spender >= 0)
        order = spent[self._sorted(lots.spender[spent])]

        def columns(part: slice) -> Columns:
            rows = lots.take(order[part])
            return {
                **self._where(rows.spender),
                **self._held(rows),
                "outpoint": _hex(self._ids[rows.maker], rows.output),
                "created_height": self._place(rows.maker)[0],
            }

        return "inputs", len(order), columns

    def _balances(self) -> Page:
        lots = self._world.lots
        unspent = np.flatnonzero(lots.spender < 0)
        order = unspent[np.argsort(lots.rune[unspent], kind="stable")]

        def columns(part: slice) -> Columns:
            rows = lots.take(order[part])
            return {**self._held(rows), "outpoint": _hex(self._ids[rows.maker], rows.output)}

        return "balances", len(order), columns

    def _entries(self) -> Page:
        world = self._world
        whole, runes = world.transactions, len(world.grants)
        mints = np.bincount(whole.rune[whole.kind == MINT], minlength=runes)
        burned = [0] * runes
        amounts = ints(world.burns)
        for rune, amount in zip(whole.rune[world.burns.tx], amounts, strict=True):
            burned[rune] += amount
        grants = ints(world.grants)
        premines = ints(world.premines)
        parts = zip(premines, mints.tolist(), grants, strict=True)
        supply = [premine + count * grant for premine, count, grant in parts]
        found: Columns = {"rune_id": self._runes}
        for name, amounts in (("mints", mints.tolist()), ("burned", burned), ("supply", supply)):
            found[f"{name}_high"], found[f"{name}_low"] = amount_columns(amounts)

        def columns(part: slice) -> Columns:
            return {name: column[part] for name, column in found.items()}

        return "entries", runes, columns
