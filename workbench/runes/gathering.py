"""Documents of producers on their way into the tables of a batch, each row checked.

Nothing of a document that is faulty stays: the whole reading is refused, with the place of
the document, the field, its value and what is allowed there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from workbench.core.rune import SPACER
from workbench.errors import Fault, InputError, shown
from workbench.runes.allowing import RULES, STEP, allowed_at
from workbench.runes.documents import Document, unwrapped
from workbench.runes.kinds import ADDRESS, MAX_HEIGHT, RUNE_ID, Kind, rule_pattern
from workbench.runes.merging import MERGED, PLACE
from workbench.runes.pages import Pages
from workbench.runes.rows import ROWS, arrow_table
from workbench.runes.sources import PRODUCERS, nearly, shape_of
from workbench.runes.sources.shapes import (
    About,
    Divided,
    Fact,
    Named,
    Row,
    Shape,
    divided,
    unsigned,
)
from workbench.runes.tables import TABLES

PORTION = 50_000
"""Rows of a table that are held as objects before they become Arrow."""
_NO_SHAPE = (
    "{place} is no document of {producers} that can be read: its fields are {fields}; say whose "
    "it is with producer=, or give a runes-batch/1"
)
_NEARLY = (
    "{place} looks like {says} of {producer}, but has no {names}: export it with that field, or "
    "say whose it is with producer="
)
_COMPLAINT = (
    "{place} holds no data: the service answered {words}; ask it again, and keep what it answers "
    "then"
)
_AMOUNTS = {
    name: [column.name for column in columns if column.kind.is_amount]
    for name, columns in TABLES.items()
}


class Waiting(NamedTuple):
    """A row that needs to know what a later document says."""

    place: str
    row: Row


class Gathering:
    """Rows so far. `producer` is the first document's where none was given."""

    def __init__(self, producer: str | None, rune_id: str | None) -> None:
        self.producer = producer
        self.covers: set[str] = set()
        self.height: int | None = None
        """The last block at which a page says that it stood."""
        self._rune_id = rune_id
        self._last: tuple[tuple[Any, ...], Shape] | None = None
        self._ids: dict[str, str] = {}
        self._places: dict[str, int] = {}
        self._holders: dict[str, tuple[int, str]] = {}
        self._waiting: list[Waiting] = []
        self._pages = Pages()
        self._rows: dict[str, list[Any]] = {name: [] for name in TABLES}
        self._at: dict[str, list[str]] = {name: [] for name in MERGED}
        self._chunks: dict[str, list[pa.Table]] = {name: [] for name in TABLES}

    def know(self, etchings: pa.Table) -> None:
        """Learn names and divisibilities from a batch that is there already."""
        columns = etchings.select(["rune_id", "spaced_name", "divisibility"]).to_pylist()
        for each in columns:
            self._learn(Fact(each["rune_id"], each["spaced_name"], each["divisibility"]))

    def take(self, document: Document) -> None:
        """Take one document, or each on a page. Raises InputError with its place."""
        for one, around in unwrapped(document, self._is_known):
            shape = self._shape(one)
            try:
                checked = msgspec.convert(one.value, shape.model)
            except (msgspec.ValidationError, RecursionError) as error:
                fault = _fault(f"{one.place}: ", one.value, str(error), shape.model)
                raise InputError.of([fault]) from None
            self.covers.update(shape.covers)
            about = self._about(one.place, around)
            if shape.listing:
                once = shape.once(checked) if shape.once else None
                if not self._pages.is_new(one, around, about.rune_id, once):
                    continue
            try:
                for row in shape.rows(checked, about):
                    self._add(one.place, row)
                self._count(one.place, shape, about, around)
            except InputError as error:
                raise _placed(one.place, error) from None

    def take_tables(self, shape: Shape, tables: Mapping[str, pa.Table]) -> None:
        """Take what a fast reader made of a whole file of one shape, checked by it."""
        self.producer = shape.producer
        self.covers.update(shape.covers)
        for name, table in tables.items():
            self._chunks[name].append(table)

    def tables(self) -> dict[str, pa.Table]:
        """Everything taken, with the place of each row to be merged. Raises InputError
        where a row still waits."""
        waiting, self._waiting = self._waiting, []
        for place, row in waiting:
            try:
                settled = self._settle(place, row)
            except InputError as error:
                raise _placed(place, error) from None
            if not settled:
                raise self._unsettled(place, row)
        for rune_id, (holders, place) in self._holders.items():
            self._put(place, "entries", {"rune_id": rune_id, "holders": holders})
        for name in TABLES:
            self._flush(name)
        return {name: pa.concat_tables(each) for name, each in self._chunks.items() if each}

    def _is_known(self, value: Mapping[str, Any]) -> bool:
        return self._shape_of(value) is not None

    def _shape_of(self, value: Mapping[str, Any]) -> Shape | None:
        """The document's shape; rows of a table are all alike, and are looked at once."""
        keys = tuple(value)
        if self._last and self._last[0] == keys and self._last[1].tells(value):
            return self._last[1]
        found = shape_of(value, self.producer)
        self._last = (keys, found) if found else None
        return found

    def _shape(self, document: Document) -> Shape:
        value = document.value
        found = self._shape_of(value) if isinstance(value, dict) else None
        if found is None:
            near = nearly(value, self.producer) if isinstance(value, dict) else None
            if near is not None:
                raise InputError(
                    _NEARLY,
                    place=document.place,
                    producer=near[0].producer,
                    says=near[0].says,
                    names=", ".join(near[1]),
                )
            words = _complaint(value) if isinstance(value, dict) else None
            if words is not None:
                raise InputError(_COMPLAINT, place=document.place, words=shown(words))
            raise InputError(
                _NO_SHAPE,
                place=document.place,
                producers=self.producer or ", ".join(PRODUCERS),
                fields=shown(sorted(map(str, value))) if isinstance(value, dict) else shown(value),
            )
        self.producer = self.producer or found.producer
        return found

    def _about(self, place: str, around: Mapping[str, Any]) -> About:
        """What a page states of all its documents."""
        height = around.get("block_height")
        if type(height) is int and 0 <= height <= MAX_HEIGHT:
            self.height = max(height, self.height or 0)
        stated = around.get("rune_id", around.get("runeId", self._rune_id))
        if stated is not None and not _keeps(RUNE_ID, stated):
            raise InputError.field(f"{place}: rune_id", stated, RUNE_ID.rule)
        address = around.get("address")
        if address is not None and not _keeps(ADDRESS, address):
            raise InputError.field(f"{place}: address", address, ADDRESS.rule)
        return About(rune_id=stated, address=address)

    def _count(self, place: str, shape: Shape, about: About, around: Mapping[str, Any]) -> None:
        """How many holders a page says that there are, on it and on the others."""
        stated = around.get(shape.holders) if shape.holders else None
        if stated is not None and about.rune_id is not None:
            count = unsigned(str(shape.holders), stated) or 0
            known = self._holders.get(about.rune_id, (0, place))
            self._holders[about.rune_id] = max(known, (count, place), key=lambda each: each[0])

    def _add(self, place: str, row: Row | Fact) -> None:
        if isinstance(row, Fact):
            self._learn(row)
        elif not self._settle(place, row):
            self._waiting.append(Waiting(place, row))

    def _learn(self, fact: Fact) -> None:
        if fact.spaced_name is not None:
            self._ids[_letters(fact.spaced_name)] = fact.rune_id
        self._places[fact.rune_id] = fact.divisibility

    def _settle(self, place: str, row: Row) -> bool:
        """Put a row in whose rune and amounts are known; False where they are not yet."""
        values, rune = row.values, row.values["rune_id"]
        if isinstance(rune, Named):
            if _letters(rune.name) not in self._ids:
                return False
            values["rune_id"] = rune = self._ids[_letters(rune.name)]
        for name in _AMOUNTS[row.table]:
            amount = values.get(name)
            if isinstance(amount, Divided):
                if rune not in self._places:
                    return False
                values[name] = divided(amount.field, amount.value, self._places[rune])
        self._put(place, row.table, values)
        return True

    def _put(self, place: str, name: str, values: dict[str, Any]) -> None:
        try:
            self._rows[name].append(msgspec.convert(values, ROWS[name]))
        except msgspec.ValidationError as error:
            fault = _fault("", values, str(error), ROWS[name])
            rule = next((each.kind.rule for each in TABLES[name] if each.name == fault.field), None)
            field = f"{name}.{fault.field}"
            raise InputError.of([Fault(field, fault.value, rule or fault.allowed)]) from None
        if name in self._at:
            self._at[name].append(place)
        if len(self._rows[name]) >= PORTION:
            self._flush(name)

    def _flush(self, name: str) -> None:
        rows, self._rows[name] = self._rows[name], []
        if rows:
            try:
                table = arrow_table(name, rows)
            except (pa.ArrowException, OverflowError) as error:
                raise InputError.field(f"tables.{name}", str(error), "values in range") from None
            if name in self._at:
                places, self._at[name] = self._at[name], []
                table = table.append_column(PLACE, pa.array(places, pa.string()))
            self._chunks[name].append(table)

    def _unsettled(self, place: str, row: Row) -> InputError:
        rune = row.values["rune_id"]
        if isinstance(rune, Named):
            return InputError(
                "{place} names the rune {name} without its id: read what lists the runes with it, "
                "such as `ord runes`",
                place=place,
                name=shown(rune.name),
            )
        return InputError(
            "{place} has divided amounts of {rune_id}, whose divisibility is not known: read its "
            "etching with it",
            place=place,
            rune_id=rune,
        )


