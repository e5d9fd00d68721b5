"""What a question is asked of: the tables of a batch, wherever they lie, and how much they know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from workbench.core.rune import RuneId
from workbench.core.sentence import told
from workbench.errors import InputError
from workbench.runes.batch import LISTS, Batch
from workbench.runes.history import trust_line
from workbench.runes.recognising import recognised, taken
from workbench.runes.repeats import alike_lines
from workbench.runes.saying import said_span
from workbench.runes.slices import RUNE_COLUMN, Local
from workbench.runes.sources import PRODUCERS
from workbench.runes.tables import TABLES, nothing, speaks_of

UNPLACED = 2**31
"""No block has so many transactions."""
_TOLD_PLACES = ("mints", "allocations", "events", "inputs")
_NUMBERS = """(
  SELECT height, txid, coalesce(max(tx_index),
    {unplaced} + row_number() OVER (PARTITION BY height ORDER BY txid)) AS number
  FROM ({said}) GROUP BY height, txid
)"""
_FILLED = """(
  SELECT told.* REPLACE (numbers.number AS tx_index)
  FROM {table} AS told JOIN {numbers} AS numbers
    ON told.height = numbers.height AND told.txid = numbers.txid
)"""

Query = Callable[[str, Mapping[str, Any]], pa.Table]
"""Rows of a SELECT with named `$parameters`; 128-bit amounts as decimal strings."""

STATE, NOT_STATED = "state", "not stated"
_OF_A_STATE = frozenset(("inputs", "balances", "entries"))
"""What a batch at the runestone level never has."""


class Kept(Protocol):
    """A batch that lies elsewhere, such as in a hub: it says itself what it holds."""

    def evidence(self) -> Evidence: ...


Asked: TypeAlias = Batch | pa.Table | Mapping[str, pa.Table] | Kept
"""Of what a question may be asked. A lone Arrow table is taken for the table of a batch whose
columns it has."""


@dataclass(frozen=True, slots=True)
class Rune:
    """The rune that a question is about. `divisibility` is None where no etching tells it."""

    id: str
    name: str
    divisibility: int | None
    symbol: str | None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The tables that have rows, by their name in SQL, and who says so.

    `completeness` is `runestone` (what messages asked for) or `state` (what was honoured).
    """

    name: str
    network: str
    completeness: str
    first_height: int | None
    last_height: int | None
    producer: str
    tables: Mapping[str, str]
    query: Query = field(repr=False)
    network_stated: bool = True
    """Bare tables name no network: mainnet's is assumed."""
    trust: str | None = None
    """Where the state was not computed but taken over: whose it is."""
    unplaced: bool = False
    """Some `tx_index` are none: see `numbered`."""
    covers: frozenset[str] | None = None
    """The tables that it speaks of, with rows or without; None: see `speaks_of`."""
    local: Local | None = field(default=None, repr=False)
    """The tables themselves, where they lie in this process."""
    whole: Evidence | None = field(default=None, repr=False)
    """What it was cut from, by `of`."""

    def rows(self, sql: str, **params: Any) -> pa.Table:
        """The rows of a SELECT in which `{balances}` stands for that table's name."""
        names = {name: self.tables.get(name, nothing(name)) for name in TABLES}
        return self.query(sql.format(**names), params)

    def one(self, sql: str, **params: Any) -> dict[str, Any]:
        """The only row of such a SELECT."""
        row: dict[str, Any] = self.rows(sql, **params).to_pylist()[0]
        return row

    def numbered(self) -> Evidence:
        """The same with a `tx_index` in every row, for questions that tell transactions apart.

        Where the source does not say one, the transaction's rank by txid among those of its
        block stands for it, from `UNPLACED` on: it says which transaction, not what came first.
        """
        known = [name for name in _TOLD_PLACES if name in self.tables]
        lacking = list(filter(self._lacks_places, known))
        if not lacking:
            return self
        said = " UNION ALL ".join(
            f"SELECT height, txid, tx_index FROM {self.tables[name]}"  # noqa: S608
            for name in known
        )
        numbers = _NUMBERS.format(said=said, unplaced=UNPLACED)
        filled = {
            name: _FILLED.format(table=self.tables[name], numbers=numbers) for name in lacking
        }
        return replace(self, tables={**self.tables, **filled}, unplaced=True)

    def is_placed(self) -> bool:
        """Whether every row has its `tx_index`, where that is known without reading them all."""
        known = (name for name in _TOLD_PLACES if name in self.tables)
        return self.local is not None and not any(map(self._lacks_places, known))

    def _lacks_places(self, name: str) -> bool:
        if self.local is not None:
            return self.local.lacks(name, "tx_index")
        sql = f"SELECT 1 FROM {{{name}}} WHERE tx_index IS NULL LIMIT 1"  # noqa: S608
        return bool(self.rows(sql).num_rows)

    def of(
        self, rune: str | Sequence[str] | None, *tables: str, **columns: Sequence[str]
    ) -> Evidence:
        """The same, where of these tables only the rows of one rune, or of several, are read: SQL
        that means no others is done sooner. It still says so: tables elsewhere are whole.

        `columns` are tables of which only these are read, where SQL names others of another table.
        """
        if rune is None or self.local is None or self.unplaced:
            return self
        here = [name for name in (*tables, *columns) if name in self.tables]
        few = {name: columns[name] for name in here if name in columns}
        slices = self.local.of(rune, here, few)
        names = {**self.tables, **slices.names}
        return replace(self, tables=names, query=slices.query, whole=self)

    def needs(self, question: str, *tables: str, state: bool = True) -> None:
        """Raises InputError unless it speaks of these tables, with rows or without, and is at the
        state level; `state=False`: at either."""
        if state and not self.is_state:
            raise InputError(
                "{question} needs the state, and {batch} is at the runestone level: it knows what "
                "messages asked for, not what was honoured. In a notebook, apply the blocks "
                "from the first Runes block on with runes.Index, or read a producer's state, and "
                "keep the batch",
                question=question,
                batch=self.name,
            )
        self.needs_rows(question, *(table for table in tables if not self.holds(table)))

    def needs_rows(self, question: str, *tables: str) -> None:
        """Raises InputError unless these tables have rows."""
        for table in tables:
            if table not in self.tables:
                raise InputError(
                    "{question} needs the table {table}, which {batch} does not have; it has "
                    "{present}",
                    question=question,
                    table=table,
                    batch=self.name,
                    present=", ".join(self.tables) or "no rows at all",
                )

    @property
    def is_state(self) -> bool:
        """Whether it says what was honoured, not only what was asked for."""
        return self.completeness == STATE

    def holds(self, table: str) -> bool:
        """Whether it speaks of this table: if so, no rows mean that there was nothing."""
        known = self.is_state or table not in _OF_A_STATE or table in self.tables
        return known and speaks_of(table, self.covers, self.tables)

    def rune(self, wanted: str) -> Rune:
        """A rune by its id, its name or its spaced name. Raises InputError for an unknown one."""
        text = wanted.strip()
        plain = text.replace("•", "").replace(".", "").upper()
        found = self.rows(
            "SELECT rune_id, spaced_name, divisibility, symbol FROM {etchings}"
            " WHERE rune_id = $text OR name = $plain"
            " ORDER BY commitment <> 'valid', height LIMIT 1",
            text=text,
            plain=plain,
        ).to_pylist()
        if found:
            row = found[0]
            return Rune(row["rune_id"], row["spaced_name"], row["divisibility"], row["symbol"])
        if self._speaks_of(text):
            return Rune(text, text, None, None)
        raise InputError.field("rune", wanted, self._allowed(plain))

    def divisibilities(self, rune_ids: list[str | None]) -> dict[str, int]:
        """That of each of these runes whose etching tells it, by rune id."""
        rows = self.rows(
            "SELECT rune_id, any_value(divisibility) AS divisibility FROM {etchings}"
            " WHERE divisibility IS NOT NULL AND commitment <> 'missing'"
            " AND rune_id IN (SELECT unnest($rune_ids)) GROUP BY rune_id",
            rune_ids=rune_ids,
        ).to_pylist()
        return {row["rune_id"]: row["divisibility"] for row in rows}

    def _speaks_of(self, text: str) -> bool:
        try:
            RuneId.parse(text)
        except InputError:
            return False
        looks = (
            f"SELECT 1 FROM {{{name}}} WHERE {RUNE_COLUMN.get(name, 'rune_id')} = $text LIMIT 1"  # noqa: S608
            for name in self.tables
            if name != "blocks"
        )
        return any(self.rows(sql, text=text).num_rows for sql in looks)

    def rune_ids(self) -> set[str]:
        """Every rune that a table speaks of."""
        rows = self.rows(f"SELECT DISTINCT rune_id FROM ({self.spoken_of()})")  # noqa: S608
        return set(rows["rune_id"].to_pylist()) - {None, "0:0"}

    def spoken_of(self) -> str:
        """A SELECT for `rows` of `rune_id`: one row for each time that a table names a rune."""
        parts = [
            f"SELECT {RUNE_COLUMN.get(name, 'rune_id')} AS rune_id FROM {{{name}}}"  # noqa: S608
            for name in self.tables
            if name != "blocks"
        ]
        return " UNION ALL ".join(parts) or "SELECT NULL::VARCHAR AS rune_id WHERE false"

    def _allowed(self, plain: str) -> str:
        known = self.rows("SELECT DISTINCT name, spaced_name FROM {etchings}").to_pylist()
        by_name = {row["name"]: row["spaced_name"] for row in known}
        near = [by_name[name] for name in get_close_matches(plain, by_name, n=3)]
        said = f"; did you mean {', '.join(near)}?" if near else ""
        count = len(self.rune_ids())
        which = "the one rune here" if count == 1 else f"one of the {count:,} runes here"
        return f"the id (840000:3) or the name of {which}{said}"

    def sources(self, which: str = "") -> tuple[str, ...]:
        """Whose data it is, as an answer says it; of several batches, `which` of them."""
        name = f"{which}: {self.name}" if which else self.name
        values = {
            "name": name,
            "network": self.network if self.network_stated else told("network not stated"),
            "level": f"{self.completeness} level",
            "producer": self.producer,
        }
        said = (
            told("{name}: {network}, blocks not stated, {level}; {producer}", **values)
            if not self.is_dated
            else told(
                "{name}: {network}, blocks {first} to {last}, {level}; {producer}",
                first=str(self.first_height),
                last=str(self.last_height),
                **values,
            )
        )
        alike = alike_lines(self.producer, self.tables)
        return (said, *alike, *([trust_line(self.trust)] if self.trust else []))

    @cached_property
    def is_dated(self) -> bool:
        """Whether it says of which block it is. A producer's list of runes or holders that was read
        without one is taken for one of the block of its newest rune, the least that it can be of.
        """
        if self.whole is not None:
            return self.whole.is_dated
        if self.first_height is None:
            return False
        if self.producer not in PRODUCERS or set(self.tables) - LISTS:
            return True
        block = self.one(
            "SELECT max(split_part(rune_id, ':', 1)::BIGINT) AS newest"  # noqa: S608
            f" FROM (SELECT DISTINCT rune_id FROM ({self.spoken_of()}))"
        )
        return bool(block["newest"] != self.last_height)

    @property
    def span(self) -> str:
        """The blocks, in words."""
        if not self.is_dated:
            return told("blocks not stated")
        first, last = str(self.first_height), str(self.last_height)
        return told("blocks {first} to {last}", first=first, last=last)

    @property
    def blocks(self) -> str:
        """The same under a heading that says what they are."""
        if not self.is_dated:
            return self.span
        return said_span(self.first_height, self.last_height)


