"""Every figure that a report of `runegpt-v2` may speak of, computed from the batch alone."""

from __future__ import annotations

from workbench.runes.batch import Batch
from workbench.runes.models.report_numbers import Value

EVENTS = {
    "etchings": ("etched", "etchings"),
    "mints": ("minted", "mints"),
    "transfers": ("transferred", "events"),
}
"""Figure: its kind of event, and the table beside it. A source that speaks of neither says nothing
of their number: a list of transfers may leave out the etchings."""


def facts_of(batch: Batch) -> dict[str, Value]:
    """Figures by their ids: counts are whole, shares in percent with two decimals, fees in
    satoshi. What the batch does not hold is absent."""
    frames = {name: batch.tables[name].to_pandas() for name in ("mints", "events", "runestones")}
    blocks = batch.tables["blocks"].num_rows
    figures: dict[str, Value] = {
        **({"blocks": blocks} if blocks else {}),  # a range has some: none are not known
        "first_height": batch.first_height,
        "last_height": batch.last_height,
        "runes": len(batch.rune_ids()),
    }
    events = frames["events"]["kind"].value_counts()
    for name, (kind, own) in EVENTS.items():
        count = int(events.get(kind, 0))
        if count or (batch.holds("events") and batch.holds(own)):
            figures[name] = count
    figures |= _of_mints(batch)
    stones = frames["runestones"]
    if len(stones):
        figures["cenotaph_pct"] = _pct(int((stones["kind"] == "cenotaph").sum()), len(stones))
    return figures | _change(batch)


def _of_mints(batch: Batch) -> dict[str, Value]:
    mints = batch.tables["mints"].to_pandas()
    mints = mints[mints["credited"].ne(False)]
    if mints.empty:
        return {}
    runes = mints["rune_id"].value_counts()
    most = sorted(runes[runes == runes.max()].index)[0]  # of equal ones the first
    figures: dict[str, Value] = {
        "top_rune": _name(batch, most),
        "top_rune_pct": _pct(int(runes[most]), len(mints)),
    }
    receivers = mints["receiver"].dropna().value_counts()
    if len(receivers):
        figures["receivers"] = len(receivers)
        figures["top_receiver_pct"] = _pct(int(receivers.iloc[0]), int(receivers.sum()))
    fees = mints["fee_sat"].dropna()
    if len(fees):
        figures["median_fee_sat"] = round(float(fees.median()), 2)
    return figures


def _change(batch: Batch) -> dict[str, Value]:
    """Events of the last half of the blocks over those of the first; a middle block is left
    out."""
    blocks = batch.last_height - batch.first_height + 1
    heights = batch.tables["events"]["height"].to_numpy()
    early = int((heights < batch.first_height + blocks // 2).sum())
    late = int((heights > batch.last_height - blocks // 2).sum())
    return {"change_pct": round(100 * (late - early) / early, 2)} if early else {}


def _name(batch: Batch, rune: str) -> str:
    etchings = batch.tables["etchings"].select(["rune_id", "spaced_name"]).to_pylist()
    names = {row["rune_id"]: row["spaced_name"] for row in etchings}
    return str(names.get(rune, rune))


def _pct(part: int, whole: int) -> float:
    return round(100 * part / whole, 2)
