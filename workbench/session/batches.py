"""Batches that the hub keeps: what the questions of `workbench.runes` are asked of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from workbench.clients.answer import QueryResult
from workbench.core import markup
from workbench.core.sentence import spoken
from workbench.errors import InputError

if TYPE_CHECKING:
    import pyarrow

    from workbench.runes.evidence import Evidence

ALIAS = re.compile(r"[a-z][a-z0-9_]{0,62}")
_KEPT = "SELECT tables FROM batches WHERE alias = $alias ORDER BY created_at DESC LIMIT 1"
_NEWEST = "SELECT alias FROM batches GROUP BY alias ORDER BY max(created_at) DESC LIMIT 20"


class Asker(Protocol):
    """The workbench, as far as a kept batch needs it."""

    def query(
        self, sql: str, params: Mapping[str, Any] | None = None, *, fresh: bool = False
    ) -> QueryResult: ...


class KeptBatch:
    """One batch by its alias. Questions run as SQL at the hub: its rows stay there."""

    def __init__(self, workbench: Asker, alias: str) -> None:
        self._workbench = workbench
        self.alias = alias

    @property
    def tables(self) -> tuple[str, ...]:
        """All that it holds in SQL, the empty ones too. Raises InputError as `evidence` does."""
        return tuple(self._held)

    def evidence(self) -> Evidence:
        """What a question may read of it. Raises InputError where the hub keeps no such batch."""
        return self._evidence

    @cached_property
    def _held(self) -> dict[str, int | None]:
        """The rows of each table, as the hub counted them."""
        if not ALIAS.fullmatch(self.alias):
            allowed = "a batch's alias: a small letter, then small letters, digits and _"
            raise InputError.field("alias", self.alias, allowed)
        asked = {"alias": self.alias}
        kept = self._workbench.query(_KEPT, asked).rows()
        kept = kept or self._workbench.query(_KEPT, asked, fresh=True).rows()  # it may be new
        if not kept:
            raise InputError.field("alias", self.alias, self._known())
        return msgspec.json.decode(kept[0]["tables"], type=dict[str, int | None])

    @cached_property
    def _evidence(self) -> Evidence:
        from workbench.runes.evidence import Evidence  # it needs Arrow, which a session need not
        from workbench.runes.history import trust_sentence
        from workbench.runes.records import RECORDS

        held = self._held
        header = self._header()
        trusted, covers = header["source"].get("trusted"), header.get("covers")
        RECORDS.read(self.alias, header["source"].get("sha256"))
        return Evidence(
            name=self.alias,
            network=header["network"],
            completeness=header["completeness"],
            first_height=header["first_height"],
            last_height=header["last_height"],
            producer=header["source"]["producer"],
            trust=None if trusted is None else trust_sentence(trusted),
            covers=None if covers is None else frozenset(covers),
            tables={name: f'"{self.alias}"."{name}"' for name, rows in held.items() if rows},
            query=self._rows,
        )

    def _header(self) -> dict[str, Any]:
        sql = f'SELECT decode(body) AS body FROM "{self.alias}".document'  # noqa: S608
        document = msgspec.json.decode(self._workbench.query(sql).rows()[0]["body"])
        header: dict[str, Any] = document["data"]["batch"]
        return header

    def _known(self) -> str:
        known = [str(row["alias"]) for row in self._workbench.query(_NEWEST).rows()]
        if not known:
            return "the alias of a batch that the hub keeps; it keeps none: import a block first"
        return "the alias of a batch that the hub keeps: " + ", ".join(known)

    def _rows(self, sql: str, params: Mapping[str, Any]) -> pyarrow.Table:
        return self._workbench.query(sql, params).arrow()

    def __repr__(self) -> str:
        found = self.evidence()
        said = f"{self.alias}: {found.network}, {found.span}, {found.completeness} level"
        return f"<KeptBatch {said}{'' if found.trust is None else f', {found.trust}'}>"

    def _repr_html_(self) -> str:
        found = self.evidence()
        say = spoken().say
        facts = [
            (say("network"), found.network),
            (say("blocks"), say(found.blocks)),
            (say("completeness"), say(found.completeness)),
            (say("source"), say(found.producer)),
            (say("tables"), ", ".join(found.tables)),
        ]
        noted = "" if found.trust is None else markup.note(found.trust)
        return markup.table((self.alias, ""), facts) + noted
