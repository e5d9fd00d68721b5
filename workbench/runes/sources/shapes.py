"""What the adapters share: typed fields, exact amounts, rows of a batch, a shape of documents.

An adapter is a pure function from one checked document to rows. Amounts go into a row as
decimal strings in atomic units; what a producer does not state is left out, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec

from workbench.core.rune import SPACER, RuneId, SpacedRune, parse_amount
from workbench.errors import InputError
from workbench.runes.amounts import AMOUNT_RULE, MAX_AMOUNT
from workbench.runes.kinds import (
    ADDRESS,
    COUNT,
    DIVISIBILITY,
    HASH,
    HEIGHT,
    OUTPOINT,
    RUNE_ID,
    SCRIPT,
    U64,
    Kind,
)
from workbench.runes.rows import python_type

if TYPE_CHECKING:
    TxId = str
    Id = str
    Outpoint = str
    Script = str
    Address = str
    Height = int
    Count = int
    Divisibility = int
else:
    TxId = python_type(HASH)
    Id = python_type(RUNE_ID)
    Outpoint = python_type(OUTPOINT)
    Script = python_type(SCRIPT)
    Address = python_type(ADDRESS)
    Height = python_type(HEIGHT)
    Count = python_type(COUNT)
    Divisibility = python_type(DIVISIBILITY)
Text = Annotated[str, msgspec.Meta(max_length=200)]
Number = Any
"""An amount as the document has it: `atomic` and `divided` take it apart."""

EXACT_FLOAT = 2**53
NO_FLOAT = (
    "an integer without a point: above 2^53 a column of floats has lost digits (export it as text "
    "or integers)"
)
DIVIDED_RULE = "a decimal number from 0, at most {places} decimal places"
_LONGEST = 80


class Named(NamedTuple):
    """A rune that a document calls by its spaced name; its id comes from another document."""

    name: str


class Divided(NamedTuple):
    """An amount divided by 10^divisibility, where another document knows the divisibility."""

    field: str
    value: Any


class Fact(NamedTuple):
    """What a document says of a rune beside its rows: enough to read other documents."""

    rune_id: str
    spaced_name: str | None
    divisibility: int


class Row(NamedTuple):
    """One row of the batch's table `table`, as its JSON has it; absent columns are null.

    `rune_id` may be a Named, an amount a Divided.
    """

    table: str
    values: dict[str, Any]


class About(NamedTuple):
    """What lies around a document: the rune or the address that a page is about."""

    rune_id: str | None = None
    address: str | None = None


@dataclass(frozen=True)
class Shape:
    """One kind of document of a producer. `tells` says of a parsed object whether it is one;
    `covers` names the tables that it speaks of; `model` is what it must be; `holders` is what the
    page around it calls the number of all holders."""

    producer: str
    says: str
    covers: tuple[str, ...]
    model: Any
    tells: Callable[[Mapping[str, Any]], bool]
    rows: Callable[[Any, About], Iterator[Row | Fact]]
    holders: str | None = None
    listing: bool = False
    """Whether such documents come in pages of a list that may grow between two of them, so that
    the next one begins with what the last one ended with."""
    once: Callable[[Any], tuple[str, ...] | None] | None = None
    """What only one document of it can say; None of one that others may equal."""


@dataclass(frozen=True)
class WithKeys:
    """Tells documents that have all of these keys."""

    wanted: frozenset[str]

    def __call__(self, document: Mapping[str, Any]) -> bool:
        return self.wanted <= document.keys()


def with_keys(*names: str) -> WithKeys:
    """Tells documents that have all of these keys."""
    return WithKeys(frozenset(names))


def only_keys(*names: str) -> Callable[[Mapping[str, Any]], bool]:
    """Tells documents that have exactly these keys."""
    wanted = set(names)
    return lambda document: wanted == document.keys()


def atomic(field: str, value: Any) -> str:
    """An amount in atomic units as a decimal string; a fraction is refused, never rounded, and
    what was written from a float that may have been rounded before."""
    text = _decimal_text(field, value, AMOUNT_RULE)
    whole, point, fraction = text.partition(".")
    digits = whole.lstrip("0") or "0"
    if (point and fraction.strip("0")) or not whole.isdigit() or int(digits) > MAX_AMOUNT:
        raise InputError.field(field, value, AMOUNT_RULE)
    if fraction == "0" and int(digits) >= EXACT_FLOAT:
        raise InputError.field(field, value, NO_FLOAT)
    return digits


def maybe_atomic(field: str, value: Any) -> str | None:
    """The same; None, and a text without anything in it, is None."""
    return None if value is None or value == "" else atomic(field, value)


def divided(field: str, value: Any, divisibility: int) -> str:
    """An amount that was divided by 10^divisibility, brought back to atomic units exactly."""
    rule = DIVIDED_RULE.format(places=divisibility)
    try:
        return str(parse_amount(_decimal_text(field, value, rule), divisibility))
    except InputError:
        raise InputError.field(field, value, rule) from None


def maybe_divided(field: str, value: Any, divisibility: int) -> str | None:
    """The same; None stays None."""
    return None if value is None else divided(field, value, divisibility)


def _decimal_text(field: str, value: Any, rule: str) -> str:
    """Digits, perhaps with a point; a float is refused, for it has lost digits already."""
    if isinstance(value, int) and not isinstance(value, bool):
        text = str(value) if value.bit_length() < 256 else ""
    elif isinstance(value, Decimal):
        text = format(value, "f") if value.is_finite() and abs(value.adjusted()) < _LONGEST else ""
    else:
        text = value if isinstance(value, str) else ""
    whole, _, fraction = text.partition(".")
    right = text.isascii() and whole.isdigit() and (not fraction or fraction.isdigit())
    if not right or len(text) > _LONGEST:
        raise InputError.field(field, value, rule)
    return text


def names(field: str, spaced: str) -> dict[str, Any]:
    """The columns that a spaced name fills; a full stop counts as a spacer."""
    try:
        rune = SpacedRune.parse(spaced)
    except InputError as error:
        raise InputError.field(field, spaced, str(error)) from None
    return {"name": rune.name, "spaced_name": str(rune), "spacers": rune.spacers}


def check_letters(field: str, name: str | None, spaced_field: str, spaced: str) -> None:
    """Raises InputError where the name without spacers is another rune's."""
    letters = spaced.replace(".", "").replace(SPACER, "")
    if name is not None and name.replace(".", "").replace(SPACER, "") != letters:
        raise InputError.field(
            field, name, f"{letters!r}, the letters of {spaced_field} {spaced!r}"
        )


