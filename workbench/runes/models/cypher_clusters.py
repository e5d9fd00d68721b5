"""How `cypher-v1` brings runes to one scale, groups them, and tests the groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import RobustScaler, StandardScaler

from workbench.runes.features import LOG_FEATURES
from workbench.runes.models.steps import DIGITS, Steps, rounded

Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Method = Literal["kmeans", "dbscan", "hierarchical"]

MOST_CLUSTERS = 8
RESAMPLES = 20
SAMPLE_SHARE = 0.8
SILHOUETTE_SAMPLE = 1000
OUTERMOST = 2.5
UNKNOWN = 2.0
RARELY = 0.02


def most_clusters(scaled: Matrix) -> int:
    """The largest number of clusters to try: runes that are alike in all cannot be parted."""
    return max(2, min(MOST_CLUSTERS, _distinct(scaled) - 1))


def _distinct(scaled: Matrix) -> int:
    return len(np.unique(scaled, axis=0))


def scaled_features(table: pd.DataFrame) -> Matrix:
    """For oddness: unknown values take the median, the outermost stay within 10 quartile ranges."""
    values: Matrix = RobustScaler().fit_transform(_known(table))
    return np.clip(values, -10.0, 10.0).round(DIGITS)


def even_features(table: pd.DataFrame) -> Matrix:
    """For likeness: no feature may weigh more than another, and not to have one is a trait, too.

    Standard deviations from the mean within OUTERMOST, and a column of 0 and UNKNOWN for each
    set of features that are unknown together. Quartile ranges would let a feature that most
    runes share push the few others 10 ranges away, and hide every other difference.
    """
    values: Matrix = StandardScaler().fit_transform(_known(table))
    unknown = table.isna().T.drop_duplicates().T.to_numpy(dtype=np.float64)
    share = unknown.mean(axis=0)
    unknown = unknown[:, (share > RARELY) & (share < 1 - RARELY)]
    bounded = np.clip(values, -OUTERMOST, OUTERMOST)
    return np.hstack([bounded, UNKNOWN * unknown]).round(DIGITS)


def _known(table: pd.DataFrame) -> Matrix:
    logged = table.copy()
    for name in LOG_FEATURES.intersection(table):
        logged[name] = np.log10(1.0 + logged[name])
    return logged.fillna(logged.median()).to_numpy()


def find_clusters(scaled: Matrix, method: Method, seed: int, steps: Steps) -> Labels:
    """A label a rune, numbered from 0 by falling size; -1 is noise (DBSCAN only)."""
    best, best_score = np.zeros(len(scaled), dtype=np.int64), -2.0
    for count, labels in _candidates(scaled, method, seed):
        distinct = len(set(labels.tolist()))
        score = -1.0
        if 1 < distinct < len(scaled):
            sample = min(SILHOUETTE_SAMPLE, len(scaled))
            score = float(silhouette_score(scaled, labels, sample_size=sample, random_state=seed))
        if score > best_score:
            best, best_score = labels, score
        steps.finish("{count} clusters tried", count=count)
    return _by_size(best)


def _candidates(scaled: Matrix, method: Method, seed: int) -> Iterator[tuple[int, Labels]]:
    if method == "dbscan":
        labels = _fit(scaled, method, 0, seed)
        yield len(set(labels.tolist())), labels
        return
    for count in range(2, most_clusters(scaled) + 1):
        yield count, _fit(scaled, method, count, seed)


def _fit(scaled: Matrix, method: Method, count: int, seed: int) -> Labels:
    if method == "kmeans":
        fitted = KMeans(n_clusters=count, n_init=10, random_state=seed).fit(scaled)
    elif method == "hierarchical":
        fitted = AgglomerativeClustering(n_clusters=count, linkage="ward").fit(scaled)
    else:
        fitted = DBSCAN(eps=_reach(scaled), min_samples=_core_size(scaled)).fit(scaled)
    return np.asarray(fitted.labels_, dtype=np.int64)


def _core_size(scaled: Matrix) -> int:
    runes, features = map(int, scaled.shape)
    return max(4, min(2 * features, runes // 20))


def _reach(scaled: Matrix) -> float:
    """DBSCAN's radius: nine of ten runes have a core's worth of neighbours within it."""
    size = _core_size(scaled)
    distances, _ = NearestNeighbors(n_neighbors=size).fit(scaled).kneighbors(scaled)
    return max(float(np.quantile(distances[:, -1], 0.9)), 1e-6)


def _by_size(labels: Labels) -> Labels:
    order = [
        label
        for label in pd.Series(labels)
        .value_counts()
        .sort_index()
        .sort_values(ascending=False, kind="stable")
        .index
        if label >= 0
    ]
    rename = {label: position for position, label in enumerate(order)}
    return np.array([rename.get(label, -1) for label in labels.tolist()], dtype=np.int64)


def stability(
    scaled: Matrix, clusters: Labels, method: Method, seed: int, steps: Steps
) -> dict[str, float]:
    """Adjusted Rand index between the clusters and those of random 80 % of the runes."""
    random = np.random.default_rng(seed)
    count = max(2, len(set(clusters.tolist())))
    scores = []
    for turn in range(RESAMPLES):
        chosen = random.choice(len(scaled), int(len(scaled) * SAMPLE_SHARE), replace=False)
        again = _fit(scaled[chosen], method, min(count, _distinct(scaled[chosen])), seed)
        scores.append(adjusted_rand_score(clusters[chosen], again))
        steps.finish("{done} of {total} resamples", done=turn + 1, total=RESAMPLES)
    return {"mean": rounded(np.mean(scores)), "lowest": rounded(np.min(scores))}


def projected(scaled: Matrix, seed: int) -> Matrix:
    """Two axes for a map: the principal components."""
    axes = PCA(n_components=min(2, *scaled.shape), random_state=seed).fit_transform(scaled)
    return np.pad(axes, ((0, 0), (0, 2 - axes.shape[1]))).round(DIGITS)
