"""Seconds to read a 5,000-transaction block: transaction ids and every runestone in it.

The limit, measured in the same run, is the double SHA-256 that the ids need: nothing that
gives them can be faster. Aim: 0.25 s. The block is made here; where WORKBENCH_SHARED (or
../shared) has a real one of 5,131 transactions, that is measured too.

    python benchmarks/decode_block.py
"""

from __future__ import annotations

import lzma
import os
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random

from tests.core.blocks import P2TR, Put, block
from workbench.core.bitcoin import check_block, parse_block
from workbench.core.rune import RuneId
from workbench.core.runestone import Edict, Runestone, decipher, encipher

AIM_S = 0.25
TRANSACTIONS = 5_000
ROUNDS = 7
SEED = 849_250
ROOT = Path(__file__).parent.parent


def made_block(number: int = 0) -> bytes:
    """A coinbase and 4,999 transactions: mints, and one in five a transfer with two edicts."""
    random = Random(SEED + number)
    rune = RuneId(840_000, 3)
    mint = encipher(Runestone(mint=rune, pointer=0))
    moves = [
        encipher(Runestone(edicts=(Edict(rune, random.getrandbits(90), 1), Edict(rune, 0, 2))))
        for _ in range(TRANSACTIONS // 5)
    ]

    def spend(place: int) -> tuple[list[Put], list[tuple[int, bytes]]]:
        message = mint if place % 5 else moves[place // 5]
        puts: list[Put] = [
            (random.randbytes(32), 1, b"", [random.randbytes(64)]) for _ in range(1 + place % 2)
        ]
        return puts, [(546, P2TR), (546, random.randbytes(22)), (0, message)]

    return block(*map(spend, range(1, TRANSACTIONS)), height=849_250)


def decode(raw: bytes) -> int:
    """What is measured: the number of runestones and cenotaphs."""
    found = parse_block(raw)
    return sum(decipher(transaction.scripts) is not None for transaction in found.transactions)


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest round: the others only add what else the machine does."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def hash_all(parts: list[bytes]) -> None:
    for part in parts:
        sha256(sha256(part).digest()).digest()


def measure(name: str, raw: bytes) -> None:
    found = parse_block(raw)
    parts = [transaction.raw for transaction in found.transactions]
    took = best(lambda: decode(raw))
    limit = best(lambda: hash_all(parts))
    check = best(lambda: check_block(found))
    print(f"{name}: {len(parts)} transactions, {len(raw)} bytes, {decode(raw)} runestones")
    print(
        f"  decoded with ids    {took * 1000:7.1f} ms  ({took / AIM_S:.2f} of the aim, {AIM_S} s)"
    )
    print(f"  limit: hashing only {limit * 1000:7.1f} ms  (ratio {took / limit:.1f})")
    print(f"  proof of work, both roots {check * 1000:.1f} ms more")


def main() -> None:
    print(f"seed {SEED}, best of {ROUNDS}")
    measure("a block made here", made_block())
    shared = Path(os.environ.get("WORKBENCH_SHARED", ROOT.parent / "shared"))
    real = shared / "data" / "runes" / "blocks" / "849250.bin.xz"
    if real.exists():
        measure("block 849,250", lzma.decompress(real.read_bytes()))
    else:
        print(f"no real block at {real}: set WORKBENCH_SHARED to measure one")


if __name__ == "__main__":
    main()
