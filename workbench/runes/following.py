"""An index kept at the tip of the chain: block by block, through reorganisations and lost links.

async for step in runes.follow(source, index):
    print(step)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple, Protocol

from workbench.core.bitcoin import Block
from workbench.core.rune import first_rune_height
from workbench.core.spent import SpentOutput
from workbench.errors import InputError, LinkError, Missing, ProtocolError
from workbench.runes.fetch import checked_block
from workbench.runes.index import Index

POLL_S = 15.0
"""How often a source is asked that cannot ring."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0


class Source(Protocol):
    """Where blocks come from: `chain.NodeRpc` or `chain.Esplora`.

    Raises errors.Missing for a block that its chain does not have, or does not have yet.
    """

    async def tip(self) -> int: ...

    async def block_hash(self, height: int) -> str: ...

    async def raw_block(self, block_hash: str) -> bytes: ...

    async def spent_outputs(
        self, block: Block, progress: Callable[[int, int], None]
    ) -> dict[str, SpentOutput]: ...


class Bell(Protocol):
    """Rings when the source may have a new block: `chain.NodeZmq`."""

    async def wait(self, timeout_s: float) -> bool: ...


class Taken(NamedTuple):
    """A block that the index took, with what happened in it (as `Index.apply` gives it)."""

    height: int
    hash: str
    events: list[dict[str, Any]]


class TakenBack(NamedTuple):
    """A block that the index gave back, for the chain left it."""

    height: int
    hash: str


class Away(NamedTuple):
    """The source could not be reached; it is asked again after `wait_s`."""

    reason: str
    wait_s: float


Step = Taken | TakenBack | Away


async def follow(
    source: Source,
    index: Index,
    *,
    start: int | None = None,
    bell: Bell | None = None,
    poll_s: float = POLL_S,
) -> AsyncIterator[Step]:
    """Apply every new block of the source's best chain to `index`, without an end.

    An index without a block begins at `start`, else at the network's first block of runes.
    What a block spends is only asked for where an etching would be in doubt without it.
    `bell` cuts the waiting of `poll_s` short. A link that fails, a node that is starting, and
    a block that the source names and does not give yet, are Away and tried again; so is an
    answer out of shape of a source that answered well before, for a proxy may stand in its
    place. A reorganisation gives TakenBack for each block and then the new ones. To go on
    after a stop, restore the index's snapshot and follow again.

    Raises InputError for a block that does not prove itself, a source that refuses, and a
    reorganisation deeper than the index's window, ProtocolError for what is no such source;
    the index then stands at its last block.
    """
    if index.height is not None and index.block_hash is None:
        raise InputError("the index does not know its last block's hash: build it by apply_block()")
    first = start if index.first_height is None else index.first_height
    follower = _Follower(
        source, index, first_rune_height(index.network) if first is None else first
    )
    wait_s = FIRST_WAIT_S
    while True:
        try:
            async for step in follower.catch_up():
                wait_s = FIRST_WAIT_S
                yield step
        except (LinkError, Missing) as error:
            if isinstance(error, ProtocolError | Missing) and not follower.answered:
                raise
            yield Away(str(error), wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            continue
        if bell is None:
            await asyncio.sleep(poll_s)
        else:
            await bell.wait(poll_s)


class _Follower:
    """One index on its way along one source."""

    def __init__(self, source: Source, index: Index, start: int) -> None:
        self._source = source
        self._index = index
        self._start = start
        self.answered = False

    async def catch_up(self) -> AsyncIterator[Taken | TakenBack]:
        """What it takes to stand at the tip that the source has now.

        Between the tip and its block a chain may turn, and of several servers behind one
        address one may be late: a block that is not there is looked for again.
        """
        while True:
            tip = await self._source.tip()
            self.answered = True
            async for back in self._go_back(tip):
                yield back
            following = self._start if self._index.height is None else self._index.height + 1
            if following > tip:
                return
            taken = await self._take(following)
            if taken is None:
                return  # the chain moved meanwhile: the next look sees where to
            yield taken

    async def _go_back(self, tip: int) -> AsyncIterator[TakenBack]:
        """Give back the blocks that the source's chain does not have. A source that is merely
        behind, with the same blocks, changes nothing."""
        while (height := self._index.height) is not None and (hash := self._index.block_hash):
            if height > tip:
                if not await self._has_left(tip):
                    return
            elif await self._source.block_hash(height) == hash:
                return
            await asyncio.to_thread(self._index.rewind, height - 1)
            yield TakenBack(height, hash)

    async def _has_left(self, tip: int) -> bool:
        """Whether the block at `tip`, below the index's last one, is another than the index's."""
        known = self._index.hash_at(tip)
        return known is not None and await self._source.block_hash(tip) != known

    async def _take(self, height: int) -> Taken | None:
        """Apply the block at `height`; None where the chain is no longer the one looked at."""
        block_hash = await self._source.block_hash(height)
        raw = await self._source.raw_block(block_hash)
        network = self._index.network
        block = await asyncio.to_thread(checked_block, raw, block_hash, height, network)
        below = self._index.block_hash
        if below is not None and block.previous != below:
            return None
        return Taken(height, block_hash, await self._applied(raw, block, height))

    async def _applied(self, raw: bytes, block: Block, height: int) -> list[dict[str, Any]]:
        index, before = self._index, len(self._index.doubts)
        events = await asyncio.to_thread(index.apply_block, raw)
        if len(index.doubts) == before:
            return events
        await asyncio.to_thread(index.rewind, height - 1)
        spent = await self._source.spent_outputs(block, lambda done, total: None)
        return await asyncio.to_thread(index.apply_block, raw, spent)
