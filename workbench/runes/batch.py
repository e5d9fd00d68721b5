"""The batch `runes-batch/1`: what every reader makes and every model reads.

A batch holds immutable Arrow tables. 128-bit amounts are two uint64 columns, high and
low, there and in Parquet; one decimal string in JSON. See `runes-batch-1.schema.json`.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from workbench.core.rune import RuneId
from workbench.core.sentence import spoken
from workbench.errors import Fault, InputError
from workbench.runes import faults, packing
from workbench.runes.amounts import (
    MAX_AMOUNT,
    amount_columns,
    amount_ints,
    format_amounts,
    parse_amounts,
    sum_amounts,
    table_amounts,
)
from workbench.runes.drawing import counted
from workbench.runes.history import trust_line
from workbench.runes.records import RECORDS
from workbench.runes.rows import Document, Header, Source, arrow_table, json_rows
from workbench.runes.saying import said_span
from workbench.runes.sources import PRODUCERS
from workbench.runes.tables import SCHEMA_NAME, TABLES, empty_table, speaks_of

if TYPE_CHECKING:
    import pandas

__all__ = [
    "MAX_AMOUNT",
    "Batch",
    "Source",
    "amount_columns",
    "amount_ints",
    "batch_document",
    "batch_header",
    "batch_of",
    "format_amounts",
    "load_batch",
    "parse_amounts",
    "save_batch",
    "sum_amounts",
    "table_amounts",
]

SUFFIXES = (".json", ".json.gz", ".ndjson", ".ndjson.gz")


LISTS = frozenset(("etchings", "balances", "entries"))
"""What producers list as of a block."""
NO_BATCH = (
    "this is no batch: it has neither schema nor tables. What a producer exports becomes one with "
    "batch-import, or in a notebook with runes.read and runes.save_batch"
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Batch:
    """The Runes activity of the blocks `first_height` to `last_height`.

    `tables` always holds every table of the schema, an absent one without rows. At the
    `runestone` level it says what messages asked for, at the `state` level what was honoured.
    """

    id: str
    network: str
    source: Source
    completeness: str
    first_height: int
    last_height: int
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    covers: tuple[str, ...] | None = None
    """The tables that the source speaks of; None: see `speaks_of`. An empty table outside of it
    means that nobody knows, not that nothing happened."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.tables) - set(TABLES))
        if unknown:
            raise InputError.field("tables", unknown, "tables named " + ", ".join(TABLES))
        tables = {
            name: packing.shaped(name, self.tables[name])
            if name in self.tables
            else empty_table(name)
            for name in TABLES
        }
        object.__setattr__(self, "tables", tables)

    def rune_ids(self) -> set[str]:
        """Every rune that any table speaks of (0:0 in a message is no rune)."""
        columns = (self.tables[name][column] for name, column in faults.rune_columns())
        found = {rune for column in columns for rune in column.unique().to_pylist()}
        return found - {None, "0:0"}

    @cached_property
    def is_dated(self) -> bool:
        """Whether it says of which block it is: see `Evidence.is_dated`."""
        present = {name for name, table in self.tables.items() if table.num_rows}
        if self.source.producer not in PRODUCERS or present - LISTS:
            return True
        newest = max((RuneId.parse(rune).block for rune in self.rune_ids()), default=None)
        return newest != self.last_height

    def holds(self, name: str) -> bool:
        """Whether the source speaks of what the table `name` is about."""
        present = {each for each, table in self.tables.items() if table.num_rows}
        return speaks_of(name, self.covers, present)

    def frame(self, name: str) -> pandas.DataFrame:
        """The table `name` in pandas: amounts are exact Python ints, the missing is not 0."""
        from workbench.runes.frames import to_frame

        if name not in self.tables:
            raise InputError.field("name", name, ", ".join(TABLES))
        return to_frame(name, self.tables[name])

    def rows(self) -> dict[str, int]:
        """How many rows each table holds."""
        return {name: table.num_rows for name, table in self.tables.items()}

    def __repr__(self) -> str:
        rows = ", ".join(f"{count:,} {name}" for name, count in self.rows().items() if count)
        span = f"{self.first_height} to {self.last_height}" if self.is_dated else "not stated"
        level = "; ".join([f"{self.completeness} level", *filter(None, [self.source.trust])])
        return f"<Batch {self.id}: {self.network}, blocks {span}, {level}; {rows or 'empty'}>"

    def _repr_html_(self) -> str:
        say = spoken().say
        trust = self.source.trust
        span = said_span(self.first_height, self.last_height) if self.is_dated else "not stated"
        facts = [
            (say("network"), self.network),
            (say("blocks"), say(span)),
            (say("completeness"), say(self.completeness)),
            (say("source"), self.source.producer),
            *([(say("trust"), say(trust_line(trust)))] if trust else []),
            *((name, counted(count)) for name, count in self.rows().items() if count),
        ]
        lines = "".join(
            f"<tr><th scope='row' style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in facts
        )
        return f"<table><caption>{html.escape(self.id)}</caption><tbody>{lines}</tbody></table>"


def load_batch(
    source: str | Path | bytes | Mapping[str, Any], *, rune_limit: int | None = None
) -> Batch:
    """A batch from a file (JSON, NDJSON, either gzipped), a folder of Parquet or CSV files,
    bytes, or a document.

    Raises one InputError that lists each fault (at most 100) with its path; `rune_limit`
    bounds the number of runes spoken of.
    """
    if isinstance(source, Mapping):
        batch = _from_bytes(packing.json_bytes(source))
    elif isinstance(source, bytes):
        batch = _from_bytes(packing.unpacked(io.BytesIO(source)))
    elif not isinstance(source, str | Path) or source == "":
        raise InputError.field("source", source, "a file, a folder, bytes or a document")
    elif Path(source).is_dir():
        RECORDS.opened(sorted(Path(source).iterdir()))
        batch = _from_parts(*packing.read_folder(Path(source)))
    else:
        RECORDS.opened([Path(source)])
        batch = _from_bytes(packing.read_file(Path(source)))
    return limited(batch, rune_limit)


