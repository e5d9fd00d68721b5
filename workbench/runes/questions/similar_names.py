"""Which names look like that of a rune, or of the runes that most hold."""

from __future__ import annotations

import re
from collections import Counter
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
from workbench.runes.questions.bars import whole_axis
from workbench.runes.saying import said_counts

KINDS = ("spacers", "words", "doubled", "near")
"""From the one that deceives most. `near`: a like cosine and few edits."""
SHOWN_BARS = 20
_RUN = re.compile(r"(.)\1+")

Row = dict[str, Any]
Names = dict[str, list[Any]]
"""The columns of `_NAMES`, a place in them for each rune: rows of all would take longer than the
rest of the question of one."""

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
    names: Names = batch.rows(_NAMES).to_pydict()
    if rune is None:
        holders = _holders(batch, names["rune_id"])
        guarded = _most_held(names, holders, most)
    else:
        guarded = [_place(batch, names, rune)]
    pairs = near_pairs(names["name"], guarded, cosine, _same_keys(names, guarded))
    if rune is not None:
        shown = sorted({*guarded, *pairs.other.tolist()})
        holders = _holders(batch, [names["rune_id"][place] for place in shown], some=True)
    rows = _alike(names, holders, guarded, pairs, cosine, edits)
    facts = _facts(names, guarded, rows)
    about = None if rune is None else names["spaced"][guarded[0]]
    return Answer(
        question="similar_names",
        sentence=_sentence(facts, about),
        table=_table(rows),
        figure=_figure(rows),
        facts=facts,
        explanation=_explanation(batch, names, holders, cosine, edits),
    )


def _holders(batch: Evidence, runes: list[str], *, some: bool = False) -> dict[str, Row]:
    """How many hold these runes, of all or only of `some`."""
    known = "balances" in batch.tables
    found = batch.of(runes, "balances") if some else batch
    rows = found.rows(_HOLDERS, some=runes if some else None).to_pylist() if known else []
    held = {row["rune_id"]: row for row in rows}
    nobody = {"holders": 0 if known else None, "nobodys": 0}
    return {rune: held.get(rune, nobody) for rune in runes}


def _words(spaced: str) -> list[str]:
    return sorted(spaced.split("•"))


def _single(name: str) -> str:
    """The letters, runs of one letter counted once."""
    return _RUN.sub(r"\1", name)


def _most_held(names: Names, holders: dict[str, Row], most: int) -> list[int]:
    """Places of the runes with most holders; of equals the older one first."""
    counts = [holders[rune]["holders"] for rune in names["rune_id"]]
    order = sorted(range(len(counts)), key=lambda place: -counts[place])
    return [place for place in order[:most] if counts[place]]


def _place(batch: Evidence, names: Names, rune: str) -> int:
    found = batch.rune(rune)
    if found.id in names["rune_id"]:
        return names["rune_id"].index(found.id)
    raise InputError(
        "similar_names needs the etching of {rune}, which {batch} does not have",
        rune=found.id,
        batch=batch.name,
    )


def _alike(
    names: Names,
    holders: dict[str, Row],
    guarded: list[int],
    pairs: Pairs,
    cosine: float,
    edits: int,
) -> list[Row]:
    """Every guarded name with each name that looks like it, the most held first."""
    rank = {place: number for number, place in enumerate(guarded)}
    rows = []
    for of, place, likeness, distance in _each(pairs):
        kind = _kind(names, of, place)
        if kind or (likeness >= cosine and distance <= edits):
            sides = (_told(names, holders, of), _told(names, holders, place))
            row = _row(*sides, kind or "near", likeness, distance)
            rows.append((rank[of], KINDS.index(row["kind"]), distance, -likeness, place, row))
    rows.sort(key=lambda one: one[:5])
    return [row for *_, row in rows]


def _each(pairs: Pairs) -> Any:
    return zip(*(column.tolist() for column in pairs), strict=True)


def _told(names: Names, holders: dict[str, Row], place: int) -> Row:
    row = {name: column[place] for name, column in names.items()}
    return {**row, "holders": holders[row["rune_id"]]["holders"]}


def _same_keys(names: Names, guarded: list[int]) -> list[tuple[int, int]]:
    """Pairs that share their letters, their words or their letters without doubled ones."""
    words: dict[tuple[str, ...], list[int]] = {}
    singles: dict[str, list[int]] = {}
    for place in guarded:
        words.setdefault(tuple(_words(names["spaced"][place])), []).append(place)
        singles.setdefault(_single(names["name"][place]), []).append(place)
    lengths = set(map(len, map("•".join, words)))
    ends = {single[0] + single[-1] for single in singles}
    letters = set(map(frozenset, singles))
    pairs = []
    for place, (name, spaced) in enumerate(zip(names["name"], names["spaced"], strict=True)):
        like: list[int] = []
        if len(spaced) in lengths:  # what is of another length has other words
            like += words.get(tuple(_words(spaced)), ())
        if name[0] + name[-1] in ends and frozenset(name) in letters:
            like += singles.get(_single(name), ())
        pairs += [(of, place) for of in like if of != place]
    return pairs


def _kind(names: Names, of: int, other: int) -> str | None:
    """How a name deceives, where it does so by rule."""
    ours, theirs = names["name"][of], names["name"][other]
    if ours == theirs:
        return "spacers"
    if _words(names["spaced"][of]) == _words(names["spaced"][other]):
        return "words"
    return "doubled" if _single(ours) == _single(theirs) else None


def _row(of: Row, other: Row, kind: str, likeness: float, distance: int) -> Row:
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


def _table(rows: list[Row]) -> pa.Table:
    text, whole = pa.string(), pa.int64()
    kinds = [("of", text), ("of_name", text), ("of_holders", whole), ("rune_id", text)]
    kinds += [("name", text), ("holders", whole), ("kind", text), ("cosine", pa.float64())]
    kinds += [("edits", whole), ("later", pa.bool_()), ("blocks_later", whole)]
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds))


def _facts(names: Names, guarded: list[int], rows: list[Row]) -> Row:
    kinds = Counter(row["kind"] for row in rows)
    return {
        "names": len(names["name"]),
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


def _figure(rows: list[Row]) -> Figure:
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
            "yaxis": whole_axis("names like it", (0, *counts.values()), ",d", rangemode="tozero"),
        },
    )


def _explanation(
    batch: Evidence,
    names: Names,
    holders: dict[str, Row],
    cosine: float,
    edits: int,
) -> Explanation:
    missing: list[str] = []
    nobodys = sum(row["nobodys"] for row in holders.values())
    doubtful = sum(names["doubtful"])
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
