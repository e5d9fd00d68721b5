"""A forecast beats the simple methods where there is something to know, and says where not.

The whole of the 500 series is `python -m benchmarks.models`; these are a few of them.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.runes.series import KINDS, WEEK, series
from workbench.runes.models.forecast import METHODS, forecast, naive, seasonal_naive

AHEAD = 14


def test_planted_seasonality_is_forecast_better_than_the_last_season() -> None:
    random = np.random.default_rng(4)
    found = [forecast(series("season", 112, random), WEEK, AHEAD) for _ in range(5)]
    assert np.mean([one.mase for one in found]) < 0.9
    assert sum(one.skill is not None for one in found) >= 3


def test_there_is_no_skill_on_a_random_walk() -> None:
    random = np.random.default_rng(5)
    found = [forecast(series("walk", 84, random), WEEK, AHEAD) for _ in range(6)]
    assert sum(one.skill is not None for one in found) <= 1


def test_intervals_hold_what_they_promise_on_a_few_series() -> None:
    random = np.random.default_rng(6)
    held = []
    for kind in KINDS:
        whole = series(kind, 70 + AHEAD, random)
        path = forecast(whole[:70], WEEK, AHEAD).path
        inside = (whole[70:] >= path.quantile(0.025)) & (whole[70:] <= path.quantile(0.975))
        held.append(inside.mean())
    assert 0.85 <= np.mean(held) <= 1


def test_the_last_value_by_hand() -> None:
    """Changes of 3, -4 and 0: a root mean square of sqrt(25/3), growing with sqrt(h)."""
    path = naive(np.array([1.0, 4.0, 0.0, 0.0]), 2, 4)
    assert path.mean.tolist() == [0, 0, 0, 0]
    assert path.error == pytest.approx(np.sqrt(25 / 3) * np.sqrt([1, 2, 3, 4]))


def test_the_last_season_by_hand() -> None:
    """Season of 2: 1 5 | 3 5 | 3 9; changes 2, 0, 0, 4: sqrt(5), and more after two steps."""
    path = seasonal_naive(np.array([1.0, 5.0, 3.0, 5.0, 3.0, 9.0]), 2, 3)
    assert path.mean.tolist() == [3, 9, 3]
    assert path.error == pytest.approx(np.sqrt(5) * np.sqrt([1, 1, 2]))


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_goes_on_with_a_season_that_never_failed(method: str) -> None:
    if method == "naive":
        return
    week = np.array([5.0, 1, 4, 2, 8, 3, 9])
    path = METHODS[method](np.tile(week, 6), WEEK, 9)
    assert path.mean == pytest.approx(np.tile(week, 2)[:9], abs=1e-6)


def test_counts_that_cannot_be_negative_have_no_negative_bound() -> None:
    path = naive(np.array([0.0, 9.0, 0.0, 1.0]), 2, 3)
    assert path.quantile(0.025).tolist() == [0, 0, 0] < path.quantile(0.975).tolist()


def test_a_constant_season_has_no_scale_and_no_skill() -> None:
    found = forecast(np.tile([1.0, 2, 3, 4, 5, 6, 7], 6), WEEK, 7)
    assert found.mase is None and found.skill is None
