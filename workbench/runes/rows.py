"""The fast typed reader of batch documents, and its way to Arrow and back.

A good document passes here and nowhere else; what this reader refuses goes to
`workbench.runes.faults`, which says what is wrong with it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from workbench.runes.amounts import format_amounts, parse_amounts
from workbench.runes.history import trust_sentence
from workbench.runes.kinds import HASH, INSTANT, MAX_HEIGHT, Kind
from workbench.runes.schema import BATCH_ID, LONGEST_TEXT, MOST_PARTS
from workbench.runes.tables import ARROW, COMPLETENESS, NETWORKS, SCHEMA_NAME, TABLES, Column

_INT64_MAX = 2**63 - 1  # the largest bound that msgspec accepts; Arrow refuses beyond 2^64 - 1


def python_type(kind: Kind) -> Any:
    rule = kind.json
    if "enum" in rule:
        return Literal[tuple(rule["enum"])]
    if rule["type"] == "boolean":
        return bool
    if rule["type"] == "number":
        return Annotated[float, msgspec.Meta(ge=0)]
    if rule["type"] == "integer":
        bound = rule["maximum"] if rule["maximum"] <= _INT64_MAX else None
        return Annotated[int, msgspec.Meta(ge=0, le=bound)]
    return Annotated[
        str,
        msgspec.Meta(
            pattern=rule.get("pattern"),
            min_length=rule.get("minLength"),
            max_length=rule.get("maxLength"),
        ),
    ]


def _row_struct(name: str) -> type[msgspec.Struct]:
    fields: list[Any] = []
    for column in TABLES[name]:
        kind = python_type(column.kind)
        fields.append((column.name, kind | None, None) if column.optional else (column.name, kind))
    return msgspec.defstruct(
        f"{name}_row", fields, kw_only=True, forbid_unknown_fields=True, gc=False
    )


ROWS: dict[str, type[msgspec.Struct]] = {name: _row_struct(name) for name in TABLES}

_Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
_Height = Annotated[int, msgspec.Meta(ge=0, le=MAX_HEIGHT)]


_Sha256 = python_type(HASH)


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who made a batch, of what. `fetched_at` is ISO 8601 in UTC; `sha256` of the bytes read;
    `parts` the same of each file, where they were several; `trusted` of the file whose state was
    taken over where the blocks begin, for nobody computed that one."""

    producer: _Text
    address: _Text | None = None
    fetched_at: python_type(INSTANT) | None = None  # type: ignore[valid-type]
    sha256: _Sha256 | None = None  # type: ignore[valid-type]
    parts: (
        Annotated[tuple[_Sha256, ...], msgspec.Meta(max_length=MOST_PARTS)] | None  # type: ignore[valid-type]
    ) = None
    trusted: _Sha256 | None = None  # type: ignore[valid-type]

    @property
    def trust(self) -> str | None:
        """How an answer says that it rests on a state taken over; None where it does not."""
        return None if self.trusted is None else trust_sentence(self.trusted)


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document without its tables."""

    schema: Literal[SCHEMA_NAME]  # type: ignore[valid-type]
    id: Annotated[str, msgspec.Meta(pattern=BATCH_ID)] | None = None
    network: Literal[NETWORKS]  # type: ignore[valid-type]
    source: Source
    units: Literal["atomic"]
    completeness: Literal[COMPLETENESS]  # type: ignore[valid-type]
    first_height: _Height
    last_height: _Height
    covers: tuple[Literal[tuple(TABLES)], ...] | None = None  # type: ignore[valid-type]


TableRows = msgspec.defstruct(
    "TableRows",
    [(name, list[struct], msgspec.field(default_factory=list)) for name, struct in ROWS.items()],  # type: ignore[valid-type]
    kw_only=True,
    forbid_unknown_fields=True,
)

Document = msgspec.defstruct(
    "Document", [("tables", TableRows)], bases=(Header,), kw_only=True, frozen=True
)


def arrow_table(name: str, rows: list[Any]) -> pa.Table:
    """Typed rows as the Arrow table `name`.

    Raises pyarrow.ArrowException or OverflowError for what the types alone cannot refuse
    (a February 30, an integer above 2^64 - 1).
    """
    arrays: list[Any] = []
    for column in TABLES[name]:
        arrays.extend(_arrays(column, [getattr(row, column.name) for row in rows]))
    return pa.Table.from_arrays(arrays, schema=ARROW[name])


def _arrays(column: Column, values: list[Any]) -> list[Any]:
    if column.kind.is_amount:
        return list(parse_amounts(pa.array(values, pa.string())))
    if column.kind.is_instant:
        texts = pa.array(values, pa.string())
        return [texts.cast(pa.timestamp("s", "UTC")).cast(pa.timestamp("s"))]
    return [pa.array(values, column.kind.arrow)]


def json_rows(name: str, table: pa.Table) -> list[dict[str, Any]]:
    """An Arrow table as JSON-ready rows; a null optional column is left out of its row."""
    columns = {column.name: _json_values(column, table) for column in TABLES[name]}
    optional = {column.name for column in TABLES[name] if column.optional}
    names = tuple(columns)
    return [
        {
            key: value
            for key, value in zip(names, row, strict=True)
            if not _left_out(key, value, optional)
        }
        for row in zip(*columns.values(), strict=True)
    ]


def _left_out(key: str, value: Any, optional: set[str]) -> bool:
    return value is None and key in optional


def _json_values(column: Column, table: pa.Table) -> list[Any]:
    if column.kind.is_amount:
        texts = format_amounts(table[f"{column.name}_high"], table[f"{column.name}_low"])
        return list(texts.to_pylist())
    if column.kind.is_instant:
        return list(pc.strftime(table[column.name], "%Y-%m-%dT%H:%M:%SZ").to_pylist())
    return list(table[column.name].to_pylist())
