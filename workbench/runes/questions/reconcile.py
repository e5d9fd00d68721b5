"""Does the supply of each rune add up, and does each transaction?"""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence
from workbench.runes.amounts import number_texts, summed_column, whole_numbers
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence, Rune

SHOWN_BARS = 12
AMOUNTS = ("difference", "premine", "minted", "burned", "held")

_RUNES = """
WITH held AS (
  SELECT rune_id, amount_sum(amount_high, amount_low) AS held FROM {balances}
  WHERE $rune IS NULL OR rune_id = $rune GROUP BY rune_id
), etched AS (
  SELECT rune_id, any_value(spaced_name) AS name,
    any_value(CASE WHEN cenotaph THEN 0::UHUGEINT ELSE amount(premine_high, premine_low) END)
      AS premine,
    any_value(CASE WHEN terms IS NOT NULL
      THEN coalesce(amount(amount_high, amount_low), 0::UHUGEINT) END) AS amount
  FROM {etchings} WHERE commitment <> 'missing' AND ($rune IS NULL OR rune_id = $rune)
  GROUP BY rune_id
)
SELECT rune_id, name, etched.premine, etched.amount,
  amount(mints_high, mints_low) AS mints, amount(burned_high, burned_low) AS burned,
  CASE WHEN $told THEN coalesce(held.held, 0::UHUGEINT) END AS held
FROM {entries} FULL JOIN held USING (rune_id) FULL JOIN etched USING (rune_id)
WHERE $rune IS NULL OR rune_id = $rune
ORDER BY rune_id
"""

_MOVED = """(
  SELECT height, tx_index, txid, rune_id, true AS came, amount_high, amount_low FROM {inputs}
  WHERE $rune IS NULL OR rune_id = $rune
  UNION ALL
  SELECT height, tx_index, txid, rune_id, kind IN ('minted', 'etched'),
    amount_high, amount_low
  FROM {events} WHERE $rune IS NULL OR rune_id = $rune
) AS moved"""

_IS_OFF = f"high + (low >> 64) <> 0 OR low & {2**64 - 1}::HUGEINT <> 0"
_PLACED = f"""
SELECT count(*) AS off FROM (
  SELECT
    sum(CASE WHEN came THEN amount_high::HUGEINT ELSE -amount_high::HUGEINT END) AS high,
    sum(CASE WHEN came THEN amount_low::HUGEINT ELSE -amount_low::HUGEINT END) AS low
  FROM {_MOVED.replace(" txid,", "")} GROUP BY height, tx_index, rune_id HAVING {_IS_OFF}
)
"""
"""Whether any is off, where each transaction has its place: nearly always none is, and the texts of
their ids need not be read."""
_TRANSACTIONS = f"""
WITH off AS (
  SELECT height, tx_index, CASE WHEN tx_index IS NULL THEN txid END AS txid, rune_id,
    sum(CASE WHEN came THEN amount_high::HUGEINT ELSE -amount_high::HUGEINT END) AS high,
    sum(CASE WHEN came THEN amount_low::HUGEINT ELSE -amount_low::HUGEINT END) AS low
  FROM {_MOVED} GROUP BY height, tx_index, CASE WHEN tx_index IS NULL THEN txid END, rune_id
  HAVING {_IS_OFF}
)
SELECT moved.height, moved.tx_index, any_value(moved.txid) AS txid, moved.rune_id,
  coalesce(sum(amount_high) FILTER (came), 0)::VARCHAR AS came_high,
  coalesce(sum(amount_low) FILTER (came), 0)::VARCHAR AS came_low,
  coalesce(sum(amount_high) FILTER (NOT came), 0)::VARCHAR AS went_high,
  coalesce(sum(amount_low) FILTER (NOT came), 0)::VARCHAR AS went_low
FROM {_MOVED} JOIN off ON moved.height = off.height AND moved.rune_id = off.rune_id
  AND moved.tx_index IS NOT DISTINCT FROM off.tx_index
  AND (off.txid IS NULL OR moved.txid = off.txid)
GROUP BY moved.height, moved.tx_index, off.txid, moved.rune_id
ORDER BY moved.height, moved.tx_index, off.txid, moved.rune_id
"""
"""Only of what is off, which is little, are both sides put together. What moved stands there twice
as it is: DuckDB keeps a table expression of two uses whole, with all its texts."""


@question("Does the supply add up?")
def reconcile(
    batch: Evidence,
    *,
    rune: Annotated[
        str | None, Meta(title="Rune", description="Its id or name; none: every rune.")
    ] = None,
) -> Answer:
    """Holds every rune's supply against what lies on outputs, and every transaction's inputs
    against its outputs, to the atomic unit."""
    batch.needs("reconcile", "entries")
    asked = None if rune is None else batch.rune(rune)
    wanted = None if asked is None else asked.id
    batch = batch.of(wanted, "balances", "inputs", "events")
    table = _table(batch.rows(_RUNES, rune=wanted, told=batch.holds("balances")))
    offenders = _offenders(batch, wanted)
    facts = _facts(table, offenders)
    return Answer(
        question="reconcile",
        sentence=_sentence(asked, table, facts),
        table=table,
        amounts=(*AMOUNTS, "came", "went"),
        more={} if offenders is None else {"transactions": offenders},
        figure=_figure(table),
        facts=facts,
        explanation=_explanation(batch, table, offenders is None),
    )


