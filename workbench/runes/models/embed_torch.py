"""The heavy parts of `neuro-embed` on a GPU, with PyTorch: what embed_vectors does on the CPU."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from sklearn.utils.extmath import randomized_svd, svd_flip

from workbench.runes.models.cypher_clusters import Matrix
from workbench.runes.models.devices import Torch

TURNS, SPARE = 5, 10
"""As TruncatedSVD has them: how often it turns to and fro, how many directions it takes more."""

PORTION_CELLS = 8_000_000
"""Similarities that are held at once."""


def randomized(torch: Torch, both: sparse.csr_matrix, count: int, seed: int) -> Matrix:
    """TruncatedSVD's own steps, from the same random directions.

    It brings directions back to length by LU, which tensors do not have, and here by QR: both
    span the same space.
    """
    rows = torch.tensor(both.toarray())
    with torch.sklearn():
        left, _, right = randomized_svd(
            rows,
            count,
            n_iter=TURNS,
            n_oversamples=SPARE,
            power_iteration_normalizer="QR",
            flip_sign=False,
            random_state=seed,
        )
        _, right = svd_flip(left, right, u_based_decision=False)
    values: Matrix = (rows @ right.T).cpu().numpy()
    return values


def randomized_mb(shape: tuple[int, int], count: int) -> float:
    """The matrix, and at most six others as narrow as the directions are few."""
    rows, columns = shape
    return 8e-6 * (rows * columns + 6 * (rows + columns) * (count + SPARE))


def nearest(torch: Torch, unit: Matrix, count: int, scale: int) -> np.ndarray:
    """A row's `count` largest keys, as embed_vectors makes them on the CPU."""
    lib, total = torch.lib, len(unit)
    rows = torch.tensor(unit)
    places = lib.arange(total, device=torch.device)
    portion = max(1, PORTION_CELLS // total)
    found = []
    for first in range(0, total, portion):
        alike = lib.round(rows[first : first + portion] @ rows.T * scale).to(lib.int64)
        own = places[first : first + portion, None] == places
        alike = alike.masked_fill(own, -2 * scale)
        keys = alike * total + (total - 1 - places)
        found.append(lib.topk(keys, count, dim=1).values.cpu().numpy())
    return np.concatenate(found)


def nearest_mb(shape: tuple[int, int]) -> float:
    """The vectors, and five tables of a portion of similarities."""
    rows, columns = shape
    return 8e-6 * (rows * columns + 5 * max(PORTION_CELLS, rows))
