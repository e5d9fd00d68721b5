"""The categories of `rune-classifier`: one rule each, as data, in the order of the reference page.

A condition grows from 0 to 1 between two values of one fact; a rule's score is the least of
its conditions, and of one less the score of each category that it stands back for (the
minimum and complement of fuzzy sets; Zadeh, 1965). A fact that the batch does not hold
scores 0: nothing is concluded from what is not known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Depth = Literal["basic", "standard", "detailed"]
DEPTHS: tuple[Depth, ...] = ("basic", "standard", "detailed")

Fact = Literal[
    "max_supply",
    "supply_units",
    "divisibility",
    "mintable",
    "cap",
    "premine",
    "premine_share",
    "mints",
    "mint_progress",
    "effective_receivers",
    "chained_share",
    "blocks_since",
    "blocks_past_end",
    "activity",
    "transfers",
    "largest_split",
    "holders",
    "top_share",
]
"""What a rule may ask of a rune; classify_facts.py computes each."""


@dataclass(frozen=True, slots=True)
class Condition:
    """0 at `none` or beyond it, 1 at `full` or beyond it, straight between; `log`: straight in
    the logarithm."""

    fact: Fact
    none: float
    full: float
    log: bool = False

    def degree(self, value: float | None) -> float:
        """How far the value meets it, 0 to 1; 0 where it is not known."""
        if value is None or math.isnan(value):
            return 0.0
        at, none, full = value, self.none, self.full
        if self.log:
            at, none, full = math.log(max(at, 1e-9)), math.log(none), math.log(full)
        return min(1.0, max(0.0, (at - none) / (full - none)))


@dataclass(frozen=True, slots=True)
class Category:
    """One category. `unless` names those that go before it."""

    name: str
    depth: Depth
    says: str
    conditions: tuple[Condition, ...]
    unless: tuple[str, ...] = field(default=())


SUPPLY = Condition("max_supply", 0, 1)
MINTABLE = Condition("mintable", 0, 1)
NOT_MINTABLE = Condition("mintable", 1, 0)

CATEGORIES: tuple[Category, ...] = (
    Category(
        "stillborn",
        "basic",
        "nothing of it can ever exist: no premine, and no mint that gives anything",
        (Condition("max_supply", 1, 0),),
    ),
    Category(
        "collectible",
        "standard",
        "at most some ten thousand pieces that cannot be divided",
        (
            SUPPLY,
            Condition("divisibility", 1, 0),
            Condition("supply_units", 100_000, 10_000, log=True),
        ),
    ),
    Category(
        "airdropped",
        "detailed",
        "all of it premined, then given to many at once",
        (NOT_MINTABLE, Condition("premine", 0, 1), Condition("largest_split", 10, 30)),
        ("collectible",),
    ),
    Category(
        "premine-only",
        "basic",
        "all of it was given to its etcher",
        (NOT_MINTABLE, Condition("premine", 0, 1)),
        ("collectible", "airdropped"),
    ),
    Category(
        "premine-heavy",
        "basic",
        "it can be minted, and its etcher got half of it or more",
        (MINTABLE, Condition("premine_share", 0.3, 0.5)),
        ("collectible",),
    ),
    Category(
        "part-premined",
        "basic",
        "it can be minted, and its etcher got a tenth to a third of it",
        (
            MINTABLE,
            Condition("premine_share", 0.05, 0.1),
            Condition("premine_share", 0.5, 0.3),
        ),
        ("collectible",),
    ),
    Category(
        "endless-mint",
        "standard",
        "more mints are allowed than anybody could make",
        (MINTABLE, Condition("cap", 10**9, 10**12, log=True)),
        ("collectible", "premine-heavy", "part-premined"),
    ),
    Category(
        "bot-minted",
        "standard",
        "few receivers took nearly all of its mints",
        (Condition("mints", 5, 20), Condition("effective_receivers", 16, 8)),
        ("collectible", "premine-heavy", "part-premined", "endless-mint"),
    ),
    Category(
        "minted-out",
        "standard",
        "every mint that it allows was made in this batch",
        (MINTABLE, Condition("mint_progress", 0.95, 1)),
        ("collectible", "premine-heavy", "part-premined", "endless-mint", "bot-minted"),
    ),
    Category(
        "dormant",
        "standard",
        "it can be minted, and hardly anybody did in the blocks since",
        (MINTABLE, Condition("blocks_since", 3, 12), Condition("activity", 6, 2)),
        ("collectible", "premine-heavy", "part-premined", "endless-mint", "minted-out"),
    ),
    Category(
        "closed",
        "detailed",
        "its time to mint ended before its cap was reached",
        (MINTABLE, Condition("blocks_past_end", -1, 0), Condition("mint_progress", 1, 0.95)),
        ("collectible", "premine-heavy", "part-premined", "bot-minted", "dormant"),
    ),
    Category(
        "whale-held",
        "detailed",
        "one holder has half of it or more",
        (MINTABLE, Condition("holders", 2, 5), Condition("top_share", 0.4, 0.5)),
        ("collectible", "premine-heavy", "bot-minted", "dormant", "closed"),
    ),
    Category(
        "fair-mint",
        "basic",
        "open to all, and its etcher kept a tenth of it at most",
        (MINTABLE, Condition("premine_share", 0.1, 0.05)),
        (
            *("collectible", "premine-heavy", "part-premined", "endless-mint", "bot-minted"),
            *("minted-out", "dormant", "closed", "whale-held"),
        ),
    ),
)
NAMES = frozenset(category.name for category in CATEGORIES)


class Bound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One condition of a category of the user's own: a fact between two values, both allowed."""

    feature: Fact
    atLeast: float | None = None
    atMost: float | None = None

    def __post_init__(self) -> None:
        if self.atLeast is None and self.atMost is None:
            raise ValueError("atLeast, atMost or both")

    def holds(self, value: float | None) -> bool:
        """Whether the value lies there; what is not known does not."""
        if value is None or math.isnan(value):
            return False
        above = self.atLeast is None or value >= self.atLeast
        return above and (self.atMost is None or value <= self.atMost)