def evidence_of(asked: Asked) -> Evidence:
    """What a question can read of a batch, of Arrow tables, or of what a hub keeps.

    Raises InputError for anything else, and for a table that is none of a batch.
    """
    if isinstance(asked, Evidence):
        return asked
    if isinstance(asked, Batch):
        return _local(asked.tables, asked)
    if isinstance(asked, pa.Table):
        name = recognised(asked)
        return _local({name: taken(name, asked)})
    if isinstance(asked, Mapping) and all(isinstance(one, pa.Table) for one in asked.values()):
        return _local({name: taken(name, table) for name, table in asked.items()})
    if hasattr(asked, "evidence"):
        found: Evidence = asked.evidence()
        return found
    raise InputError.field(
        "batch",
        type(asked).__name__,
        "a Batch (runes.read of a file, runes.from_frame of a frame), an Arrow table of one, or a "
        "batch that a hub keeps",
    )


def _local(tables: Mapping[str, pa.Table], batch: Batch | None = None) -> Evidence:
    """Tables in this process. Without a batch around them, what they hold says what they know."""
    from workbench.store.scratch import Scratch  # it loads DuckDB, which a lone import need not

    present = {name: table for name, table in tables.items() if table.num_rows}
    first, last = (None, None) if batch else _range(present)
    scratch = Scratch(present)
    return Evidence(
        name=batch.id if batch else "this set of tables",
        network=batch.network if batch else "mainnet",
        network_stated=batch is not None,
        completeness=batch.completeness if batch else _level(present),
        first_height=batch.first_height if batch else first,
        last_height=batch.last_height if batch else last,
        producer=batch.source.producer if batch else NOT_STATED,
        trust=batch.source.trust if batch else None,
        covers=getattr(batch, "covers", None) if batch else frozenset(tables),
        tables={name: name for name in present},
        query=scratch.query,
        local=Local(present, scratch),
    )


def _level(tables: Mapping[str, pa.Table]) -> str:
    """Only a state knows balances, or every amount of its events."""
    if _OF_A_STATE & set(tables):
        return STATE
    known = [one["amount_low"].null_count == 0 for name, one in tables.items() if name in _MOVES]
    return STATE if known and all(known) else "runestone"


_MOVES = ("events", "allocations")


def _range(tables: Mapping[str, pa.Table]) -> tuple[int | None, int | None]:
    bounds = [
        pc.min_max(table["height"]).as_py()
        for name, table in tables.items()
        if "height" in table.column_names and name != "etchings"
    ]
    if not bounds:
        return None, None
    return min(one["min"] for one in bounds), max(one["max"] for one in bounds)
