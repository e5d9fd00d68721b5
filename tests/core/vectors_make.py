"""Writes tests/core/vectors/generated.json: our own encipher's scripts for seeded runestones.

Run it again only when the codec is meant to change: `python -m tests.core.vectors_make`.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from workbench.core.rune import MAX_DIVISIBILITY, MAX_SPACERS, MAX_U64, MAX_U128, RuneId
from workbench.core.runestone import Edict, Etching, Runestone, Terms, encipher

SEED = 20_260_401
CASES = 60
PATH = Path(__file__).parent / "vectors" / "generated.json"


def amount(random: Random, limit: int = MAX_U128) -> int:
    """Numbers of all lengths alike, with the edges of varints and words among them."""
    edges = [0, 127, 128, 2**64 - 1, 2**64, 2**100, 2**127, limit]
    number = random.choice(edges) if random.random() < 0.3 else random.getrandbits(128)
    return (
        min(number >> random.randrange(128), limit) if random.random() < 0.7 else min(number, limit)
    )


def maybe(random: Random, value: Any) -> Any:
    return value if random.random() < 0.6 else None


def etching(random: Random) -> Etching:
    half = 2**63 - 1
    terms = Terms(
        amount=maybe(random, amount(random, half)),
        cap=maybe(random, amount(random, half)),
        height=(maybe(random, amount(random, MAX_U64)), maybe(random, amount(random, MAX_U64))),
        offset=(maybe(random, amount(random, MAX_U64)), maybe(random, amount(random, MAX_U64))),
    )
    return Etching(
        divisibility=maybe(random, random.randint(0, MAX_DIVISIBILITY)),
        premine=maybe(random, amount(random, MAX_U128 - half * half)),
        rune=maybe(random, amount(random)),
        spacers=maybe(random, random.randint(0, MAX_SPACERS)),
        symbol=maybe(random, random.choice("$¤⧉🐕\x00\U0010ffff")),
        terms=maybe(random, terms),
        turbo=random.random() < 0.5,
    )


def runestone(random: Random, outputs: int) -> Runestone:
    ids = sorted(
        RuneId(random.choice([1, 840_000, MAX_U64]), random.randrange(2**32)) for _ in range(3)
    )
    edicts = tuple(
        Edict(id, amount(random), random.randint(0, outputs)) for id in ids[: random.randrange(4)]
    )
    return Runestone(
        edicts=edicts,
        etching=maybe(random, etching(random)),
        mint=maybe(random, RuneId(random.randint(1, MAX_U64), random.randrange(2**32))),
        pointer=maybe(random, random.randrange(outputs)),
    )


def cases() -> list[dict[str, Any]]:
    """Script first of `outputs` empty ones, and what it says. Amounts are decimal strings."""
    random = Random(SEED)
    made = []
    for _ in range(CASES):
        outputs = random.randint(1, 5)
        stone = runestone(random, outputs)
        script = encipher(stone).hex()
        made.append({"outputs": outputs, "script": script, "artifact": texts(stone.to_json())})
    return made


def texts(value: Any) -> Any:
    """JSON-ready, with integers beyond 53 bits as decimal strings."""
    if isinstance(value, dict):
        return {name: texts(each) for name, each in value.items()}
    if isinstance(value, list):
        return list(map(texts, value))
    return str(value) if isinstance(value, int) and value >= 2**53 else value


if __name__ == "__main__":
    document = {"seed": SEED, "how": "tests/core/vectors_make.py", "cases": cases()}
    PATH.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
