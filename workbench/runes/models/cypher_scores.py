"""How `cypher-v1` scores oddness, finds what drives it, and counts rarity in bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import erf, erfinv
from sklearn.ensemble import IsolationForest

from workbench.runes.models.steps import Steps, rounded

Matrix = npt.NDArray[np.float64]

TREES = 100
REPEATS = 5
PORTION_ROWS = 20_000


def grown(scaled: Matrix, seed: int) -> IsolationForest:
    """An isolation forest (Liu et al., ICDM 2008) over the runes."""
    return IsolationForest(n_estimators=TREES, random_state=seed).fit(scaled)


def unified(raw: Matrix) -> Matrix:
    """How far above the middle a score lies, 0 (not at all) to 1; 0.85 is where oddness begins.

    The error function of the modified z-score, 0.6745 * (x - median) / MAD, scaled so that 3.5,
    the cut that Iglewicz and Hoaglin (1993) recommend, gives 0.85. Where more than half are
    equal, the mean absolute deviation stands in for the MAD, as they say.
    """
    above = raw - np.median(raw)
    spread = float(np.median(np.abs(above))) / 0.6745
    if spread == 0.0:
        spread = float(np.abs(above).mean()) * 1.253314
    if spread == 0.0:
        return np.zeros_like(raw)
    scores: Matrix = erf(above / spread * (float(erfinv(0.85)) / 3.5))
    return np.maximum(scores, 0.0)


def find_drivers(forest: IsolationForest, scaled: Matrix, raw: Matrix, steps: Steps) -> Matrix:
    """Row a rune, column a feature: how much of its score the feature carries, 0 to 1."""
    medians = np.median(scaled, axis=0)

    def without(column: int) -> Matrix:
        changed = scaled.copy()
        changed[:, column] = medians[column]
        return changed

    falls = np.empty_like(scaled)
    for columns in _portions(scaled, 1):
        scores = _scores(forest, [without(column) for column in columns])
        falls[:, columns] = np.maximum(0.0, raw - scores).T
        done = columns[-1] + 1
        steps.finish(
            "{done} of {total} features weighed", len(columns), done=done, total=scaled.shape[1]
        )
    sums = falls.sum(axis=1, keepdims=True)
    shares: Matrix = np.divide(falls, sums, out=np.zeros_like(falls), where=sums > 0)
    return shares


def importance(
    forest: IsolationForest, scaled: Matrix, raw: Matrix, names: list[str], seed: int, steps: Steps
) -> list[dict[str, Any]]:
    """Per feature: how far the scores' ranking comes apart when the feature is shuffled."""
    random = np.random.default_rng(seed)
    ranks = pd.Series(raw).rank()

    def shuffled(column: int) -> Matrix:
        changed = scaled.copy()
        changed[:, column] = random.permutation(changed[:, column])
        return changed

    losses: list[float] = []
    for columns in _portions(scaled, REPEATS):
        tries = [shuffled(column) for column in columns for _ in range(REPEATS)]
        again = [float(ranks.corr(pd.Series(row).rank())) for row in _scores(forest, tries)]
        losses += (1.0 - np.reshape(again, (-1, REPEATS)).mean(axis=1)).tolist()
        done = columns[-1] + 1
        steps.finish(
            "{done} of {total} features shuffled", len(columns), done=done, total=scaled.shape[1]
        )
    rows = [
        {"feature": name, "importance": rounded(loss)}
        for name, loss in zip(names, losses, strict=True)
    ]
    return sorted(rows, key=lambda row: (-row["importance"], row["feature"]))


def _portions(scaled: Matrix, repeats: int) -> Iterator[list[int]]:
    """Columns to score together: a call of the forest costs more than the rows of a small batch."""
    runes, features = map(int, scaled.shape)
    size = max(1, PORTION_ROWS // (runes * repeats))
    for first in range(0, features, size):
        yield list(range(first, min(first + size, features)))


def _scores(forest: IsolationForest, matrices: list[Matrix]) -> Matrix:
    """A row a matrix, a column a rune."""
    scores: Matrix = -forest.score_samples(np.concatenate(matrices))
    return scores.reshape(len(matrices), -1)


def rarity_bits(table: pd.DataFrame) -> pd.Series:
    """Bits of surprise a rune: the fewer share its deciles, the more. Unknown is a value too."""
    bits = pd.Series(0.0, index=table.index)
    for name in table:
        bins = pd.qcut(table[name].rank(method="average"), 10, labels=False, duplicates="drop")
        groups = bins.fillna(-1.0)
        bits -= np.log2(groups.map(groups.value_counts(normalize=True)))
    return bits
