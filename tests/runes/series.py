"""Generated series and batches for the forecasts' tests and the benchmark of the models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.runes.intents import FIRST, block

Series = npt.NDArray[np.float64]
WEEK = 7
MIDNIGHT = 1_720_051_200  # 2024-07-04 00:00:00 UTC, in seconds since the epoch
KINDS = ("season", "trend", "walk", "ar", "noise", "poisson")


def series(kind: str, count: int, random: np.random.Generator) -> Series:
    """Daily counts of one kind of process."""
    days = np.arange(count)
    week = random.normal(0, 1, WEEK)
    week = (week - week.mean()) / week.std()
    if kind == "season":
        return 200 + week[days % WEEK] * random.uniform(30, 60) + random.normal(0, 15, count)
    if kind == "trend":
        slope = random.uniform(-0.8, 1.5)
        return 200 + days * slope + week[days % WEEK] * 20 + random.normal(0, 15, count)
    if kind == "walk":
        return 500 + np.cumsum(random.normal(0, 10, count))
    if kind == "ar":
        moved = random.normal(0, 15, count)
        for day in range(1, count):
            moved[day] += 0.6 * moved[day - 1]
        return 200 + moved
    if kind == "poisson":
        rate = np.maximum(5, 60 + 15 * week[days % WEEK])
        return random.poisson(rate).astype(np.float64)
    return 200 + random.normal(0, 20, count)


def batch_of(folder: Path, counts: npt.NDArray[np.int64], blocks_per_day: int = 24) -> Path:
    """A batch with so many mints of one rune on each day, spread over its blocks."""
    place, mints, events = 0, [], []
    for day, count in enumerate(counts.tolist()):
        for number in range(count):
            place += 1
            height = FIRST + day * blocks_per_day + number % blocks_per_day
            where = {"height": height, "tx_index": place, "txid": f"{place:064x}"}
            row = {**where, "rune_id": "840000:3"}
            more = {"receiver": f"5120{number % 9:064x}", "address": None, "credited": None}
            mints.append({**row, **more, "fee_sat": 400 + number})
            events.append({**row, "kind": "minted", "amount": None, "output": None, "cause": None})
    total = len(counts) * blocks_per_day
    step_s = 86_400 // blocks_per_day
    document = {
        "schema": "runes-batch/1",
        "id": "daily",
        "network": "mainnet",
        "source": {"producer": "tests, made up"},
        "units": "atomic",
        "completeness": "runestone",
        "first_height": FIRST,
        "last_height": FIRST + total,
        "tables": {
            "blocks": [block(FIRST + n, MIDNIGHT + n * step_s) for n in range(total + 1)],
            "mints": mints,
            "events": events,
        },
    }
    path = folder / "daily.json"
    path.write_text(json.dumps(document))
    return path
