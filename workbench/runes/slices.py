"""The rows of one rune, cut out of tables in memory before SQL reads them.

Arrow compares a column of texts in a tenth of the time that SQL takes, and of the rows only the
columns are copied that a query names. The one rune itself is no column but a constant, by which
SQL need not group or join.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from workbench.store.scratch import Scratch

MOST = 0.5
"""Of a table's rows what is worth a copy: with more the table itself is read."""
PREFIX = "rune_"
RUNE_COLUMN = {"runestones": "mints"}
"""Where a table names its rune, unless as `rune_id`."""
_WORD = re.compile(r"\w+")


class Local:
    """The tables with rows in this process, and SQL over them."""

    def __init__(self, tables: Mapping[str, pa.Table], scratch: Scratch) -> None:
        self._tables, self._scratch = tables, scratch

    def lacks(self, name: str, column: str) -> bool:
        """Whether a row of a table says nothing there."""
        return bool(self._tables[name][column].null_count)

    def of(
        self,
        rune: str | Sequence[str],
        names: Sequence[str],
        columns: Mapping[str, Sequence[str]] | None = None,
    ) -> Slices:
        """Of these tables the rows of one rune, or of several; of some only these columns."""
        tables = {name: self._tables[name] for name in names}
        for name, few in (columns or {}).items():
            tables[name] = self._tables[name].select([*few, _rune_column(name)])
        return Slices(tables, rune, self._scratch)


class Slices:
    """Rows of tables, to be asked for by the names that `names` gives them in SQL."""

    def __init__(
        self, tables: Mapping[str, pa.Table], rune: str | Sequence[str], scratch: Scratch
    ) -> None:
        self.names = {name: PREFIX + name for name in tables}
        self._whole = {PREFIX + name: table for name, table in tables.items()}
        self._rune, self._scratch = rune, scratch
        self._pieces: dict[str, list[tuple[pa.RecordBatch, pa.Array]]] = {}
        self._columns: dict[str, dict[str, pa.ChunkedArray]] = {name: {} for name in self._whole}

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> pa.Table:
        """The rows of a SELECT. What it reads of a slice it says by name: `*` gives no column
        that stands nowhere else in it."""
        words = set(_WORD.findall(sql))
        with ThreadPoolExecutor(pa.cpu_count()) as pool:
            tables = {name: self._table(name, words, pool) for name in self._whole if name in words}
        constant = {
            name: self._with_rune(name)
            for name, table in tables.items()
            if _rune_column(name) in words and _rune_column(name) not in table.column_names
        }
        sql = _WORD.sub(lambda word: constant.get(word[0], word[0]), sql)
        return self._scratch.query(sql, params, tables)

    def _with_rune(self, name: str) -> str:
        """SQL: a slice that lacks the rune, with it."""
        quoted = str(self._rune).replace("'", "''")
        return f"(SELECT *, '{quoted}' AS {_rune_column(name)} FROM {name})"  # noqa: S608

    def _table(self, name: str, words: set[str], pool: ThreadPoolExecutor) -> pa.Table:
        whole, known = self._whole[name], self._columns[name]
        wanted = [one for one in whole.column_names if one in words]
        if name not in self._pieces:
            self._pieces[name] = self._found(name, pool)
        pieces = self._pieces[name]
        count = sum(mask.true_count for _, mask in pieces)
        if count > MOST * whole.num_rows:
            return whole.select(wanted or whole.column_names[:1])
        if isinstance(self._rune, str):
            wanted = [one for one in wanted if one != _rune_column(name)]
        fresh = [one for one in wanted if one not in known]
        parts = pool.map(
            lambda each: each[1][each[0]].filter(each[2]),
            ((one, *piece) for one in fresh for piece in pieces),
        )
        for one in fresh:
            kind = whole.schema.field(one).type
            known[one] = pa.chunked_array(list(islice(parts, len(pieces))), kind)
        return pa.table({one: known[one] for one in wanted} or {"row": pa.nulls(count)})

    def _found(self, name: str, pool: ThreadPoolExecutor) -> list[tuple[pa.RecordBatch, pa.Array]]:
        """The table in pieces, and where in each of them the rune is."""
        pieces = self._whole[name].to_batches()
        if isinstance(self._rune, str):
            choose = partial(pc.equal, self._rune)
        else:
            choose = partial(pc.is_in, value_set=pa.array(self._rune, pa.string()))
        masks = pool.map(choose, (piece[_rune_column(name)] for piece in pieces))
        return list(zip(pieces, masks, strict=True))


def _rune_column(name: str) -> str:
    return RUNE_COLUMN.get(name.removeprefix(PREFIX), "rune_id")
