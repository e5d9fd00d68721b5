"""What a run used: means and peaks within it, energy by trapezoids, and unknown where unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.run_metrics import Point, Price, summary


def power(*points: tuple[int, float], gpu: str = "0") -> list[Point]:
    return [Point("gpu.power", gpu, at, watts, watts) for at, watts in points]


def test_constant_power_is_power_times_time() -> None:
    found = summary(power((0, 300.0), (3_600_000, 300.0)), 0, 60_000, gpus=["0"])
    assert found.energy_wh is None  # nothing was measured for an hour in between
    every = [(n * 2000, 300.0) for n in range(31)]
    found = summary(power(*every), 0, 60_000, gpus=["0"])
    assert found.energy_wh == pytest.approx(5.0)
    assert found.mean_power_w == pytest.approx(300.0)


def test_rising_power_is_integrated_between_the_samples() -> None:
    found = summary(power((0, 0.0), (10_000, 100.0), (20_000, 0.0)), 5000, 15_000, gpus=["0"])
    assert found.energy_wh == pytest.approx(75 * 10 / 3600)


def test_a_run_between_two_samples_takes_the_line_between_them() -> None:
    found = summary(power((0, 100.0), (2000, 200.0)), 500, 1500, gpus=["0"])
    assert found.energy_wh == pytest.approx(150 * 1 / 3600)


def test_the_energy_of_several_gpus_is_added_and_unknown_where_one_is() -> None:
    both = [*power((0, 100.0), (10_000, 100.0)), *power((0, 50.0), (10_000, 50.0), gpu="1")]
    assert summary(both, 0, 10_000, gpus=["0", "1"]).energy_wh == pytest.approx(150 * 10 / 3600)
    assert summary(both, 0, 10_000, gpus=["0", "2"]).energy_wh is None


def test_without_a_gpu_there_is_no_energy_and_the_host_is_told() -> None:
    points = [
        Point("host.cpu", "", 1000, 40.0, 55.0),
        Point("host.memory_used", "", 1000, 9.0, 9.5),
    ]
    found = summary(points, 0, 2000, gpus=[])
    assert (found.energy_wh, found.cost, found.peak_memory_mb) == (None, None, None)
    assert (found.mean_cpu, found.peak_host_memory_mb, found.samples) == (40.0, 9.5, 1)


def test_a_price_makes_a_cost() -> None:
    points = power(*[(n * 2000, 1000.0) for n in range(1801)])
    found = summary(points, 0, 3_600_000, gpus=["0"], price=Price(0.25, "EUR"))
    assert (found.cost, found.currency) == (pytest.approx(0.25), "EUR")
    assert summary(points, 0, 3_600_000, gpus=["0"]).cost is None


def test_peaks_are_of_the_run_alone() -> None:
    points = [
        Point("gpu.memory_used", "0", at, used, used)
        for at, used in ((0, 9000.0), (10_000, 4000.0), (12_000, 5000.0), (30_000, 8000.0))
    ]
    assert summary(points, 9000, 13_000, gpus=["0"]).peak_memory_mb == 5000.0


@given(
    st.lists(st.floats(0, 1000), min_size=2, max_size=40),
    st.integers(0, 30_000),
    st.integers(1, 40_000),
)
def test_energy_lies_between_the_least_and_the_most_power(
    watts: list[float], started: int, length: int
) -> None:
    points = power(*[(n * 2000, each) for n, each in enumerate(watts)])
    found = summary(points, started, started + length, gpus=["0"])
    if found.energy_wh is not None:
        hours = length / 3.6e6
        assert min(watts) * hours - 1e-9 <= found.energy_wh <= max(watts) * hours + 1e-9
