"""How busy a batch was, interval by interval: what `runegpt-v2` forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from workbench.runes.batch import Batch

SERIES = ("events", "mints", "transfers", "etchings")
KINDS = {"minted": "mints", "transferred": "transfers", "etched": "etchings"}
SEASONS = {"day": 7, "hour": 24}
FEWEST_DAYS = 28
"""Four weeks: fewer show no week that comes again."""

FEWEST_HOURLY_DAYS = 4

GAPS = (
    "the batch holds {count} of the {total} blocks of its range: how busy the others were, "
    "nobody knows"
)
TOO_SHORT = (
    "the batch covers {days} whole days; a forecast over {horizon} days needs at least {needed}: "
    "choose a shorter horizon or a longer batch"
)


@dataclass(frozen=True, slots=True)
class Activity:
    """`counts` has a row an interval (index: its start, UTC) and a column for each of SERIES."""

    step: Literal["day", "hour"]
    counts: pd.DataFrame

    @property
    def season(self) -> int:
        return SEASONS[self.step]

    def steps(self, horizon_days: int) -> int:
        """How many intervals the horizon has."""
        return horizon_days * (24 if self.step == "hour" else 1)


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no forecast, as template and values."""

    template: str
    values: dict[str, Any]


def activity(batch: Batch, horizon_days: int) -> Activity | Missing:
    """The batch's own history in whole days; in whole hours where there are too few of them.

    A horizon may be half as long as the history at most.
    """
    blocks = batch.tables["blocks"].select(["height", "mined_at"]).to_pandas()
    total = batch.last_height - batch.first_height + 1
    if len(blocks) < total:
        return Missing(GAPS, {"count": len(blocks), "total": total})
    # A miner may claim a time before the last block's; nothing happened twice for it.
    times = blocks.set_index("height")["mined_at"].sort_index().cummax()
    days = len(_starts(times, "D"))
    if days >= max(FEWEST_DAYS, 2 * horizon_days):
        return Activity("day", _counts(batch, times, "D"))
    if len(_starts(times, "h")) >= 24 * max(FEWEST_HOURLY_DAYS, 2 * horizon_days):
        return Activity("hour", _counts(batch, times, "h"))
    needed = max(FEWEST_HOURLY_DAYS, 2 * horizon_days)
    return Missing(TOO_SHORT, {"days": days, "horizon": horizon_days, "needed": needed})


def _starts(times: pd.Series, unit: Literal["D", "h"]) -> pd.DatetimeIndex:
    """Starts of the intervals that the batch covers from end to end."""
    first, last = times.iloc[0].ceil(unit), times.iloc[-1].floor(unit)
    return pd.date_range(first, last, freq=unit, inclusive="left")


def _counts(batch: Batch, times: pd.Series, unit: Literal["D", "h"]) -> pd.DataFrame:
    events = batch.tables["events"].select(["height", "kind"]).to_pandas()
    start = events["height"].map(times).dt.floor(unit)
    found = pd.crosstab(start, events["kind"].map(KINDS).fillna("others"))
    whole = found.reindex(_starts(times, unit), fill_value=0)
    whole["events"] = whole.sum(axis=1)
    return whole.reindex(columns=list(SERIES), fill_value=0)
