"""One client's way to the hub: a TCP relay that cuts, freezes and throttles what passes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Self

CHUNK = 4096
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that closes with RST, in the middle of whatever was on its way."""
CUT_S = 0.5
LOOK_S = 0.02


class Road:
    """Relays to `target()`, a port that may change; None while nothing listens there."""

    def __init__(self, target: Callable[[], int | None], chance: random.Random) -> None:
        self._target, self._chance = target, chance
        self._server: asyncio.Server | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._rate: float | None = None
        self._cut: tuple[bool, int] | None = None
        self._legs: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._open.set()
        for leg in list(self._legs):
            leg.cancel()
        await asyncio.gather(*self._legs, return_exceptions=True)

    async def reset(self) -> None:
        """Cut every connection, in the middle of the next frame if one comes soon."""
        self._cut = (self._chance.random() < 0.7, self._chance.randrange(1, 60))
        await until(lambda: self._cut is None, CUT_S)
        self._cut = None
        self.drop()

    def drop(self) -> None:
        """Every connection ends at once."""
        for leg in list(self._legs):
            leg.cancel()

    def freeze(self) -> None:
        """Nothing passes any more, in either direction, and nobody is told."""
        self._open.clear()

    def thaw(self) -> None:
        self._open.set()

    def throttle(self, rate: float | None) -> None:
        """Bytes per second towards the client; None: all that come."""
        self._rate = rate

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        leg = asyncio.create_task(self._relay(reader, writer))
        self._legs.add(leg)
        leg.add_done_callback(self._legs.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            await self._open.wait()
            port = self._target()
            if port is None:
                return
            far_reader, far_writer = await self._connect(port)
            writers.append(far_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, far_writer, to_client=False))
                both.create_task(self._pump(far_reader, writer, to_client=True))
        except* (OSError, _Cut, asyncio.IncompleteReadError):
            pass
        finally:
            for each in writers:
                _abort(each)

    async def _connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """With a small buffer, so that a slow reader is felt by the hub at once."""
        far = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        far.setblocking(False)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        try:
            await asyncio.get_running_loop().sock_connect(far, ("127.0.0.1", port))
        except BaseException:
            far.close()
            raise
        return await asyncio.open_connection(sock=far, limit=CHUNK)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_client: bool
    ) -> None:
        while data := await reader.read(CHUNK):
            await self._open.wait()
            if to_client and self._rate is not None:
                await asyncio.sleep(len(data) / self._rate)
            if self._cut is not None and self._cut[0] == to_client:
                writer.write(data[: min(self._cut[1], len(data) - 1)])
                await writer.drain()
                self._cut = None
                raise _Cut
            writer.write(data)
            await writer.drain()
        raise _Cut


class _Cut(Exception):
    """This connection is over."""


def _abort(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


async def until(true: Callable[[], Any], limit_s: float) -> bool:
    """Whether something becomes true within the time."""
    deadline = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_S)
    return True
