"""Blocks from a Bitcoin node's own JSON-RPC, with the outputs that they spend.

Source: Bitcoin Core's `help getblock`; verbosity 3 (since 23.0) gives the spent outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

from workbench.core.bitcoin import COIN, Block
from workbench.core.spent import SpentOutput
from workbench.errors import InputError, LinkError, Missing, ProtocolError, WorkbenchError
from workbench.http import Http

T = TypeVar("T")
_MAX_BLOCK_BYTES = 4_100_000
_MAX_VERBOSE_BYTES = 256 * 1024 * 1024
_WARMING_UP = -28
_NOT_THERE = frozenset({("getblockhash", -8), ("getblock", -5)})
"""What a node says of a height or a block that its chain does not have."""


class _Fault(msgspec.Struct):
    code: int
    message: str


class _Answer(msgspec.Struct, Generic[T]):
    result: T | None = None
    error: _Fault | None = None


class _Script(msgspec.Struct):
    hex: str


class _Prevout(msgspec.Struct):
    height: int
    value: Decimal  # in bitcoin, as a decimal number: a float would not be exact
    scriptPubKey: _Script


class _Vin(msgspec.Struct):
    txid: str | None = None
    vout: int | None = None
    prevout: _Prevout | None = None


class _Tx(msgspec.Struct):
    vin: list[_Vin]


class _Verbose(msgspec.Struct):
    tx: list[_Tx]


class NodeRpc:
    """One node by its address, `http://user:password@127.0.0.1:8332`."""

    def __init__(self, http: Http, url: str) -> None:
        self._http = http
        self._url = url

    async def tip(self) -> int:
        """The height of the node's best chain."""
        return await self._call(int, 1024, "getblockcount")

    async def block_hash(self, height: int) -> str:
        """The hash of the block at `height` in the node's best chain."""
        return await self._call(str, 1024 * 1024, "getblockhash", height)

    async def raw_block(self, block_hash: str) -> bytes:
        """The block's raw bytes, not yet checked."""
        text = await self._call(str, 2 * _MAX_BLOCK_BYTES + 1024, "getblock", block_hash, 0)
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise ProtocolError("the node's block is no hexadecimal text") from None

    async def spent_outputs(
        self, block: Block, progress: Callable[[int, int], None]
    ) -> dict[str, SpentOutput]:
        """All outputs that `block` spends, in one answer of some 20 MB."""
        verbose = await self._call(_Verbose, _MAX_VERBOSE_BYTES, "getblock", block.hash, 3)
        progress(1, 1)
        try:
            return {
                f"{put.txid}:{put.vout}": _spent(put.prevout)
                for transaction in verbose.tx
                for put in transaction.vin
                if put.prevout
            }
        except ValueError:
            raise ProtocolError("a script in the node's block is no hexadecimal text") from None

    async def _call(self, shape: type[T], limit_bytes: int, method: str, *params: object) -> T:
        body = await self._http.post_rpc(self._url, method, *params, limit_bytes=limit_bytes)
        try:
            answer = msgspec.json.decode(body, type=_Answer[shape])  # type: ignore[valid-type]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProtocolError(
                "the node's answer to {method} cannot be read: {reason}",
                method=method,
                reason=str(error),
            ) from None
        if answer.error:
            raise _refusal(method, answer.error)
        if answer.result is None:
            raise ProtocolError("the node's answer to {method} is empty", method=method)
        return answer.result


def _refusal(method: str, fault: _Fault) -> WorkbenchError:
    """What the node's own error is for the caller: one to wait out, or to look elsewhere for."""
    if fault.code == _WARMING_UP:
        return LinkError("the node is still starting: {reason}", reason=fault.message)
    kind = Missing if (method, fault.code) in _NOT_THERE else InputError
    return kind(
        "the node refuses {method}: {reason} (code {code})",
        method=method,
        reason=fault.message,
        code=fault.code,
    )


def _spent(prevout: _Prevout) -> SpentOutput:
    return SpentOutput(
        bytes.fromhex(prevout.scriptPubKey.hex), int(prevout.value * COIN), prevout.height
    )