class CustomCategory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A category of the user's own: it is met where all of its conditions are."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,39}$(?!\n)")]
    conditions: Annotated[list[Bound], Meta(min_length=1, max_length=10)]

    def __post_init__(self) -> None:
        if self.name in NAMES:
            raise ValueError("a name that no category of the table has")


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules make of one rune: the score of every category, in the table's order."""

    scores: Mapping[str, float]
    evidence: Mapping[str, list[dict[str, Any]]]

    def best(self) -> tuple[str, float]:
        """The category with the highest score; of equal ones the first."""
        name = max(self.scores, key=lambda one: self.scores[one])
        return name, self.scores[name]


def active(depth: Depth) -> list[Category]:
    """The categories of a depth and of those before it."""
    reach = DEPTHS.index(depth)
    return [one for one in CATEGORIES if DEPTHS.index(one.depth) <= reach]


def judge(
    facts: Mapping[str, float], categories: Sequence[Category], own: Sequence[CustomCategory] = ()
) -> Judged:
    """Score one rune by every rule. A category of the user's own goes before the table's."""
    scores: dict[str, float] = {}
    evidence: dict[str, list[dict[str, Any]]] = {}
    for each in own:
        met = [(bound.feature, bound.holds(facts.get(bound.feature))) for bound in each.conditions]
        scores[each.name] = float(all(held for _, held in met))
        evidence[each.name] = [_asked(fact, facts, float(held)) for fact, held in met]
    own_met = [name for name, score in scores.items() if score]
    for rule in categories:
        asked = [(one.fact, one.degree(facts.get(one.fact))) for one in rule.conditions]
        before = {name: scores[name] for name in (*own_met, *rule.unless) if scores.get(name)}
        left = [1.0 - score for score in before.values()]
        scores[rule.name] = round(min([*(degree for _, degree in asked), *left]), 9)
        evidence[rule.name] = [
            *(_asked(fact, facts, degree) for fact, degree in asked),
            *({"unless": name, "degree": round(1.0 - score, 9)} for name, score in before.items()),
        ]
    return Judged(scores, evidence)


def _asked(fact: str, facts: Mapping[str, float], degree: float) -> dict[str, Any]:
    value = facts.get(fact)
    known = None if value is None or math.isnan(value) else round(value, 9)
    return {"feature": fact, "value": known, "degree": round(degree, 9)}
