"""Rows of one thing from several documents as one row: what one leaves out, another may say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from workbench.errors import InputError, shown
from workbench.runes.amounts import format_amounts
from workbench.runes.packing import shaped
from workbench.runes.repeats import ONE_EACH

MERGED = ("etchings", "entries", "prices", "balances")
PLACE = "place"
"""The column beside a table's own that says in which document a row stands."""
_BY_OUTPUT, _BY_HOLDER = ONE_EACH["balances"]


def merged(name: str, table: pa.Table) -> pa.Table:
    """The table with one row for each thing. Raises InputError where two rows contradict each
    other, and where a rune's holders are listed by output and by address: that counts twice."""
    if name not in MERGED:
        return table
    if PLACE not in table.column_names:
        table = table.append_column(PLACE, pa.nulls(table.num_rows, pa.string()))
    return _balances(table) if name == "balances" else _one_each(name, table, ONE_EACH[name][0])


def not_before(before: pa.Table, added: pa.Table) -> pa.Table:
    """The rows that an earlier reading did not give as often: what both gave is one row."""
    bounds = pc.min_max(before["height"]).as_py(), pc.min_max(added["height"]).as_py()
    if None in (bounds[0]["max"], bounds[1]["min"]) or bounds[0]["max"] < bounds[1]["min"]:
        return added
    shared = pc.is_in(added["txid"], pc.unique(before["txid"]).drop_null())
    both = added.filter(shared)
    if not both.num_rows:
        return added
    same = before.filter(pc.is_in(before["txid"], pc.unique(both["txid"])))
    left = Counter(_tuples(same))
    is_new = [True] * both.num_rows
    for row, values in enumerate(_tuples(both)):
        is_new[row] = left[values] == 0
        left[values] -= left[values] > 0
    kept = both.filter(pa.array(is_new, pa.bool_()))
    return pa.concat_tables([added.filter(pc.invert(shared)), kept])


def _tuples(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _balances(table: pa.Table) -> pa.Table:
    lone = table["outpoint"].is_null()
    sums, lots = table.filter(lone), table.filter(pc.invert(lone))
    twice = pc.is_in(pc.unique(sums["rune_id"]), pc.unique(lots["rune_id"]))
    if pc.any(twice).as_py():
        rune = pc.unique(sums["rune_id"]).filter(twice)[0].as_py()
        raise InputError(
            "the holders of {rune_id} are listed by output and by address, which would count them "
            "twice: read one or the other",
            rune_id=rune,
        )
    unknown = pc.and_(sums["script"].is_null(), sums["address"].is_null())
    known, nobodys = sums.filter(pc.invert(unknown)), sums.filter(unknown)
    parts = [_one_each("balances", lots, _BY_OUTPUT), _one_each("balances", known, _BY_HOLDER)]
    return pa.concat_tables([*parts, _own("balances", nobodys)])  # whose is whose is not known


def _own(name: str, table: pa.Table) -> pa.Table:
    """The table without the places of its rows."""
    return shaped(name, table.drop_columns([PLACE]))


def _one_each(name: str, table: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    grouped = table.group_by(list(keys), use_threads=False)
    if grouped.aggregate([]).num_rows == table.num_rows:
        return _own(name, table)
    others = [column for column in table.column_names if column not in (*keys, PLACE)]
    said = pc.CountOptions(mode="only_valid")
    counts = grouped.aggregate([(column, "count_distinct", said) for column in others])
    for column in others:
        odd = counts.filter(pc.greater(counts[f"{column}_count_distinct"], 1))
        if odd.num_rows:
            thing = {key: odd[key][0].as_py() for key in keys}
            raise _contradiction(name, table, thing, column)
    firsts = grouped.aggregate([(column, "first") for column in others])
    renamed = firsts.rename_columns([each.removesuffix("_first") for each in firsts.column_names])
    return shaped(name, renamed)


def _contradiction(name: str, table: pa.Table, thing: Mapping[str, Any], half: str) -> InputError:
    """What two documents say of one thing, and which two."""
    column = half.removesuffix("_high").removesuffix("_low")
    for key, value in thing.items():
        own = table[key].is_null() if value is None else pc.equal(table[key], value)
        table = table.filter(own)
    table = table.filter(table[half].is_valid())
    values = (
        table[column]
        if column == half
        else format_amounts(table[f"{column}_high"], table[f"{column}_low"])
    ).to_pylist()
    other = next(row for row, value in enumerate(values) if value != values[0])
    places = table[PLACE].to_pylist()
    return InputError(
        "{first} and {second} contradict each other in {column} of {table} of {key}, which is "
        "{value} and {other}: give those of one moment, or each in a batch of its own",
        first=places[0] or "what was read before",
        second=places[other] or "what was read before",
        column=column,
        table=name,
        key=", ".join(str(value) for value in thing.values() if value is not None),
        value=shown(values[0]),
        other=shown(values[other]),
    )
