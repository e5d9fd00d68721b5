"""One call to the hub from a notebook: awaited, waited for, or drawn when it is done."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Generic, Protocol, TypeVar

from workbench.clients.hub import HubClient
from workbench.clients.metrics import MetricsClient
from workbench.errors import LinkError
from workbench.runtime import Runtime

T = TypeVar("T")
S = TypeVar("S")


class Host(Protocol):
    """The workbench, as far as calls need it."""

    @property
    def runtime(self) -> Runtime: ...
    def block_on(self, coroutine: Coroutine[Any, Any, S]) -> S: ...


class Call(Generic[T]):
    """Work under way on the background thread: `await call`, or `call.result()`.

    As the last line of a cell it waits and shows its result. Stop (Ctrl-C, a cancelled
    cell) ends the work at the hub, too.
    """

    def __init__(self, host: Host, work: Coroutine[Any, Any, T]) -> None:
        self._host = host
        self._future: concurrent.futures.Future[T] = asyncio.run_coroutine_threadsafe(
            work, host.runtime.loop
        )

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self._future).__await__()

    def result(self) -> T:
        """Wait here for the result; never in a callback."""
        return self._host.block_on(self._wait())

    def cancel(self) -> bool:
        """End the work; False when it had ended already."""
        return self._future.cancel()

    @property
    def done(self) -> bool:
        return self._future.done()

    def __repr__(self) -> str:
        if not self.done:
            return "Call(under way: await it, or ask for its .result())"
        failed = self._future.cancelled() or self._future.exception()
        return "Call(failed: .result() says why)" if failed else f"Call({self._future.result()!r})"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.result())  # type: ignore[no-untyped-call]

    async def _wait(self) -> T:
        return await asyncio.wrap_future(self._future)


class Bench(Host, Protocol):
    """The workbench, as far as conversations and language models need it."""

    client: HubClient
    metering: MetricsClient
    closed: bool

    async def _ready(self) -> None: ...


class Part:
    """Calls that run on the background thread once the hub is there."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def _call(self, work: Callable[[], Awaitable[T]]) -> Call[T]:
        return Call(self._bench, self._when_ready(work))

    async def _when_ready(self, work: Callable[[], Awaitable[T]]) -> T:
        await self._ready()
        return await work()

    async def _ready(self) -> None:
        if self._bench.closed:
            raise LinkError("this workbench is closed: call workbench.connect() again")
        await self._bench._ready()
