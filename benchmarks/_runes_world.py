"""A made-up history of runes in numpy: skewed as the chain's is, and consistent to the unit.

What outputs hold is what was premined and minted less what was burned, for every rune and in
every transaction; amounts are exact, in two halves of 64 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RUNES = 210_000
LARGEST_SHARE = 0.15
MINTS, LATE, PREMINED, BURNED, JOINED, TO_ONESELF = 0.22, 0.01, 0.3, 0.03, 0.25, 0.6
FIRST_HEIGHT, PER_BLOCK = 840_000, 275
ETCH, MINT, TOO_LATE, MOVE = range(4)
PREMINE, BY_MINT, BY_EDICT, BY_DEFAULT = range(4)

Array = NDArray[np.generic]
U64 = np.uint64


@dataclass(slots=True)
class Rows:
    """Columns of one length, by name."""

    columns: dict[str, Array]

    def __getattr__(self, name: str) -> Array:
        return self.columns[name]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def take(self, places: Array) -> Rows:
        return Rows({name: column[places] for name, column in self.columns.items()})


def joined(parts: list[Rows]) -> Rows:
    """The rows of all parts, one after another."""
    names = parts[0].columns
    return Rows({name: np.concatenate([part.columns[name] for part in parts]) for name in names})


@dataclass(slots=True)
class World:
    """`transactions`: time, rune, kind. `lots` are outputs: maker and spender (-1: unspent) are
    places in `transactions`. `grants` is what one mint of each rune gives."""

    transactions: Rows
    lots: Rows
    burns: Rows
    grants: Rows
    premines: Rows
    holders: int


def made(events: int, seed: int) -> World:
    """About `events` events: etched, minted, transferred, burned."""
    random = np.random.default_rng(seed)
    runes = min(RUNES, max(events // 20, 10))
    holders = max(events // 10, 100)
    grants = _grants(random, runes)
    premined = random.random(runes) < PREMINED
    premines = Rows(
        {
            "high": np.where(premined, (grants.high << U64(10)) | (grants.low >> U64(54)), U64(0)),
            "low": np.where(premined, grants.low << U64(10), U64(0)),
        }
    )
    etched = random.random(runes) ** 2
    etched[0] = 0
    minted = _mints(random, etched, int(events * MINTS))
    late = _mints(random, etched, int(events * LATE), TOO_LATE)
    etches = _transactions(etched, np.arange(runes), ETCH)
    lots = [
        _lots(np.flatnonzero(premined), np.flatnonzero(premined), premines, PREMINE),
        _lots(runes + np.arange(len(minted)), minted.rune, grants.take(minted.rune), BY_MINT),
    ]
    for each in lots:
        each.columns["holder"] = _whose(random, holders, len(each))
    moves = (events - runes - int(premined.sum()) - 2 * len(minted)) // 2
    start = World(joined([etches, minted, late]), joined(lots), _none(), grants, premines, holders)
    return _moved(random, start, moves)


def _grants(random: np.random.Generator, runes: int) -> Rows:
    """One mint gives 10^8 to 10^13 units; of every 100th rune 2^70, of every 500th 2^101."""
    low = (10 ** random.integers(8, 14, runes)).astype(U64)
    high = np.zeros(runes, U64)
    high[2::100] = 2**6
    high[4::500] = 2**37
    return Rows({"high": high, "low": low})


def _mints(random: np.random.Generator, etched: Array, count: int, kind: int = MINT) -> Rows:
    weights = 1 / (np.arange(len(etched)) + 8.0) ** 1.05
    weights[0] = 0
    weights *= (1 - LARGEST_SHARE) / weights.sum()
    weights[0] = LARGEST_SHARE
    rune = random.choice(len(etched), count, p=weights / weights.sum())
    return _transactions(_after(random, etched[rune]), rune, kind)


def _after(random: np.random.Generator, time: Array) -> Array:
    """A later moment, mostly soon."""
    later: Array = time + (1 - time) * random.random(len(time)) ** 2
    return later


def _transactions(time: Array, rune: Array, kind: int) -> Rows:
    kinds = np.full(len(time), kind, np.int8)
    return Rows({"time": time, "rune": rune.astype(np.int32), "kind": kinds})


def _whose(random: np.random.Generator, holders: int, count: int) -> Array:
    """Few have very much: the density of the holders falls as x^(-2/3)."""
    return (holders * random.random(count) ** 3).astype(np.int32)


def _lots(maker: Array, rune: Array, amounts: Rows, cause: int, output: int = 0) -> Rows:
    count = len(maker)
    if len(amounts) != count:
        amounts = amounts.take(rune)
    return Rows(
        {
            "maker": maker.astype(np.int64),
            "spender": np.full(count, -1, np.int64),
            "rune": rune.astype(np.int32),
            "output": np.full(count, output, np.int8),
            "cause": np.full(count, cause, np.int8),
            "high": amounts.high,
            "low": amounts.low,
            "holder": np.zeros(count, np.int32),
        }
    )


def _none() -> Rows:
    whole = np.zeros(0, np.int64)
    return Rows({"tx": whole, "high": whole.astype(U64), "low": whole.astype(U64)})


def _moved(random: np.random.Generator, world: World, moves: int) -> World:
    """So many transfers: each spends one or two outputs of a rune and makes two, or burns one."""
    while moves > 0:
        unspent = np.flatnonzero(world.lots.spender < 0)
        chosen = unspent[random.random(len(unspent)) < min(0.4, 1.1 * moves / len(unspent))]
        moves -= _move(random, world, chosen[:moves])
    return world


def _move(random: np.random.Generator, world: World, chosen: Array) -> int:
    lots = world.lots
    chosen = chosen[np.argsort(lots.rune[chosen], kind="stable")]
    second = _seconds(random, lots.rune[chosen])
    first, other = chosen[~second], chosen[second]
    into = np.cumsum(~second)[second] - 1
    spender = len(world.transactions) + np.cumsum(~second) - 1
    lots.spender[chosen] = spender
    time = world.transactions.time[lots.maker[first]].copy()
    np.maximum.at(time, into, world.transactions.time[lots.maker[other]])
    high, low = lots.high[first].copy(), lots.low[first].copy()
    low[into] += lots.low[other]
    high[into] += lots.high[other] + (low[into] < lots.low[other])
    maker = len(world.transactions) + np.arange(len(first))
    _give(random, world, maker, Rows({"high": high, "low": low}), lots.take(first))
    rune = lots.rune[first]
    sent = _transactions(_after(random, time), rune, MOVE)
    world.transactions = joined([world.transactions, sent])
    return len(first)


def _seconds(random: np.random.Generator, rune: Array) -> Array:
    """Which of the chosen outputs is spent together with the one before it."""
    second = np.zeros(len(rune), bool)
    second[1::2] = (rune[1::2] == rune[: len(rune) - 1 : 2]) & (
        random.random(len(rune) // 2) < JOINED
    )
    return second


def _give(
    random: np.random.Generator, world: World, maker: Array, whole: Rows, spent: Rows
) -> None:
    """A part to somebody, the rest to the sender, to somebody else, or burned."""
    count = len(maker)
    by = random.integers(1, 5, count).astype(U64)
    part = Rows({"high": whole.high >> by, "low": (whole.low >> by) | (whole.high << (64 - by))})
    rest = Rows(
        {
            "high": whole.high - part.high - (whole.low < part.low),
            "low": whole.low - part.low,
        }
    )
    burned = random.random(count) < BURNED
    to = _lots(maker, spent.rune, part, BY_EDICT)
    to.columns["holder"] = _whose(random, world.holders, count)
    back = _lots(maker, spent.rune, rest, BY_DEFAULT, 1)
    own = random.random(count) < TO_ONESELF
    back.columns["holder"] = np.where(own, spent.holder, _whose(random, world.holders, count))
    world.lots = joined([world.lots, to, back.take(~burned)])
    gone = Rows({"tx": maker, **rest.columns}).take(burned)
    world.burns = joined([world.burns, gone])


def happened(world: World) -> Rows:
    """Events: their transactions, kinds and amounts; `output` is -1 where there is none."""
    minted = np.flatnonzero(world.transactions.kind == MINT)
    grants = world.grants.take(world.transactions.rune[minted])
    lots, burns = world.lots, world.burns
    etched = np.arange(len(world.grants))
    parts = [
        (etched, world.premines, -1),
        (minted, grants, -1),
        (lots.maker, lots, lots.output),
        (burns.tx, burns, 1),
    ]
    tx, amounts, outputs = zip(*parts, strict=True)
    lengths = [len(one) for one in tx]
    each = [np.broadcast_to(out, count) for out, count in zip(outputs, lengths, strict=True)]
    return Rows(
        {
            "tx": np.concatenate(tx),
            "kind": np.repeat(np.arange(4, dtype=np.int8), lengths),
            "high": np.concatenate([one.high for one in amounts]),
            "low": np.concatenate([one.low for one in amounts]),
            "output": np.concatenate(each).astype(np.int8),
        }
    )


def ints(amounts: Rows) -> list[int]:
    pairs = zip(amounts.high.tolist(), amounts.low.tolist(), strict=True)
    return [(high << 64) | low for high, low in pairs]


def names(random: np.random.Generator, count: int) -> list[str]:
    """Different names of 13 to 26 letters, of words that come again and again."""
    letters = "AEIOURSTLNMDCPGHBKYVWFZJXQ"
    lengths = random.integers(4, 8, 500)
    words = ["".join(random.choice(list(letters), length)) for length in lengths]
    found: dict[str, str] = {}
    while len(found) < count:
        parts = [words[place] for place in random.integers(0, len(words), 4)]
        parts = parts if len("".join(parts)) <= 26 and len(found) % 2 else parts[:3]
        if 13 <= len("".join(parts)) <= 26:
            found.setdefault("".join(parts), "•".join(parts))
    return list(found.values())


def spacers(name: str) -> int:
    found, place = 0, 0
    for letter in name:
        if letter == "•":
            found |= 1 << (place - 1)
        else:
            place += 1
    return found
