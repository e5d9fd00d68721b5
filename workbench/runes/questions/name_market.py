"""Which names are open, which unlock next, and how many of each length are taken."""

from __future__ import annotations

from typing import Annotated, Any, cast

import pyarrow as pa
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.rune import (
    Network,
    SpacedRune,
    first_rune_height,
    is_reserved,
    minimum_rune,
    rune_name,
    rune_number,
    unlock_height,
)
from workbench.core.sentence import Sentence, told
from workbench.errors import InputError
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence

LONGEST = 26
"""Names of more letters are reserved."""
LARGE = ("names", "open", "free", "unlocking")

_TAKEN = """
SELECT length(name) AS letters, count(DISTINCT name) AS taken FROM {etchings}
WHERE commitment <> 'missing' AND height <= $height GROUP BY letters
"""

_ETCHED = """
SELECT rune_id, name, height FROM {etchings}
WHERE commitment <> 'missing' AND height <= $height AND length(name) <= 12 AND rune_id <> '1:0'
ORDER BY height, tx_index
"""

_TAKERS = """
SELECT name, min_by(rune_id, (height, tx_index)) AS rune_id FROM {etchings}
WHERE commitment <> 'missing' AND height <= $height AND name IN (SELECT unnest($names))
GROUP BY name
"""


@question("Which names are open, and which unlock next?")
def name_market(
    batch: Evidence,
    *,
    blocks: Annotated[
        int, Meta(ge=1, le=1_000_000, title="Blocks ahead", description="How far to look ahead.")
    ] = 17_500,
    height: Annotated[
        Annotated[int, Meta(ge=0, le=2**32 - 1)] | None,
        Meta(title="Height", description="As of which; none: the last block."),
    ] = None,
    names: Annotated[
        Annotated[list[str], Meta(max_length=1_000)] | None,
        Meta(title="Names", description="To look up, with spacers or without."),
    ] = None,
) -> Answer:
    """The names of each length: how many are open, taken, and unlock in the next blocks; and of
    given names when they unlock and who has them."""
    network = cast(Network, batch.network)
    now = _height(batch, height)
    taken = _taken(batch, now)
    spans = (minimum_rune(now, network), minimum_rune(now + blocks, network))
    rows = [_row(letters, spans, network, taken) for letters in range(1, LONGEST + 1)]
    early = _early(batch, now, network)
    facts = _facts(rows, spans, now, blocks, taken, early)
    return Answer(
        question="name_market",
        sentence=_sentence(facts),
        table=_table(rows),
        amounts=(*LARGE, "number"),
        counts=(*LARGE, "number"),
        more={"names": _looked_up(batch, names or [], now, network, taken), "early": early},
        figure=_figure(rows),
        facts=facts,
        explanation=_explanation(batch, now, taken, early),
    )


def _height(batch: Evidence, height: int | None) -> int:
    found = batch.last_height if height is None else height
    if found is None:
        raise InputError.field("height", height, "a height, for the tables given do not tell one")
    return found


def _taken(batch: Evidence, now: int) -> dict[int, int] | None:
    """Names taken, by letters; None where the batch does not know which etchings were honoured."""
    if not (batch.is_state and batch.holds("etchings")):
        return None
    rows = batch.rows(_TAKEN, height=now).to_pylist()
    return {row["letters"]: row["taken"] for row in rows}


def _first_number(letters: int) -> int:
    """The number of the first name of so many letters: A, AA, AAA."""
    number: int = (26**letters - 26) // 25
    return number


def _row(
    letters: int, spans: tuple[int, int], network: Network, taken: dict[int, int] | None
) -> dict[str, Any]:
    """One length. `spans` holds the lowest open number now and then."""
    first, beyond = _first_number(letters), _first_number(letters + 1)
    now, then = (beyond - min(max(lowest, first), beyond) for lowest in spans)
    occupied = None if taken is None else taken.get(letters, 0)
    return {
        "letters": letters,
        "names": beyond - first,
        "taken": occupied,
        "taken_share": None if occupied is None else occupied / (beyond - first),
        "open": now,
        "free": None if occupied is None else now - occupied,
        "unlocking": then - now,
        "opens_at": _opens(beyond - 1, network),
        "all_open_at": _opens(first, network),
    }


def _opens(number: int, network: Network) -> int:
    """The first height at which a name that is not reserved may be etched."""
    return max(unlock_height(number, network) or 0, first_rune_height(network))


def _early(batch: Evidence, now: int, network: Network) -> pa.Table:
    """Etchings that the batch has below the name that their height allowed."""
    found = [
        {**row, "unlocks_at": _opens(rune_number(row["name"]), network)}
        for row in batch.rows(_ETCHED, height=now).to_pylist()
        if rune_number(row["name"]) < minimum_rune(row["height"], network)
    ]
    text, whole = pa.string(), pa.int64()
    kinds = [("rune_id", text), ("name", text), ("height", whole), ("unlocks_at", whole)]
    return pa.Table.from_pylist(found, schema=pa.schema(kinds))


