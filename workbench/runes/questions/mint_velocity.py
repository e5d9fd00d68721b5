"""How fast is it minted, and how soon is it minted half as fast?"""

from __future__ import annotations

from math import log2
from typing import Annotated, Any

import pyarrow as pa
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence
from workbench.runes.questions.bars import whole_axis
from workbench.runes.questions.pace import DAY, blocks_of
from workbench.runes.saying import said_counts

TITLE = "How fast is it minted?"
WINDOWS = (1, 6, DAY)

_BLOCKS = """
WITH counted AS (
  SELECT height, count(*) FILTER (WHERE credited OR NOT $state) AS mints,
    count(*) FILTER (WHERE credited IS NULL AND $state) AS undecided
  FROM {mints}
  WHERE ($rune IS NULL OR rune_id = $rune) AND height > $after AND height <= $last
  GROUP BY height
)
SELECT spot.height::BIGINT AS height, coalesce(counted.mints, 0)::BIGINT AS mints,
  coalesce(counted.undecided, 0)::BIGINT AS undecided, block.transactions
FROM range($after + 1, $last + 1) AS spot(height)
LEFT JOIN counted ON counted.height = spot.height
LEFT JOIN {blocks} AS block ON block.height = spot.height
ORDER BY spot.height
"""

_SCHEMA = pa.schema(
    [
        ("window", pa.int64()),
        ("blocks", pa.int64()),
        ("mints", pa.int64()),
        ("mints_per_block", pa.float64()),
        ("transactions", pa.int64()),
        ("share", pa.float64()),
    ]
)
_FORMULAS = (
    "mints_per_block = mints in the last blocks / blocks, for 1, 6 and 144 of them",
    "share = mints / transactions of these blocks; a transaction mints at most once",
    "half-life = w / log2(n1 / n2): n2 mints in the last w blocks, n1 in the w before, where w is "
    "half of the last 144 and n1 > n2 > 0",
)
_ASSUMPTIONS = ("the half-life takes the decline for exponential",)
_ASKED_ONLY = "whether a mint was credited: they are counted as asked for"
_SHORT = "{count} of the last 144 blocks: longer windows are those that the batch has"
_NO_BLOCKS = (
    "how many transactions {count} of the blocks {count:has|have}: no share where "
    "{count:it is|they are} among them"
)
_UNDECIDED = (
    "whether {count} {count:mint was credited: it is|mints were credited: they are} left out"
)

_SAID = {
    (False, False): (
        "{mints} {mints:mint was|mints were} asked for in the last block",
        "{mints} {mints:mint was|mints were} asked for in the last {blocks} blocks, {pace} a "
        "block; in the last one {last}",
    ),
    (False, True): (
        "{rune}: {mints} {mints:mint was|mints were} asked for in the last block",
        "{rune}: {mints} {mints:mint was|mints were} asked for in the last {blocks} blocks, "
        "{pace} a block; in the last one {last}",
    ),
    (True, False): (
        "{mints} {mints:mint was|mints were} credited in the last block",
        "{mints} {mints:mint was|mints were} credited in the last {blocks} blocks, {pace} a "
        "block; in the last one {last}",
    ),
    (True, True): (
        "{rune}: {mints} {mints:mint was|mints were} credited in the last block",
        "{rune}: {mints} {mints:mint was|mints were} credited in the last {blocks} blocks, "
        "{pace} a block; in the last one {last}",
    ),
}
"""By whether the batch knows what was honoured, and whether one rune was asked about: of a single
block, and of several."""
_NONE = {
    False: (
        "there are no mints in the last block",
        "there are no mints in the last {blocks} blocks",
    ),
    True: (
        "there are no mints of {rune} in the last block",
        "there are no mints of {rune} in the last {blocks} blocks",
    ),
}
"""The same where nothing was minted, by whether one rune was asked about."""


