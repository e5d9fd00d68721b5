"""One reading of everything: the GPUs of workers beside ours, each once, and whose is whose."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.collectors.fake_nvml import World
from tests.hub_process import HubProcess
from workbench.clients.hub import HubClient
from workbench.clients.metrics import MetricsClient
from workbench.core.gpu import Gpu, GpuReading
from workbench.core.job import WorkerReport
from workbench.core.metrics import LlmReading
from workbench.engines.dask import DaskEngine
from workbench.gpu_readings import Readings, rules_of
from workbench.settings import load_settings


def gpu(gpu_id: str, uuid: str | None = None, **given: Any) -> Gpu:
    return Gpu(gpu_id=gpu_id, uuid=uuid, vendor="nvidia", **given)


def report(host: str, *gpus: Gpu, address: str = "") -> WorkerReport:
    place = address or f"tcp://{host}:1"
    return WorkerReport(address=place, host=host, value=GpuReading(gpus=gpus), pids={})


class Workers:
    """The engine's place: what its workers said, and which processes run which job."""

    def __init__(self) -> None:
        self.reports: Sequence[WorkerReport] = ()
        self.keys: dict[tuple[str, int], str] = {}
        self.asked = asyncio.Event()

    def pids(self) -> Mapping[tuple[str, int], str]:
        return self.keys

    async def on_workers(self, function: Callable[[], Any]) -> Sequence[WorkerReport]:
        self.asked.set()
        return self.reports


class Models:
    """The service and our worker."""

    pids = {"tiny": 4242}  # noqa: RUF012  # read only

    def readings(self) -> tuple[LlmReading, ...]:
        return (LlmReading(requests=3),)


async def settled(readings: Readings, workers: Workers) -> tuple[Gpu, ...]:
    """What is shown once the workers were heard."""
    await readings.read()
    await asyncio.wait_for(workers.asked.wait(), 30)
    await asyncio.sleep(0)
    return (await readings.read()).gpus.gpus


def with_workers(tmp_path: Path, *reports: WorkerReport) -> tuple[Readings, Workers]:
    workers = Workers()
    workers.reports = reports
    return Readings(tmp_path, cluster=workers), workers


async def test_gpus_of_other_machines_are_named_by_their_machine(
    tmp_path: Path, nvml_world: World
) -> None:
    nvml_world.gpu(0, name="Own").write()
    with nvml_world.loaded():
        slices = (gpu("0", "GPU-a"), gpu("0:1", "MIG-b", parent="0"))
        readings, workers = with_workers(tmp_path, report("node2", *slices))
        found = await settled(readings, workers)
        await readings.close()
    assert [(each.gpu_id, each.node, each.parent) for each in found] == [
        ("0", "", None),
        ("node2/0", "node2", None),
        ("node2/0:1", "node2", "node2/0"),
    ]
    assert found[1].worker == "tcp://node2:1"


async def test_a_worker_on_our_machine_adds_its_address_and_no_second_gpu(
    tmp_path: Path, nvml_world: World
) -> None:
    nvml_world.gpu(0, name="Own", uuid="GPU-own").write()
    with nvml_world.loaded():
        same = report("", gpu("0", "GPU-own"), address="tcp://127.0.0.1:5")
        twice = report("box", gpu("0", "GPU-far")), report("container", gpu("3", "GPU-far"))
        readings, workers = with_workers(tmp_path, same, *twice)
        found = await settled(readings, workers)
        await readings.close()
    assert [(each.gpu_id, each.worker) for each in found] == [
        ("0", "tcp://127.0.0.1:5"),
        ("box/0", "tcp://box:1"),
    ]


async def test_processes_have_owners_and_models_are_measured(tmp_path: Path) -> None:
    readings, workers = with_workers(tmp_path)
    readings.models(Models(), Models())
    workers.keys = {("", 77): "a.task.2", ("node2", 77): "other.1"}
    owners = readings.owners()
    assert (await readings.read()).llm == (LlmReading(requests=3),)
    await readings.close()
    named = {place: (owner.kind, owner.name, owner.claim_id) for place, owner in owners.items()}
    assert named == {
        ("", os.getpid()): ("hub", "", ""),
        ("", 4242): ("model", "tiny", "model:tiny"),
        ("", 77): ("task", "a.task", "a.task.2"),
        ("node2", 77): ("task", "other", "other.1"),
    }


def test_the_settings_make_three_rules(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path, alert_temperature_c=75, alert_for_s=3)
    rules = {rule.metric: rule for rule in rules_of(settings)}
    assert rules["gpu.temperature"].threshold == 75
    assert {rule.for_s for rule in rules.values()} == {3}
    assert set(rules) == {"gpu.utilization", "gpu.memory_used_pct", "gpu.temperature"}


async def test_an_engine_fits_as_it_is(tmp_path: Path) -> None:
    readings = Readings(tmp_path, cluster=DaskEngine(scratch=tmp_path))
    assert (await readings.read()).taken_at > 0
    await readings.close()


async def test_a_gpu_that_was_lost_comes_back_in_a_whole_hub(tmp_path: Path) -> None:
    """The engine of the same process must not hold the driver: it would never begin anew."""
    world = World(tmp_path).gpu(0).gpu(1).write()
    given = world.environment()
    hub = HubProcess(tmp_path, **given)
    try:
        told = hub.start()
        client = HubClient(told["ws"], told["token"])
        await client.connect()
        metrics = MetricsClient(client)
        for state, change in (("ok", world.gpu), ("lost", world.lose), ("ok", world.come_back)):
            change(0)
            world.write()
            async with asyncio.timeout(45):
                # Each reading is one that the hub takes anew.
                while [g["state"] for g in (await metrics.current())["gpus"]] != [state, "ok"]:
                    pass
        await client.disconnect()
    finally:
        hub.stop()
    assert "Traceback" not in (tmp_path / "test-hub.log").read_text()
