"""Which names look like that of a rune, or of the runes that most hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import pyarrow as pa
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence, told
from workbench.errors import InputError
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence
from workbench.runes.name_pairs import Pairs, near_pairs
from workbench.runes.saying import said_counts

KINDS = ("spacers", "words", "doubled", "near")
"""From the one that deceives most. `near`: a like cosine and few edits."""
SHOWN_BARS = 20
_RUN = re.compile(r"(.)\1+")

_NAMES = """
SELECT rune_id, min(name) AS name, min(spaced_name) AS spaced, min(height) AS height,
  min(tx_index) AS tx_index, bool_or(commitment = 'unknown') AS doubtful
FROM {etchings} WHERE commitment <> 'missing' GROUP BY rune_id ORDER BY height, tx_index, rune_id
"""

_HOLDERS = """
SELECT rune_id, count(DISTINCT coalesce(script, address)) AS holders,
  count(*) FILTER (script IS NULL AND address IS NULL) AS nobodys
FROM {balances} WHERE (amount_high > 0 OR amount_low > 0)
  AND ($some::VARCHAR[] IS NULL OR rune_id IN (SELECT unnest($some::VARCHAR[])))
GROUP BY rune_id
"""


@question("Which names look alike?")
def similar_names(
    batch: Evidence,
    *,
    rune: Annotated[
        str | None,
        Meta(title="Rune", description="Whose imitations; none: those of the runes most held."),
    ] = None,
    most: Annotated[
        int,
        Meta(ge=1, le=5_000, title="Guarded runes", description="How many of the runes most held."),
    ] = 1_000,
    cosine: Annotated[
        float,
        Meta(ge=0.05, le=1, title="Least cosine", description="Of the triples of letters, 0 to 1."),
    ] = 0.5,
    edits: Annotated[
        int,
        Meta(ge=0, le=28, title="Most edits", description="Letters changed, put in or left out."),
    ] = 3,
) -> Answer:
    """Names that look like a rune's: other spacers, the same words, doubled letters, or near by
    n-gram cosine and edit distance."""
    if rune is None:
        batch.needs("similar_names", "balances")
    batch.needs_rows("similar_names", "etchings")
    names = batch.rows(_NAMES).to_pylist()
    if rune is None:
        shown: Sequence[int] = range(len(names))
        _add_holders(batch, names, shown)
        guarded = _most_held(names, most)
    else:
        guarded = [_place(batch, names, rune)]
    pairs = near_pairs(
        [name["name"] for name in names], guarded, cosine, _same_keys(names, guarded)
    )
    if rune is not None:
        shown = sorted({*guarded, *pairs.other.tolist()})
        _add_holders(batch, names, shown)
    rows = _alike(names, guarded, pairs, cosine, edits)
    facts = _facts(names, guarded, rows)
    about = None if rune is None else names[guarded[0]]["spaced"]
    return Answer(
        question="similar_names",
        sentence=_sentence(facts, about),
        table=_table(rows),
        figure=_figure(rows),
        facts=facts,
        explanation=_explanation(batch, names, shown, cosine, edits),
    )


def _add_holders(batch: Evidence, names: list[dict[str, Any]], shown: Sequence[int]) -> None:
    """How many hold the runes at these places."""
    known = "balances" in batch.tables
    some = None if len(shown) == len(names) else [names[place]["rune_id"] for place in shown]
    rows = batch.rows(_HOLDERS, some=some).to_pylist() if known else []
    held = {row["rune_id"]: row for row in rows}
    for place in shown:
        row = held.get(names[place]["rune_id"], {"holders": 0, "nobodys": 0})
        names[place]["holders"] = row["holders"] if known else None
        names[place]["nobodys"] = row["nobodys"]


def _words(name: dict[str, Any]) -> list[str]:
    return sorted(name["spaced"].split("•"))


def _single(name: dict[str, Any]) -> str:
    """The letters, runs of one letter counted once."""
    return _RUN.sub(r"\1", name["name"])


def _most_held(names: list[dict[str, Any]], most: int) -> list[int]:
    """Places of the runes with most holders; of equals the older one first."""
    order = sorted(range(len(names)), key=lambda place: -names[place]["holders"])
    return [place for place in order[:most] if names[place]["holders"]]


def _place(batch: Evidence, names: list[dict[str, Any]], rune: str) -> int:
    found = batch.rune(rune)
    for place, name in enumerate(names):
        if name["rune_id"] == found.id:
            return place
    raise InputError(
        "similar_names needs the etching of {rune}, which {batch} does not have",
        rune=found.id,
        batch=batch.name,
    )


def _alike(
    names: list[dict[str, Any]], guarded: list[int], pairs: Pairs, cosine: float, edits: int
) -> list[dict[str, Any]]:
    """Every guarded name with each name that looks like it, the most held first."""
    rank = {place: number for number, place in enumerate(guarded)}
    rows = []
    for of, place, likeness, distance in _each(pairs):
        kind = _kind(names[of], names[place])
        if kind or (likeness >= cosine and distance <= edits):
            row = _row(names[of], names[place], kind or "near", likeness, distance)
            rows.append((rank[of], KINDS.index(row["kind"]), distance, -likeness, place, row))
    rows.sort(key=lambda one: one[:5])
    return [row for *_, row in rows]


def _each(pairs: Pairs) -> Any:
    return zip(*(column.tolist() for column in pairs), strict=True)


def _same_keys(names: list[dict[str, Any]], guarded: list[int]) -> list[tuple[int, int]]:
    """Pairs that share their letters, their words or their letters without doubled ones."""
    words: dict[tuple[str, ...], list[int]] = {}
    singles: dict[str, list[int]] = {}
    for place in guarded:
        words.setdefault(tuple(_words(names[place])), []).append(place)
        singles.setdefault(_single(names[place]), []).append(place)
    letters = set(map(frozenset, singles))  # what has other letters needs no closer look
    pairs = []
    for place, name in enumerate(names):
        like = list(words.get(tuple(_words(name)), ()))
        if frozenset(name["name"]) in letters:
            like += singles.get(_single(name), ())
        pairs += [(of, place) for of in like if of != place]
    return pairs


def _kind(of: dict[str, Any], other: dict[str, Any]) -> str | None:
    """How a name deceives, where it does so by rule."""
    if of["name"] == other["name"]:
        return "spacers"
    if _words(of) == _words(other):
        return "words"
    return "doubled" if _single(of) == _single(other) else None


def _row(
    of: dict[str, Any], other: dict[str, Any], kind: str, likeness: float, distance: int
) -> dict[str, Any]:
    return {
        "of": of["rune_id"],
        "of_name": of["spaced"],
        "of_holders": of["holders"],
        "rune_id": other["rune_id"],
        "name": other["spaced"],
        "holders": other["holders"],
        "kind": kind,
        "cosine": likeness,
        "edits": distance,
        "later": (other["height"], other["tx_index"]) > (of["height"], of["tx_index"]),
        "blocks_later": other["height"] - of["height"],
    }


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    text, whole = pa.string(), pa.int64()
    kinds = [("of", text), ("of_name", text), ("of_holders", whole), ("rune_id", text)]
    kinds += [("name", text), ("holders", whole), ("kind", text), ("cosine", pa.float64())]
    kinds += [("edits", whole), ("later", pa.bool_()), ("blocks_later", whole)]
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds))


def _facts(
    names: list[dict[str, Any]], guarded: list[int], rows: list[dict[str, Any]]
) -> dict[str, Any]:
    kinds = Counter(row["kind"] for row in rows)
    return {
        "names": len(names),
        "guarded": len(guarded),
        "imitated": len({row["of"] for row in rows}),
        "pairs": len(rows),
        "later": sum(row["later"] for row in rows),
        **{kind: kinds[kind] for kind in KINDS},
    }


def _sentence(facts: dict[str, Any], about: str | None) -> Sentence:
    values = {name: f"{count:,}" for name, count in facts.items()}
    if about is not None:
        return Sentence(
            "{pairs} of {names} {names:name|names} {pairs:looks|look} like {rune}: {spacers} but "
            "for spacers, {words} with its words, {doubled} with doubled letters, {near} near "
            "it; {later} came later",
            {**values, "rune": about},
        )
    if not facts["pairs"]:
        return Sentence(
            "no name here looks like {guarded:that|one} of the {guarded} {guarded:rune|runes} most "
            "held",
            values,
        )
    return Sentence(
        "{imitated} of the {guarded} {guarded:rune|runes} most held {imitated:has|have} names "
        "that look like {imitated:its own|theirs}: {pairs}, of which {later} came later",
        values,
    )


def _figure(rows: list[dict[str, Any]]) -> Figure:
    """The runes with most imitations, by kind."""
    counts = Counter(row["of_name"] for row in rows)
    shown = [name for name, _ in counts.most_common(SHOWN_BARS)]
    by_kind = Counter((row["of_name"], row["kind"]) for row in rows)
    return Figure(
        data=[
            {
                "type": "bar",
                "name": kind,
                "x": shown,
                "y": [by_kind[name, kind] for name in shown],
                "marker": {"pattern": {"shape": shape}},
            }
            for kind, shape in zip(KINDS, ("", "/", "x", "."), strict=True)
        ],
        layout={
            "title": {"text": "Names that look alike"},
            "barmode": "stack",
            "xaxis": {"title": {"text": "rune"}},
            "yaxis": {"title": {"text": "names like it"}},
        },
    )


def _explanation(
    batch: Evidence,
    names: list[dict[str, Any]],
    shown: Sequence[int],
    cosine: float,
    edits: int,
) -> Explanation:
    missing: list[str] = []
    nobodys = sum(names[place]["nobodys"] for place in shown)
    doubtful = sum(name["doubtful"] for name in names)
    if "balances" not in batch.tables:
        missing.append("the balances: how many hold each rune is not known")
    missing += said_counts(
        (
            "whose {count} {count:balance is: it counts|balances are: they count} for no holder",
            nobodys,
        ),
        (
            (
                "whether {count} {count:etching was honoured: its name counts|etchings were "
                "honoured: their names count} here"
            ),
            doubtful,
        ),
    )
    return Explanation(
        question="Which names look alike?",
        formulas=(
            "cosine = sum over triples of letters of n_a * n_b / sqrt(sum n_a^2 * sum n_b^2), with "
            "a mark before the first and after the last letter",
            "edits = Levenshtein distance of the letters, spacers left out",
            told(
                "near: cosine >= {cosine} and edits <= {edits}", cosine=f"{cosine:g}", edits=edits
            ),
            "spacers: the same letters; words: the same words in another order; doubled: the same "
            "letters once runs of one letter count once",
        ),
        assumptions=("a holder is a script, or an address where the script is not known",),
        missing=tuple(missing),
        sources=batch.sources(),
    )
