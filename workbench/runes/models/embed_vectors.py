"""How `neuro-embed` makes its vectors: two blocks of equal weight, reduced together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.metrics import pairwise_distances_chunked
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import svd_flip

from workbench.runes.features import Features
from workbench.runes.models import embed_torch
from workbench.runes.models.cypher_clusters import Matrix, even_features
from workbench.runes.models.devices import Cpu, Device
from workbench.runes.models.steps import DIGITS

Normalization = Literal["l1", "l2", "none"]

LETTERS = (2, 4)
"""Lengths of the runs of letters that a name is cut into; its two ends count as letters."""

BUCKETS = 4096
VECTOR_DIGITS = 7
"""As many as a 32-bit float keeps, which is what vector databases store."""

NEIGHBOURS = 10
EXACT_CELLS = 4_000_000
"""Up to so many cells the decomposition is LAPACK's; beyond, scikit-learn's randomized one. Up to
so many the CPU has done before PyTorch has started, of similarities, too."""
HELD_MB = 256
"""Similarities that the CPU holds at once."""
SCALE = 10**VECTOR_DIGITS


@dataclass(frozen=True, slots=True)
class Vectors:
    """`values`: a row a rune, `dimension` columns, those from `rank` on zero. `kept` is the share
    of the sum of squares that each column carries."""

    values: Matrix
    rank: int
    kept: Matrix


def behaviour(found: Features) -> Matrix:
    """Features on one scale around their mean, with a mean squared length of 1."""
    if not found.table.shape[1]:
        return np.zeros((len(found.table), 0))
    even = even_features(found.table)
    centred = even - even.mean(axis=0)
    length = float(np.sqrt((centred**2).sum(axis=1).mean()))
    block: Matrix = centred / length if length > 0 else centred[:, :0]
    return block


def spelling(names: pd.Series) -> sparse.csr_matrix:
    """Each name's runs of letters, hashed into BUCKETS, at length 1; no name: zeros."""
    known = names.str.replace("•", "", regex=False).fillna("")
    marked = ["" if not name else f"^{name}$" for name in known]
    hashing = HashingVectorizer(
        analyzer="char", ngram_range=LETTERS, n_features=BUCKETS, lowercase=False, norm="l2"
    )
    return hashing.transform(marked)


def reduced(
    numbers: Matrix,
    letters: sparse.csr_matrix,
    dimension: int,
    seed: int,
    exact_cells: int = EXACT_CELLS,
    device: Device | None = None,
) -> Vectors:
    """The `dimension` directions that carry most of both blocks; what is left over is zero."""
    both = sparse.hstack([sparse.csr_matrix(numbers), letters], format="csr")
    both = both[:, np.flatnonzero(both.getnnz(axis=0))]
    whole = float(both.multiply(both).sum())
    count = min(dimension, *both.shape)
    if both.shape[0] * both.shape[1] <= exact_cells or count >= min(both.shape):
        values = _exact(both, count)
    else:
        values = (device or Cpu()).compute(
            lambda: TruncatedSVD(n_components=count, random_state=seed).fit_transform(both),
            lambda torch: embed_torch.randomized(torch, both, count, seed),
            need_mb=embed_torch.randomized_mb(both.shape, count),
        )
    kept = (values**2).sum(axis=0) / whole
    rank = int((kept > 10.0**-DIGITS).sum())
    padded = np.zeros((len(values), dimension))
    padded[:, :rank] = values[:, :rank]
    return Vectors(padded, rank, kept[:rank])


def _exact(both: sparse.csr_matrix, count: int) -> Matrix:
    left, lengths, right = np.linalg.svd(both.toarray(), full_matrices=False)
    left, _ = svd_flip(left, right, u_based_decision=False)  # a sign of its own for each machine
    values: Matrix = left[:, :count] * lengths[:count]
    return values


def normalized(values: Matrix, how: Normalization) -> Matrix:
    """Rows at length 1 by the chosen measure; a row of zeros stays one."""
    scaled = values if how == "none" else normalize(values, norm=how)
    rounded: Matrix = np.asarray(scaled).round(VECTOR_DIGITS) + 0.0  # no minus zero
    return rounded


def neighbours(
    values: Matrix, cpu_cells: int = EXACT_CELLS, device: Device | None = None
) -> tuple[npt.NDArray[np.int64], Matrix]:
    """For each row its nearest rows by cosine, nearest first, and how alike they are, -1 to 1.

    Equally near rows keep their order. Normalization changes no angle, so no neighbour.
    """
    total, count = len(values), min(NEIGHBOURS, len(values) - 1)
    unit = normalize(values)
    use = Cpu() if device is None or total**2 <= cpu_cells else device
    keys = use.compute(
        lambda: _nearest(unit, count),
        lambda torch: embed_torch.nearest(torch, unit, count, SCALE),
        need_mb=embed_torch.nearest_mb(unit.shape),
    )
    alike, behind = np.divmod(keys, total)
    return total - 1 - behind, alike / SCALE


def _nearest(unit: Matrix, count: int) -> npt.NDArray[np.int64]:
    """A row's `count` largest keys, the largest first."""

    def largest(distances: Matrix, first: int) -> npt.NDArray[np.int64]:
        keys = _keys(1.0 - distances, first)
        best = np.partition(keys, -count, axis=1)[:, -count:]
        return np.sort(best, axis=1)[:, ::-1]

    chunks = pairwise_distances_chunked(
        unit, metric="cosine", reduce_func=largest, working_memory=HELD_MB
    )
    return np.concatenate(list(chunks))


def _keys(alike: Matrix, first: int) -> npt.NDArray[np.int64]:
    """A number for each pair, the larger the nearer: its similarity in whole units of the last
    digit, times the rows, plus how far the other row stands from the end; a row's own is least."""
    rows, total = alike.shape
    whole = np.rint(alike * SCALE).astype(np.int64)
    whole[np.arange(rows), first + np.arange(rows)] = -2 * SCALE
    keys: npt.NDArray[np.int64] = whole * total + np.arange(total)[::-1]
    return keys
