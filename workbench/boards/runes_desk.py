"""What the Runes board asks of a hub: its batches, the runes of one, and tables as files.

Everything here blocks until it is answered: in a worker thread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any, Protocol

import msgspec

from workbench.boards.table_file import Exported, Format, table_file
from workbench.clients.answer import QueryResult
from workbench.errors import InputError
from workbench.runes.evidence import Evidence
from workbench.runes.history import trust_notes
from workbench.session.batches import KeptBatch

FOUND_RUNES = 20
EXPORT_ROWS = 500_000
KNOWN_BATCHES = 16

_BATCHES = "SELECT alias, tables, created_at FROM batches ORDER BY created_at DESC LIMIT 1000"
_NAMED = """
SELECT rune_id, any_value(spaced_name) AS name, any_value(symbol) AS symbol
FROM {etchings}
WHERE commitment <> 'missing' AND (contains(name, $plain) OR starts_with(rune_id, $text))
GROUP BY rune_id
ORDER BY NOT starts_with(any_value(name), $plain), any_value(height), any_value(tx_index)
LIMIT $limit
"""
_UNNAMED = """
SELECT rune_id, NULL AS name, NULL AS symbol FROM ({spoken_of})
WHERE starts_with(rune_id, $text) AND rune_id <> '0:0'
GROUP BY rune_id ORDER BY count(*) DESC, rune_id LIMIT $limit
"""
_ID = re.compile(r"[0-9:]*")


class Asked(Protocol):
    """The workbench, as far as this desk asks it."""

    def query(
        self,
        sql: str,
        params: Mapping[str, Any] | None = None,
        *,
        fresh: bool = False,
        max_rows: int | None = None,
    ) -> QueryResult: ...


class RunesDesk:
    """One hub's batches. What it learned of one is kept: a batch never changes."""

    def __init__(self, workbench: Asked) -> None:
        self._workbench = workbench
        self._known: dict[str, KeptBatch] = {}

    def batches(self) -> list[dict[str, Any]]:
        """The batches that the hub keeps, newest first: alias, rows, createdAt (ms)."""
        listed: dict[str, dict[str, Any]] = {}
        for row in self._workbench.query(_BATCHES, fresh=True).rows():
            counts = msgspec.json.decode(row["tables"], type=dict[str, int | None])
            made_ms = int(row["created_at"].replace(tzinfo=UTC).timestamp() * 1000)
            told = {"rows": sum(n or 0 for n in counts.values()), "createdAt": made_ms}
            listed.setdefault(row["alias"], {"alias": row["alias"], **told})
        return list(listed.values())

    def about(self, alias: str) -> dict[str, Any]:
        """What a batch says of itself. Raises InputError for one that is not kept."""
        found = self._evidence(alias)
        dated = found.is_dated
        return {
            "alias": alias,
            "network": found.network,
            "firstHeight": found.first_height if dated else None,
            "lastHeight": found.last_height if dated else None,
            "level": found.completeness,
            "producer": found.producer,
            "tables": list(found.tables),
            "trust": trust_notes(found.trust),
        }

    def runes(self, alias: str, text: str) -> list[dict[str, Any]]:
        """The runes of a batch that a text may mean: {id, name or None, symbol or None}."""
        found = self._evidence(alias)
        text = text.strip()[:64]
        plain = text.replace("•", "").replace(".", "").replace(" ", "").upper()
        rows = found.rows(_NAMED, plain=plain, text=text, limit=FOUND_RUNES).to_pylist()
        if len(rows) < FOUND_RUNES and _ID.fullmatch(text):
            sql = _UNNAMED.replace("{spoken_of}", found.spoken_of())
            more = found.rows(sql, text=text, limit=FOUND_RUNES).to_pylist()
            known = {row["rune_id"] for row in rows}
            rows += [row for row in more if row["rune_id"] not in known]
        return [
            {"id": row["rune_id"], "name": row["name"], "symbol": row["symbol"]}
            for row in rows[:FOUND_RUNES]
        ]

    def check_rune(self, aliases: Sequence[str], wanted: str) -> None:
        """Raises InputError, with the nearest names, for a rune that none of the batches knows."""
        refused: InputError | None = None
        for alias in aliases:
            try:
                self._evidence(alias).rune(wanted)
            except InputError as error:
                refused = refused or error
            else:
                return
        if refused is not None:
            raise refused

    def exported(self, result: Mapping[str, Any], table: str, format: Format) -> Exported:
        """A table of a result, whole. Raises InputError where it has none such, or it is long."""
        alias, tables = result.get("alias"), result.get("tables") or {}
        if not alias or table not in tables:
            allowed = ", ".join(tables) if alias else "none: this answer has no tables"
            raise InputError.field("table", table, allowed)
        quoted = ".".join('"' + name.replace('"', '""') + '"' for name in (alias, table))
        found = self._workbench.query(f"SELECT * FROM {quoted}", max_rows=EXPORT_ROWS)  # noqa: S608
        if found.truncated:
            raise InputError(
                "{table} has more than {limit} rows: ask for them by SQL in a notebook",
                table=f"{alias}.{table}",
                limit=f"{EXPORT_ROWS:,}",
            )
        return table_file(f"{result.get('model')}-{alias}-{table}", found.arrow(), format)

    def _evidence(self, alias: str) -> Evidence:
        kept = self._known.get(alias) or KeptBatch(self._workbench, alias)
        found = kept.evidence()
        self._known.pop(alias, None)
        self._known[alias] = kept  # the newest is last
        while len(self._known) > KNOWN_BATCHES:
            del self._known[next(iter(self._known))]
        return found
