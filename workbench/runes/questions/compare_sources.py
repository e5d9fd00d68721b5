"""The same rune, or the same batch, from two producers: every field in which they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.model import Context, DataURL, Result, model
from workbench.core.sentence import Sentence, told
from workbench.errors import InputError
from workbench.runes.answer import Answer, Explanation
from workbench.runes.batch import load_batch
from workbench.runes.differences import COMPARED, SAME, UNSAID, compared, row_of
from workbench.runes.evidence import NOT_STATED, STATE, Asked, Evidence, evidence_of
from workbench.runes.kinds import MAX_HEIGHT
from workbench.runes.questions.bars import in_words
from workbench.runes.records import RECORDS
from workbench.store.exact import as_text

TITLE = "Where do two sources differ?"
HEADER = ("network", "completeness", "last_height")
WHAT = ("differs", "only in a", "only in b")
_HOLDERS = ("outpoint", "script", "address")

_TERMS = (
    *("name", "spaced_name", "symbol", "divisibility", "spacers", "premine", "amount", "cap"),
    *("height_start", "height_end", "offset_start", "offset_end", "turbo", "terms", "cenotaph"),
    "txid",
)
_AMOUNTS = frozenset(("premine", "amount", "cap"))
_FLAGS = frozenset(("turbo", "terms", "cenotaph"))

_ENTRIES = """
SELECT rune_id, 'entry' AS key, amount(mints_high, mints_low) AS mints,
  amount(burned_high, burned_low) AS burned, amount(supply_high, supply_low) AS supply
FROM {entries} WHERE $rune IS NULL OR rune_id = $rune
"""

_KNOWN = """
SELECT count(*) = count(outpoint) AS outpoint, count(*) = count(script) AS script,
  count(*) = count(address) AS address
FROM {balances} WHERE $rune IS NULL OR rune_id = $rune
"""

_BALANCES = """
SELECT rune_id, <whose> AS key,
  (sum(amount_high) + (sum(amount_low) >> 64))::UBIGINT AS amount_high,
  (sum(amount_low) & <half>::HUGEINT)::UBIGINT AS amount_low, NULL::VARCHAR AS amounts
FROM {balances} WHERE ($rune IS NULL OR rune_id = $rune) AND (amount_high > 0 OR amount_low > 0)
GROUP BY ALL
""".replace("<half>", str(2**64 - 1))

_TOLD = """
SELECT count(*) = count(tx_index) AS places,
  count(*) FILTER (kind = 'transferred') = count(output) FILTER (kind = 'transferred') AS outputs
FROM {events} WHERE $rune IS NULL OR rune_id = $rune
"""

_ETCHINGS = """
WITH honoured AS NOT MATERIALIZED (
  SELECT * FROM {{etchings}} WHERE commitment <> 'missing' AND ($rune IS NULL OR rune_id = $rune)
), repeated AS MATERIALIZED (
  SELECT rune_id FROM honoured GROUP BY rune_id HAVING count(*) > 1
)
SELECT rune_id, 'etching' AS key, {once} FROM honoured ANTI JOIN repeated USING (rune_id)
UNION ALL
SELECT rune_id, 'etching', {several} FROM honoured SEMI JOIN repeated USING (rune_id)
GROUP BY rune_id
"""

_KINDS = "['etched', 'minted', 'transferred', 'burned']"
"""By their places here: numbers are grouped and joined faster than texts."""

_EVENTS = """
WITH said AS NOT MATERIALIZED (
  SELECT rune_id, height, <place> AS place, coalesce(<output>, -1) AS output,
    list_position(<kinds>, kind)::UTINYINT AS kind, amount_high, amount_low
  FROM {events}
  WHERE ($rune IS NULL OR rune_id = $rune) AND height BETWEEN $first AND $last
), grouped AS MATERIALIZED (
  SELECT rune_id, height, place, kind, output, count(*) AS rows,
    max(amount_high) AS high, max(amount_low) AS low
  FROM said GROUP BY rune_id, height, place, kind, output
)
SELECT rune_id, height, place, kind, output, high AS amount_high, low AS amount_low, NULL AS amounts
FROM grouped WHERE rows = 1
UNION ALL
SELECT rune_id, height, place, kind, output, NULL, NULL,
  CASE WHEN count(*) = count(amount_low) THEN array_to_string(list_transform(
    list_sort(list(amount(amount_high, amount_low))), lambda one: <text>), ', ') END
FROM said SEMI JOIN (SELECT * FROM grouped WHERE rows > 1) AS several
  ON said.rune_id = several.rune_id AND said.height = several.height
    AND said.kind = several.kind AND said.place = several.place
    AND said.output = several.output
GROUP BY rune_id, height, place, kind, output
""".replace("<text>", as_text("one")).replace("<kinds>", _KINDS)
"""Nearly always one event has a key alone: only of several a list is made."""
_EVENT_KEYS = ("height", "place", "kind", "output")
_EVENT_NAME = """
height || ':' || place || ' ' || <kinds>[kind]
  || CASE WHEN output < 0 THEN '' ELSE ' to output ' || output END
