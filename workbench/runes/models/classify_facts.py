"""What `rune-classifier` knows of each rune: the facts that its rules ask for."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.runes.batch import Batch
from workbench.runes.features import amount, extract

CHAINED = 3
"""So many mints of one receiver in one block count as chained."""

COUNTED = {
    "mints": "mints",
    "mint_progress": "mints",
    "transfers": "events",
    "activity": "events",
    "largest_split": "allocations",
}
"""What is 0 where nothing happened, and the table that says so: unknown where the source does not
speak of it."""


def facts_of(batch: Batch) -> pd.DataFrame:
    """A row a rune (index: rune id), a column a fact of classify_rules.Fact; unknown is NaN.

    Amounts are floats in atomic units, supply_units in units that people read. What a rune's
    own etching would tell is unknown where the batch does not hold it.
    """
    frames = {name: table.to_pandas() for name, table in batch.tables.items()}
    runes = extract(batch, depth=1).names.index
    found = pd.DataFrame(index=runes)
    _terms(found, frames["etchings"], batch)
    _mints(found, frames["mints"])
    _movement(found, frames)
    _holders(found, frames["balances"])
    for name, table in COUNTED.items():
        if not batch.holds(table):
            found[name] = np.nan
    return found.astype("float64")


def _terms(found: pd.DataFrame, etchings: pd.DataFrame, batch: Batch) -> None:
    rows = etchings.drop_duplicates("rune_id").set_index("rune_id")
    premine = amount(rows, "premine").where(~rows["cenotaph"].astype(bool), 0.0)
    cap, each = amount(rows, "cap").fillna(0.0), amount(rows, "amount").fillna(0.0)
    minted = (cap * each).where(~rows["cenotaph"].astype(bool), 0.0)
    most = premine + minted
    ends = pd.concat(
        [
            rows["height_end"].astype("Float64"),
            rows["height"].astype("Float64") + rows["offset_end"].astype("Float64"),
        ],
        axis=1,
    ).min(axis=1)
    for name, column in {
        "max_supply": most,
        "supply_units": most / 10.0 ** rows["divisibility"].astype("float64"),
        "divisibility": rows["divisibility"],
        "mintable": (minted > 0).astype("float64"),
        "cap": cap,
        "premine": premine,
        "premine_share": premine / most.where(most > 0),
        "blocks_since": batch.last_height - rows["height"],
        "blocks_past_end": batch.last_height + 1 - ends,
    }.items():
        found[name] = column.astype("float64").reindex(found.index)
    here = (rows["height"] >= batch.first_height).reindex(found.index)
    found["_here"] = here.eq(True)


def _mints(found: pd.DataFrame, mints: pd.DataFrame) -> None:
    """Mints that were refused count nowhere; at the runestone level nobody knows of them."""
    honoured = mints[mints["credited"].ne(False)]
    found["mints"] = honoured.groupby("rune_id").size().reindex(found.index, fill_value=0)
    found["mintable"] = found["mintable"].where(
        found["mintable"].notna() | (found["mints"] == 0), 1.0
    )
    cap = found["cap"].where(found["_here"] & (found["cap"] > 0))
    found["mint_progress"] = found["mints"] / cap
    known = honoured[honoured["receiver"].notna()]
    counts = known.groupby(["rune_id", "receiver"]).size()
    shares = counts / counts.groupby(level=0).transform("sum")
    effective = 1.0 / shares.pow(2).groupby(level=0).sum()
    found["effective_receivers"] = effective.reindex(found.index)
    together = known.groupby(["rune_id", "height", "receiver"])["txid"].transform("size")
    chained = (together >= CHAINED).groupby(known["rune_id"]).mean()
    found["chained_share"] = chained.reindex(found.index)


def _movement(found: pd.DataFrame, frames: dict[str, pd.DataFrame]) -> None:
    events, allocations = frames["events"], frames["allocations"]
    moved = events[events["kind"] == "transferred"]
    found["transfers"] = moved.groupby("rune_id").size().reindex(found.index, fill_value=0)
    after = events[events["kind"].isin(["minted", "transferred"])].groupby("rune_id").size()
    activity = after.reindex(found.index, fill_value=0)
    found["activity"] = np.where(found.pop("_here"), activity, np.nan)
    scripts = allocations.groupby(["rune_id", "txid"])["script"].nunique()
    found["largest_split"] = scripts.groupby(level=0).max().reindex(found.index, fill_value=0)


def _holders(found: pd.DataFrame, balances: pd.DataFrame) -> None:
    if balances.empty:
        found["holders"] = found["top_share"] = np.nan
        return
    held = amount(balances, "amount").groupby([balances["rune_id"], balances["script"]]).sum()
    totals = held.groupby(level=0).sum()
    found["holders"] = held.groupby(level=0).size().reindex(found.index)
    found["top_share"] = (held.groupby(level=0).max() / totals).reindex(found.index)
