"""What is wrong with a batch: every fault with its path, in the words of the schema."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from itertools import islice
from types import ModuleType
from typing import Any, cast

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workbench.errors import Fault, InputError, shown
from workbench.runes.kinds import (
    HASH,
    INSTANT,
    MAX_U64,
    OUTPOINT,
    SCRIPT,
    U64,
    arrow_pattern,
    rule_pattern,
)
from workbench.runes.repeats import repeat_faults
from workbench.runes.rows import ROWS
from workbench.runes.schema import SCHEMA_FILE
from workbench.runes.tables import ARROW, TABLES, Column

MOST_FAULTS = 100

_OWN_RANGE = ("blocks", "runestones", "mints", "edicts", "allocations", "inputs", "events")
_MESSAGES = ("runestones", "mints", "edicts")
_HEX, _TXID = "0123456789abcdef", 64
"""The digits of a transaction id, and how many it has."""
_HARDLY_REPEATED = frozenset((HASH.name, OUTPOINT.name, SCRIPT.name))
_U64_COLUMNS = {
    name: [column.name for column in columns if column.kind is U64]
    for name, columns in TABLES.items()
}
_INSTANT_COLUMNS = {
    name: [column.name for column in columns if column.kind is INSTANT]
    for name, columns in TABLES.items()
}


def document_faults(document: Any) -> list[Fault]:
    """The faults of a JSON document that the fast reader refused, at most 100."""
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    found = list(islice(_document_faults(schema, document, suspects_only=True), MOST_FAULTS))
    return found or list(
        islice(_document_faults(schema, document, suspects_only=False), MOST_FAULTS)
    )


def _document_faults(
    schema: dict[str, Any], document: Any, *, suspects_only: bool
) -> Iterator[Fault]:
    """The schema's pass: the document without its rows first, then row by row.

    `suspects_only` passes over the rows that the typed reader accepts, which is what makes
    one fault in 300,000 rows a matter of seconds.
    """
    yield from _faults(schema, _without_rows(document), "")
    tables = document.get("tables") if isinstance(document, dict) else None
    if not isinstance(tables, dict):
        return
    for name, rows in tables.items():
        if name in TABLES and isinstance(rows, list):
            row_schema = schema["properties"]["tables"]["properties"][name]["items"]
            whole = {**row_schema, "$defs": schema["$defs"]}
            for index, row in enumerate(rows):
                path = f"tables.{name}[{index}]"
                if not (suspects_only and _accepted(name, row)):
                    yield from _faults(whole, row, path)
                yield from _calendar_faults(name, row, path)


def _without_rows(document: Any) -> Any:
    if not isinstance(document, dict) or not isinstance(document.get("tables"), dict):
        return document
    tables = {
        name: [] if isinstance(rows, list) else rows for name, rows in document["tables"].items()
    }
    return {**document, "tables": tables}


def _accepted(name: str, row: Any) -> bool:
    try:
        msgspec.convert(row, ROWS[name])
    except msgspec.ValidationError:
        return False
    return all((row.get(column) or 0) <= MAX_U64 for column in _U64_COLUMNS[name])


def _calendar_faults(name: str, row: Any, path: str) -> Iterator[Fault]:
    """Days that no calendar has: the one rule of a single value that a pattern cannot say."""
    for column in _INSTANT_COLUMNS[name]:
        text = row.get(column) if isinstance(row, dict) else None
        if isinstance(text, str) and rule_pattern(INSTANT).search(text):
            try:
                datetime.fromisoformat(text)
            except ValueError:
                yield Fault(f"{path}.{column}", shown(text), INSTANT.rule)


def _faults(schema: dict[str, Any], value: Any, path: str) -> Iterator[Fault]:
    validator = _jsonschema().Draft202012Validator(schema)
    for error in validator.iter_errors(value):
        yield from _error_faults(error, path)


def _error_faults(error: Any, base: str) -> Iterator[Fault]:
    path = base + "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path
    )
    path = path.removeprefix(".")
    if error.validator == "required":
        name = next(n for n in error.validator_value if error.message.startswith(repr(n)))
        yield Fault(f"{path}.{name}".removeprefix("."), "missing", "a value, it is required")
        return
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        for name in error.instance:
            if name not in known:
                allowed = "absent; known: " + ", ".join(known)
                yield Fault(
                    f"{path}.{name}".removeprefix("."), shown(error.instance[name]), allowed
                )
        return
    yield Fault(
        path or "the batch", shown(error.instance), error.schema.get("title", error.message)
    )


def table_faults(tables: Mapping[str, pa.Table]) -> Iterator[Fault]:
    """The faults of Arrow tables that did not come through the typed reader."""
    checks = [
        check
        for name, table in tables.items()
        for check in (
            partial(_missing_values, name, table),
            *(partial(_column_faults, name, table, column) for column in TABLES[name]),
        )
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Arrow computes without Python's lock
        for found in pool.map(_most, checks):
            yield from found


def _most(check: Callable[[], Iterator[Fault]]) -> list[Fault]:
    return list(islice(check(), MOST_FAULTS))


def _missing_values(name: str, table: pa.Table) -> Iterator[Fault]:
    for field in ARROW[name]:
        if not field.nullable and table[field.name].null_count:
            for row in _rows_where(table[field.name].is_null()):
                yield Fault(f"tables.{name}[{row}].{field.name}", "null", "a value, it is required")


def _column_faults(name: str, table: pa.Table, column: Column) -> Iterator[Fault]:
    if column.kind.is_amount:
        yield from _half_amounts(name, table, column)
    elif "maximum" in column.kind.json:
        yield from _out_of_range(name, table, column)
    elif column.kind.arrow == pa.string():
        yield from _odd_texts(name, table, column)


def _half_amounts(name: str, table: pa.Table, column: Column) -> Iterator[Fault]:
    halves = [table[f"{column.name}_{half}"] for half in ("high", "low")]
    if not any(half.null_count for half in halves):
        return
    high, low = (half.is_null() for half in halves)
    for row in _rows_where(pc.xor(high, low)):
        yield Fault(f"tables.{name}[{row}].{column.name}", "half of an amount", column.kind.rule)


def _out_of_range(name: str, table: pa.Table, column: Column) -> Iterator[Fault]:
    values = table[column.name]
    bounds = pc.min_max(values).as_py()
    if (bounds["min"] or 0) >= 0 and (bounds["max"] or 0) <= column.kind.json["maximum"]:
        return
    limit = pa.scalar(column.kind.json["maximum"], values.type)
    odd = pc.or_(pc.greater(values, limit), pc.less(values, pa.scalar(0, values.type)))
    for row in _rows_where(odd):
        value = shown(values[row].as_py())
        yield Fault(f"tables.{name}[{row}].{column.name}", value, column.kind.rule)


def _odd_texts(name: str, table: pa.Table, column: Column) -> Iterator[Fault]:
    values = table[column.name]
    if column.kind.name in _HARDLY_REPEATED and _all_fit(values, column):
        return
    different = pc.unique(values).drop_null()
    suspects = different.filter(pc.invert(_plainly_fits(different, column)))
    odd = [text for text in suspects.to_pylist() if not _fits(text, column)]
    if odd:
        for row in _rows_where(pc.is_in(values, pa.array(odd, pa.string()))):
            value = shown(values[row].as_py())
            yield Fault(f"tables.{name}[{row}].{column.name}", value, column.kind.rule)


def _all_fit(values: Any, column: Column) -> bool:
    """Whether none is odd, told without looking for the different ones, which are nearly all."""
    if column.kind.name == OUTPOINT.name:
        outputs = pc.ascii_ltrim(values, characters=_HEX)  # the rest, of which few are different
        digits = pc.subtract(pc.binary_length(values), pc.binary_length(outputs))
        if pc.all(pc.equal(digits, _TXID)).as_py() is False:
            return False
        likely = pc.binary_join_element_wise("0" * _TXID, pc.unique(outputs).drop_null(), "")
        return pc.all(_plainly_fits(likely, column)).as_py() is not False
    lengths = pc.binary_length(values)
    if column.kind.name == HASH.name:
        right = pc.equal(lengths, _TXID)
    else:
        even = pc.equal(pc.bit_wise_and(lengths, 1), 0)
        right = pc.and_(even, pc.less_equal(lengths, SCRIPT.json["maxLength"]))
    hexadecimal = pc.equal(pc.ascii_trim(values, characters=_HEX), "")
    return pc.all(pc.and_(hexadecimal, right)).as_py() is not False


def _plainly_fits(values: Any, column: Column) -> Any:
    """Which texts keep the rule, told by Arrow's own pattern matching, which is much faster."""
    rule = column.kind.json
    if "enum" in rule:
        return pc.is_in(values, pa.array(rule["enum"], pa.string()))
    lengths = pc.utf8_length(values)
    longest = pc.less_equal(lengths, rule.get("maxLength", 2**31 - 1))
    fitting = pc.and_(longest, pc.greater_equal(lengths, rule.get("minLength", 0)))
    if "pattern" not in rule:
        return fitting
    return pc.and_(fitting, pc.match_substring_regex(values, arrow_pattern(column.kind)))


