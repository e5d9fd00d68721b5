"""One answer in a notebook as it comes: sockets on the background thread, pieces here."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from workbench.clients.streaming import AnswerStream
from workbench.errors import LinkError
from workbench.session.answers import Answer
from workbench.session.calls import Host
from workbench.session.run_metrics import Measure

STOPPED_S = 5.0


class Stream:
    """`async for text in stream` in a cell, or `for text in stream`, which blocks.

    Afterwards `answer` is the whole one. Whoever leaves early (`break`, Stop, a cancelled
    cell) stops the answer at the hub; what there is of it is kept there.
    """

    def __init__(
        self,
        host: Host,
        ready: Callable[[], Awaitable[None]],
        make: Callable[[], AnswerStream],
        measure: Measure | None = None,
    ) -> None:
        self._host, self._ready, self._measure = host, ready, measure
        self.source = make
        """The client's own stream, for code on the background thread."""
        self._line = _Line()
        self._future: concurrent.futures.Future[None] | None = None

    @property
    def answer(self) -> Answer | None:
        """The whole answer, once it has ended; None before."""
        found = self._line.source.answer if self._line.source else None
        return Answer(found, self._measure) if found is not None else None

    @property
    def conversation_id(self) -> int | None:
        return self._line.source.conversation_id if self._line.source else None

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> str:
        self._start()
        waiter = self._line.arrival()
        if waiter is not None:
            try:
                await asyncio.wrap_future(waiter)
            except asyncio.CancelledError:
                self.close()
                raise
        piece = self._line.take()
        if piece is None:
            self._raise()
            raise StopAsyncIteration
        return piece

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> str:
        """The next piece, waited for here. Ctrl-C stops the answer."""
        self._start()
        waiter = self._line.arrival()
        if waiter is not None:
            try:
                self._host.block_on(_wait(waiter))
            except KeyboardInterrupt:
                self.stop()
                raise
            except BaseException:
                self.close()
                raise
        piece = self._line.take()
        if piece is None:
            self._raise()
            raise StopIteration
        return piece

    def next_pieces(self) -> str:
        """Everything that came since the last call, waited for here; empty at the end."""
        try:
            pieces = [next(self)]
        except StopIteration:
            return ""
        while (more := self._line.take()) is not None:
            pieces.append(more)
        return "".join(pieces)

    def stop(self, within_s: float = STOPPED_S) -> Answer | None:
        """Stop the model, and wait for the answer as it is kept, marked as stopped."""
        source, future = self._line.source, self._future
        if source is None or future is None:
            self.close()
            return None
        self._host.runtime.call(source.stop)
        with contextlib.suppress(concurrent.futures.TimeoutError, Exception):
            future.result(within_s)
        self.close()
        return self.answer

    def close(self) -> None:
        """Stop the answer unless it has ended, and wait for nothing."""
        self._line.end()
        if self._future is not None:
            self._future.cancel()

    def __del__(self) -> None:
        self.close()

    def _start(self) -> None:
        if self._future is None:
            runtime = self._host.runtime
            work = _pump(self._line, self._ready, self.source)
            self._future = asyncio.run_coroutine_threadsafe(work, runtime.loop)

    def _raise(self) -> None:
        """What ended the stream, if it was not its end."""
        future = self._future
        if self.answer is not None and self.answer.message.status != "broken":
            return
        if future is None or future.cancelled():
            raise LinkError("this stream was closed before its end")
        future.result(STOPPED_S)


class _Line:
    """Pieces handed from the background thread to one reader; it does not hold the stream,
    so that a reader who drops that is noticed."""

    def __init__(self) -> None:
        self.source: AnswerStream | None = None
        self._pieces: deque[str] = deque()
        self._guard = threading.Lock()
        self._ended = False
        self._waiter: concurrent.futures.Future[None] | None = None

    def put(self, piece: str) -> None:
        self._pieces.append(piece)
        self._wake()

    def end(self) -> None:
        self._ended = True
        self._wake()

    def take(self) -> str | None:
        """The oldest piece that was not taken yet."""
        try:
            return self._pieces.popleft()
        except IndexError:
            return None

    def arrival(self) -> concurrent.futures.Future[None] | None:
        """Done with the next piece or the end; None when there is one already."""
        with self._guard:
            if self._pieces or self._ended:
                return None
            self._waiter = concurrent.futures.Future()
            return self._waiter

    def _wake(self) -> None:
        with self._guard:
            waiter, self._waiter = self._waiter, None
        if waiter is not None:
            with contextlib.suppress(concurrent.futures.InvalidStateError):  # nobody waits now
                waiter.set_result(None)


async def _pump(
    line: _Line, ready: Callable[[], Awaitable[None]], make: Callable[[], AnswerStream]
) -> None:
    try:
        await ready()
        line.source = make()
        async with aclosing(line.source) as pieces:
            async for piece in pieces:
                line.put(piece)
    finally:
        line.end()


async def _wait(waiter: concurrent.futures.Future[None]) -> None:
    await asyncio.wrap_future(waiter)
