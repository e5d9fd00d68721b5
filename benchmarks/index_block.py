"""Transactions per second and core through the Runes index, raw bytes in, ids included.

Aim: 10,000. Measured are block 866,342 with the outputs that it spends (where WORKBENCH_SHARED
or ../shared has it) and blocks made here, each beside decoding alone, the part that no index
can leave out; then a long run with many balances, its snapshot and its restoration.

    python benchmarks/index_block.py
"""

from __future__ import annotations

import lzma
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

from tests.core.blocks import P2TR, Put, block, dsha, transaction
from workbench.core.bitcoin import Block, check_block, parse_block
from workbench.core.rune import RuneId
from workbench.core.runestone import Edict, Runestone, decipher, encipher
from workbench.core.spent import SpentOutput, read_spent
from workbench.runes import Index

AIM_PER_S = 10_000
ROUNDS = 7
SEED = 866_342
BUSY = 5_000
LONG_BLOCKS, LONG_TRANSACTIONS = 100, 3_000
GOODS = RuneId(1, 0)
PAY = b"\x00\x14" + bytes(20)
ROOT = Path(__file__).parent.parent


def best(work: Callable[[], object]) -> float:
    """CPU seconds of the fastest round: the others only add what else the machine does."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def decode(raw: bytes) -> Block:
    found = parse_block(raw)
    for one in found.transactions:
        decipher(one.scripts)
    return found


def indexed(raw: bytes, spent: Mapping[str, SpentOutput]) -> Index:
    """As `apply_block` does; a made-up block has not the work that mainnet wants."""
    index, block = Index("mainnet"), parse_block(raw)
    check_block(block)
    index.apply(block.height or 0, block.time, block.transactions, spent)
    return index


def measure(name: str, raw: bytes, spent: Mapping[str, SpentOutput]) -> None:
    count = len(decode(raw).transactions)
    decoding = best(lambda: decode(raw))
    indexing = best(lambda: indexed(raw, spent))
    index = indexed(raw, spent)
    rate = count / indexing
    print(f"{name}: {count} transactions, {len(raw)} bytes, {len(index.events)} events")
    print(f"  decoded only             {decoding * 1000:7.1f} ms")
    print(
        f"  checked and indexed      {indexing * 1000:7.1f} ms  "
        f"(ratio to decoding {indexing / decoding:.2f}; {rate:,.0f} transactions/s, "
        f"{rate / AIM_PER_S:.2f} of the aim, {AIM_PER_S:,}/s)"
    )


def busy_block() -> bytes:
    """Every transaction mints 1:0; every fifth spends the mint before it in two edicts."""
    random = Random(SEED)
    mint = encipher(Runestone(mint=GOODS, pointer=0))
    move = encipher(Runestone(edicts=(Edict(GOODS, 1, 1), Edict(GOODS, 0, 2))))
    spends: list[tuple[list[Put], list[tuple[int, bytes]]]] = []
    for place in range(1, BUSY):
        puts: list[Put] = [(random.randbytes(32), 1, b"", [random.randbytes(64)])]
        message = mint
        if place % 5 == 0:
            minted = dsha(transaction(*spends[-1], witness=False))
            puts, message = [(minted, 0, b"", [random.randbytes(64)])], move
        spends.append((puts, [(546, P2TR), (546, PAY), (0, message)]))
    return block(*spends, height=845_000)


def long_run() -> None:
    """Mints of 1:0, and in every block the spending of a tenth of the one before."""
    random = Random(SEED)
    mint = encipher(Runestone(mint=GOODS))
    index = Index("mainnet")
    before: list[bytes] = []
    took = 0.0
    for place in range(LONG_BLOCKS):
        raws, ids = [], []
        for number in range(LONG_TRANSACTIONS):
            puts: list[Put] = [(random.randbytes(32), 1, b"", [b""])]
            if before and number % 10 == 0:
                puts = [(before[number], 0, b"", [b""])]
            spend = (puts, [(546, P2TR), (0, mint)])
            raws.append(transaction(*spend, witness=True))
            ids.append(dsha(transaction(*spend, witness=False)))
        start = time.process_time()
        index.apply(840_000 + place, 1_713_571_767 + 600 * place, raws)
        took += time.process_time() - start
        before = ids
    held = len(index.balances())
    total = LONG_BLOCKS * LONG_TRANSACTIONS
    print(f"a long run: {LONG_BLOCKS} blocks, {total} transactions, {held} outputs held")
    print(f"  indexed at               {total / took:7,.0f} transactions/s")
    keep(index)


def keep(index: Index) -> None:
    """Snapshot, restoration and a reorganisation of the whole window."""
    start = time.process_time()
    snapshot = index.snapshot()
    dumped = time.process_time()
    again = Index.restore(snapshot)
    restored = time.process_time()
    index.rewind(840_000 + LONG_BLOCKS - 1 - 50)
    rewound = time.process_time()
    assert again.state_hash(index.height) == index.state_hash()
    print(f"  snapshot                 {dumped - start:7.2f} s, {len(snapshot) / 1e6:,.1f} MB")
    print(f"  restored and checked     {restored - dumped:7.2f} s")
    print(f"  50 blocks taken back     {rewound - restored:7.2f} s")


def main() -> None:
    print(f"seed {SEED}, best of {ROUNDS}, one core")
    shared = Path(os.environ.get("WORKBENCH_SHARED", ROOT.parent / "shared"))
    real = shared / "data" / "runes" / "blocks" / "866342.bin.xz"
    if real.exists():
        raw = lzma.decompress(real.read_bytes())
        puts = [put for one in parse_block(raw).transactions[1:] for put in one.inputs]
        document = real.with_name("866342_spent_utxos.json.gz").read_bytes()
        spent = read_spent(document, [put.outpoint for put in puts])
        measure("block 866,342", raw, spent)
        other = real.with_name("849250.bin.xz")
        measure("block 849,250 (nearly all mints of 1:0)", lzma.decompress(other.read_bytes()), {})
    else:
        print(f"no real block at {real}: set WORKBENCH_SHARED to measure one")
    measure("a block made here", busy_block(), {})
    long_run()


if __name__ == "__main__":
    main()
