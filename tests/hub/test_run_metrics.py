"""What a task or an answer used: its own time, its own GPU, and unknown where nobody knows."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.hub.endpoint import Endpoint
from tests.hub.test_chat import until
from workbench.core.run_metrics import Price
from workbench.hub.connections import Monitoring
from workbench.store import Store

NOON = datetime(2026, 11, 20, 12, 0)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def task(task_id: str) -> tuple[Any, ...]:
    return (task_id, "steady", "1", True, "{}", None, None, 0, None, True, True, "c0", NOON)


def event(task_id: str, seq: int, kind: str, second: float) -> tuple[Any, ...]:
    return (task_id, seq, 1, kind, "{}", after(second))


async def ran(store: Store, task_id: str, began_s: float, ended_s: float) -> None:
    """A task of the past: ten seconds of power that doubles in the middle, on two GPUs."""
    await store.append({"tasks": [task(task_id)]})
    events = [event(task_id, 1, "running", began_s), event(task_id, 2, "done", ended_s)]
    await store.append({"task_events": events})
    await store.append(
        {
            "metrics": [
                (metric, gpu, float(value), after(second))
                for second in range(0, 60, 2)
                for gpu, value, metric in (
                    ("0", 100, "gpu.power"),
                    ("1", 360, "gpu.power"),
                    ("1", 4000 + second, "gpu.memory_used"),
                    ("", 25, "host.cpu"),
                )
            ]
        }
    )


def lease(claim_id: str, gpu: str, since_s: float, until_s: float) -> tuple[Any, ...]:
    kind = "model" if claim_id.startswith("model:") else "task"
    return (claim_id, kind, "steady", gpu, 4000.0, after(since_s), after(until_s))


async def test_a_task_has_the_energy_of_its_gpu_while_it_ran_and_its_cost(tmp_path: Path) -> None:
    priced = Monitoring(price=Price(0.5, "EUR"))
    async with (
        Endpoint(tmp_path, monitoring=priced).serving() as endpoint,
        endpoint.peer("view") as peer,
    ):
        await ran(endpoint.store, "t.1", 10, 20)
        leases = [
            lease("t.1.1", "1", 9, 21),
            lease("t.2", "0", 0, 60),
            lease("t.1.9.1", "0", 0, 60),
        ]
        await endpoint.store.append({"gpu_lease_entries": leases})
        found = (await peer.ask("metrics:run", {"taskId": "t.1"}))["data"]
        assert found["gpus"] == ["1"]
        assert found["energyWh"] == pytest.approx(1.0)
        assert found["cost"] == pytest.approx(0.0005)
        assert (found["currency"], found["meanPowerW"]) == ("EUR", pytest.approx(360))
        assert (found["peakMemoryMB"], found["meanCpu"]) == (4020, 25)
        assert not found["shared"]


async def test_a_task_without_a_gpu_has_no_energy_and_one_that_never_ran_nothing(
    endpoint: Endpoint,
) -> None:
    await ran(endpoint.store, "t", 10, 20)
    await endpoint.store.append({"tasks": [task("queued")]})
    async with endpoint.peer() as peer:
        found = (await peer.ask("metrics:run", {"taskId": "t"}))["data"]
        assert (found["gpus"], found["energyWh"], found["meanCpu"]) == ([], None, 25)
        found = (await peer.ask("metrics:run", {"taskId": "queued"}))["data"]
        assert (found["startedAt"], found["meanCpu"]) == (None, None)


async def test_an_answer_has_metrics_too(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        await peer.say("chat:send", {"message": "Hi"})
        answer = (await until(peer, "chat:message", role="assistant"))[-1]["data"]
        await peer.say("metrics:run", {"messageId": answer["id"]}, requestId=2)
        found = (await until(peer, "metrics:run"))[-1]["data"]
        assert found["endedAt"] >= found["startedAt"] > 0


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"taskId": "nobody"}, "data.taskId is 'nobody'; allowed: a task of this hub"),
        ({"messageId": 99}, "data.messageId is 99; allowed: an answer of this hub"),
        ({}, "data is {'taskId': None, 'messageId': None}; allowed: a taskId or a messageId"),
    ],
)
async def test_what_is_not_there_is_refused(
    endpoint: Endpoint, data: dict[str, Any], said: str
) -> None:
    async with endpoint.peer() as peer:
        assert (await peer.ask("metrics:run", data))["data"]["message"] == said