def _fits(text: str, column: Column) -> bool:
    rule = column.kind.json
    if "enum" in rule:
        return text in rule["enum"]
    longest = rule.get("maxLength", len(text))
    if not rule.get("minLength", 0) <= len(text) <= longest:
        return False
    return "pattern" not in rule or bool(rule_pattern(column.kind).search(text))


def meaning_faults(
    tables: Mapping[str, pa.Table], first: int, last: int, level: str
) -> Iterator[Fault]:
    """What no type can say: heights in the range, rune ids that can exist, nothing twice."""
    yield from range_faults(tables, first, last)
    checks = [partial(repeat_faults, name, table, level) for name, table in tables.items()]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(_most, checks):
            yield from found


def range_faults(tables: Mapping[str, pa.Table], first: int, last: int) -> Iterator[Fault]:
    """What no type can say of a row alone: heights in the range, rune ids that can exist."""
    if first > last:
        yield Fault("first_height", shown(first), f"integer from 0 to last_height {last}")
    for name in (*_OWN_RANGE, "etchings"):
        low = 0 if name == "etchings" else first
        heights = tables[name]["height"]
        bounds = pc.min_max(heights).as_py()
        if bounds["min"] is None or low <= bounds["min"] <= bounds["max"] <= last:
            continue
        for row in _rows_where(pc.or_(pc.less(heights, low), pc.greater(heights, last))):
            allowed = f"a height from {low} to {last}, the batch's range"
            yield Fault(f"tables.{name}[{row}].height", shown(heights[row].as_py()), allowed)
    yield from _misplaced(tables["etchings"])
    for name, column in rune_columns():
        yield from _impossible_ids(name, column, tables[name][column])


