"""How busy each category was over the batch's blocks, and whether that rose or fell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from workbench.runes.batch import Batch
from workbench.runes.models.steps import rounded

MOST_INTERVALS = 24
FEWEST_INTERVALS = 8
SURE = 0.05
"""A trend is one where Kendall's test against time gives a smaller p."""


def edges(batch: Batch) -> list[int]:
    """First heights of equal intervals of blocks, and the height after the last; blocks that do
    not fill an interval are left out at the start."""
    blocks = batch.last_height - batch.first_height + 1
    count = min(MOST_INTERVALS, blocks)
    size = blocks // count
    first = batch.last_height + 1 - size * count
    return list(range(first, batch.last_height + 2, size))


def activity(batch: Batch, category: pd.Series, names: Sequence[str]) -> pd.DataFrame:
    """Events in each interval (row, by its first height) of the runes of each category."""
    bounds = edges(batch)
    events = batch.tables["events"].select(["height", "rune_id"]).to_pandas()
    events = events[events["height"] >= bounds[0]]
    place = np.searchsorted(bounds, events["height"], side="right") - 1
    found = pd.crosstab(place, events["rune_id"].map(category).to_numpy())
    whole = found.reindex(index=range(len(bounds) - 1), columns=list(names), fill_value=0)
    return whole.set_axis(bounds[:-1], axis=0)


def trend(series: Sequence[int]) -> dict[str, Any]:
    """rising, falling, steady, or unknown where there is too little to tell; Kendall's tau and
    its p (Mann, 1945)."""
    if len(series) < FEWEST_INTERVALS or len(set(series)) < 2:
        flat = len(series) >= FEWEST_INTERVALS and sum(series) > 0
        return {"direction": "steady" if flat else "unknown", "tau": None, "p": None}
    tau, p = kendalltau(range(len(series)), series)
    way = "steady" if p >= SURE else "rising" if tau > 0 else "falling"
    return {"direction": way, "tau": rounded(tau), "p": rounded(p)}
