"""`%%runes`: a cell of SQL, asked of a batch that the hub keeps or of all that it has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from workbench.clients.answer import QueryResult
from workbench.session.batches import KeptBatch
from workbench.session.magic_line import MagicLine, said_in_the_cell

USAGE = "%%runes [BATCH] [-o NAME]"
KEPT = "_runes"
_WITH = re.compile(r"\s*WITH\s+(RECURSIVE\s+)?", re.IGNORECASE)


class Asked(NamedTuple):
    """What the line of the magic says."""

    batch: str | None
    name: str


class Bench(Protocol):
    """The workbench, as far as a cell of SQL needs it."""

    def query(self, sql: str) -> QueryResult: ...
    def batch(self, alias: str) -> KeptBatch: ...


def parsed(line: str) -> Asked:
    """The arguments of the magic. Raises InputError with what is wrong and how it goes."""
    magic = MagicLine(USAGE)
    magic.add_argument("batch", nargs="?")
    magic.add_argument("--out", "-o", dest="name", default=KEPT)
    given = magic.parse_args(magic.words(line))
    return Asked(given.batch, magic.variable(given.name))


def within(alias: str, tables: Iterable[str], sql: str) -> str:
    """The SQL with the tables of one batch by their bare names."""
    named = ", ".join(f'{table} AS (FROM "{alias}"."{table}")' for table in tables)
    began = _WITH.match(sql)
    if not named:
        return sql
    if began is None:
        return f"WITH {named} {sql}"
    return f"WITH {began[1] or ''}{named}, {sql[began.end() :]}"


class RunesMagics:
    """The magic of one notebook, on one workbench."""

    def __init__(self, shell: Any, bench: Bench) -> None:
        self._shell, self._bench = shell, bench

    def runes(self, line: str, cell: str) -> QueryResult:
        """Ask SQL. With a batch named, its tables go by their bare names; the answer is kept as
        `NAME`, else as `_runes`."""
        with said_in_the_cell():
            asked = parsed(line)
            sql = cell if asked.batch is None else self._within(asked.batch, cell)
            answer = self._bench.query(sql)
        self._shell.user_ns[asked.name] = answer
        return answer

    def _within(self, alias: str, sql: str) -> str:
        batch = self._bench.batch(alias)
        return within(alias, batch.tables, sql)


def register(shell: Any, bench: Bench) -> None:
    """Make `%%runes` known to a shell, on this workbench."""
    magics = RunesMagics(shell, bench)
    shell.register_magic_function(magics.runes, magic_kind="cell", magic_name="runes")