def _table(found: pa.Table) -> pa.Table:
    """Each rune with P + M*A - B - X, null where a part is not known; first those that are off."""
    parts = [
        whole_numbers(found[name]) for name in ("premine", "mints", "amount", "burned", "held")
    ]
    sums = [_reckoned(*row) for row in zip(*parts, strict=True)]
    minted, differences = ([one[side] for one in sums] for side in (0, 1))
    adds_up = pa.array([None if one is None else one == 0 for one in differences], pa.bool_())
    table = pa.table(
        {
            "rune_id": found["rune_id"],
            "name": found["name"],
            "adds_up": adds_up,
            "difference": number_texts(differences),
            "premine": found["premine"],
            "minted": number_texts(minted),
            "burned": found["burned"],
            "held": found["held"],
        }
    )
    off = pc.equal(adds_up, False)
    first = (table.filter(mask) for mask in (off, adds_up.is_null(), adds_up))
    return pa.concat_tables(first).combine_chunks()


def _reckoned(
    premine: int | None, mints: int | None, amount: int | None, burned: int | None, held: int | None
) -> tuple[int | None, int | None]:
    """What was minted, and by how much the rune is off."""
    if None in (premine, mints, amount, burned, held):
        return None, None
    minted = mints * amount  # type: ignore[operator]
    return minted, premine + minted - burned - held  # type: ignore[operator]


def _offenders(batch: Evidence, rune: str | None) -> pa.Table | None:
    """Transactions whose sides differ; None where the batch does not hold both sides. What is there
    twice may come to more than 2^128."""
    if not (batch.holds("inputs") and batch.holds("events")):
        return None
    if batch.is_placed() and not batch.one(_PLACED, rune=rune)["off"]:
        kinds = {"height": pa.int64(), "tx_index": pa.int64(), "txid": pa.string()}
        texts = dict.fromkeys(("rune_id", "came", "went"), pa.string())
        return pa.schema({**kinds, **texts}).empty_table()
    found = batch.rows(_TRANSACTIONS, rune=rune)
    sides = {side: number_texts(summed_column(found, side)) for side in ("came", "went")}
    whose = ("height", "tx_index", "txid", "rune_id")
    return pa.table({**{name: found[name] for name in whose}, **sides})


def _facts(table: pa.Table, offenders: pa.Table | None) -> dict[str, int | None]:
    adds_up = table["adds_up"]
    return {
        "runes": table.num_rows,
        "wrong": pc.sum(pc.invert(adds_up)).as_py() or 0,
        "unknown": adds_up.null_count,
        "transactions": None if offenders is None else offenders.num_rows,
    }


def _sentence(asked: Rune | None, table: pa.Table, facts: dict[str, int | None]) -> Sentence:
    runes, wrong, unknown, transactions = facts.values()
    said = {"runes": runes, "wrong": wrong}
    if transactions and not wrong:
        return Sentence(
            "no rune is off, but {transactions} of the transactions {transactions:does|do} not "
            "add up",
            {"transactions": transactions},
        )
    if transactions:
        return Sentence(
            "{wrong} of {runes} {runes:rune|runes} {wrong:does|do} not add up, nor "
            "{transactions:does|do} {transactions} {transactions:transaction|transactions}",
            {**said, "transactions": transactions},
        )
    if wrong:
        return Sentence("{wrong} of {runes} {runes:rune|runes} {wrong:does|do} not add up", said)
    if asked and unknown == runes:
        return Sentence(
            "whether {rune} adds up the batch does not hold enough to tell", {"rune": asked.name}
        )
    if not runes:
        return Sentence("there are no runes in this batch")
    if unknown:
        return Sentence(
            "no rune is off; of {unknown} of {runes} the batch does not hold enough to tell",
            {"unknown": unknown, "runes": runes},
        )
    if runes == 1:
        [row] = table.to_pylist()
        name = row["name"] or row["rune_id"]
        return Sentence("{rune} adds up to the atomic unit", {"rune": name})
    return Sentence(
        "all {runes} {runes:rune adds|runes add} up to the atomic unit", {"runes": runes}
    )


def _figure(table: pa.Table) -> Figure:
    """Where what was made of each rune is, those that are off first; more than all is too much."""
    shown = table.filter(table["adds_up"].is_valid()).slice(0, SHOWN_BARS).to_pylist()
    made = [max(int(row["premine"]) + int(row["minted"]), 1) for row in shown]
    names = [(row["name"] or row["rune_id"]) + ("" if row["adds_up"] else " ≠") for row in shown]
    return Figure(
        data=[
            {
                "type": "bar",
                "orientation": "h",
                "name": part,
                "y": names,
                "x": [100 * int(row[part]) / all_ for row, all_ in zip(shown, made, strict=True)],
            }
            for part in ("held", "burned")
        ],
        layout={
            "title": {"text": "Where what was made is"},
            "barmode": "stack",
            "xaxis": {"title": {"text": "share of what was made, percent"}},
            "yaxis": {"type": "category", "autorange": "reversed"},
        },
    )


def _explanation(batch: Evidence, table: pa.Table, one_sided: bool) -> Explanation:
    missing = ["the inputs of transactions: they were not reconciled"] if one_sided else []
    if table.num_rows and not batch.holds("balances"):
        missing.append("the balances: what lies on outputs is not known")
    return Explanation(
        question="Does the supply add up?",
        formulas=(
            "difference = premine + mints * amount - burned - sum of balances; it must be 0",
            "per transaction and rune: inputs + minted + premine = outputs + burned",
        ),
        assumptions=("mints and burned count from the etching on, as the table entries has them",),
        missing=tuple(missing),
        sources=batch.sources(),
    )
