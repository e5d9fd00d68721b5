"""Per-rune features of a batch, in families: what a model may know of each rune.

A feature is a plain number in natural units. What a batch does not tell is missing (NaN),
never zero. Amounts become floats here: features compare runes, they are not accounts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.runes.batch import Batch

FAMILIES = ("terms", "mints", "transfers", "holders", "history")
"""In the order in which `analysisDepth` adds them."""

Frames = dict[str, pd.DataFrame]

MISSING_SHARE = 0.5
"""A feature that is unknown for more than this share of the runes is dropped."""

LOG_FEATURES = frozenset(
    {
        "cap",
        "mint_amount",
        "premine",
        "mints",
        "mint_receivers",
        "edicts",
        "transfers",
        "outputs",
        "holders",
        "active_blocks",
    }
)
"""Counts and amounts with heavy tails: compared on a log10(1 + x) scale."""


@dataclass(frozen=True, slots=True)
class Features:
    """`table` has a row a rune (index: rune id) and a column a feature; `names` its name."""

    table: pd.DataFrame
    names: pd.Series
    dropped: list[dict[str, Any]]


def extract(batch: Batch, *, depth: int, include_historical: bool = True) -> Features:
    """The features of the first `depth` families, less the constant and the unknown ones."""
    frames = {name: table.to_pandas() for name, table in batch.tables.items()}
    runes = pd.Index(sorted(batch.rune_ids(), key=_id_key), name="rune_id")
    columns: dict[str, pd.Series] = {}
    dropped: list[dict[str, Any]] = []
    for family in FAMILIES[:depth]:
        if family == "history" and not include_historical:
            dropped.append(_dropped("history", "historical features were switched off"))
            continue
        columns.update(EXTRACTORS[family](batch, frames, runes))
    table = pd.DataFrame(columns, index=runes).astype("float64")
    for name in list(table):
        why = _useless(table[name])
        if why:
            dropped.append(_dropped(str(name), why))
            del table[name]
    return Features(table, _names(frames, runes), dropped)


def _dropped(feature: str, why: str) -> dict[str, Any]:
    return {"feature": feature, "why": why}


def _useless(column: pd.Series) -> str | None:
    if column.isna().all():
        return "the batch does not hold it"
    if column.isna().mean() > MISSING_SHARE:
        return "unknown for more than half of the runes"
    if column.nunique(dropna=True) < 2 and not column.isna().any():
        return "the same for every rune"
    return None


def _id_key(rune_id: str) -> tuple[int, int]:
    block, _, tx = rune_id.partition(":")
    return int(block), int(tx)


def _names(frames: dict[str, pd.DataFrame], runes: pd.Index) -> pd.Series:
    etchings = frames["etchings"].drop_duplicates("rune_id").set_index("rune_id")
    return etchings["spaced_name"].reindex(runes)


def amount(frame: pd.DataFrame, name: str) -> pd.Series:
    """A 128-bit column pair as floats; missing stays missing."""
    high = frame[f"{name}_high"].astype("Float64")
    low = frame[f"{name}_low"].astype("Float64")
    return (high * 2.0**64 + low).astype("float64")


def _count(frame: pd.DataFrame, runes: pd.Index, *, told: bool) -> pd.Series:
    """Rows per rune. A rune without a row has none: that is known, so it is 0, but where the
    source does not speak of such rows at all."""
    return frame.groupby("rune_id").size().reindex(runes, fill_value=0 if told else np.nan)


def _concentration(frame: pd.DataFrame, by: str, weight: pd.Series) -> pd.Series:
    """Herfindahl-Hirschman index per rune: the sum of squared shares, 1/n to 1."""
    sums = weight.groupby([frame["rune_id"], frame[by]]).sum()
    totals = sums.groupby(level=0).transform("sum")
    return (sums / totals).pow(2).groupby(level=0).sum()


def _terms(batch: Batch, frames: Frames, runes: pd.Index) -> dict[str, pd.Series]:
    etchings = frames["etchings"].drop_duplicates("rune_id").set_index("rune_id")
    cap = amount(etchings, "cap")
    per_mint = amount(etchings, "amount")
    premine = amount(etchings, "premine").fillna(0.0)
    most = premine + (cap * per_mint).fillna(0.0)
    window = etchings["height_end"].astype("Float64") - etchings["height_start"].astype("Float64")
    values = {
        "cap": cap,
        "mint_amount": per_mint,
        "premine": premine,
        "premine_share": premine / most.replace(0.0, np.nan),
        "divisibility": etchings["divisibility"],
        "name_length": etchings["name"].str.len(),
        "spacers": etchings["spacers"].fillna(0).astype("uint64").map(int.bit_count),
        "mint_window_blocks": window,
        "open_mint": etchings["terms"],
    }
    return {name: column.astype("float64").reindex(runes) for name, column in values.items()}


def _mints(batch: Batch, frames: Frames, runes: pd.Index) -> dict[str, pd.Series]:
    mints = frames["mints"]
    known = mints[mints["receiver"].notna()]
    ones = pd.Series(1.0, index=known.index)
    by_receiver = known.groupby("rune_id")["receiver"]
    etchings = frames["etchings"].drop_duplicates("rune_id").set_index("rune_id")
    count = _count(mints, runes, told=batch.holds("mints"))
    cap = amount(etchings, "cap").reindex(runes)
    repeated = known.duplicated(["rune_id", "height", "receiver"], keep=False)
    return {
        "mints": count,
        "mint_progress": count / cap.replace(0.0, np.nan),
        "mint_receivers": by_receiver.nunique().reindex(runes),
        "mint_concentration": _concentration(known, "receiver", ones).reindex(runes),
        "mints_repeated_share": repeated.groupby(known["rune_id"]).mean().reindex(runes),
        "mint_fee_sat": mints.groupby("rune_id")["fee_sat"]
        .median()
        .astype("float64")
        .reindex(runes),
    }


def _transfers(batch: Batch, frames: Frames, runes: pd.Index) -> dict[str, pd.Series]:
    edicts, allocations, events = frames["edicts"], frames["allocations"], frames["events"]
    moved = events[events["kind"] == "transferred"]
    burned = events[events["kind"] == "burned"]
    size = edicts.assign(size=np.log10(1.0 + amount(edicts, "amount")))
    return {
        "edicts": _count(edicts, runes, told=batch.holds("edicts")),
        "edict_size_log10": size.groupby("rune_id")["size"].median().reindex(runes),
        "transfers": _count(moved, runes, told=batch.holds("events")),
        "burns": _count(burned, runes, told=batch.holds("events")),
        "outputs": _count(allocations, runes, told=batch.holds("allocations")),
        "receivers_per_output": (
            allocations.groupby("rune_id")["script"].nunique()
            / allocations.groupby("rune_id").size()
        ).reindex(runes),
    }


def _holders(batch: Batch, frames: Frames, runes: pd.Index) -> dict[str, pd.Series]:
    balances = frames.get("balances", pd.DataFrame())
    if balances.empty:
        unknown = pd.Series(np.nan, index=runes)
        return dict.fromkeys(
            ("holders", "holder_concentration", "top_share", "lots_per_holder"), unknown
        )
    held = amount(balances, "amount")
    by_holder = held.groupby([balances["rune_id"], balances["script"]]).sum()
    totals = by_holder.groupby(level=0).sum()
    holders = by_holder.groupby(level=0).size()
    return {
        "holders": holders.reindex(runes),
        "holder_concentration": _concentration(balances, "script", held).reindex(runes),
        "top_share": (by_holder.groupby(level=0).max() / totals).reindex(runes),
        "lots_per_holder": (balances.groupby("rune_id").size() / holders).reindex(runes),
    }


def _history(batch: Batch, frames: Frames, runes: pd.Index) -> dict[str, pd.Series]:
    events, first = frames["events"], batch.first_height
    span = max(batch.last_height - first, 1)
    heights = events.groupby("rune_id")["height"]
    where = (events["height"].astype("float64") - float(first)) / span
    return {
        "active_blocks": heights.nunique().reindex(runes),
        "first_seen_share": ((heights.min() - first) / span).reindex(runes),
        "last_seen_share": ((heights.max() - first) / span).reindex(runes),
        "activity_centre": where.groupby(events["rune_id"]).mean().reindex(runes),
        "activity_spread": where.groupby(events["rune_id"]).std(ddof=0).reindex(runes),
    }


EXTRACTORS: dict[str, Callable[[Batch, Frames, pd.Index], dict[str, pd.Series]]] = {
    "terms": _terms,
    "mints": _mints,
    "transfers": _transfers,
    "holders": _holders,
    "history": _history,
}
