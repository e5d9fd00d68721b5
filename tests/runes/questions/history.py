"""Made-up histories of one rune, with who held what after each block counted forwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pyarrow as pa

from tests.runes.questions.hand import ASH, txid
from tests.runes.questions.rows import table

FIRST, BLOCKS = 900, 6
SCRIPTS = ("6161", "6162", "6163", "6164")


@dataclass
class History:
    """`held[h]` is what each script has after block h, `moves` each transaction as
    (inputs, outputs, minted, burned) with inputs and outputs by script."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    lots: list[dict[str, Any]] = field(default_factory=list)
    held: dict[int, Counter[str]] = field(default_factory=dict)
    moves: list[tuple[int, Counter[str], Counter[str], int, int]] = field(default_factory=list)

    def add(self, name: str, **row: Any) -> None:
        self.rows.setdefault(name, []).append({"rune_id": ASH, **row})

    def tables(self) -> dict[str, pa.Table]:
        """As a batch has them; the unspent outputs are its balances."""
        made = sum(minted for *_, minted, _ in self.moves)
        burned = sum(burned for *_, burned in self.moves)
        entry = {"mints": 0, "supply": made, "burned": burned}
        rows = {**self.rows, "balances": self.lots, "entries": [entry]}
        rows["blocks"] = [{"height": FIRST + n, "mined_at": n * 86_400} for n in range(BLOCKS)]
        return {name: table(name, *some) for name, some in rows.items() if some}


def history(seed: int, most: int = 2**120) -> History:
    """A history of few holders, whose amounts go up to `most` for one mint."""
    random, made = Random(seed), History()
    for height in range(FIRST, FIRST + BLOCKS):
        for index in range(random.randrange(4)):
            _transact(made, random, height, index, most)
        made.held[height] = Counter()
        for lot in made.lots:
            made.held[height][lot["script"]] += lot["amount"]
    return made


def _transact(made: History, random: Random, height: int, index: int, most: int) -> None:
    place = {"height": height, "tx_index": index, "txid": txid(height, index)}
    spent = random.sample(made.lots, random.randint(0, len(made.lots)))
    minted = random.randint(1, most) if random.random() < 0.5 else 0
    came: Counter[str] = Counter()
    for lot in spent:
        made.lots.remove(lot)
        came[lot["script"]] += lot["amount"]
        made.add("inputs", **place, **lot)
    if minted:
        made.add("events", **place, kind="minted", amount=minted)
    left, went = came.total() + minted, Counter[str]()
    for output in range(random.randint(1, 3)):
        part = random.choice([random.randint(0, left), left])
        if not part:
            continue
        left -= part
        script = random.choice(SCRIPTS)
        went[script] += part
        made.add("allocations", **place, output=output, script=script, amount=part, cause="edict")
        made.add("events", **place, kind="transferred", amount=part, output=output)
        outpoint = f"{place['txid']}:{output}"
        lot = {"outpoint": outpoint, "script": script, "amount": part, "created_height": height}
        made.lots.append(lot)
    if left:
        made.add("events", **place, kind="burned", amount=left, cause="op-return")
    made.moves.append((height, came, went, minted, left))
