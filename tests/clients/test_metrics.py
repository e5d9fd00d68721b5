"""MetricsClient on a real `/ws`: what is measured now and was before, alerts, GPU memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.metering_hub import gpu, metering
from tests.hub.endpoint import Endpoint
from workbench.clients.hub import HubClient
from workbench.clients.metrics import MetricsClient
from workbench.core.alert_nouns import Rule
from workbench.core.ledger_nouns import Claim
from workbench.errors import InputError, LinkError

PATIENCE_S = 10.0


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Endpoint]:
    async with metering(tmp_path) as hub:
        yield hub


@pytest.fixture
async def client(hub: Endpoint) -> AsyncIterator[HubClient]:
    async with hub.client() as client:
        yield client


@pytest.fixture
def metrics(client: HubClient) -> MetricsClient:
    return MetricsClient(client)


def heard(client: HubClient, event: str) -> asyncio.Queue[dict[str, Any]]:
    """Every event of that name from now on."""
    line: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    client.on(event, line.put_nowait)
    return line


async def next_of(line: asyncio.Queue[dict[str, Any]]) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        return await line.get()


async def test_one_frame_is_had_without_following(metrics: MetricsClient) -> None:
    frame = await metrics.current(pid=os.getpid())
    assert [each["gpuId"] for each in frame["gpus"]] == ["0", "1"]
    kernel, others = frame["gpus"][0]["processes"]
    assert (kernel["kind"], kernel["memoryMB"]) == ("kernel", 1000.0)
    assert (others["kind"], others["memoryMB"]) == ("other", 500.0)
    assert metrics.client.monitored is None


async def test_without_a_pid_a_process_is_nobodys(metrics: MetricsClient) -> None:
    (line,) = (await metrics.current())["gpus"][0]["processes"]
    assert (line["kind"], line["count"]) == ("other", 2)


async def test_a_frame_in_between_leaves_the_subscription_as_it_was(
    client: HubClient, metrics: MetricsClient
) -> None:
    frames = heard(client, "metrics")
    client.monitor(500)
    assert (await next_of(frames))["intervalMs"] == 500
    await asyncio.gather(metrics.current(pid=os.getpid()), metrics.current())
    assert client.monitored == (500, None)
    for _ in range(4):
        frame = await next_of(frames)
    assert frame["intervalMs"] == 500


async def test_a_frame_without_a_connection_is_refused_at_once() -> None:
    with pytest.raises(LinkError, match="not connected to the hub"):
        await MetricsClient(HubClient("ws://127.0.0.1:1/ws")).current()


async def test_history_is_of_the_wanted_metrics_and_subjects(metrics: MetricsClient) -> None:
    await metrics.current()
    found = await metrics.history(["gpu.power", "host.cpu"], ["1", ""])
    assert {(each.metric, each.subject) for each in found.series} >= {("gpu.power", "1")}
    assert not any(each.subject == "0" for each in found.series)
    (power,) = [each for each in found.series if each.metric == "gpu.power"]
    assert power.mean[0] == 100.0
    assert found.resolution == "raw"
    with pytest.raises(InputError, match=r"data.metrics\[0\] is 'gpu.powr'"):
        await metrics.history(["gpu.powr"])


async def test_an_alert_is_pushed_listed_and_cleared(
    hub: Endpoint, client: HubClient, metrics: MetricsClient
) -> None:
    alerts, frames = heard(client, "alert"), heard(client, "metrics")
    client.monitor(500)
    await next_of(frames)
    hub.machine.gpus = (gpu("0", temperature_c=91.0),)
    raised = await next_of(alerts)
    assert (raised["state"], raised["rule"], raised["value"]) == ("raised", "hot", 91.0)
    assert [each.rule for each in (await metrics.alerts()).active] == ["hot"]
    hub.machine.gpus = (gpu("0"),)
    assert (await next_of(alerts))["state"] == "cleared"
    listed = await metrics.alerts()
    assert listed.active == []
    assert [each.worst for each in listed.past] == [91.0]


async def test_rules_are_saved_and_deleted(metrics: MetricsClient) -> None:
    rule = Rule(name="busy", metric="host.cpu", threshold=50)
    assert [each.name for each in await metrics.save_rule(rule)] == ["hot", "busy"]
    assert [each.name for each in await metrics.delete_rule("busy")] == ["hot"]
    with pytest.raises(InputError, match=r"host\.cpu"):
        await metrics.save_rule(Rule(name="typo", metric="host.cpus", threshold=50))


async def test_the_ledger_is_told(hub: Endpoint, metrics: MetricsClient) -> None:
    claim = Claim(claim_id="t.1", kind="task", name="cypher (t)", memory_mb=2000)
    lease = await hub.ledger.acquire(claim)
    view = await metrics.ledger()
    assert [(each.name, each.gpu_id) for each in view.holdings] == [("cypher (t)", lease.gpu_id)]
    hub.ledger.release("t.1")
    assert (await metrics.ledger()).holdings == ()


async def test_a_run_is_named_one_way_and_has_to_exist(metrics: MetricsClient) -> None:
    with pytest.raises(InputError, match="give one of them"):
        await metrics.run()
    with pytest.raises(InputError, match="give one of them"):
        await metrics.run(task_id="t", message_id=1)
    with pytest.raises(InputError, match="a task of this hub"):
        await metrics.run(task_id="t")
