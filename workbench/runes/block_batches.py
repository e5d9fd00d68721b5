"""Raw blocks in files as one batch: what the protocol honoured, or what messages asked for.

The first where the blocks begin at the start of the runes or follow an index, else the second.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pyarrow as pa

from workbench.core.bitcoin import parse_block
from workbench.core.rune import first_rune_height
from workbench.core.spent import SpentOutput, read_spent
from workbench.errors import InputError
from workbench.runes.batch import Batch, Source
from workbench.runes.block import read_block
from workbench.runes.block_files import BlockChain
from workbench.runes.documents import Progress
from workbench.runes.index import WINDOW, Index
from workbench.runes.records import RECORDS
from workbench.runes.state import state_batch
from workbench.runes.tables import TABLES

PRODUCER = "runes-workbench blocks"


def blocks_batch(
    chain: BlockChain,
    *,
    from_start: bool | None = None,
    onto: Index | None = None,
    progress: Progress | None = None,
) -> Batch:
    """The blocks of `chain` as a batch.

    It is at the `state` level where the chain begins at or below the network's first block of
    runes; `from_start` says so of one of which it is true though nothing shows it (nobody held
    runes before). With `onto`, an index that ends with the block before, it is at the `state`
    level too, and says so where that state was taken over. Else it is at the `runestone` level.
    `progress` is told blocks. Raises InputError for a block that does not prove itself, naming
    its height.
    """
    if from_start is None:
        from_start = onto is not None or chain.first_height <= first_rune_height(chain.network)
    batch = _batch(chain, from_start, onto, progress)
    RECORDS.read(batch.id, batch.source.sha256)
    return batch


def _batch(
    chain: BlockChain, from_start: bool, onto: Index | None, progress: Progress | None
) -> Batch:
    digest = hashlib.sha256()
    blocks = _told(chain, digest, progress)
    if not from_start:
        return _messages(chain, blocks, digest)
    source = Source(producer=PRODUCER)
    # Blocks before the first runes only say which outputs a commitment may spend.
    batch = state_batch(blocks, id="blocks", source=source, network=chain.network, onto=onto)
    return _named(batch, digest.hexdigest())


def useful(chain: BlockChain) -> BlockChain:
    """Without the blocks that no rune of the network can have anything to do with."""
    return chain.part(first=min(first_rune_height(chain.network) - WINDOW, chain.last_height))


def _told(
    chain: BlockChain, digest: Any, progress: Progress | None
) -> Iterator[tuple[bytes, Mapping[str, SpentOutput] | None]]:
    for done, (height, raw, document) in enumerate(chain, start=1):
        digest.update(hashlib.sha256(raw).digest())
        try:
            block = parse_block(raw)
        except InputError as error:
            path = chain.records[done - 1].path.name
            raise InputError("{path}: {reason}", path=path, reason=str(error)) from None
        if block.height != height:
            raise InputError.field(f"the height of block {block.hash}", block.height, str(height))
        puts = [put.outpoint for tx in block.transactions[1:] for put in tx.inputs]
        yield raw, None if document is None else read_spent(document, puts)
        if progress:
            progress(done, len(chain))


def _messages(
    chain: BlockChain,
    blocks: Iterator[tuple[bytes, Mapping[str, SpentOutput] | None]],
    digest: Any,
) -> Batch:
    """Each block by itself, one after another."""
    batches = [read_block(raw, spent, network=chain.network).batch for raw, spent in blocks]
    if len(batches) == 1:
        return batches[0]
    tables = {name: pa.concat_tables([batch.tables[name] for batch in batches]) for name in TABLES}
    batch = Batch(
        id="blocks",
        network=chain.network,
        source=Source(producer=PRODUCER),
        completeness="runestone",
        first_height=chain.first_height,
        last_height=chain.last_height,
        tables=tables,
    )
    return _named(batch, digest.hexdigest())


def _named(batch: Batch, digest: str) -> Batch:
    source = msgspec.structs.replace(batch.source, sha256=digest)
    return dataclasses.replace(batch, id=f"b{batch.last_height}_{digest[:8]}", source=source)