def rune_columns() -> Iterator[tuple[str, str]]:
    """(table, column) of every column of rune ids."""
    for name, columns in TABLES.items():
        for column in columns:
            if column.kind.name == "rune_id":
                yield name, column.name


def _misplaced(etchings: pa.Table) -> Iterator[Fault]:
    """A rune's id names the block that it was etched in."""
    ids, heights = etchings["rune_id"], etchings["height"].cast(pa.string())
    said = pc.list_element(pc.split_pattern(ids.cast(pa.string()), ":"), 0)
    for row in _rows_where(pc.not_equal(said, heights)):
        allowed = f"an id of block {heights[row].as_py()}, in which it was etched"
        yield Fault(f"tables.etchings[{row}].rune_id", shown(ids[row].as_py()), allowed)


def _impossible_ids(name: str, column: str, ids: Any) -> Iterator[Fault]:
    """Block 0 holds no rune; 0:0 stands only in messages, for the rune etched beside it."""
    odd = pc.starts_with(ids, "0:")
    if name in _MESSAGES:
        odd = pc.and_(odd, pc.not_equal(ids, "0:0"))
    for row in _rows_where(odd):
        allowed = "rune id BLOCK:TX with a block from 1"
        yield Fault(f"tables.{name}[{row}].{column}", shown(ids[row].as_py()), allowed)


def refuse(faults: Iterable[Fault]) -> None:
    """Raise one InputError that lists the faults (at most 100), if there are any."""
    found = list(islice(faults, MOST_FAULTS))
    if found:
        raise InputError.of(found)


def _rows_where(mask: Any) -> list[int]:
    chunk = mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else mask
    flags = chunk.fill_null(False).to_numpy(zero_copy_only=False)
    return [int(row) for row in np.flatnonzero(flags)[:MOST_FAULTS]]


def _jsonschema() -> ModuleType:
    """Only a faulty document needs it, and its check of IRIs, unused here, takes 2 s to import."""
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    import jsonschema

    return cast(ModuleType, jsonschema)
