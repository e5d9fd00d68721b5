"""A window of metrics as a file: as fine as the limit of rows allows, by SQL from the hub."""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

from workbench.boards.table_file import Exported, Format, table_file
from workbench.clients.hub import HubClient
from workbench.core.metrics_wire import Resolution
from workbench.errors import InputError

EXPORT_ROWS = 500_000
STEPS_MS: tuple[tuple[Resolution, int], ...] = (("minute", 60_000), ("hour", 3_600_000))
RAW_MS = 24 * 3_600_000
"""Samples are kept for a day, unless the settings say otherwise."""
SQL = """
SELECT from_at, metric, subject, resolution, mean, low, high, samples::BIGINT AS samples
FROM metric_history
WHERE resolution = $resolution AND from_at >= make_timestamp($since_ms * 1000)
    AND list_contains(string_split($metrics, ','), metric)
    AND ($subjects IS NULL OR list_contains(string_split($subjects, chr(10)), subject))
ORDER BY from_at, metric, subject
"""


class Wanted(NamedTuple):
    """Which metrics, of which subjects (None: all), since when."""

    view: str
    metrics: list[str]
    subjects: list[str] | None
    since_ms: int


async def export(
    client: HubClient, wanted: Wanted, series: int, every_ms: int, format: Format
) -> Exported:
    """`series` is how many there are, sampled each `every_ms`: it decides on samples, minutes
    or hours. Instants are UTC. Raises InputError where even hours are too many rows."""
    now_ms = time.time() * 1000
    params: dict[str, Any] = {
        "resolution": resolution_of(now_ms - wanted.since_ms, series, every_ms),
        "since_ms": wanted.since_ms,
        "metrics": ",".join(wanted.metrics),
        "subjects": None if wanted.subjects is None else "\n".join(wanted.subjects),
    }
    found = await client.query(SQL, params, fresh=True, max_rows=EXPORT_ROWS)
    if found.truncated:
        template = (
            "the export would have more than {limit} rows: choose a shorter time or fewer GPUs"
        )
        raise InputError(template, limit=f"{EXPORT_ROWS:,}")
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now_ms / 1000))
    stem = f"metrics-{wanted.view}-{stamp}"
    return await asyncio.to_thread(table_file, stem, found.arrow(), format)


def resolution_of(window_ms: float, series: int, every_ms: int) -> Resolution:
    """The finest that stays within the limit of rows."""
    if window_ms <= RAW_MS and series * window_ms / every_ms <= EXPORT_ROWS:
        return "raw"
    for name, step_ms in STEPS_MS:
        if series * window_ms / step_ms <= EXPORT_ROWS:
            return name
    return "hour"
