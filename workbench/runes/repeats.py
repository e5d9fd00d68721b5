"""Rows that stand twice in a table that has one for each thing: what they say would count twice."""

from __future__ import annotations

from collections.abc import Container, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workbench.core.sentence import told
from workbench.errors import Fault

ONE_EACH: dict[str, tuple[tuple[str, ...], ...]] = {
    "blocks": (("height",),),
    "etchings": (("rune_id",),),
    "runestones": (("height", "tx_index"),),
    "mints": (("height", "tx_index"), ("txid",)),
    "balances": (("rune_id", "outpoint"), ("rune_id", "script", "address")),
    "entries": (("rune_id",),),
    "prices": (("rune_id", "taken_at", "unit"),),
}
"""By what a table has one row: by the first columns, and by the next where one of them is null. A
transaction mints once; a holder without an output, a script or an address may be several."""
ONE_EACH_STATE: dict[str, tuple[tuple[str, ...], ...]] = {
    "allocations": (("rune_id", "txid", "output"),),
    "inputs": (("rune_id", "outpoint"),),
}
"""The same of what was honoured: a message may ask for an output several times. An output is spent
once; inputs of a source that names none may be alike."""
_UNTOLD = ("hiro", "xverse", "dogdata")
"""Producers that do not say which outputs a transaction spends."""
MOST = 100
_PLACE = ("height", "tx_index")
_OUTPUT = ("rune_id", "outpoint")
_PLACED = ("rune_id", "txid", "output")
_ODD = tuple(map(np.uint64, (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)))
"""Numbers without a pattern, so that marks of different rows hardly ever are the same."""


def one_each(name: str, level: str | None) -> tuple[tuple[str, ...], ...]:
    """By what a table has one row in a batch of a level; None where that is not known."""
    return ONE_EACH.get(name, ONE_EACH_STATE.get(name, ()) if level == "state" else ())


def alike_lines(producer: str, tables: Container[str]) -> tuple[str, ...]:
    """How rows are counted that nothing tells apart, as an answer says it of its source."""
    if producer not in _UNTOLD or ("events" not in tables and "inputs" not in tables):
        return ()
    line = (
        "{producer} does not say which outputs were spent: rows that are alike count each where "
        "one page or file has them, and once where several do"
    )
    return (told(line, producer=producer),)


def told_twice(producer: str, events: pa.Table) -> Iterator[Fault]:
    """The faults of a producer's burns and etchings that name no output: one that says once what a
    transaction burned of a rune, has said it twice. Of others rows that are alike may be two."""
    if producer != "opi":
        return
    rows = np.flatnonzero(pc.is_in(events["kind"], pa.array(["burned", "etched"])).to_numpy())
    firsts: dict[tuple[Any, ...], int] = {}
    some = events.take(pa.array(rows)).select(["kind", "rune_id", "txid"]).to_pylist()
    for row, said in zip(rows.tolist(), some, strict=True):
        first = firsts.setdefault(tuple(said.values()), row)
        if first != row:
            what = f"{said['kind']} rune_id {said['rune_id']}, txid {said['txid']} again"
            allowed = "one row for each kind, rune_id, txid"
            yield Fault(f"tables.events[{row}]", f"{what}, as in row {first}", allowed)


def repeat_faults(name: str, table: pa.Table, level: str | None = None) -> Iterator[Fault]:
    """The faults of a table of a batch in which a thing has several rows."""
    rest, rows = table, np.arange(table.num_rows)
    for keys in one_each(name, level):
        known = _said(rest, keys)
        for row, first in islice(_repeats(rest, rows, known, keys), MOST):
            values = ((key, table[key][row].as_py()) for key in keys)
            which = ", ".join(f"{key} {value}" for key, value in values if value is not None)
            allowed = f"one row for each {', '.join(keys)}"
            yield Fault(f"tables.{name}[{row}]", f"{which} again, as in row {first}", allowed)
        rest, rows = rest.filter(pa.array(~known)), rows[~known]


def _said(table: pa.Table, keys: tuple[str, ...]) -> Any:
    """Where a row says what tells it from others: all of the keys, of a holder either."""
    valid = [table[key].is_valid().to_numpy() for key in keys]
    if keys[1:] == ("script", "address"):
        return valid[1] | valid[2]
    return np.logical_and.reduce(valid)


def _repeats(
    table: pa.Table, rows: Any, known: Any, keys: tuple[str, ...]
) -> Iterator[tuple[int, int]]:
    """(row, the one that it repeats), as few as there are: nearly always none."""
    if not known.any():
        return
    some = table if known.all() else table.filter(pa.array(known))
    if keys == _PLACE:
        places = some["height"].to_numpy().astype(np.uint64) << 32
        places |= some["tx_index"].to_numpy().astype(np.uint64)
        if (places[1:] > places[:-1]).all() or _distinct(places):
            return
    elif (keys in (_OUTPUT, _PLACED) and _differ(some, *keys[1:])) or (
        _grouped(some, keys) == some.num_rows
    ):
        return
    firsts: dict[tuple[Any, ...], int] = {}
    columns = [some[key].to_pylist() for key in keys]
    for row, value in zip(rows[known].tolist(), zip(*columns, strict=True), strict=True):
        first = firsts.setdefault(value, row)
        if first != row:
            yield row, first


def _grouped(table: pa.Table, keys: tuple[str, ...]) -> int:
    rows: int = table.group_by(list(keys)).aggregate([]).num_rows
    return rows


def _differ(table: pa.Table, text: str, number: str | None = None) -> bool:
    """Whether the rows surely differ: their marks of 64 bits do, which are much faster to compare
    than texts. Rows of one mark may still differ."""
    marks = []
    for outpoints in filter(len, table[text].chunks):
        if not (pc.min(pc.binary_length(outpoints)).as_py() or 0) >= 8:
            return False
        _, ends, body = outpoints.buffers()
        places = np.frombuffer(ends, np.int32)[outpoints.offset :][: len(outpoints) + 1]
        texts = np.lib.stride_tricks.sliding_window_view(np.frombuffer(body, np.uint8), 8)
        starts = (places[:-1], np.maximum(places[1:] - 16, places[:-1]), places[1:] - 8)
        words = (np.ascontiguousarray(texts[at]).view(np.uint64).ravel() for at in starts)
        marks.append(sum(word * odd for word, odd in zip(words, _ODD, strict=True)))
    runes = table["rune_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    whole = np.concatenate(marks) ^ (runes.astype(np.uint64) << np.uint64(40))
    if number is not None:
        whole += table[number].to_numpy().astype(np.uint64) * _ODD[0]
    return _distinct(whole)


def _distinct(values: Any) -> bool:
    """Sorted: `numpy.unique` makes a table of them first, which takes ten times as long."""
    ordered = np.sort(values)
    return bool((ordered[1:] != ordered[:-1]).all())
