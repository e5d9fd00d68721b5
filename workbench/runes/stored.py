"""A batch that stays in its Parquet files: for more rows than the memory of this machine holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import Fault, InputError
from workbench.runes import faults, packing
from workbench.runes.batch import checked_header
from workbench.runes.evidence import Evidence
from workbench.runes.records import RECORDS
from workbench.runes.repeats import one_each
from workbench.runes.rows import Header, Source
from workbench.runes.tables import ARROW, SQL_TYPES, TABLES, empty_table
from workbench.store.scratch import Scratch

CHUNK = 1 << 20
"""Rows that are looked at in one piece."""

_REPEATED = """
WITH said AS NOT MATERIALIZED (
  SELECT {keys} FROM {table} WHERE {known}
), marks AS (
  SELECT hash({keys}) AS mark FROM said GROUP BY mark HAVING count(*) > 1
)
SELECT {keys} FROM said SEMI JOIN marks ON hash({keys}) = marks.mark
GROUP BY {keys} HAVING count(*) > 1 LIMIT {most}
"""
"""A mark of 64 bits takes a fraction of the memory; what shares one is compared itself."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredBatch:
    """A folder of Parquet files as `save_batch` writes it, checked a piece at a time. Questions
    read of it what they need; it must not change meanwhile."""

    id: str
    network: str
    source: Source
    completeness: str
    first_height: int
    last_height: int
    covers: tuple[str, ...] | None
    files: dict[str, Path] = field(repr=False)

    def evidence(self) -> Evidence:
        """What a question reads."""
        return Evidence(
            name=self.id,
            network=self.network,
            completeness=self.completeness,
            first_height=self.first_height,
            last_height=self.last_height,
            producer=self.source.producer,
            trust=self.source.trust,
            covers=None if self.covers is None else frozenset(self.covers),
            tables={name: name for name, rows in self.rows().items() if rows},
            query=_scratch(self.files).query,
        )

    def rows(self) -> dict[str, int]:
        """How many rows each table holds."""
        return _rows(self.files)


def open_batch(folder: str | Path, *, check: bool = True) -> StoredBatch:
    """A batch of a folder of Parquet files, which stays there. Its rules are those of
    `load_batch`, and it is asked as any other batch. `check=False` is for files that kept the
    rules when they were opened before.

    Raises one InputError that lists each fault (at most 100) with its path.
    """
    if not isinstance(folder, str | Path) or not Path(folder).is_dir():
        raise InputError.field("folder", folder, "a folder of Parquet files, as save_batch writes")
    place = Path(folder)
    files = packing.folder_files(place)
    odd = [path.name for path in files.values() if path.suffix != ".parquet"]
    if odd:
        raise InputError.field("files", odd, "Parquet files: load_batch reads CSV")
    RECORDS.opened(sorted(place.iterdir()))
    body, stated = packing.folder_header(place)
    header = checked_header(body)
    packing.check_rows(stated, _rows(files))
    if check:
        faults.refuse(_faults(files, header))
    return StoredBatch(
        id=header.id or place.name,
        files=files,
        **{
            name: getattr(header, name)
            for name in ("network", "source", "completeness", "first_height", "last_height")
        },
        covers=header.covers,
    )


def _rows(files: dict[str, Path]) -> dict[str, int]:
    rows = {}
    for name, path in files.items():
        try:
            rows[name] = pq.read_metadata(path).num_rows
        except FileNotFoundError:
            raise InputError("{path} is not there any more", path=str(path)) from None
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                "{path} cannot be read: {reason}", path=str(path), reason=str(error)
            ) from None
    return rows


def _faults(files: dict[str, Path], header: Header) -> Iterator[Fault]:
    for name, path in files.items():
        for piece in _pieces(name, path):
            yield from faults.table_faults({name: piece})
            whole = {each: piece if each == name else empty_table(each) for each in TABLES}
            yield from faults.range_faults(whole, header.first_height, header.last_height)
    scratch = _scratch(files)
    for name in files:
        yield from _repeats(scratch, name, header.completeness)


def _pieces(name: str, path: Path) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path) as file:
            for rows in file.iter_batches(CHUNK):
                yield packing.shaped(name, pa.Table.from_batches([rows]), path.name)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            "{path} cannot be read: {reason}", path=str(path), reason=str(error)
        ) from None


def _repeats(scratch: Scratch, name: str, level: str) -> Iterator[Fault]:
    """What stands twice in a table that has one row for each: told by its keys."""
    above = "true"
    for keys in one_each(name, level):
        known = " AND ".join(f"{key} IS NOT NULL" for key in keys)
        if keys[1:] == ("script", "address"):  # of a holder either is enough
            known = "(script IS NOT NULL OR address IS NOT NULL)"
        sql = _REPEATED.format(
            keys=", ".join(keys), table=name, known=f"{above} AND {known}", most=faults.MOST_FAULTS
        )
        for row in scratch.query(sql).to_pylist():
            told = ", ".join(f"{key} {value}" for key, value in row.items() if value is not None)
            yield Fault(f"tables.{name}", f"{told} twice", f"one row for each {', '.join(keys)}")
        above = f"{above} AND NOT ({known})"


def _scratch(files: dict[str, Path]) -> Scratch:
    return Scratch({}, {name: _select(name, path) for name, path in files.items()})


def _select(name: str, path: Path) -> str:
    """The file's columns in the types of the format; one that an earlier version left out is
    null."""
    there = set(pq.read_schema(path).names)
    columns = ", ".join(
        f"{one.name if one.name in there else 'NULL'}::{SQL_TYPES[one.type]} AS {one.name}"
        for one in ARROW[name]
    )
    quoted = str(path.absolute()).replace("'", "''")
    return f"SELECT {columns} FROM read_parquet('{quoted}')"  # noqa: S608
