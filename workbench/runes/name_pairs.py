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
    return _pairs_of_one(names, guarded[0], cosine, more, limit)


def _pairs_of_one(
    names: Sequence[str],
    guarded: int,
    cosine: float,
    more: Sequence[tuple[int, int]],
    limit: int,
) -> Pairs:
    """The same without matrices, which take longer to load than this takes: the squares of n_b
    are at least as many as its letters, so that few names need theirs."""
    codes, lengths = _codes(names)
    counts = np.bincount(codes[guarded, : lengths[guarded]], minlength=_SIGNS**3)
    dots = counts.astype(np.int16)[codes].sum(axis=1)  # a triple without a letter has none
    square = (counts**2).sum()
    enough = dots >= (cosine - _ROUNDING) * np.sqrt(float(square) * lengths)
    enough[[other for _, other in more]] = True
    places = np.flatnonzero(enough)
    places = places[places != guarded]
    rows, marks = np.nonzero(np.arange(codes.shape[1]) < lengths[places][:, None])
    said, times = np.unique(rows * _SIGNS**3 + codes[places][rows, marks], return_counts=True)
    squares = np.zeros(len(places), dtype=np.int64)
    np.add.at(squares, said // _SIGNS**3, times**2)
    cosines = dots[places] / np.sqrt(square * squares)
    near = cosines >= cosine
    _bounded(len(more) + int(near.sum()), cosine, limit)
    kept = near | np.isin(places, [other for _, other in more])
    other, cosines = places[kept], cosines[kept]
    of = np.full(len(other), guarded)
    return Pairs(of, other, cosines, _edits(names, of, other))


def _bounded(count: int, cosine: float, limit: int) -> None:
    if count > limit:
        raise InputError.field("cosine", cosine, f"one that leaves at most {limit:,} pairs")


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
        _bounded(total, cosine, limit)
    of, other = np.unique(np.concatenate(found), axis=0).T
    return Pairs(of, other, _cosines(counts, squares, of, other), _edits(names, of, other))


def _codes(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The triple around each letter of each name as a number, then those without a letter; and how
    many letters each has."""
    lengths = np.fromiter(map(len, names), dtype=np.int64, count=len(names))
    width = int(lengths.max())
    letters = np.zeros((len(names), width + 2), dtype=np.int16)
    texts = np.array(names, dtype=f"S{width}")
    signs = texts.view(np.uint8).reshape(len(names), width)
    letters[:, 1:-1] = np.where(signs > 0, signs - np.uint8(64), 0)
    codes = (letters[:, :-2] * _SIGNS + letters[:, 1:-1]) * _SIGNS + letters[:, 2:]
    return codes, lengths


def _triples(names: Sequence[str]) -> Any:
    """How often each name has each triple, marks at its ends included: a row for each name."""
    from scipy.sparse import csr_matrix  # slow to import

    codes, lengths = _codes(names)
    rows, places = np.nonzero(np.arange(codes.shape[1]) < lengths[:, None])
    ones = np.ones(len(rows), dtype=np.int64)
    return csr_matrix((ones, (rows, codes[rows, places])), shape=(len(names), _SIGNS**3))


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
