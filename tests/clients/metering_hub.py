"""The hub's own `/ws` on loopback over a real store; only its GPUs are what a test sets."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.hub.endpoint import Endpoint
from workbench.core.alert_nouns import Rule
from workbench.core.gpu import Gpu, GpuProcess
from workbench.core.metrics import LlmReading
from workbench.core.run_metrics import Price
from workbench.hub.connections import Monitoring

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


@contextlib.asynccontextmanager
async def metering(folder: Path, monitoring: Monitoring = MONITORING) -> AsyncIterator[Endpoint]:
    """A hub with two GPUs and one language model."""
    hub = Endpoint(folder, monitoring=monitoring)
    hub.machine.gpus = (gpu("0"), gpu("1", utilization=70.0))
    hub.machine.llm = (llm(), llm("m@b"))
    async with hub.serving():
        yield hub
