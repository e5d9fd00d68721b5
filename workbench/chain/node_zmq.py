"""The bell of a Bitcoin node: it rings when the node has a new block.

Source: Bitcoin Core, doc/zmq.md. Its messages may be lost and are signed by nobody, so
nothing in them is believed: they only say that it is time to ask the node.
"""

from __future__ import annotations

import re
from types import TracebackType
from typing import Self

import zmq
import zmq.asyncio

from workbench.errors import InputError

TOPIC = b"hashblock"
_ADDRESS = re.compile(r"tcp://[0-9A-Za-z.:\[\]_-]+:\d{1,5}|ipc://.+")
_MAX_MESSAGE_BYTES = 1024
_MAX_WAITING = 100


class NodeZmq:
    """One node's `-zmqpubhashblock` address, such as tcp://127.0.0.1:28332. A link that drops
    is taken up again by itself. Raises InputError for what is no address."""

    def __init__(self, address: str) -> None:
        if not _ADDRESS.fullmatch(address):
            raise InputError.field("address", address, "tcp://host:port, as -zmqpubhashblock has")
        self._address = address

    async def __aenter__(self) -> Self:
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE_BYTES)
        self._socket.setsockopt(zmq.RCVHWM, _MAX_WAITING)
        self._socket.setsockopt(zmq.SUBSCRIBE, TOPIC)
        try:
            self._socket.connect(self._address)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise InputError.field(
                "address", self._address, f"one to connect to ({error})"
            ) from None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.destroy(linger=0)

    async def wait(self, timeout_s: float) -> bool:
        """Wait for the next block, at most so long; whether there was one. Blocks that came
        one upon the other ring once."""
        rang = bool(await self._socket.poll(int(1000 * timeout_s)))
        while await self._socket.poll(0):
            await self._socket.recv_multipart()
        return rang
