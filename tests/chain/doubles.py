"""Doubles of an Esplora server and of a Bitcoin node, which serve one block from a real one."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from tests.http_server import Asked
from workbench.core.bitcoin import Block, parse_block
from workbench.core.spent import SpentOutput


class Chain:
    """One block with what it spends, and the hash of the block below."""

    def __init__(self, raw: bytes, spent: dict[str, SpentOutput]) -> None:
        self.raw, self.spent = raw, spent
        self.block: Block = parse_block(raw)
        self.height = self.block.height or 0
        self.hashes = {self.height: self.block.hash, self.height - 1: self.block.previous}


class EsploraDouble(Chain):
    """Speaks /block-height/:height, /block/:hash/raw and /block/:hash/txs/:start."""

    busy = 0
    """How many requests are turned away with 429 first."""

    def __call__(self, asked: Asked) -> None:
        if self.busy:
            self.busy -= 1
            asked.reply(b"Too Many Requests", 429)
            return
        match asked.path.split("/")[1:]:
            case ["api", "block-height", height] if int(height) in self.hashes:
                asked.reply(self.hashes[int(height)].encode(), Content_Type="text/plain")
            case ["api", "block", self.block.hash, "raw"]:
                asked.reply(self.raw, Content_Type="application/octet-stream")
            case ["api", "block", self.block.hash, "txs", start] if int(start) % 25 == 0:
                asked.reply(json.dumps(self.page(int(start))).encode())
            case _:
                asked.reply(b"Block not found", 404)

    def page(self, start: int) -> list[dict[str, Any]]:
        return [
            {"txid": transaction.txid, "vin": [self.vin(put) for put in transaction.inputs]}
            for transaction in self.block.transactions[start : start + 25]
        ]

    def vin(self, put: Any) -> dict[str, Any]:
        found = self.spent.get(put.outpoint)
        prevout = found and {"scriptpubkey": found.script.hex(), "value": found.value}
        return {
            "txid": put.txid,
            "vout": put.vout,
            "is_coinbase": put.vout == 0xFFFFFFFF,
            "prevout": prevout,
        }


class NodeDouble(Chain):
    """Speaks getblockhash and getblock at verbosity 0 and 3, behind user and password."""

    login = "Basic " + b64encode(b"user:hunter2").decode()

    def __call__(self, asked: Asked) -> None:
        if asked.headers.get("authorization") != self.login:
            asked.reply(b"", 401)
            return
        call = json.loads(asked.body)
        match [call["method"], *call["params"]]:
            case ["getblockhash", height] if height in self.hashes:
                self.answer(asked, self.hashes[height])
            case ["getblockhash", _]:
                fault = {"code": -8, "message": "Block height out of range"}
                self.answer(asked, None, fault, 500)
            case ["getblock", self.block.hash, 0]:
                self.answer(asked, self.raw.hex())
            case ["getblock", self.block.hash, 3]:
                self.answer(asked, {"tx": list(map(self.tx, self.block.transactions))})
            case _:
                fault = {"code": -5, "message": "Block not found"}
                self.answer(asked, None, fault, 500)

    def answer(self, asked: Asked, result: Any, fault: Any = None, status: int = 200) -> None:
        body = json.dumps({"result": Bitcoins.mark(result), "error": fault, "id": 0})
        asked.reply(Bitcoins.unmark(body), status, Content_Type="application/json")

    def tx(self, transaction: Any) -> dict[str, Any]:
        return {"txid": transaction.txid, "vin": [self.vin(put) for put in transaction.inputs]}

    def vin(self, put: Any) -> dict[str, Any]:
        found = self.spent.get(put.outpoint)
        if not found:
            return {"coinbase": put.script.hex()}
        prevout = {
            "height": found.height,
            "value": Bitcoins(found.value),
            "scriptPubKey": {"hex": found.script.hex()},
        }
        return {"txid": put.txid, "vout": put.vout, "prevout": prevout}


class Bitcoins(int):
    """Satoshi that the node prints as a bare decimal number with eight places."""

    @classmethod
    def mark(cls, value: Any) -> Any:
        if isinstance(value, cls):
            return f"@{value // 10**8}.{value % 10**8:08d}@"
        if isinstance(value, dict):
            return {name: cls.mark(each) for name, each in value.items()}
        return [cls.mark(each) for each in value] if isinstance(value, list) else value

    @staticmethod
    def unmark(body: str) -> bytes:
        return body.replace('"@', "").replace('@"', "").encode()


class Branch:
    """A chain of small blocks that can grow, lose its last ones, and be asked for.

    `gone` many requests are cut off without an answer first; `looked` is called at each one.
    `instead` answers everything in its place; `late` names heights and hashes that are not there.
    """

    looked: Callable[[], None] = staticmethod(lambda: None)
    instead: Callable[[Asked], None] | None = None
    late: frozenset[int | str] = frozenset()

    def __init__(self, *raws: bytes) -> None:
        self.raws = list(raws)
        self.gone = 0

    @property
    def first(self) -> int:
        return parse_block(self.raws[0]).height or 0

    @property
    def tip(self) -> int:
        return self.first + len(self.raws) - 1

    def hash_at(self, height: int) -> str | None:
        place = height - self.first
        if height in self.late:
            return None
        return parse_block(self.raws[place]).hash if 0 <= place < len(self.raws) else None

    def raw(self, block_hash: str) -> bytes | None:
        if block_hash in self.late:
            return None
        return next((raw for raw in self.raws if parse_block(raw).hash == block_hash), None)

    def is_cut(self, asked: Asked) -> bool:
        self.looked()
        if self.instead is not None:
            self.instead(asked)
            return True
        if self.gone:
            self.gone -= 1
            asked.close_connection = True
            asked.connection.shutdown(2)
            return True
        return False


class BranchNode(Branch):
    """A node's RPC over a branch: getblockcount, getblockhash, getblock at verbosity 0."""

    def __call__(self, asked: Asked) -> None:
        call = json.loads(asked.body)
        if self.is_cut(asked):
            return
        found: Any
        match [call["method"], *call["params"]]:
            case ["getblockcount"]:
                found = self.tip
            case ["getblockhash", height]:
                found = self.hash_at(height)
            case ["getblock", block_hash, 0]:
                raw = self.raw(block_hash)
                found = raw and raw.hex()
            case _:
                found = None
        code = -8 if call["method"] == "getblockhash" else -5
        fault = {"code": code, "message": "not found"} if found is None else None
        body = json.dumps({"result": found, "error": fault, "id": 0}).encode()
        asked.reply(body, 200 if fault is None else 500, Content_Type="application/json")


class BranchEsplora(Branch):
    """An Esplora server over a branch."""

    def __call__(self, asked: Asked) -> None:
        if self.is_cut(asked):
            return
        match asked.path.split("/")[1:]:
            case ["blocks", "tip", "height"]:
                found: bytes | None = str(self.tip).encode()
            case ["block-height", height]:
                named = self.hash_at(int(height))
                found = named and named.encode()  # type: ignore[assignment]
            case ["block", block_hash, "raw"]:
                found = self.raw(block_hash)
            case _:
                found = None
        if found is None:
            asked.reply(b"Block not found", 404)
        else:
            asked.reply(found)
