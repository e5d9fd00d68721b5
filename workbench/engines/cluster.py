"""The Dask cluster an engine works on: embedded in this process, or somewhere else."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import dask
import distributed
from dask.system import CPU_COUNT
from distributed import batched
from distributed.core import Status
from tornado.ioloop import IOLoop

from workbench.errors import LinkError, SettingsError

CONNECT_S = 10.0
FLUSH_S = 0.002  # how long the client gathers messages; Dask's own choice is 10 ms

_Base: Any = distributed  # its own annotations are partial

QUIET: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": 0,  # who tries again is the node's decision
    "distributed.scheduler.no-workers-timeout": "60s",
    # In one process a worker cannot freeze alone; a laptop that slept would lose every task.
    "distributed.scheduler.worker-ttl": None,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
    # NVML counts who uses it: beside a second session ours could not begin anew after a lost GPU.
    "distributed.diagnostics.nvml": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.admin.low-level-log-length": 100,  # else it keeps the last 1,000 event batches
    "distributed.admin.log-length": 1000,
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.system-monitor.gil.enabled": False,
}


def default_slots() -> int:
    """One core is left for the hub itself. Knows of container limits."""
    return max(1, CPU_COUNT - 1)


def check_address(address: str) -> str:
    """`address`, if a task may be sent there: whoever speaks to a scheduler runs code on it."""
    parts = urlsplit(address)
    if parts.scheme == "tls" and parts.hostname:
        return address
    if parts.scheme == "tcp" and _is_loopback(parts.hostname or ""):
        return address
    raise SettingsError(
        "the Dask address is {address!r}; allowed: tls://host:port, or tcp:// to this machine "
        "only, because a scheduler without TLS runs the code of anybody who reaches it",
        address=address,
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Scheduler(_Base.Scheduler):  # type: ignore[misc]
    """A scheduler without its HTTP server, which Dask opens even with no routes to serve."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Open nothing."""


class _Worker(_Base.Worker):  # type: ignore[misc]
    """A worker without its HTTP server."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Open nothing."""


class Cluster:
    """A client, and with it the scheduler and the worker where they are ours."""

    def __init__(self, client: Any, *servers: Any) -> None:
        self.client, self._servers = client, servers

    @property
    def embedded(self) -> bool:
        return bool(self._servers)

    @property
    def worker(self) -> Any:
        """The one in this process; None for a cluster elsewhere."""
        return self._servers[0] if self._servers else None

    @property
    def ended(self) -> bool:
        """Whether it is gone for good. A client elsewhere tries again before it gives up."""
        return self.client.status == "closed" or any(
            server.status not in (Status.running, Status.paused) for server in self._servers
        )

    async def threads(self) -> dict[str, int]:
        """Threads of each worker, by its address. Raises OSError or TimeoutError while nobody
        answers."""
        if self.ended:
            return {}
        if self.embedded:
            worker = self._servers[0]
            return {worker.address: int(worker.state.nthreads)}
        return dict(await self.client.nthreads())

    async def close(self, limit_s: float) -> None:
        """Close what is ours, each part within `limit_s`."""
        for part, arguments in (
            *((server, {"executor_wait": False}) for server in self._servers[:1]),
            (self.client, {}),
            *((server, {}) for server in self._servers[1:]),
        ):
            with suppress(Exception):  # a broken cluster may not even close
                async with asyncio.timeout(limit_s):
                    await part.close(**arguments)


async def open_embedded(slots: int, scratch: str) -> Cluster:
    """Scheduler and one worker of `slots` threads on this event loop. Neither listens."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    _keep_time()
    with dask.config.set(QUIET):
        scheduler = await _Scheduler(protocol="inproc", dashboard=False)
        worker = await _Worker(
            scheduler.address,
            nthreads=slots,
            memory_limit=0,  # the work happens in other processes
            local_directory=scratch,
        )
        return Cluster(await _client(scheduler.address, CONNECT_S), worker, scheduler)


async def open_remote(address: str, limit_s: float = CONNECT_S) -> Cluster:
    """A client of the scheduler at `address`. Raises LinkError when nobody answers."""
    try:
        return Cluster(await _client(check_address(address), limit_s))
    except (OSError, TimeoutError) as error:
        raise LinkError(
            "the Dask scheduler at {address} did not answer within {limit_s} s ({reason}): start "
            "it, or unset WORKBENCH_DASK_ADDRESS to use the embedded one",
            address=address,
            limit_s=limit_s,
            reason=str(error) or type(error).__name__,
        ) from None


def _keep_time() -> None:
    """Let Dask gather its messages by a clock that never goes back.

    It takes the time of day for it: when that was set back by an hour, whatever it had to say
    waited for an hour. Tornado, whose timer it uses there, has to mean the same clock.
    """
    ahead_s = time.time() - time.monotonic()

    def steady() -> float:
        return time.monotonic() + ahead_s

    vars(batched)["time"] = vars(IOLoop.current()).setdefault("time", steady)


async def _client(address: str, limit_s: float) -> Any:
    _keep_time()
    async with asyncio.timeout(limit_s + 1):
        client = await _Base.Client(
            address, asynchronous=True, set_as_default=False, timeout=limit_s
        )
    client.scheduler_comm.interval = FLUSH_S
    return client