def limited(batch: Batch, rune_limit: int | None) -> Batch:
    """The batch. Raises InputError where it speaks of more runes."""
    count = len(batch.rune_ids()) if rune_limit is not None else 0
    if rune_limit is not None and count > rune_limit:
        raise InputError(
            "the batch holds {count} {count:rune|runes}; allowed: up to {limit}",
            count=count,
            limit=rune_limit,
        )
    return batch


def save_batch(batch: Batch, path: str | Path, *, tables: str = "parquet") -> Path:
    """Write a batch; the suffix of `path` says how (.json, .json.gz, .ndjson, .ndjson.gz, or
    none: a folder of Parquet files, or with tables="csv" of CSV files). A file is written
    whole or not at all; the same batch gives the same bytes."""
    target = Path(path)
    if tables not in packing.FORMS:
        raise InputError.field("tables", tables, ", ".join(packing.FORMS))
    if not target.suffix or target.is_dir():
        packing.write_folder(target, batch_header(batch), batch.tables, tables)
        return target
    suffix = next((known for known in reversed(SUFFIXES) if target.name.endswith(known)), None)
    if suffix is None:
        allowed = f"a name ending in {', '.join(SUFFIXES)}, or in none for Parquet"
        raise InputError.field("path", target.name, allowed)
    if ".ndjson" in suffix:
        body = packing.ndjson_bytes(batch_header(batch), batch.tables)
    else:
        body = packing.json_bytes(batch_document(batch))
    packing.write_file(target, gzip.compress(body, mtime=0) if suffix.endswith(".gz") else body)
    return target


def batch_document(batch: Batch) -> dict[str, Any]:
    """The batch as a JSON-ready document; empty tables are left out."""
    tables = batch.tables.items()
    rows = {name: json_rows(name, table) for name, table in tables if table.num_rows}
    return {**batch_header(batch), "tables": rows}


def batch_header(batch: Batch) -> dict[str, Any]:
    """The document without its tables."""
    covers = {} if batch.covers is None else {"covers": list(batch.covers)}
    return {
        "schema": SCHEMA_NAME,
        "id": batch.id,
        "network": batch.network,
        "source": msgspec.to_builtins(batch.source),
        "units": "atomic",
        "completeness": batch.completeness,
        "first_height": batch.first_height,
        "last_height": batch.last_height,
        **covers,
    }


def batch_of(header: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> Batch:
    """A batch from `batch_header`'s document and Arrow tables, checked as any other."""
    shaped = ((name, packing.shaped(name, table)) for name, table in tables.items())
    return _from_parts(packing.json_bytes(header), shaped)


def _from_bytes(body: bytes) -> Batch:
    quick = _from_lines(body)
    if quick is not None:
        return quick
    body = packing.whole_document(body)
    try:
        document: Any = msgspec.json.decode(body, type=Document)
        tables = {name: arrow_table(name, getattr(document.tables, name)) for name in TABLES}
    except (msgspec.ValidationError, pa.ArrowException, OverflowError, RecursionError) as error:
        given = packing.parsed(body)
        if given and not (isinstance(given, dict) and given.keys() & {"schema", "tables"}):
            raise packing.NoBatch(NO_BATCH) from None
        faults.refuse(faults.document_faults(given))
        raise InputError("the batch cannot be read: {reason}", reason=str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise packing.not_json(error) from None
    return _checked(document, tables, body)


def _from_lines(body: bytes) -> Batch | None:
    """An NDJSON batch without a fault, in half the time; None for any other."""
    from workbench.runes.fast_lines import fast_tables

    parts = packing.header_and_lines(body)
    tables = None if parts is None else fast_tables(parts[1])
    if parts is None or tables is None:
        return None
    try:
        header = msgspec.json.decode(parts[0], type=Header)
    except msgspec.DecodeError:
        return None
    whole = {name: tables.get(name, empty_table(name)) for name in TABLES}
    return _checked(header, whole, body)


def checked_header(body: bytes) -> Header:
    """The header of a batch whose tables lie elsewhere. Raises InputError with its faults."""
    try:
        return msgspec.json.decode(body, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        document = packing.parsed(body)
        if isinstance(document, dict):
            faults.refuse(faults.document_faults({**document, "tables": {}}))
        raise InputError("the batch cannot be read: {reason}", reason=str(error)) from None


def _from_parts(body: bytes, tables: Iterable[tuple[str, pa.Table]]) -> Batch:
    header = checked_header(body)
    read: dict[str, pa.Table] = {}
    found: list[Fault] = []
    for name, table in tables:
        read[name] = table
        found += faults.table_faults({name: table})
    faults.refuse(found)
    return _checked(header, {name: read.get(name, empty_table(name)) for name in TABLES}, body)


def _checked(header: Any, tables: Mapping[str, pa.Table], body: bytes) -> Batch:
    first, last, level = header.first_height, header.last_height, header.completeness
    faults.refuse(faults.meaning_faults(tables, first, last, level))
    name = header.id or f"b{header.first_height}_{hashlib.sha256(body).hexdigest()[:8]}"
    return Batch(
        id=name,
        network=header.network,
        source=header.source,
        completeness=header.completeness,
        first_height=header.first_height,
        last_height=header.last_height,
        tables=tables,
        covers=header.covers,
    )