def _keeps(kind: Kind, value: Any) -> bool:
    return isinstance(value, str) and bool(rule_pattern(kind).search(value))


def _letters(name: str) -> str:
    """By which runes are told apart: spacers are none of a name's letters, and some leave them
    out."""
    return name.replace(SPACER, "")


def _placed(place: str, error: InputError) -> InputError:
    """The error with the document's place before each field."""
    if error.faults:
        return InputError.of(
            [Fault(f"{place}: {each.field}", each.value, each.allowed) for each in error.faults]
        )
    return InputError("{place}: {reason}", place=place, reason=str(error))


_SAID = re.compile(r"^(?P<reason>.*?)(?: - at (?:`key` in )?`(?P<path>.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<name>.*)`")


def _fault(place: str, value: Any, said: str, model: Any) -> Fault:
    """What the typed reader says, as a fault with its path and the value that stands there."""
    found = _SAID.match(said)
    reason, path = (found["reason"], found["path"] or "$") if found else (said, "$")
    field = path.removeprefix("$").lstrip(".")
    missing = _MISSING.search(reason)
    if missing:
        whole = f"{place}{field}{'.' if field else ''}{missing['name']}"
        return Fault(whole, "missing", "a value, it is required")
    rules = (rule for pattern, rule in RULES.items() if repr(pattern) in reason)
    allowed = next(rules, None) or allowed_at(model, path) or reason
    return Fault(f"{place}{field or 'the document'}", shown(_value_at(value, path)), allowed)


def _value_at(value: Any, path: str) -> Any:
    """The value at a path such as `$.entry.terms`; the last one that can be reached."""
    for name, place in STEP.findall(path):
        if name and isinstance(value, dict) and name in value:
            value = value[name]
        elif place.isdigit() and isinstance(value, list | tuple) and int(place) < len(value):
            value = value[int(place)]
    return value


def _complaint(value: Mapping[str, Any]) -> str | None:
    """What a service says where it has no answer, such as `{"code": -1, "msg": "rate limited"}`."""
    if any(isinstance(each, dict | list) and each for each in value.values()):
        return None
    said = (value.get(name) for name in ("error", "msg", "message", "detail"))
    return next((words for words in said if isinstance(words, str) and words), None)
