"""Forecasts of a series of counts: methods of statsmodels, chosen and measured by a backtest.

Nothing is forecast that the backtest cannot measure. The first half of the backtest chooses
the method, the second half, which the choice never saw, says how good it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.tools.sm_exceptions import SingularMatrixWarning
from statsmodels.tsa.ar_model import AutoReg

Series = npt.NDArray[np.float64]

SIMPLE = ("naive", "seasonal-naive")
"""What a method has to beat: the last value goes on, or the last season does."""

ORIGINS = 12
SKILL = 0.95
"""A method has skill where its error is below this share of the better simple one's."""


@dataclass(frozen=True, slots=True)
class Path:
    """What a method expects of the next steps, and its standard error of each."""

    mean: Series
    error: Series
    freedom: float
    """Degrees of freedom behind the standard errors."""

    def quantile(self, share: float) -> Series:
        """Below this lies `share` of what may come, by Student's t; counts are never negative."""
        found: Series = self.mean + stats.t.ppf(share, self.freedom) * self.error
        return np.maximum(found, 0.0)


@dataclass(frozen=True, slots=True)
class Forecast:
    """One series' forecast. `mase` is of the held-out half of the backtest (Hyndman and Koehler,
    2006: below 1 it is better than the last season one step ahead was); `skill` is 1 less its
    error over the better simple method's there, and None where it is none. `path` is as wide
    as the backtest asks."""

    method: str
    path: Path
    mase: float | None
    mase_simple: float | None
    skill: float | None
    origins: int


Method = Callable[[Series, int, int], Path]


def naive(series: Series, season: int, steps: int) -> Path:
    """The last value; its error grows with the root of the distance."""
    change = np.diff(series)
    spread = np.sqrt(np.mean(change**2))
    error = spread * np.sqrt(np.arange(1, steps + 1))
    return Path(np.full(steps, series[-1]), error, len(change))


def seasonal_naive(series: Series, season: int, steps: int) -> Path:
    """The value of one season ago; its error grows with each season ahead."""
    change = series[season:] - series[:-season]
    ahead = np.arange(steps)
    spread = np.sqrt(np.mean(change**2))
    error = spread * np.sqrt(ahead // season + 1)
    return Path(series[-season:][ahead % season], error, len(change))


def _design(first: int, count: int, season: int, trend: bool) -> Series:
    """A column of 0 and 1 for each place in the season, and one that counts on."""
    place = np.arange(first, first + count)
    columns = np.eye(season)[place % season]
    return np.column_stack([columns, place]) if trend else columns


def regression(trend: bool, series: Series, season: int, steps: int) -> Path:
    """Least squares on the place in the season and, with `trend`, on time."""
    fitted = OLS(series, _design(0, len(series), season, trend)).fit()
    ahead = fitted.get_prediction(_design(len(series), steps, season, trend))
    return Path(ahead.predicted_mean, ahead.se_obs, max(1.0, fitted.df_resid))


def seasonal_walk(series: Series, season: int, steps: int) -> Path:
    """Each step's usual change from the one before, by its place in the season."""
    path = regression(False, np.diff(series), season, steps)
    error = path.error * np.sqrt(np.arange(1, steps + 1))
    return Path(series[-1] + np.cumsum(path.mean), error, path.freedom)


def autoregression(series: Series, season: int, steps: int) -> Path:
    """Least squares on the place in the season and the last value.

    The standard error takes in that its coefficients are estimates: 1 + k/n of the variance.
    """
    with warnings.catch_warnings():  # a season that never fails foretells the last value, too
        warnings.simplefilter("ignore", SingularMatrixWarning)
        fitted = AutoReg(series, lags=1, trend="c", seasonal=True, period=season).fit()
        ahead = fitted.get_prediction(len(series), len(series) + steps - 1)
    freedom = max(1.0, float(fitted.df_resid))
    wider = np.sqrt(fitted.nobs / freedom * (1.0 + len(fitted.params) / fitted.nobs))
    return Path(np.asarray(ahead.predicted_mean), np.asarray(ahead.se_mean) * wider, freedom)


METHODS: dict[str, Method] = {
    "naive": naive,
    "seasonal-naive": seasonal_naive,
    "seasonal-walk": seasonal_walk,
    "season": partial(regression, False),
    "season-and-trend": partial(regression, True),
    "autoregression": autoregression,
}


@dataclass(frozen=True, slots=True)
class Tried:
    """One method's backtest: for each origin its mean absolute error, and its mean squared error
    in standard errors of its own."""

    errors: Series
    squares: Series


def backtest(series: Series, season: int, steps: int) -> tuple[dict[str, Tried], list[int]]:
    """Every method from each of up to ORIGINS earlier points, on what was known at each."""
    first = max(2 * season + 2, len(series) // 3)
    last = len(series) - max(1, min(steps, (len(series) - first) // 2))
    origins = np.unique(np.linspace(first, last, ORIGINS).astype(int)).tolist()
    tried = {
        name: [_try(method, series, season, steps, at) for at in origins]
        for name, method in METHODS.items()
    }
    return {
        name: Tried(np.array([error for error, _ in rows]), np.array([far for _, far in rows]))
        for name, rows in tried.items()
    }, origins


def _try(
    method: Method, series: Series, season: int, steps: int, origin: int
) -> tuple[float, float]:
    truth = series[origin : origin + steps]
    path = method(series[:origin], season, len(truth))
    missed = truth - path.mean
    tiny = 1e-9 + 1e-6 * float(np.abs(series).max())
    return float(np.abs(missed).mean()), float(
        np.mean((missed / np.maximum(path.error, tiny)) ** 2)
    )


def forecast(series: Series, season: int, steps: int) -> Forecast:
    """The next `steps` of a series of at least four seasons, and how well that went before."""
    tried, origins = backtest(series, season, steps)
    half = len(origins) // 2
    method = min(tried, key=lambda name: float(tried[name].errors[:half].mean()))
    simple = min(SIMPLE, key=lambda name: float(tried[name].errors[:half].mean()))
    own, other = tried[method].errors[half:], tried[simple].errors[half:]
    path = METHODS[method](series, season, steps)
    wider = max(1.0, float(np.sqrt(tried[method].squares.mean())))
    scales = [np.abs(series[season:at] - series[: at - season]).mean() for at in origins[half:]]
    return Forecast(
        method=method,
        path=Path(path.mean, wider * path.error, path.freedom),
        mase=_mean_ratio(own, scales),
        mase_simple=_mean_ratio(other, scales),
        skill=_skill(own, other) if method not in SIMPLE else None,
        origins=len(origins),
    )


def _mean_ratio(errors: Series, scales: list[Any]) -> float | None:
    return None if min(scales) <= 0 else float(np.mean(errors / np.array(scales)))


def _skill(own: Series, other: Series) -> float | None:
    """1 less the ratio of the errors; None where it is not below SKILL, or where the origins
    do not agree on it (a one-sided Wilcoxon test at 5 %)."""
    whole = float(other.sum())
    ratio = float(own.sum()) / whole if whole > 0 else 1.0
    if ratio >= SKILL or np.all(own == other):
        return None
    return 1.0 - ratio if stats.wilcoxon(own, other, alternative="less").pvalue < 0.05 else None
