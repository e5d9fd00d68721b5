"""Rows of one thing from several documents as one row: what one leaves out, another may say."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from workbench.errors import InputError
from workbench.runes.packing import shaped
from workbench.runes.repeats import ONE_EACH

_MERGED = ("etchings", "entries", "prices")
_BY_OUTPUT, _BY_HOLDER = ONE_EACH["balances"]


def merged(name: str, table: pa.Table) -> pa.Table:
    """The table with one row for each thing. Raises InputError where two rows contradict each
    other, and where a rune's holders are listed by output and by address: that counts twice."""
    if name == "balances":
        return _balances(table)
    return _one_each(name, table, ONE_EACH[name][0]) if name in _MERGED else table


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
    return pa.concat_tables([*parts, shaped("balances", nobodys)])  # whose is whose is not known


def _one_each(name: str, table: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    grouped = table.group_by(list(keys), use_threads=False)
    if grouped.aggregate([]).num_rows == table.num_rows:
        return shaped(name, table)
    others = [column for column in table.column_names if column not in keys]
    said = pc.CountOptions(mode="only_valid")
    counts = grouped.aggregate([(column, "count_distinct", said) for column in others])
    for column in others:
        odd = counts.filter(pc.greater(counts[f"{column}_count_distinct"], 1))
        if odd.num_rows:
            raise _contradiction(name, odd.slice(0, 1).to_pylist()[0], keys, column)
    firsts = grouped.aggregate([(column, "first") for column in others])
    renamed = firsts.rename_columns([each.removesuffix("_first") for each in firsts.column_names])
    return shaped(name, renamed)


def _contradiction(
    name: str, row: dict[str, object], keys: tuple[str, ...], column: str
) -> InputError:
    return InputError(
        "the documents contradict each other in {column} of {table} of {key}: give those of one "
        "moment, or each in a batch of its own",
        column=column.removesuffix("_high").removesuffix("_low"),
        table=name,
        key=", ".join(str(row[key]) for key in keys if row[key] is not None),
    )
