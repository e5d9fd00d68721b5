"""The hub's own `/ws` on loopback over a real store; only its GPUs are what a test sets."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.hub.conftest import TOKENS, Feed
from tests.hub.machine import Machine
from tests.hub.speaking import Speaking, Unlimited
from workbench.clients.hub import HubClient
from workbench.core.alert_nouns import Rule
from workbench.core.gpu import Gpu, GpuProcess
from workbench.core.metrics import LlmReading
from workbench.core.run_metrics import Price
from workbench.hub.connections import Dashboard, Monitoring
from workbench.hub.ledger import Ledger
from workbench.hub.sampling import Sampler
from workbench.listener import Gate, Listener, listen
from workbench.store import Store

HOT = Rule(name="hot", metric="gpu.temperature", threshold=80, clear=75, for_s=0)
MONITORING = Monitoring(interval_s=0.5, rules=(HOT,), price=Price(0.3, "EUR"))


def gpu(gpu_id: str = "0", **given: Any) -> Gpu:
    """A GPU that this process uses 1,000 MB of, and somebody else 500."""
    processes = (
        GpuProcess(pid=os.getpid(), memory_mb=1000.0),
        GpuProcess(pid=2**30, memory_mb=500.0),
    )
    facts: dict[str, Any] = {
        "name": "Test GPU",
        "vendor": "nvidia",
        "utilization": 30.0,
        "memory_used_mb": 1500.0,
        "memory_total_mb": 8000.0,
        "temperature_c": 60.0,
        "power_usage_w": 100.0,
        "power_limit_w": 300.0,
        "processes": processes,
    }
    return Gpu(gpu_id=gpu_id, uuid=f"GPU-{gpu_id}", **{**facts, **given})


def llm(model: str = "", **given: Any) -> LlmReading:
    return LlmReading(model=model, requests=3, ttft_ms=120.0, tokens_per_s=40.0, **given)


class MeteringHub:
    """`url` and `token` for a client, `machine` for what is measured, `feed` for its tasks."""

    token = "token-admin"

    def __init__(
        self, dashboard: Dashboard, machine: Machine, store: Store, models: Speaking, ledger: Ledger
    ) -> None:
        self.machine, self.store, self.models, self.ledger = machine, store, models, ledger
        self._dashboard = dashboard
        self._listener: Listener | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/ws"

    async def listen(self) -> None:
        gate = Gate(TOKENS)  # type: ignore[arg-type]
        serve = self._dashboard.serve
        self._listener = await listen(serve, path="/ws", port=self._port, gate=gate)
        self._port = self._listener.port

    async def close(self) -> None:
        """Every connection is closed."""
        if self._listener is not None:
            await self._listener.close()
            self._listener = None

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[HubClient]:
        client = HubClient(self.url, self.token, reconnect_delay=0.05)
        await client.connect()
        try:
            yield client
        finally:
            await client.disconnect()


@contextlib.asynccontextmanager
async def metering(folder: Path, monitoring: Monitoring = MONITORING) -> AsyncIterator[MeteringHub]:
    """A hub with two GPUs and one language model."""
    models, machine = Speaking(), Machine(folder)
    machine.gpus = (gpu("0"), gpu("1", utilization=70.0))
    machine.llm = (llm(), llm("m@b"))
    async with await Store.open(folder, query_memory_mb=512, query_limit_s=5) as store:
        ledger = Ledger(machine.reading, machine.owners)
        dashboard = Dashboard(
            questions=store,
            sampler=Sampler(machine.read),
            ledger=ledger,
            tasks=Feed(),
            journal=store,
            models=models,
            rates=Unlimited(),
            owners=machine.owners,
            monitoring=monitoring,
        )
        await dashboard.start()
        hub = MeteringHub(dashboard, machine, store, models, ledger)
        await hub.listen()
        try:
            yield hub
        finally:
            await hub.close()
            await dashboard.close()
            await ledger.close()