@question(TITLE)
def mint_velocity(
    batch: Evidence,
    *,
    rune: Annotated[
        str | None, Meta(title="Rune", description="Its id or name; none: every rune.")
    ] = None,
) -> Answer:
    """Says how many mints the last 1, 6 and 144 blocks hold, what part of their transactions that
    is, and in how many blocks the pace halves."""
    batch.needs("mint_velocity", "mints", state=False)
    wanted = None if rune is None else batch.rune(rune)
    which, name = (None, None) if wanted is None else (wanted.id, wanted.name)
    blocks = _blocks(batch, which)
    counts: list[int] = blocks["mints"].to_pylist()
    windows = [_window(size, blocks.slice(max(len(counts) - size, 0))) for size in WINDOWS]
    return Answer(
        question="mint_velocity",
        sentence=_sentence(batch.is_state, name, windows),
        table=pa.Table.from_pylist(windows, schema=_SCHEMA),
        more={"blocks": blocks},
        figure=_figure(blocks),
        facts={
            "rune": which,
            **{f"mints_per_block_{one['window']}": one["mints_per_block"] for one in windows},
            **{f"share_{one['window']}": one["share"] for one in windows},
            "half_life_blocks": _half_life(counts),
        },
        explanation=Explanation(
            question=TITLE,
            formulas=_FORMULAS,
            assumptions=_ASSUMPTIONS,
            missing=_missing(batch.is_state, blocks),
            sources=batch.sources(),
        ),
    )


def _blocks(batch: Evidence, rune: str | None) -> pa.Table:
    """Each of the last blocks, those without a mint too."""
    last = -1 if batch.last_height is None else batch.last_height
    after = last - blocks_of(batch, DAY)
    return batch.rows(_BLOCKS, rune=rune, state=batch.is_state, after=after, last=last)


def _window(size: int, blocks: pa.Table) -> dict[str, Any]:
    counts, sizes = blocks["mints"].to_pylist(), blocks["transactions"].to_pylist()
    known = bool(sizes) and None not in sizes
    transactions = sum(sizes) if known else None
    return {
        "window": size,
        "blocks": len(counts),
        "mints": sum(counts),
        "mints_per_block": sum(counts) / len(counts) if counts else None,
        "transactions": transactions,
        "share": sum(counts) / transactions if transactions else None,
    }


def _half_life(counts: list[int]) -> float | None:
    """In how many blocks the pace halves; None where it does not fall, or nothing is left."""
    half = len(counts) // 2
    later = sum(counts[len(counts) - half :])
    earlier = sum(counts[len(counts) - 2 * half : len(counts) - half])
    return half / log2(earlier / later) if earlier > later > 0 else None


def _sentence(state: bool, name: str | None, windows: list[dict[str, Any]]) -> Sentence:
    last, longest = windows[0], windows[-1]
    several = longest["blocks"] != 1
    values = {"blocks": longest["blocks"], **({} if name is None else {"rune": name})}
    if not longest["mints"]:
        return Sentence(_NONE[name is not None][several], values)
    pace = f"{longest['mints_per_block']:,.2f}"
    values |= {"mints": longest["mints"], "pace": pace, "last": last["mints"]}
    return Sentence(_SAID[state, name is not None][several], values)


def _figure(blocks: pa.Table) -> Figure:
    """The mints of each of the last blocks."""
    heights, mints = (blocks[name].to_pylist() for name in ("height", "mints"))
    return Figure(
        data=[{"type": "bar", "name": "mints", "x": heights, "y": mints}],
        layout={
            "title": {"text": "Mints in each of the last blocks"},
            "xaxis": whole_axis("height", heights),
            "yaxis": whole_axis("mints", (0, *mints), ",d", rangemode="tozero"),
        },
    )


def _missing(state: bool, blocks: pa.Table) -> tuple[str, ...]:
    """What the batch does not say."""
    said = said_counts(
        (_SHORT, DAY - blocks.num_rows),
        (_NO_BLOCKS, blocks["transactions"].null_count),
        (_UNDECIDED, sum(blocks["undecided"].to_pylist())),
    )
    return said if state else (_ASKED_ONLY, *said)
