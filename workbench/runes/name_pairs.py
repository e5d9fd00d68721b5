"""Pairs of names that are alike: cosine of their triples of letters, and edit distance.

Sparse matrices over all names at once: 210,000 names against 1,000 take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from workbench.errors import InputError

CHUNK = 8_192
MAX_PAIRS = 1_000_000
_SIGNS = 27
"""The letters, and the mark before and after a name, which is 0."""
_ROUNDING = 1e-4
"""More than 32-bit products err by; what they let through is computed again."""

_EDITS = "SELECT levenshtein(a, b) AS edits FROM pairs ORDER BY number"


class Pairs(NamedTuple):
    """Places in the list of names, side by side."""

    of: np.ndarray
    other: np.ndarray
    cosine: np.ndarray
    edits: np.ndarray


def near_pairs(
    names: Sequence[str],
    guarded: Sequence[int],
    cosine: float,
    more: Sequence[tuple[int, int]],
    *,
    limit: int = MAX_PAIRS,
) -> Pairs:
    """Each guarded name with every other one of at least this cosine, and the pairs of `more`.

    Names are letters A to Z. Raises InputError where the pairs are more than `limit`.
    """
    if not guarded:
        none = np.array([], dtype=np.int64)
        return Pairs(none, none, none.astype(float), none)
    if len(guarded) > 1:
        return _pairs(names, guarded, cosine, more, limit)
    places = np.union1d(_possible(names, guarded[0], cosine), np.array(more, np.int64).ravel())
    spot = {place: number for number, place in enumerate(places.tolist())}
    pairs = _pairs(
        [names[place] for place in places],
        [spot[guarded[0]]],
        cosine,
        [(spot[of], spot[other]) for of, other in more],
        limit,
    )
    return pairs._replace(of=places[pairs.of], other=places[pairs.other])


def _possible(names: Sequence[str], guarded: int, cosine: float) -> np.ndarray:
    """Places of the names that may have this cosine, the one itself among them: the squares of
    n_b are at least as many as its letters."""
    codes, there = _codes(names)
    counts = np.bincount(codes[guarded][there[guarded]], minlength=_SIGNS**3)
    dots = np.where(there, counts[codes], 0).sum(axis=1)
    most = np.sqrt(float((counts**2).sum()) * there.sum(axis=1))
    return np.union1d(np.flatnonzero(dots >= (cosine - _ROUNDING) * most), [guarded])


def _pairs(
    names: Sequence[str],
    guarded: Sequence[int],
    cosine: float,
    more: Sequence[tuple[int, int]],
    limit: int,
) -> Pairs:
    counts = _triples(names)
    squares = np.asarray(counts.multiply(counts).sum(axis=1)).ravel()
    found = [np.array(more, dtype=np.int64).reshape(-1, 2)]
    total = len(more)
    for piece in _near(counts, squares, np.asarray(guarded, dtype=np.int64), cosine):
        found.append(piece)
        total += len(piece)
        if total > limit:
            raise InputError.field("cosine", cosine, f"one that leaves at most {limit:,} pairs")
    of, other = np.unique(np.concatenate(found), axis=0).T
    return Pairs(of, other, _cosines(counts, squares, of, other), _edits(names, of, other))


def _codes(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The triple around each letter of each name as a number, and where there is a letter."""
    width = max(map(len, names))
    letters = np.zeros((len(names), width + 2), dtype=np.int32)
    texts = np.array(list(names), dtype=f"S{width}")
    signs = texts.view(np.uint8).reshape(len(names), width).astype(np.int32)
    letters[:, 1:-1] = np.where(signs > 0, signs - 64, 0)
    codes = (letters[:, :-2] * _SIGNS + letters[:, 1:-1]) * _SIGNS + letters[:, 2:]
    return codes, letters[:, 1:-1] > 0


def _triples(names: Sequence[str]) -> Any:
    """How often each name has each triple, marks at its ends included: a row for each name."""
    from scipy.sparse import csr_matrix  # slow to import

    codes, there = _codes(names)
    rows = np.nonzero(there)[0]
    ones = np.ones(len(rows), dtype=np.int64)
    return csr_matrix((ones, (rows, codes[there])), shape=(len(names), _SIGNS**3))


def _near(counts: Any, squares: np.ndarray, guarded: np.ndarray, cosine: float) -> Any:
    """Pieces of (guarded, other) with at least this cosine."""
    from scipy.sparse import diags

    unit = (diags(1 / np.sqrt(squares)) @ counts).astype(np.float32).tocsr()
    against = unit[guarded].T.tocsr()
    for start in range(0, counts.shape[0], CHUNK):
        likely = unit[start : start + CHUNK] @ against
        likely.data[likely.data < cosine - _ROUNDING] = 0
        likely.eliminate_zeros()
        likely = likely.tocoo()
        of, other = guarded[likely.col], likely.row.astype(np.int64) + start
        kept = (_cosines(counts, squares, of, other) >= cosine) & (of != other)
        yield np.column_stack((of[kept], other[kept]))


def _cosines(counts: Any, squares: np.ndarray, of: np.ndarray, other: np.ndarray) -> np.ndarray:
    dots = np.asarray(counts[of].multiply(counts[other]).sum(axis=1)).ravel()
    cosines: np.ndarray = dots / np.sqrt(squares[of] * squares[other])
    return cosines


def _edits(names: Sequence[str], of: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Levenshtein distances, by DuckDB's own function."""
    from workbench.store.scratch import Scratch  # it loads DuckDB, which a lone import need not

    texts = pa.array(list(names), pa.string())
    sides = {"a": texts.take(pa.array(of)), "b": texts.take(pa.array(other))}
    pairs = pa.table({"number": pa.array(np.arange(len(of))), **sides})
    distances: np.ndarray = Scratch({"pairs": pairs}).query(_EDITS)["edits"].to_numpy()
    return distances
