"""Small tables of a batch, written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from workbench.runes.building import Rows

ASH, OAK = "840001:1", "840002:5"


def txid(height: int, index: int) -> str:
    """A transaction id that tells its place."""
    return f"{height:032x}{index:032x}"


def tables(
    *,
    premine: int = 0,
    amount: int | None = None,
    cap: int | None = None,
    divisibility: int = 0,
    etched: Sequence[str] = (ASH,),
    balances: Sequence[tuple[str, str, int]] = (),
    entries: Sequence[tuple[str, int, int, int]] = (),
    inputs: Sequence[tuple[int, int, str, str, int]] = (),
    events: Sequence[tuple[int, int, str, str, int]] = (),
) -> dict[str, pa.Table]:
    """Balances are (rune, script in two letters, amount), entries (rune, mints, burned, supply),
    inputs (height, tx, rune, script, amount), events (height, tx, kind, rune, amount)."""
    rows = Rows()
    for rune in etched:
        height, _, index = rune.partition(":")
        name = "".join(chr(65 + int(digit)) for digit in f"{height}{index}")
        bounds = (None, None, None, None)
        terms = (premine, amount, cap, *bounds, False, amount is not None, False, "valid")
        place = (int(height), int(index), txid(int(height), int(index)))
        rows.add("etchings", rune, name, name, None, divisibility, 0, *terms, *place)
    for number, (rune, whose, held) in enumerate(balances):
        rows.add("balances", rune, f"{txid(1, number)}:0", whose.encode().hex(), None, held)
    for entry in entries:
        rows.add("entries", *entry, None)
    for height, index, rune, whose, held in inputs:
        spent = (f"{txid(2, index)}:0", whose.encode().hex(), None, held, None)
        rows.add("inputs", height, index, txid(height, index), rune, *spent)
    for height, index, kind, rune, moved in events:
        place = (height, index, txid(height, index))
        rows.add("events", *place, kind, rune, moved, 0, None)
    return {name: table for name, table in rows.tables().items() if table.num_rows}


def column(answer: Any, name: str) -> list[Any]:
    """A column of an answer as plain values."""
    return list(answer.frame[name].tolist())
