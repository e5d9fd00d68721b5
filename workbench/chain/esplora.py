"""Blocks from an Esplora server, such as mempool.space/api or one's own electrs.

Source of the paths: the API page of Blockstream's Esplora.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable

import msgspec
from tenacity import (
    AsyncRetrying,
    before_sleep_log,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from workbench.core.bitcoin import Block
from workbench.core.spent import SpentOutput
from workbench.errors import LinkError, ProtocolError, shown
from workbench.http import Http

log = logging.getLogger("workbench.chain")

PAGE = 25  # transactions that the server gives in one answer
AT_ONCE = 4
_HASH = re.compile(rb"[0-9a-f]{64}")
_HEIGHT = re.compile(rb"[0-9]{1,9}")
TRIES = 4
_MAX_BLOCK_BYTES = 4_100_000


class _Prevout(msgspec.Struct):
    scriptpubkey: str
    value: int


class _Vin(msgspec.Struct):
    txid: str
    vout: int
    is_coinbase: bool = False
    prevout: _Prevout | None = None


class _Tx(msgspec.Struct):
    txid: str
    vin: list[_Vin]


class Esplora:
    """One server by its address. Its spent outputs come without the height that made them."""

    def __init__(self, http: Http, url: str) -> None:
        self._http = http
        self._url = url.rstrip("/")

    async def tip(self) -> int:
        """The height of the server's best chain."""
        found = (await self._bytes("/blocks/tip/height", 1024)).strip()
        if not _HEIGHT.fullmatch(found):
            raise ProtocolError("the server names no height but {found}", found=shown(found))
        return int(found)

    async def block_hash(self, height: int) -> str:
        """The hash of the block at `height` in the server's best chain."""
        found = (await self._bytes(f"/block-height/{height}", 1024)).strip()
        if not _HASH.fullmatch(found):
            raise ProtocolError("the server names no block hash but {found}", found=shown(found))
        return found.decode()

    async def raw_block(self, block_hash: str) -> bytes:
        """The block's raw bytes, not yet checked."""
        return await self._bytes(f"/block/{block_hash}/raw", _MAX_BLOCK_BYTES)

    async def spent_outputs(
        self, block: Block, progress: Callable[[int, int], None]
    ) -> dict[str, SpentOutput]:
        """All outputs that `block` spends: one request for 25 transactions, 4 at a time."""
        starts = range(0, len(block.transactions), PAGE)
        spent: dict[str, SpentOutput] = {}
        room, done = asyncio.Semaphore(AT_ONCE), 0

        async def page(start: int) -> None:
            nonlocal done
            async with room:
                spent.update(await self._page(block.hash, start))
            done += 1
            progress(done, len(starts))

        try:
            async with asyncio.TaskGroup() as group:
                for start in starts:
                    group.create_task(page(start))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # the group has stopped the others
        return spent

    async def _page(self, block_hash: str, start: int) -> dict[str, SpentOutput]:
        body = await self._bytes(f"/block/{block_hash}/txs/{start}", 64 * 1024 * 1024)
        try:
            transactions = msgspec.json.decode(body, type=list[_Tx])
            return {
                f"{put.txid}:{put.vout}": SpentOutput(
                    bytes.fromhex(put.prevout.scriptpubkey), put.prevout.value
                )
                for transaction in transactions
                for put in transaction.vin
                if put.prevout
            }
        except (msgspec.DecodeError, ValueError) as error:
            raise ProtocolError(
                "the server's list of transactions cannot be read: {reason}", reason=str(error)
            ) from None

    async def _bytes(self, path: str, limit_bytes: int) -> bytes:
        """One answer; tried again after a failed link, for public servers turn callers away."""
        tries = AsyncRetrying(
            retry=retry_if_exception(_is_failed_link),
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential_jitter(multiplier=0.1),
            before_sleep=before_sleep_log(log, logging.INFO),
            reraise=True,
        )
        return await tries(self._http.get_bytes, self._url + path, limit_bytes=limit_bytes)


def _is_failed_link(error: BaseException) -> bool:
    return isinstance(error, LinkError) and not isinstance(error, ProtocolError)
