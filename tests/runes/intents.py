"""A generator of batches whose runes were made with an intent, and of the label of each.

The label is what its maker meant to do, decided before any number is drawn; nothing here knows a
rule of the models. Behaviour is noisy on purpose: fair launches have repeat minters and a
small premine, farms have strangers among them, dead launches a trial mint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

FIRST = 850_000
START = 1_720_000_000  # seconds since the epoch

Row = dict[str, Any]


def script(number: int) -> str:
    return f"5120{number:064x}"


class Made:
    """One batch under construction. Wallets below 10,000 are people, the others machines."""

    def __init__(self, seed: int, blocks: int = 144) -> None:
        self.random, self.blocks, self.count = Random(seed), blocks, 0
        self.rows: dict[str, list[Row]] = {
            name: [] for name in ("etchings", "mints", "allocations", "events", "balances")
        }
        self.labels: dict[str, str] = {}

    def person(self) -> int:
        return self.random.randrange(10_000)

    def etch(self, label: str, *, latest: int | None = None, **terms: Any) -> Row:
        random = self.random
        height = FIRST + random.randrange(self.blocks // 2 if latest is None else latest)
        name = "".join(
            random.choice("ABCDEFGHIJKLMNOPRSTUVW") for _ in range(random.randint(13, 24))
        )
        place = self._place(height)
        row = {
            "rune_id": f"{height}:{place['tx_index']}",
            "name": name,
            "spaced_name": name,
            "symbol": None,
            "divisibility": random.choice((0, 0, 2, 5, 8)),
            "spacers": 0,
            "premine": 0,
            "amount": None,
            "cap": None,
            **dict.fromkeys(("height_start", "height_end", "offset_start", "offset_end")),
            "turbo": random.random() < 0.6,
            "cenotaph": False,
            "commitment": "unknown",
            **terms,
            **place,
        }
        row["terms"] = row["amount"] is not None or row["cap"] is not None
        self.rows["etchings"].append(row)
        self.labels[row["rune_id"]] = label
        self._event(place, row, "etched")
        return row

    def mint(self, rune: Row, receiver: int, height: int | None = None) -> None:
        place = self._place(self.later(rune) if height is None else height)
        fee = int(400 * 2 ** self.random.gauss(0, 1))
        more = {"receiver": script(receiver), "address": None, "fee_sat": fee, "credited": None}
        self.rows["mints"].append({**place, "rune_id": rune["rune_id"], **more})
        self._event(place, rune, "minted")

    def move(self, rune: Row, receivers: Sequence[int], height: int | None = None) -> None:
        place = self._place(self.later(rune) if height is None else height)
        for output, one in enumerate(receivers):
            where = {"output": output, "script": script(one), "address": None}
            more = {"rune_id": rune["rune_id"], "amount": None, "cause": "edict"}
            self.rows["allocations"].append({**place, **where, **more})
        self._event(place, rune, "transferred")

    def later(self, rune: Row) -> int:
        left = FIRST + self.blocks - 1 - rune["height"]
        return int(rune["height"] + 1 + min(left - 1, self.random.expovariate(1 / 20)))

    def _place(self, height: int) -> Row:
        self.count += 1
        return {"height": height, "tx_index": self.count, "txid": f"{self.count:064x}"}

    def _event(self, place: Row, rune: Row, kind: str) -> None:
        more = {"amount": None, "output": None, "cause": None}
        self.rows["events"].append({**place, "kind": kind, "rune_id": rune["rune_id"], **more})

    def document(self) -> dict[str, Any]:
        """The batch as JSON has it."""
        etchings = [
            {**row, **{name: None if row[name] is None else str(row[name]) for name in AMOUNTS}}
            for row in self.rows["etchings"]
        ]
        blocks = [block(FIRST + number, START + 600 * number) for number in range(self.blocks)]
        return {
            "schema": "runes-batch/1",
            "id": "intents",
            "network": "mainnet",
            "source": {"producer": "tests, made up"},
            "units": "atomic",
            "completeness": "state" if self.rows["balances"] else "runestone",
            "first_height": FIRST,
            "last_height": FIRST + self.blocks - 1,
            "tables": {"blocks": blocks, **self.rows, "etchings": etchings},
        }


AMOUNTS = ("premine", "amount", "cap")


def block(height: int, time_s: int) -> Row:
    from datetime import UTC, datetime

    return {
        "height": height,
        "hash": f"{height:064x}",
        "mined_at": datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "transactions": 3000,
        "size_bytes": 1_500_000,
        "weight": 3_990_000,
        "subsidy_sat": 312_500_000,
        "coinbase_sat": 315_000_000,
        "fees_sat": None,
    }


def team(made: Made) -> None:
    """A team that keeps all of it and moves a little."""
    rune = made.etch("premine-only", premine=made.random.randrange(10**9, 10**15) * 10**8)
    for _ in range(made.random.randint(0, 6)):
        made.move(rune, [made.person() for _ in range(made.random.randint(1, 3))])


def art(made: Made) -> None:
    """A collection of numbered pieces: few, whole, and one each."""
    pieces = made.random.choice((21, 100, 333, 1000, 2222, 5000, 8888, 10_000, 15_000))
    if made.random.random() < 0.5:
        rune = made.etch("collectible", divisibility=0, premine=pieces)
    else:
        rune = made.etch("collectible", divisibility=0, amount=1, cap=pieces)
        for _ in range(made.random.randint(0, min(60, pieces - 1))):
            made.mint(rune, made.person())
    for _ in range(made.random.randint(0, 5)):
        made.move(rune, [made.person()])


def crowd(made: Made) -> None:
    """A launch that is open to all, and many came; some came more than once."""
    amount = made.random.choice((10**6, 10**9, 10**12)) * 10**8
    cap = made.random.choice((2100, 21_000, 100_000))
    share = made.random.uniform(0, 0.03) if made.random.random() < 0.25 else 0
    rune = made.etch("fair-mint", amount=amount, cap=cap, premine=int(amount * cap * share))
    people: list[int] = []
    for _ in range(made.random.randint(15, 250)):
        again = people and made.random.random() < 0.15
        people.append(made.random.choice(people) if again else made.person())
        made.mint(rune, people[-1])
    for _ in range(made.random.randint(0, 20)):
        made.move(rune, [made.person()])


def insiders(made: Made) -> None:
    """A team that takes most of it and leaves a mint for show."""
    amount, cap = 10**9 * 10**8, made.random.choice((100, 1000, 10_000))
    share = made.random.uniform(0.42, 0.97)
    premine = int(amount * cap * share / (1 - share))
    rune = made.etch("premine-heavy", amount=amount, cap=cap, premine=premine)
    for _ in range(made.random.randint(0, 40)):
        made.mint(rune, made.person())


def farm(made: Made) -> None:
    """A launch that one or few machines take, many mints to a block; a few strangers join."""
    rune = made.etch("bot-minted", amount=10**8 * 10**8, cap=made.random.choice((5000, 50_000)))
    machines = [10_000 + made.random.randrange(10**6) for _ in range(made.random.randint(1, 9))]
    strangers = made.random.uniform(0, 0.15)
    height = rune["height"] + 1
    for _ in range(made.random.randint(40, 300)):
        if made.random.random() < strangers:
            made.mint(rune, made.person())
        else:
            made.mint(rune, made.random.choice(machines), height)
        if made.random.random() < 0.04:
            height = min(height + 1, FIRST + made.blocks - 1)


def dead(made: Made) -> None:
    """A launch that nobody came to but, perhaps, its maker for a trial."""
    cap = made.random.choice((1000, 21_000, 10**6))
    rune = made.etch("dormant", latest=made.blocks // 3, amount=10**8 * 10**8, cap=cap)
    for _ in range(made.random.choice((0, 0, 0, 1, 2, 3, 4))):
        made.mint(rune, 10_000, rune["height"] + 1)


def sold_out(made: Made) -> None:
    """A small launch that people took to its end; some came too late."""
    cap = made.random.randint(40, 150)
    rune = made.etch("minted-out", latest=made.blocks // 3, amount=10**6 * 10**8, cap=cap)
    for _ in range(cap + made.random.randint(0, 10)):
        made.mint(rune, made.person())


def endless(made: Made) -> None:
    """A mint without an end that anybody could reach."""
    cap = made.random.choice((2**128 - 1 >> 50, 10**15, 10**18))
    rune = made.etch("endless-mint", amount=made.random.choice((1, 1000)), cap=cap)
    for _ in range(made.random.randint(20, 150)):
        made.mint(rune, made.person() % made.random.choice((300, 10_000)))


def stillborn(made: Made) -> None:
    """An etching by mistake: nothing of it can ever exist."""
    what: Row = made.random.choice(
        ({"cenotaph": True}, {"amount": 0, "cap": 1000}, {"amount": 1000, "cap": 0}, {})
    )
    made.etch("stillborn", **what)


def airdrop(made: Made) -> None:
    """A team that gives its premine to many people at once."""
    rune = made.etch("airdropped", premine=made.random.randrange(10**9, 10**12) * 10**8)
    for _ in range(made.random.randint(1, 4)):
        made.move(rune, [made.person() for _ in range(made.random.randint(20, 120))])


STANDARD: tuple[Callable[[Made], None], ...] = (
    *(team, art, crowd, insiders, farm, dead, sold_out, endless, stillborn),
)
DETAILED = (*STANDARD, airdrop)


def made(
    seed: int, each: int, intents: Sequence[Callable[[Made], None]] = STANDARD
) -> tuple[dict[str, Any], dict[str, str]]:
    """A batch with `each` runes of every intent, and the label of every rune id."""
    batch = Made(seed)
    for intent in intents:
        for _ in range(each):
            intent(batch)
    return batch.document(), batch.labels
