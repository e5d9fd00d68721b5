"""What a run used, from the samples that were kept while it ran. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from workbench.core.metrics_wire import Resolution, RunMetrics

METRICS = (
    "gpu.utilization",
    "gpu.memory_used",
    "gpu.temperature",
    "gpu.power",
    "host.cpu",
    "host.memory_used",
)
GAP_MS = 30_000
"""Longer between two samples, and nobody knows what was in between."""
MINUTES_GAP_MS = 130_000
"""The same where only minutes are kept any more."""


class Point(NamedTuple):
    """One kept number: the mean of its time and the most in it."""

    metric: str
    subject: str
    at_ms: int
    mean: float
    high: float


class Price(NamedTuple):
    """What a kWh costs; None where nobody said."""

    per_kwh: float | None
    currency: str


UNPRICED = Price(None, "")


def summary(
    points: Iterable[Point],
    started_ms: int,
    ended_ms: int,
    *,
    gpus: Sequence[str],
    shared: bool = False,
    price: Price = UNPRICED,
    resolution: Resolution = "raw",
    gap_ms: int = GAP_MS,
) -> RunMetrics:
    """What was used between the two instants. `points` may begin before and end after them;
    where two are further apart than `gap_ms`, what was in between is unknown."""
    series: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        series.setdefault((point.metric, point.subject), []).append(point)

    def of(metric: str, subjects: Sequence[str]) -> list[list[Point]]:
        return [series.get((metric, subject), []) for subject in subjects]

    def during(found: list[list[Point]]) -> list[list[Point]]:
        return [_during(each, started_ms, ended_ms, gap_ms) for each in found]

    energies = [_energy_wh(each, started_ms, ended_ms, gap_ms) for each in of("gpu.power", gpus)]
    energy = _sum(energies)
    hours = (ended_ms - started_ms) / 3.6e6
    return RunMetrics(
        started_at=started_ms,
        ended_at=ended_ms,
        gpus=tuple(gpus),
        shared=shared,
        samples=len({point.at_ms for each in during(of("host.cpu", [""])) for point in each}),
        peak_memory_mb=_sum(_peak(each) for each in during(of("gpu.memory_used", gpus))),
        mean_utilization=_mean(during(of("gpu.utilization", gpus))),
        peak_temperature_c=_most(during(of("gpu.temperature", gpus))),
        mean_power_w=energy / hours if energy is not None and hours > 0 else None,
        energy_wh=energy,
        cost=_cost(energy, price),
        currency=price.currency,
        mean_cpu=_mean(during(of("host.cpu", [""]))),
        peak_host_memory_mb=_most(during(of("host.memory_used", [""]))),
        resolution=resolution,
    )


def _during(points: list[Point], started_ms: int, ended_ms: int, gap_ms: int) -> list[Point]:
    """Those of the run; of a run that was shorter than a sample's distance, the nearest."""
    inside = [point for point in points if started_ms <= point.at_ms <= ended_ms]
    if inside or not points:
        return inside
    middle = (started_ms + ended_ms) / 2
    nearest = min(points, key=lambda point: abs(point.at_ms - middle))
    return [nearest] if abs(nearest.at_ms - middle) <= gap_ms / 2 else []


def _energy_wh(points: list[Point], started_ms: int, ended_ms: int, gap_ms: int) -> float | None:
    """Power over time by trapezoids; before the first and after the last point it stays as it
    was. None where a part of the run has no point near."""
    near = [p for p in points if started_ms - gap_ms <= p.at_ms <= ended_ms + gap_ms]
    if not near:
        return None
    times = [started_ms - gap_ms / 2, *(p.at_ms for p in near), ended_ms + gap_ms / 2]
    gaps = itertools.pairwise(times)
    if any(_overlap(a, b, started_ms, ended_ms) and b - a > gap_ms for a, b in gaps):
        return None
    marks = sorted({started_ms, ended_ms, *(p.at_ms for p in near)})
    inside = [each for each in marks if started_ms <= each <= ended_ms]
    joules = sum(
        (_power(near, a) + _power(near, b)) / 2 * (b - a) / 1000
        for a, b in itertools.pairwise(inside)
    )
    return joules / 3600


def _overlap(a: float, b: float, started_ms: float, ended_ms: float) -> bool:
    return a < ended_ms and b > started_ms


def _power(points: list[Point], at_ms: float) -> float:
    """Between two points on the line that joins them."""
    before = [p for p in points if p.at_ms <= at_ms]
    after = [p for p in points if p.at_ms >= at_ms]
    if not before or not after:
        return (after or before)[0 if after else -1].mean
    left, right = before[-1], after[0]
    if right.at_ms == left.at_ms:
        return left.mean
    share = (at_ms - left.at_ms) / (right.at_ms - left.at_ms)
    return left.mean + share * (right.mean - left.mean)


def _mean(found: list[list[Point]]) -> float | None:
    numbers = [point.mean for each in found for point in each]
    return round(sum(numbers) / len(numbers), 1) if numbers else None


def _peak(points: list[Point]) -> float | None:
    return max((point.high for point in points), default=None)


def _most(found: list[list[Point]]) -> float | None:
    return max((point.high for each in found for point in each), default=None)


def _sum(numbers: Iterable[float | None]) -> float | None:
    """None where there is none, or where one of them is not known."""
    listed: list[Any] = list(numbers)
    return None if not listed or None in listed else float(sum(listed))


def _cost(energy_wh: float | None, price: Price) -> float | None:
    if energy_wh is None or price.per_kwh is None:
        return None
    return energy_wh / 1000 * price.per_kwh
