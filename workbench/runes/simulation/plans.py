"""What becomes of each simulated rune: six kinds of life, drawn before the first block.

A history is only worth clustering if its runes differ for reasons, so each kind has its
own terms, minters and movements. All numbers are made up; none is fitted to a real chain.
Only `random()` and exact arithmetic are used, so that every machine draws the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from workbench.core.rune import rune_number
from workbench.core.runestone import Etching, Terms

T = TypeVar("T")

CONFIRM_BLOCKS = 5
"""Blocks between a commitment and its reveal: 6 confirmations."""

KINDS = (("fair", 24), ("premined", 18), ("whale", 12), ("bot", 14), ("dead", 26), ("giant", 6))
"""Kinds of runes and their shares in percent."""

_WORDS = """
AMBER ANCHOR ARCADE ASTRAL BAMBOO BARREL BEACON BRONZE CANDLE CANYON CASTLE CEDAR CIRCUS COBALT
COMET COPPER CORAL COSMOS CRATER CRYSTAL DRAGON EMBER FALCON FOREST FOSSIL GALAXY GARDEN GINGER
GRANITE HARBOR HOLLOW ISLAND JAGUAR JUNGLE KERNEL LANTERN LEGEND LOTUS MAGNET MARBLE MEADOW
METEOR MIRROR MONSOON NEBULA NICKEL OASIS ONYX ORCHID OTTER PEBBLE PEPPER PLANET QUARTZ RABBIT
RAVEN RIVER ROCKET SADDLE SILVER SPIRIT SUMMIT THUNDER TIGER TIMBER TURTLE VELVET VIOLET WALNUT
WINTER ZEPHYR
"""
WORDS = tuple(_WORDS.split())
SYMBOLS = "¤★☂♞⚓✿❄⛵🜁🐢🌵🧭🪁"


@dataclass(frozen=True)
class Move:
    """Something planned for a rune at a height: `mint`, `transfer`, `airdrop` or `burn`."""

    height: int
    what: str
    wallet: int


@dataclass(frozen=True)
class Plan:
    """One rune's life. `commits` is False where nobody commits: its etching is ignored."""

    kind: str
    etching: Etching
    etcher: int
    height: int
    commits: bool = True
    moves: list[Move] = field(default_factory=list)


@dataclass(frozen=True)
class Span:
    """The heights of a history, and how many wallets live in it."""

    first: int
    last: int
    wallets: int


def draw_plans(random: Random, count: int, span: Span, activity: float = 1.0) -> list[Plan]:
    """The lives of `count` runes with names that no two share."""
    taken: set[str] = set()
    return [_plan(random, _name(random, taken), span, activity) for _ in range(count)]


def _name(random: Random, taken: set[str]) -> str:
    """A spaced name of 13 to 28 letters: such names are free from the first block on."""
    while True:
        name = "•".join(_pick(random, WORDS) for _ in range(3))
        if len(name) >= 15 and name not in taken:
            taken.add(name)
            return name


def _plan(random: Random, name: str, span: Span, activity: float) -> Plan:
    kind = _weighted(random)
    letters = name.replace("•", "")
    height = _between(random, span.first + CONFIRM_BLOCKS, max(span.first + 6, span.last - 2))
    etching = Etching(
        rune=rune_number(letters),
        spacers=_spacers(name),
        symbol=_pick(random, SYMBOLS) if random.random() < 0.8 else None,
        turbo=random.random() < 0.7,
        **_supply(random, kind, height),
    )
    plan = Plan(kind, etching, _wallet(random, span), height, commits=random.random() > 0.02)
    plan.moves.extend(_moves(random, plan, span, activity))
    return plan


def _supply(random: Random, kind: str, height: int) -> dict[str, Any]:
    """Divisibility, premine and terms, as the kind has them; amounts in atomic units."""
    places = _pick(random, (0, 0, 2, 5, 8))
    unit = 10**places
    if kind == "premined":
        return {"divisibility": places, "premine": _between(random, 1, 1000) * 10**6 * unit}
    if kind == "giant":
        premine = 2**127 + _between(random, 0, 2**100)
        terms = Terms(amount=2**100 + _between(random, 0, 2**64), cap=1000)
        return {"divisibility": 38, "premine": premine, "terms": terms}
    amount = _pick(random, (1, 100, 1000, 21_000)) * unit
    cap = {"fair": 2100, "whale": 50, "bot": 500, "dead": 10_000}[kind]
    cap = cap * _pick(random, (1, 2, 4, 8, 16)) // 4
    closing = kind == "fair" and random.random() < 0.3
    end = (None, _between(random, 4, 30)) if closing else (None, None)
    start = (height + 1, None) if random.random() < 0.2 else (None, None)
    premine = amount * cap * _between(random, 2, 20) if kind == "whale" else 0
    terms = Terms(amount=amount, cap=cap, height=start, offset=end)
    return {"divisibility": places, "premine": premine or None, "terms": terms}


def _moves(random: Random, plan: Plan, span: Span, activity: float) -> list[Move]:
    """What happens to the rune, in no order: counts are heavy-tailed, times decay."""
    counts = {
        "fair": (18, 6, 0.1),
        "premined": (0, 7, 1.0),
        "whale": (3, 2, 0.3),
        "bot": (22, 2, 0.0),
        "dead": (0.4, 0, 0.0),
        "giant": (4, 4, 0.4),
    }
    mints, transfers, airdrops = counts[plan.kind]
    heat = activity * min(0.35 / (1 - random.random()), 12.0)
    bots = [_wallet(random, span) for _ in range(1 + (random.random() < 0.3))]
    moves = []
    for _ in range(_about(random, mints * heat)):
        wallet = _pick(random, bots) if plan.kind == "bot" else _wallet(random, span)
        moves.append(Move(_later(random, plan, span, 6), "mint", wallet))
    for _ in range(_about(random, transfers * heat)):
        what = "burn" if random.random() < 0.04 else "transfer"
        moves.append(Move(_later(random, plan, span, 30), what, _wallet(random, span)))
    if random.random() < airdrops:
        moves.append(Move(plan.height + 1, "airdrop", plan.etcher))
    return [move for move in moves if move.height <= span.last]


def _later(random: Random, plan: Plan, span: Span, blocks: float) -> int:
    """A height after the etching, most of them soon: half of them within `blocks`."""
    chance = random.random()
    wait = blocks * chance / (1 - chance)
    return plan.height + 1 + int(wait) % max(1, span.last - plan.height)


def _weighted(random: Random) -> str:
    point = random.random() * sum(share for _, share in KINDS)
    for kind, share in KINDS:
        point -= share
        if point < 0:
            return kind
    return KINDS[-1][0]


def _wallet(random: Random, span: Span) -> int:
    """A wallet; a few are much busier than the others."""
    return int(span.wallets * random.random() * random.random())


def _about(random: Random, mean: float) -> int:
    return int(mean * 2 * random.random() + random.random())


def _between(random: Random, low: int, high: int) -> int:
    span = high - low + 1
    if span <= 2**53:
        return low + int(random.random() * span)
    return low + (int(random.random() * 2**53) * 2**53 + int(random.random() * 2**53)) % span


def _pick(random: Random, things: Sequence[T]) -> T:
    return things[int(random.random() * len(things))]


def _spacers(name: str) -> int:
    spacers = letters = 0
    for character in name:
        if character == "•":
            spacers |= 1 << (letters - 1)
        else:
            letters += 1
    return spacers
