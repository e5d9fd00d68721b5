"""The simulator of Runes history, and the sample files that it makes.

`python -m workbench.runes.simulate --seed 7 --out data/samples` writes them anew, byte for
byte. Everything is made up, and says so: valid blocks of a regtest chain, not a record of
anything that happened.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from random import Random

import msgspec

from workbench.core.spent import spent_document
from workbench.runes.batch import Batch, Source, save_batch
from workbench.runes.simulation.plans import Span, draw_plans
from workbench.runes.simulation.world import NETWORK, SimulatedBlock, World
from workbench.runes.state import state_batch

SEED = 7
FIRST_HEIGHT = 1_200


class Scale(msgspec.Struct, frozen=True):
    """How much of a history is made. `payments` are plain transactions in each block;
    `activity` scales how often runes are minted and moved."""

    runes: int
    blocks: int
    wallets: int
    payments: int
    activity: float = 1.0


SMALL = Scale(runes=30, blocks=16, wallets=40, payments=3, activity=0.4)
LARGE = Scale(runes=2_500, blocks=144, wallets=500, payments=0, activity=0.14)
SINGLE = Scale(runes=260, blocks=16, wallets=300, payments=120)
"""Its last block but four is the raw sample block."""


def simulate(seed: int, scale: Scale) -> Iterator[SimulatedBlock]:
    """The blocks of a history, in order; the same seed and scale give the same bytes."""
    random = Random(seed)  # noqa: S311 - a simulation is meant to be repeatable
    span = Span(FIRST_HEIGHT, FIRST_HEIGHT + scale.blocks - 1, scale.wallets)
    plans = draw_plans(random, scale.runes, span, scale.activity)
    return World(random, plans, span, scale.payments).blocks()


def simulated_batch(seed: int, scale: Scale, *, id: str) -> Batch:
    """The history as a batch at the `state` level, computed from its raw blocks alone."""
    digest = sha256()
    raw_blocks = []
    for block in simulate(seed, scale):
        digest.update(block.raw)
        raw_blocks.append((block.raw, block.spent))
    producer = f"runes-workbench simulate (simulated, seed {seed})"
    source = Source(producer=producer, sha256=digest.hexdigest())
    return state_batch(raw_blocks, id=id, source=source, network=NETWORK)


def simulated_block(seed: int, scale: Scale = SINGLE) -> SimulatedBlock:
    """One busy block out of the middle of a history, with the outputs that it spends."""
    return next(islice(simulate(seed, scale), scale.blocks - 5, None))


def write_small(seed: int, folder: Path) -> list[Path]:
    """`small.json`: some 30 runes over two dozen blocks."""
    return [save_batch(simulated_batch(seed, SMALL, id="sample_small"), folder / "small.json")]


def write_large(seed: int, folder: Path) -> list[Path]:
    """`large.json.gz`: some 3,000 runes over a day of blocks."""
    return [save_batch(simulated_batch(seed, LARGE, id="sample_large"), folder / "large.json.gz")]


def write_block(seed: int, folder: Path) -> list[Path]:
    """`block-sim.bin`, a raw block, and `block-sim.spent.json.gz`, what it spends."""
    block = simulated_block(seed)
    raw, spent = folder / "block-sim.bin", folder / "block-sim.spent.json.gz"
    folder.mkdir(parents=True, exist_ok=True)
    raw.write_bytes(block.raw)
    spent.write_bytes(gzip.compress(spent_document(block.spent), mtime=0))
    return [raw, spent]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the samples of a seed into a folder."""
    parser = argparse.ArgumentParser(prog="python -m workbench.runes.simulate", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=Path("data/samples"))
    chosen = parser.parse_args(arguments)
    for write in (write_small, write_block, write_large):
        for path in write(chosen.seed, chosen.out):
            sys.stdout.write(f"{path}  {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