def _looked_up(
    batch: Evidence, names: list[str], now: int, network: Network, taken: dict[int, int] | None
) -> pa.Table:
    """Each name asked for: its number, when it unlocks, and who has it, as far as is known."""
    asked = [SpacedRune.parse(name.strip().upper()) for name in names]
    plain = [one.name for one in asked]
    rows = batch.rows(_TAKERS, height=now, names=plain).to_pylist() if plain else []
    takers = {row["name"]: row["rune_id"] for row in rows}
    lowest = minimum_rune(now, network)
    found = [
        {
            "name": str(one),
            "letters": len(one.name),
            "number": str(one.rune),
            "reserved": is_reserved(one.rune),
            "unlocks_at": None if is_reserved(one.rune) else _opens(one.rune, network),
            "unlocked": lowest <= one.rune and not is_reserved(one.rune),
            "taken": None if taken is None else one.name in takers,
            "rune_id": None if taken is None else takers.get(one.name),
        }
        for one in asked
    ]
    text, whole, flag = pa.string(), pa.int64(), pa.bool_()
    kinds = [("name", text), ("letters", whole), ("number", text), ("reserved", flag)]
    kinds += [("unlocks_at", whole), ("unlocked", flag), ("taken", flag), ("rune_id", text)]
    return pa.Table.from_pylist(found, schema=pa.schema(kinds))


def _facts(
    rows: list[dict[str, Any]],
    spans: tuple[int, int],
    now: int,
    blocks: int,
    taken: dict[int, int] | None,
    early: pa.Table,
) -> dict[str, Any]:
    """Numbers of names are exact integers."""
    return {
        "height": now,
        "until": now + blocks,
        "minimum": rune_name(spans[0]),
        "minimum_then": rune_name(spans[1]),
        "shortest": len(rune_name(spans[0])),
        "unlocking": spans[0] - spans[1],
        "taken": None if taken is None else sum(row["taken"] for row in rows),
        "reserved": None
        if taken is None
        else sum(count for letters, count in taken.items() if letters > LONGEST),
        "early": early.num_rows,
    }


def _sentence(facts: dict[str, Any]) -> Sentence:
    values = {
        "height": facts["height"],
        "minimum": facts["minimum"],
        "unlocking": f"{facts['unlocking']:,}",
        "until": facts["until"],
    }
    if facts["taken"] is None:
        return Sentence(
            "at block {height} names from {minimum} on are open, and {unlocking} more "
            "{unlocking:is|are} at block {until}; which are taken is not known",
            values,
        )
    return Sentence(
        "at block {height} names from {minimum} on are open, and {unlocking} more "
        "{unlocking:is|are} at block {until}; {taken} {taken:is|are} taken",
        {**values, "taken": f"{facts['taken']:,}"},
    )


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    """The numbers of names are decimal strings: 26^26 has 37 digits."""
    whole, text = pa.int64(), pa.string()
    kinds = [("letters", whole), ("names", text), ("taken", whole), ("taken_share", pa.float64())]
    kinds += [("open", text), ("free", text), ("unlocking", text)]
    kinds += [("opens_at", whole), ("all_open_at", whole)]
    exact = [
        {**row, **{name: None if row[name] is None else str(row[name]) for name in LARGE}}
        for row in rows
    ]
    return pa.Table.from_pylist(exact, schema=pa.schema(kinds))


def _figure(rows: list[dict[str, Any]]) -> Figure:
    """Names taken of each length, and from when on all of that length are open."""
    letters = [row["letters"] for row in rows]
    shares = [row["taken_share"] for row in rows]
    return Figure(
        data=[
            {
                "type": "bar",
                "name": "taken",
                "x": letters,
                "y": [row["taken"] for row in rows],
                "text": [_said(share) for share in shares],
                "textposition": "none",  # a bar is too narrow for it: it is told at the pointer
                "hovertemplate": "%{x} letters: %{y} taken, share %{text}",
            },
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": "all open from",
                "x": letters,
                "y": [row["all_open_at"] for row in rows],
                "yaxis": "y2",
                "line": {"dash": "dot"},
            },
        ],
        layout={
            "title": {"text": "Names taken and unlocked, by length"},
            "xaxis": {"title": {"text": "letters"}},
            "yaxis": {"title": {"text": "names taken"}},
            "yaxis2": {
                "title": {"text": "height of the block"},
                "overlaying": "y",
                "side": "right",
                "tickformat": "d",
                "tickmode": "auto",
                "rangemode": "tozero",
                "showgrid": False,
            },
        },
    )


def _said(share: float | None) -> str:
    """Of a bar: of long names a share has dozens of zeros."""
    if not share:
        return ""
    return "less than 0.01 %" if share < 1e-4 else f"{share * 100:.3g} %"


def _explanation(
    batch: Evidence, now: int, taken: dict[int, int] | None, early: pa.Table
) -> Explanation:
    missing: list[str] = []
    if not batch.network_stated:
        missing.append(
            "the network of these tables: mainnet's heights are assumed; a batch says it"
        )
    start, last = batch.first_height, batch.last_height
    if taken is None:
        missing.append("which etchings were honoured: the names taken are not known")
    else:
        if start is not None and start > first_rune_height(cast(Network, batch.network)):
            missing.append(
                told(
                    "etchings before block {height}: their names are not among the taken",
                    height=start,
                )
            )
        if last is not None and last < now:
            missing.append(
                told(
                    "etchings after block {height}: their names are not among the taken",
                    height=last,
                )
            )
    if early.num_rows:
        missing.append(
            told(
                "a reason for {count} {count:etching of a name that was|etchings of names that "
                "were} still locked (early)",
                count=f"{early.num_rows:,}",
            )
        )
    return Explanation(
        question="Which names are open, and which unlock next?",
        formulas=(
            "number of a name: A is 0, Z 25, AA 26; of n letters there are 26^n names",
            "open at a height: the numbers from its minimum on, which falls through each length "
            "of 12 letters and fewer in 17,500 blocks",
            "unlocking = minimum at the height - minimum at the height + blocks",
            "share taken = names taken / 26^n",
        ),
        assumptions=(
            "open means that the block at this height may etch it; names of 27 letters and more "
            "are reserved",
        ),
        missing=tuple(missing),
        sources=batch.sources(),
    )