def same_name(spaced: str) -> str:
    """A spaced name as the batch writes it."""
    return spaced.replace(".", SPACER)


def place_of(rune_id: str) -> dict[str, Any]:
    """The columns of an etching that its rune id states."""
    found = RuneId.parse(rune_id)
    return {"rune_id": rune_id, "height": found.block, "tx_index": found.tx}


def fact_of(rune_id: str, field: str, spaced: str, divisibility: int) -> Fact:
    """What a document says of a rune whose name stands in `field`."""
    return Fact(rune_id, names(field, spaced)["spaced_name"], divisibility)


def etching(
    rune_id: str,
    field: str,
    spaced: str,
    divisibility: int,
    *,
    commitment: str = "unknown",
    **stated: Any,
) -> Iterator[Row | Fact]:
    """The same, and its row of etchings; `stated` are the other columns."""
    yield fact_of(rune_id, field, spaced, divisibility)
    values = {**place_of(rune_id), **names(field, spaced), "divisibility": divisibility}
    yield Row("etchings", {**values, "commitment": commitment, **stated})


def rune_of(about: About, stated: str | None = None) -> str:
    """The rune that a document is about, by itself or by what lies around it."""
    rune = stated or about.rune_id
    if rune is None:
        raise InputError(
            "the document does not say of which rune it speaks: give its id, such as "
            'rune="840000:3"'
        )
    return rune


def unsigned(field: str, value: Any) -> int | None:
    """A count or height that may come as text; None, and an empty text, is None."""
    text = maybe_atomic(field, value)
    number = None if text is None else int(text)
    if number is not None and number > U64.json["maximum"]:
        raise InputError.field(field, value, U64.rule)
    return number


def bounded(field: str, value: Any, kind: Kind) -> int:
    """A number that may come as text, within what the kind allows."""
    try:
        number = unsigned(field, value)
    except InputError:
        number = None
    if number is None or number > kind.json["maximum"]:
        raise InputError.field(field, value, kind.rule)
    return number


def instant(field: str, value: Any) -> str:
    """Seconds since the epoch or ISO 8601 as the batch's instant, whole seconds in UTC."""
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            moment = datetime.fromtimestamp(value, UTC)
        else:
            moment = datetime.fromisoformat(value)
            moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        allowed = "seconds since 1970, or an instant as ISO 8601"
        raise InputError.field(field, value, allowed) from None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
