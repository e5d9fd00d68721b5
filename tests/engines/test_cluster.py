"""The engine on a cluster elsewhere: a scheduler and workers in processes of their own."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from tests.engines.elsewhere import Elsewhere, started
from tests.engines.flying import Flown, data_of, job, outcome_of
from tests.engines.models import a_broken_reading, a_hanging_reading, a_reading
from tests.engines.waiting import alive, until
from workbench.clients.own_functions import definition_of
from workbench.core.job import FUNCTION, Cancelled, Done, Failed, Lost, Progress
from workbench.core.model import Context, model
from workbench.engines.cluster import check_address
from workbench.engines.dask import DaskEngine
from workbench.errors import LinkError, SettingsError


@pytest.mark.parametrize(
    "address",
    ["tcp://10.0.0.5:8786", "tcp://example.org:8786", "inproc://x", "ws://127.0.0.1:1", ""],
)
def test_a_cluster_elsewhere_is_spoken_to_over_tls_only(address: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_address(address)
    assert str(caught.value) == (
        f"the Dask address is {address!r}; allowed: tls://host:port, or tcp:// to this machine "
        "only, because a scheduler without TLS runs the code of anybody who reaches it"
    )


@pytest.mark.parametrize(
    "address",
    ["tls://example.org:8786", "tcp://127.0.0.1:8786", "tcp://[::1]:1", "tcp://localhost:1"],
)
def test_tls_or_this_machine_is_allowed(address: str) -> None:
    assert check_address(address) == address


@model
def an_own_function(context: Context, n: int = 1) -> list[Any]:
    return [n, sorted(context.inputs)]


async def backwards(prompt: str, seed: int) -> tuple[str, str]:
    return prompt[::-1], "m@box"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Elsewhere]:
    with started() as start:
        yield Elsewhere(start, tmp_path)


async def slots(engine: DaskEngine, wanted: int) -> None:
    await asyncio.to_thread(until, lambda: engine.slots == wanted, limit_s=60)


async def test_a_cluster_elsewhere_runs_tasks_with_inputs_that_travel(
    cluster: Elsewhere, tmp_path: Path
) -> None:
    first = cluster.worker()
    engine = DaskEngine(address=cluster.address, scratch=tmp_path, heartbeat_s=0.3)
    await engine.start()
    try:
        await slots(engine, 2)
        path = tmp_path / "batch.json"
        path.write_text("hello")
        data = await data_of(engine, job("read", inputs={"batch": path}))
        assert (data["text"], data["name"]) == ("hello", "batch.json")
        assert data["path"] != str(path)
        assert not await asyncio.to_thread(Path(data["path"]).exists)
        definition = definition_of(an_own_function)
        (tmp_path / "function").write_bytes(definition.body)
        own = job("own", inputs={FUNCTION: tmp_path / "function"}, n=4)
        own = msgspec.structs.replace(own, target=f"own:{definition.sha256}")
        assert await data_of(engine, own) == {"value": [4, []]}
        others = [tmp_path / f"{number}.json" for number in range(6)]
        for other in others:
            other.write_text(f"I am {other.name}")
        at_once = [data_of(engine, job("read", inputs={"batch": other})) for other in others]
        texts = [data["text"] for data in await asyncio.wait_for(asyncio.gather(*at_once), 60)]
        assert texts == [f"I am {other.name}" for other in others]
        engine.write = backwards
        assert (await data_of(engine, job("consult", prompts=["abc"])))["said"] == ["cba"]
        outcome, events = await outcome_of(engine, job("talk", steps=20))
        assert isinstance(outcome, Done)
        assert [e.done for e in events if isinstance(e, Progress)] == list(range(1, 21))
        _, events = await outcome_of(engine, job("flood", lines=20_000))
        assert len(events) == 20_000
        outcome, _ = await outcome_of(engine, job("tables", rows=1_000_000))
        assert isinstance(outcome, Done)
        assert len(outcome.tables["numbers"]) > 16_000_000
        flown = Flown(engine, job("locked"))
        pids = await flown.pids()
        await engine.cancel(flown.key)
        assert await flown.task == Cancelled()
        assert not any(map(alive, pids))
        flown = Flown(engine, job("hang"))
        pids = await flown.pids()
        first.kill()
        outcome = await asyncio.wait_for(flown.task, 60)
        assert isinstance(outcome, Lost)
        await asyncio.to_thread(until, lambda: not any(map(alive, pids)), limit_s=30)
    finally:
        await engine.stop()


async def test_what_a_frozen_worker_ran_is_gone_before_it_counts_as_lost(
    cluster: Elsewhere, tmp_path: Path
) -> None:
    worker = cluster.worker()
    engine = DaskEngine(address=cluster.address, scratch=tmp_path, heartbeat_s=0.5, lease_s=1.5)
    await engine.start()
    try:
        await slots(engine, 2)
        flown = Flown(engine, job("hang"))
        pids = await flown.pids()
        worker.send_signal(signal.SIGSTOP)
        assert await asyncio.wait_for(flown.task, 60) == Lost("the Dask worker was silent for 3 s")
        assert not any(map(alive, pids))
    finally:
        worker.kill()
        await engine.stop()


async def test_every_machine_reports_once_and_a_gpu_binds_a_task_to_its_worker(
    cluster: Elsewhere, tmp_path: Path
) -> None:
    workers = [cluster.worker(), cluster.worker()]
    engine = DaskEngine(address=cluster.address, scratch=tmp_path, heartbeat_s=0.3)
    await engine.start()
    try:
        await slots(engine, 4)
        (report,) = await engine.on_workers(a_reading)
        assert report.value in [f"read by {worker.pid}" for worker in workers]
        assert (report.host, report.pids, engine.pids()) == ("", {}, {})

        on = {"device": "cuda:0", "gpu": "GPU-5c1d", "vendor": "nvidia", "worker": report.address}
        flown = [Flown(engine, job("hang", on=on)) for _ in range(2)]
        named = {(await each.pids())[0]: each.key for each in flown}
        beside = {psutil.Process(pid).ppid() for pid in named}
        assert [f"read by {pid}" for pid in beside] == [report.value]
        waiting = Flown(engine, job("where", on=on))
        (report,) = await engine.on_workers(a_reading)
        assert report.pids == named
        assert engine.pids() == {("", pid): key for pid, key in named.items()}
        assert waiting.events == []
        for each in flown:
            await engine.cancel(each.key)
        outcome = await asyncio.wait_for(waiting.task, 60)
        assert isinstance(outcome, Done)
        assert json.loads(outcome.document)["seen"]["CUDA_VISIBLE_DEVICES"] == "GPU-5c1d"

        assert await engine.on_workers(a_broken_reading) == []
        assert await engine.on_workers(a_hanging_reading) == []

        outcome, _ = await outcome_of(engine, job("where", on=on | {"worker": ""}))
        assert isinstance(outcome, Failed)
        assert outcome.template.format(**outcome.values) == (
            "GPU GPU-5c1d is the hub's own, and tasks run on the Dask cluster: start a worker of "
            "it on the hub's machine"
        )
        gone = on | {"worker": "tcp://127.0.0.1:1"}
        outcome, _ = await asyncio.wait_for(outcome_of(engine, job("where", on=gone)), 60)
        assert outcome == Lost("the Dask worker beside its GPU went away")
    finally:
        await engine.stop()


async def test_a_scheduler_that_is_not_there_is_told(tmp_path: Path) -> None:
    engine = DaskEngine(address="tcp://127.0.0.1:1", scratch=tmp_path, connect_s=0.5)
    with pytest.raises(LinkError) as caught:
        await engine.start()
    assert str(caught.value).startswith("the Dask scheduler at tcp://127.0.0.1:1 did not answer")
