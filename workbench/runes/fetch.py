"""A real block from a source to the data folder, believed only as far as it proves itself."""

from __future__ import annotations

import asyncio
import gzip
import os
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

from workbench.core.bitcoin import Block, check_block, difficulty, parse_block
from workbench.core.rune import Network
from workbench.core.spent import SpentOutput, spent_document
from workbench.errors import InputError

LEAST_DIFFICULTY: dict[Network, float] = {"mainnet": 1e12}
"""A hundredth of mainnet's when runes began: below it a block is cheap to forge."""


class Source(Protocol):
    """Where blocks come from: `chain.Esplora` or `chain.NodeRpc`."""

    async def block_hash(self, height: int) -> str: ...

    async def raw_block(self, block_hash: str) -> bytes: ...

    async def spent_outputs(
        self, block: Block, progress: Callable[[int, int], None]
    ) -> dict[str, SpentOutput]: ...


class Report(Protocol):
    """Told finished units over all units, with a sentence as template and values."""

    def __call__(
        self, done: float, total: float, template: str = "", /, **values: object
    ) -> None: ...


class FetchedBlock(NamedTuple):
    """The files of one block; `spent` is None where the spent outputs were not wanted."""

    block: Path
    spent: Path | None


async def fetch_block(
    source: Source,
    height: int,
    folder: Path,
    progress: Report,
    *,
    spent: bool = True,
    network: Network = "mainnet",
) -> FetchedBlock:
    """Fetch, check and store the block at `height` as `<height>_<first 8 of sha256>.bin`.

    `folder` is the data folder's `blocks`. Proof of work, Merkle root, witnesses, the
    height in the coinbase and the link to the block below are checked; the spent outputs
    cannot be, except that there is one for each input. `progress` is told hundredths.
    """
    progress(0, 100, "asking for block {height}", height=height)
    block_hash = await source.block_hash(height)
    below = await source.block_hash(height - 1) if height else "0" * 64
    raw = await source.raw_block(block_hash)
    progress(20, 100, "checking block {height}", height=height)
    block = await asyncio.to_thread(checked_block, raw, block_hash, height, network)
    if block.previous != below:
        raise InputError.field("the block below", block.previous, below)
    document = None
    if spent:

        def tell(done: int, total: int) -> None:
            progress(25 + 70 * done / total, 100, "fetching the outputs that it spends")

        document = _document(block, await source.spent_outputs(block, tell))
    stem = f"{height}_{sha256(raw).hexdigest()[:8]}"
    fetched = await asyncio.to_thread(_store, folder, stem, raw, document)
    progress(100, 100, "stored block {height}", height=height)
    return fetched


def checked_block(raw: bytes, block_hash: str, height: int, network: Network) -> Block:
    """The block that was asked for: its hash, work and height. Raises InputError."""
    block = parse_block(raw)
    if block.hash != block_hash:
        raise InputError.field("the block's hash", block.hash, block_hash)
    check_block(block)
    least = LEAST_DIFFICULTY.get(network, 0.0)
    if height >= 840_000 and difficulty(block.bits) < least:
        raise InputError.field("the block's difficulty", difficulty(block.bits), f"from {least:g}")
    if block.height != height:
        raise InputError.field("the height in the coinbase", block.height, str(height))
    return block


def _document(block: Block, found: dict[str, SpentOutput]) -> bytes:
    """The spent outputs as a document, one for each input but the coinbase's, in their order."""
    wanted = [put.outpoint for tx in block.transactions[1:] for put in tx.inputs]
    missing = [outpoint for outpoint in wanted if outpoint not in found]
    if missing:
        raise InputError(
            "the source lacks {count} of {wanted} spent outputs, the first is {outpoint}",
            count=len(missing),
            wanted=len(wanted),
            outpoint=missing[0],
        )
    return spent_document({outpoint: found[outpoint] for outpoint in wanted})


def _store(folder: Path, stem: str, raw: bytes, document: bytes | None) -> FetchedBlock:
    """Each file appears whole or not at all; the block last, for it is what people look for."""
    folder.mkdir(parents=True, exist_ok=True)
    path = None
    if document is not None:
        path = folder / f"{stem}.spent.json.gz"
        _write(path, gzip.compress(document, mtime=0))
    _write(folder / f"{stem}.bin", raw)
    return FetchedBlock(folder / f"{stem}.bin", path)


def _write(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        part = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
