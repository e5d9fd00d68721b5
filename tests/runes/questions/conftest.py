"""Batches that several questions are asked of."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.runes.batch import Batch, load_batch
from workbench.runes.block import read_block
from workbench.runes.raw import read_raw_block

SAMPLES = Path(__file__).parents[3] / "data" / "samples"


@pytest.fixture(scope="session")
def small() -> Batch:
    """A made-up history at the state level."""
    return load_batch(SAMPLES / "small.json")


@pytest.fixture(scope="session")
def block_batch() -> Batch:
    """One block, which knows what its messages asked for."""
    raw = (SAMPLES / "block-sim.bin").read_bytes()
    return read_block(raw, network="regtest").batch


@pytest.fixture(scope="session")
def block_849250(shared: Path) -> Batch:
    """A block of mainnet whose mints are known."""
    return read_block(read_raw_block(shared / "data/runes/blocks/849250.bin.xz")).batch