""".replace("<kinds>", _KINDS)
_OUTPUT = "CASE WHEN kind = 'transferred' THEN output END"


def compare_sources(a: Asked, b: Asked, *, rune: str | None = None) -> Answer:
    """Lists each value that two producers say differently: etchings, entries, balances, events.

    `rune` is an id or a name that either knows; none: every rune. Values are compared as they
    are, never rounded; what one of them does not say is no difference and is counted. Raises
    InputError for what is no batch, for an unknown rune, and where both have no table in common.
    """
    sides = (evidence_of(a), evidence_of(b))
    wanted = None if rune is None else _rune(sides, rune)
    a, b = (side.of(wanted, "balances", "events") for side in sides)
    sides = (a, b)
    tables, missing = _tables(sides)
    counts: Counter[tuple[str, str, str]] = Counter()
    found = _header(sides)
    for table in tables:
        texts = _sql(table, sides, wanted, missing)
        params = {"rune": wanted, **(_span(sides) if table == "events" else {})}
        pair = tuple(side.rows(text, **params) for side, text in zip(sides, texts, strict=True))
        known_by = (_EVENT_KEYS, _EVENT_NAME) if table == "events" else ()
        values, rows = compared(table, *pair, *known_by)
        counts.update({(table, *one): count for one, count in values.items()})
        found.append(rows)
    whole = pa.concat_tables(found)
    facts = _facts(counts, whole)
    answer = Answer(
        question="compare_sources",
        sentence=_sentence(sides, facts),
        table=whole,
        figure=_figure(whole),
        facts=facts,
        explanation=_explanation(sides, missing, counts),
    )
    for trust in (side.trust for side in sides if side.trust is not None):
        answer = answer.trusting(trust)
    RECORDS.answered(answer, " and ".join(side.name for side in sides), {"rune": rune})
    return answer


def _rune(sides: tuple[Evidence, Evidence], rune: str) -> str:
    if not isinstance(rune, str):
        raise InputError.field("rune", rune, "text: an id or a name")
    try:
        return sides[0].rune(rune).id
    except InputError:
        return sides[1].rune(rune).id


def _tables(sides: tuple[Evidence, Evidence]) -> tuple[list[str], list[str]]:
    """What can be compared, and what cannot."""
    levels = {side.completeness for side in sides}
    usable = COMPARED if levels == {STATE} else COMPARED[:1]
    missing: list[str] = [
        told("the state: of {table} one of both says only what was asked for", table=table)
        for table in COMPARED[1:]
        if table not in usable
    ]
    tables = [table for table in usable if all(table in side.tables for side in sides)]
    for table in usable:
        for side, name in zip(sides, _names(sides).values(), strict=True):
            if table not in tables and table not in side.tables:
                missing.append(told("{table} in {source}", table=table, source=name))
    if not tables:
        raise InputError(
            "{a} and {b} have no table in common that can be compared; a has {in_a}, b has {in_b}",
            a=sides[0].name,
            b=sides[1].name,
            in_a=", ".join(sides[0].tables) or "no rows",
            in_b=", ".join(sides[1].tables) or "no rows",
        )
    return tables, missing


def _header(sides: tuple[Evidence, Evidence]) -> list[pa.Table]:
    """Where the batches differ, so that their contents may. Bare tables know no network."""
    known = HEADER if all(side.network_stated for side in sides) else HEADER[1:]
    pairs = {name: [getattr(side, name) for side in sides] for name in known}
    return [
        row_of("batch", name, str(a), str(b))
        for name, (a, b) in pairs.items()
        if a != b and None not in (a, b)
    ]


def _span(sides: tuple[Evidence, Evidence]) -> dict[str, int]:
    """The blocks that both cover; a side that does not say is taken to cover all."""
    firsts = [side.first_height for side in sides if side.first_height is not None]
    lasts = [side.last_height for side in sides if side.last_height is not None]
    return {"first": max(firsts, default=0), "last": min(lasts, default=MAX_HEIGHT)}


def _sql(
    table: str, sides: tuple[Evidence, Evidence], rune: str | None, missing: list[str]
) -> tuple[str, str]:
    """The SELECT for each side; `key` tells the rows of a rune apart."""
    if table == "etchings":
        return (_etchings(),) * 2
    if table == "entries":
        return (_ENTRIES,) * 2
    if table == "events":
        told_by = [side.one(_TOLD, rune=rune) for side in sides]
        known, placed = (all(one[what] for one in told_by) for what in ("outputs", "places"))
        if not known:
            missing.append("the outputs of some transfers: they are compared by transaction")
        text = _EVENTS.replace("<output>", _OUTPUT if known else "NULL::BIGINT")
        return (text.replace("<place>", "tx_index" if placed else "txid"),) * 2
    known_by = [side.one(_KNOWN, rune=rune) for side in sides]
    whose = next((name for name in _HOLDERS if all(one[name] for one in known_by)), None)
    if whose is None:
        missing.append("one way to name holders that both have: balances are compared in sum")
    return (_BALANCES.replace("<whose>", whose or "'all balances'"),) * 2


def _etchings() -> str:
    """Null means none there: it is a value, but of a flag, which a producer may not tell. Of one
    rune etched twice both are said."""
    once, several = [], []
    for name in _TERMS:
        amount = f"amount({name}_high, {name}_low)"
        value = as_text(amount) if name in _AMOUNTS else f"{name}::VARCHAR"
        text = value if name in _FLAGS else f"coalesce({value}, 'none')"
        once.append(f"{text} AS {name}")
        several.append(f"string_agg(DISTINCT {text}, ' / ' ORDER BY {text}) AS {name}")
    return _ETCHINGS.format(once=", ".join(once), several=", ".join(several))


def _facts(counts: Mapping[tuple[str, str, str], int], rows: pa.Table) -> dict[str, Any]:
    """`compared` are values that both say; rows that one of them lacks count apart."""
    what = Counter(rows["what"].to_pylist())
    by_table = Counter(rows["table"].to_pylist())
    changed = sum(count for (*_, kind), count in counts.items() if kind == "differs")
    same = sum(count for (*_, kind), count in counts.items() if kind == SAME)
    return {
        "differences": rows.num_rows,
        "compared": same + changed,
        "same": same,
        "not_said": sum(count for (*_, kind), count in counts.items() if kind == UNSAID),
        "only_in_a": what["only in a"],
        "only_in_b": what["only in b"],
        **{name: by_table[name] for name in ("batch", *COMPARED)},
    }


def _sentence(sides: tuple[Evidence, Evidence], facts: dict[str, Any]) -> Sentence:
    values = {
        **{name: f"{count:,}" for name, count in facts.items()},
        **_names(sides),
    }
    if not facts["differences"]:
        return Sentence(
            "{a} and {b} agree in all {compared} {compared:value|values} that both say", values
        )
    return Sentence(
        "{a} and {b} differ {differences} {differences:time|times}: in {etchings} "
        "{etchings:value|values} of etchings, {entries} of entries, {balances} of balances, "
        "{events} of events and {batch} of the batch; {same} {same:value is|values are} the same",
        values,
    )


def _names(sides: tuple[Evidence, Evidence]) -> dict[str, str]:
    """Whose they are, where that tells them apart: many batches are called by their digest."""
    stated = [side.producer for side in sides if side.producer != NOT_STATED]
    names = stated if len(set(stated)) == len(sides) else [side.name for side in sides]
    return dict(zip("ab", names, strict=True))


def _figure(rows: pa.Table) -> Figure:
    counts = Counter(zip(rows["table"].to_pylist(), rows["what"].to_pylist(), strict=True))
    names = ["batch", *COMPARED]
    return Figure(
        data=[
            {
                "type": "bar",
                "name": what,
                "x": names,
                "y": [counts[name, what] for name in names],
                "marker": {"pattern": {"shape": shape}},
            }
            for what, shape in zip(WHAT, ("", "/", "x"), strict=True)
        ],
        layout={
            **in_words("x"),
            "title": {"text": "Where two sources differ"},
            "barmode": "stack",
            "xaxis": {"title": {"text": "table"}},
            "yaxis": {"title": {"text": "differences"}},
        },
    )


def _explanation(
    sides: tuple[Evidence, Evidence], missing: list[str], counts: Mapping[tuple[str, str, str], int]
) -> Explanation:
    unsaid = [
        told(
            "{count} {count:value|values} {field} of {table} that one of both does not say",
            count=f"{count:,}",
            field=field,
            table=table,
        )
        for (table, field, kind), count in sorted(counts.items())
        if kind == UNSAID
    ]
    span = _span(sides)
    return Explanation(
        question=TITLE,
        formulas=(
            "etchings and entries by rune, balances by outpoint (else by script, else by address, "
            "else in sum), events by block, transaction, kind and output with all their amounts",
            "two values differ where their exact texts do",
        ),
        assumptions=(
            told(
                "events count in the blocks that both cover, {first} to {last}",
                **{name: str(height) for name, height in span.items()},
            ),
            "a balance of 0 is the same as none; an etching without a commitment is none",
        ),
        missing=(*missing, *unsaid),
        sources=tuple(
            line for which, side in zip("ab", sides, strict=True) for line in side.sources(which)
        ),
    )


@model(name="runes-compare-sources", version="1", title=TITLE)
def on_mesh(
    context: Context,
    batch: Path,
    *,
    other: Annotated[
        DataURL, Meta(title="Compared with", description="The batch of the other source.")
    ],
    rune: Annotated[
        str | None, Meta(title="Rune", description="Its id or name; none: every rune.")
    ] = None,
) -> Result:
    """Lists each value that two producers say differently: etchings, entries, balances, events."""
    if "other" not in context.inputs:
        raise InputError.field("parameters.other", other, "the batch to compare it with")
    context.progress(0, 3, "reading the batch")
    mine = load_batch(batch, rune_limit=context.rune_limit)
    context.progress(1, 3, "reading the other batch")
    theirs = load_batch(context.inputs["other"], rune_limit=context.rune_limit)
    context.progress(2, 3, "comparing them")
    return compare_sources(mine, theirs, rune=rune).result(mine.id)
