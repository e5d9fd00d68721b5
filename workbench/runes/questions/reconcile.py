"""Does the supply of each rune add up, and does each transaction?"""

from __future__ import annotations

from typing import Annotated, Any

import pyarrow as pa
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence
from workbench.runes.amounts import number_texts
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence

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
  coalesce(held.held, 0::UHUGEINT) AS held
FROM {entries} FULL JOIN held USING (rune_id) LEFT JOIN etched USING (rune_id)
WHERE $rune IS NULL OR rune_id = $rune
ORDER BY rune_id
"""

_TRANSACTIONS = f"""
WITH moved AS NOT MATERIALIZED (
  SELECT height, tx_index, txid, rune_id, 1 AS sign, amount_high, amount_low FROM {{inputs}}
  WHERE $rune IS NULL OR rune_id = $rune
  UNION ALL
  SELECT height, tx_index, txid, rune_id, CASE WHEN kind IN ('minted', 'etched') THEN 1 ELSE -1 END,
    amount_high, amount_low
  FROM {{events}} WHERE $rune IS NULL OR rune_id = $rune
), off AS (
  SELECT height, tx_index, CASE WHEN tx_index IS NULL THEN txid END AS txid, rune_id,
    sum(CASE WHEN sign > 0 THEN amount_high::HUGEINT ELSE -amount_high::HUGEINT END) AS high,
    sum(CASE WHEN sign > 0 THEN amount_low::HUGEINT ELSE -amount_low::HUGEINT END) AS low
  FROM moved GROUP BY height, tx_index, CASE WHEN tx_index IS NULL THEN txid END, rune_id
  HAVING high + (low >> 64) <> 0 OR low & {2**64 - 1}::HUGEINT <> 0
)
SELECT moved.height, moved.tx_index, any_value(moved.txid) AS txid, moved.rune_id,
  amount_sum(CASE WHEN sign > 0 THEN amount_high ELSE 0 END,
    CASE WHEN sign > 0 THEN amount_low ELSE 0 END) AS came,
  amount_sum(CASE WHEN sign < 0 THEN amount_high ELSE 0 END,
    CASE WHEN sign < 0 THEN amount_low ELSE 0 END) AS went
FROM moved JOIN off ON moved.height = off.height AND moved.rune_id = off.rune_id
  AND moved.tx_index IS NOT DISTINCT FROM off.tx_index
  AND (off.txid IS NULL OR moved.txid = off.txid)
GROUP BY moved.height, moved.tx_index, off.txid, moved.rune_id
ORDER BY moved.height, moved.tx_index, off.txid, moved.rune_id
"""
"""Only of what is off, which is little, are both sides put together."""


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
    wanted = None if rune is None else batch.rune(rune).id
    runes = [_judged(row) for row in batch.rows(_RUNES, rune=wanted).to_pylist()]
    runes.sort(key=lambda row: (row["adds_up"] is not False, row["adds_up"] is True))
    offenders = _offenders(batch, wanted)
    wrong = [row for row in runes if row["adds_up"] is False]
    unknown = [row for row in runes if row["adds_up"] is None]
    return Answer(
        question="reconcile",
        sentence=_sentence(runes, len(wrong), len(unknown), offenders),
        table=_table(runes),
        amounts=(*AMOUNTS, "came", "went"),
        more={} if offenders is None else {"transactions": offenders},
        figure=_figure(runes),
        facts={
            "runes": len(runes),
            "wrong": len(wrong),
            "unknown": len(unknown),
            "transactions": None if offenders is None else offenders.num_rows,
        },
        explanation=_explanation(batch, offenders is None),
    )


def _judged(row: dict[str, Any]) -> dict[str, Any]:
    """A rune with P + M*A - B - X; None where a part is not known."""
    parts = {name: _int(row[name]) for name in ("premine", "amount", "mints", "burned", "held")}
    known = None not in parts.values()
    minted = parts["mints"] * parts["amount"] if known else None
    difference = parts["premine"] + minted - parts["burned"] - parts["held"] if known else None
    return {
        "rune_id": row["rune_id"],
        "name": row["name"],
        "premine": parts["premine"],
        "minted": minted,
        "burned": parts["burned"],
        "held": parts["held"],
        "difference": difference,
        "adds_up": None if difference is None else difference == 0,
    }


def _int(text: str | None) -> Any:
    return None if text is None else int(text)


def _offenders(batch: Evidence, rune: str | None) -> pa.Table | None:
    """Transactions whose sides differ; None where the batch does not hold both sides."""
    if not (batch.holds("inputs") and batch.holds("events")):
        return None
    return batch.rows(_TRANSACTIONS, rune=rune)


def _sentence(
    runes: list[dict[str, Any]], wrong: int, unknown: int, offenders: pa.Table | None
) -> Sentence:
    said = {"runes": len(runes), "wrong": wrong}
    if offenders is not None and offenders.num_rows and not wrong:
        return Sentence(
            "no rune is off, but {transactions} of the transactions {transactions:does|do} not "
            "add up",
            {"transactions": offenders.num_rows},
        )
    if offenders is not None and offenders.num_rows:
        return Sentence(
            "{wrong} of {runes} {runes:rune|runes} {wrong:does|do} not add up, nor "
            "{transactions:does|do} {transactions} {transactions:transaction|transactions}",
            {**said, "transactions": offenders.num_rows},
        )
    if wrong:
        return Sentence("{wrong} of {runes} {runes:rune|runes} {wrong:does|do} not add up", said)
    if unknown:
        return Sentence(
            "no rune is off; of {unknown} of {runes} the batch does not hold enough to tell",
            {"unknown": unknown, "runes": len(runes)},
        )
    if len(runes) == 1:
        name = runes[0]["name"] or runes[0]["rune_id"]
        return Sentence("{rune} adds up to the atomic unit", {"rune": name})
    return Sentence(
        "all {runes} {runes:rune adds|runes add} up to the atomic unit", {"runes": len(runes)}
    )


def _table(runes: list[dict[str, Any]]) -> pa.Table:
    """Exact: amounts as decimal strings, as every answer has them."""
    text = pa.string()
    kinds = [("rune_id", text), ("name", text), ("adds_up", pa.bool_())]
    schema = pa.schema([*kinds, *((name, text) for name in AMOUNTS)])
    columns: dict[str, Any] = {name: [row[name] for row in runes] for name in schema.names}
    exact = {name: number_texts(columns[name]) for name in AMOUNTS}
    return pa.table(columns | exact, schema=schema)


def _figure(runes: list[dict[str, Any]]) -> Figure:
    """Where what was made of each rune is, those that are off first; more than all is too much."""
    shown = [row for row in runes if row["difference"] is not None][:SHOWN_BARS]
    made = [max(row["premine"] + row["minted"], 1) for row in shown]
    names = [(row["name"] or row["rune_id"]) + ("" if row["adds_up"] else " ≠") for row in shown]
    return Figure(
        data=[
            {
                "type": "bar",
                "orientation": "h",
                "name": part,
                "y": names,
                "x": [100 * row[part] / all_ for row, all_ in zip(shown, made, strict=True)],
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


def _explanation(batch: Evidence, one_sided: bool) -> Explanation:
    missing = ["the inputs of transactions: they were not reconciled"] if one_sided else []
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
