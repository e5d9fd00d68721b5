"""The embedded worker with a ledger of GPU memory: who waits, who gets it, who gives it back.

The engine is the real one, as the user's own `llama-server`; only the ledger is a script, and
the GPU a file of the name that its driver gives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.llm.lender import UUID, ScriptedLender
from tests.llm.llama_cpp_server import program
from tests.llm.tiny_model import endless, write
from tests.llm.workers import SMALL, answer, asking, closing, load, until, workers
from workbench.core.gpu import Gpu, GpuReading
from workbench.core.llm import (
    BackendBroken,
    LoadOptions,
    LoadProgress,
    ModelError,
    Token,
)
from workbench.errors import LinkError
from workbench.http import Http
from workbench.hub.ledger import Ledger
from workbench.llm.embedded import Embedded
from workbench.llm.service import Service

ON_CPU = LoadOptions(context_size=1024, gpu_layers=0)


@pytest.fixture
def lender() -> ScriptedLender:
    return ScriptedLender()


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    (tmp_path / "nvidia0").touch()
    return tmp_path


@pytest.fixture
async def lent(
    folder: Path, http: Http, devices: Path, lender: ScriptedLender
) -> AsyncIterator[Embedded]:
    opened = Embedded(
        [folder], http=http, binary=program(devices), devices=devices, lender=lender, watch_s=0.2
    )
    async with closing(opened):
        yield opened
    assert (lender.held, lender.line) == ({}, [])


def waiting(embedded: Embedded, model: str = "tiny") -> asyncio.Task[int]:
    return asyncio.create_task(load(embedded, model))


async def test_a_model_has_its_lease_before_its_process_and_sees_that_gpu_alone(
    lent: Embedded, lender: ScriptedLender
) -> None:
    pid = await load(lent, "tiny", LoadOptions(context_size=1024, main_gpu=0))
    assert psutil.Process(pid).environ()["CUDA_VISIBLE_DEVICES"] == UUID
    assert "--main-gpu" not in psutil.Process(pid).cmdline()
    assert [(claim.claim_id, claim.gpu) for claim in lender.asked] == [("model:tiny", "0")]
    assert lender.asked[0].memory_mb > 300
    assert await answer(lent, "on its GPU") == "on its GPU"


async def test_an_amd_gpu_is_shown_in_rocms_way(folder: Path, http: Http, devices: Path) -> None:
    lender = ScriptedLender(vendor="amd", uuid="GPU-3c41")
    opened = Embedded([folder], http=http, binary=program(devices), devices=devices, lender=lender)
    async with closing(opened) as embedded:
        seen = psutil.Process(await load(embedded, "tiny")).environ()
    assert (seen["ROCR_VISIBLE_DEVICES"], seen["HIP_VISIBLE_DEVICES"]) == ("GPU-3c41", "0")


async def test_says_what_it_waits_for_and_then_that_it_loads(
    lent: Embedded, lender: ScriptedLender
) -> None:
    lender.hold("a task")
    told = []
    async with asyncio.timeout(20), contextlib.aclosing(lent.load("tiny", SMALL)) as steps:
        async for step in steps:
            told.append(step)
            if step.waiting is not None:
                assert workers() == []
                lender.release("a task")
    reason = LoadProgress(waiting=told[1].waiting)
    assert str(told[1].waiting) == "waiting for GPU 0, held by a task"
    assert told == [LoadProgress(), reason, LoadProgress(), LoadProgress(done=1.0)]


async def test_a_question_says_what_its_model_waits_for(
    lent: Embedded, lender: ScriptedLender
) -> None:
    lender.hold("a task")
    reasons = []
    async with asyncio.timeout(20), contextlib.aclosing(lent.chat(asking(endless()))) as events:
        async for event in events:
            if isinstance(event, LoadProgress) and event.waiting:
                reasons.append(str(event.waiting))
                lender.release("a task")
            if isinstance(event, Token):
                break
    assert reasons == ["waiting for GPU 0, held by a task"]


async def test_nothing_else_waits_with_a_model_that_waits(
    lent: Embedded, lender: ScriptedLender
) -> None:
    await load(lent, "tiny")
    second = waiting(lent, "tiny-embed")
    await until(lambda: bool(lender.line))
    assert await answer(lent, "still here") == "still here"
    await lent.unload("tiny")
    await second
    assert list(lender.held) == ["model:tiny-embed"]
    tiny = waiting(lent)
    await until(lambda: bool(lender.line))
    await lent.unload("tiny")
    with pytest.raises(ModelError, match="was unloaded while it was being loaded"):
        await tiny
    on_cpu = await load(lent, "tiny", ON_CPU)
    assert psutil.Process(on_cpu).environ()["CUDA_VISIBLE_DEVICES"] == "-1"
    assert [claim.name for claim in lender.asked] == ["tiny", "tiny-embed", "tiny"]


async def test_an_unloaded_model_gives_its_lease_back_once_its_process_is_gone(
    lent: Embedded, lender: ScriptedLender
) -> None:
    pid = await load(lent, "tiny")
    alive: list[bool] = []
    lender.on_release = lambda: alive.append(psutil.pid_exists(pid))
    await lent.unload("tiny")
    assert (lender.held, alive) == ({}, [False])


async def test_other_options_give_the_old_lease_back_first(
    lent: Embedded, lender: ScriptedLender
) -> None:
    await load(lent, "tiny")
    await load(lent, "tiny", LoadOptions(context_size=2048))
    assert [claim.claim_id for claim in lender.asked] == ["model:tiny"] * 2
    assert list(lender.held) == ["model:tiny"]


async def test_a_load_during_an_unload_waits_for_the_end_of_the_old_process(
    lent: Embedded, lender: ScriptedLender
) -> None:
    old = await load(lent, "tiny")
    os.kill(old, signal.SIGSTOP)  # so that it takes its time to end
    unloading = asyncio.create_task(lent.unload("tiny"))
    await asyncio.sleep(0)
    new = await load(lent, "tiny")
    await unloading
    assert not psutil.pid_exists(old)
    assert (lent.pids, list(lender.held)) == ({"tiny": new}, ["model:tiny"])


@pytest.mark.faults
async def test_a_killed_process_gives_its_lease_back(
    lent: Embedded, lender: ScriptedLender
) -> None:
    os.kill(await load(lent, "tiny"), signal.SIGKILL)
    await until(lambda: not lender.held)
    assert await answer(lent, "again") == "again"
    assert list(lender.held) == ["model:tiny"]


@pytest.mark.faults
async def test_a_process_that_hangs_gives_its_lease_back(
    lent: Embedded, lender: ScriptedLender
) -> None:
    os.kill(await load(lent, "tiny"), signal.SIGSTOP)
    await until(lambda: not lender.held)


@pytest.mark.faults
async def test_a_process_that_is_killed_while_it_loads_gives_its_lease_back(
    lent: Embedded, lender: ScriptedLender
) -> None:
    loading = waiting(lent)
    await until(lambda: "tiny" in lent.pids)
    assert list(lender.held) == ["model:tiny"]
    os.kill(lent.pids["tiny"], signal.SIGKILL)
    with pytest.raises(ModelError, match="tiny cannot be loaded: its process ended"):
        await loading
    assert (lender.held, lent.pids) == ({}, {})


async def test_a_model_that_cannot_be_loaded_gives_its_lease_back(
    tmp_path: Path, http: Http, devices: Path, lender: ScriptedLender
) -> None:
    write(tmp_path / "odd.gguf", name="Odd", architecture="nonsense")
    opened = Embedded(
        [tmp_path], http=http, binary=program(devices), devices=devices, lender=lender
    )
    async with closing(opened) as embedded:
        with pytest.raises(ModelError, match="odd cannot be loaded"):
            await load(embedded, "odd")
        assert (len(lender.asked), lender.held) == (1, {})


async def test_a_model_that_is_not_ready_in_time_gives_its_lease_back(
    folder: Path, http: Http, devices: Path, lender: ScriptedLender
) -> None:
    opened = Embedded(
        [folder],
        http=http,
        binary=program(devices),
        devices=devices,
        lender=lender,
        ready_s=0.01,
    )
    async with closing(opened) as embedded:
        with pytest.raises(ModelError, match="was not ready within"):
            await load(embedded, "tiny")
        assert (len(lender.asked), lender.held) == (1, {})


@pytest.mark.parametrize("held_by", ["", "a task"], ids=["while it loads", "while it waits"])
async def test_a_load_that_is_given_up_leaves_no_lease_and_no_process(
    lent: Embedded, lender: ScriptedLender, held_by: str
) -> None:
    if held_by:
        lender.hold(held_by)
    loading = waiting(lent)
    await until(lambda: bool(lender.line) if held_by else bool(workers()))
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert (list(lender.held), lender.line, workers()) == ([held_by] * bool(held_by), [], [])
    lender.held.clear()


async def test_a_load_that_is_given_up_before_its_turn_to_start_leaves_no_lease(
    lent: Embedded, lender: ScriptedLender
) -> None:
    lender.slots = 2
    first, second = waiting(lent), waiting(lent, "tiny-embed")
    await until(lambda: len(lender.held) == 2)
    for loading in (first, second):
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
    assert (lender.held, workers()) == ({}, [])


async def test_closing_ends_the_wait(lent: Embedded, lender: ScriptedLender) -> None:
    lender.hold("a task")
    loading = waiting(lent)
    await until(lambda: bool(lender.line))
    await lent.close()
    with pytest.raises(LinkError, match="the embedded worker is closed"):
        await loading
    assert lender.line == []
    lender.release("a task")


async def test_a_lease_is_touched_as_long_as_its_model_answers(
    lent: Embedded, lender: ScriptedLender
) -> None:
    pid = await load(lent, "tiny", LoadOptions(context_size=32_768))
    assert lender.touched == []
    async with asyncio.timeout(20), contextlib.aclosing(lent.chat(asking(endless()))) as events:
        async for event in events:
            if isinstance(event, Token) and len(lender.touched) >= 4:
                break
    assert len(lender.touched) >= 4
    touched = len(lender.touched)
    await answer(lent, "short")
    assert len(lender.touched) >= touched + 2
    killed = False
    with pytest.raises(BackendBroken):
        async for event in lent.chat(asking(endless())):
            if isinstance(event, Token) and not killed:
                killed = True
                os.kill(pid, signal.SIGKILL)
    assert set(lender.touched) == {"model:tiny"}


async def test_a_machine_whose_gpus_the_ledger_does_not_know_works_as_without_one(
    folder: Path, http: Http, devices: Path
) -> None:
    lender = ScriptedLender(total_mb=None)
    opened = Embedded([folder], http=http, binary=program(devices), devices=devices, lender=lender)
    async with closing(opened) as embedded:
        pid = await load(embedded, "tiny")
        assert "CUDA_VISIBLE_DEVICES" not in psutil.Process(pid).environ()


async def test_two_models_take_turns_on_a_gpu_of_the_hubs_own_ledger(
    folder: Path, http: Http, devices: Path
) -> None:
    async def read() -> GpuReading:
        gpu = Gpu(gpu_id="0", uuid=UUID, vendor="nvidia", memory_used_mb=0, memory_total_mb=1000)
        return GpuReading(gpus=(gpu,))

    ledger = Ledger(read, dict, look_s=0.05)
    opened = Embedded([folder], http=http, binary=program(devices), devices=devices, lender=ledger)
    async with closing(opened) as embedded, asyncio.timeout(30):
        await load(embedded, "tiny")
        reasons: list[str] = []
        async for step in embedded.load("tiny-embed", SMALL):
            if step.waiting is not None and not reasons:
                reasons.append(str(step.waiting))
                await embedded.unload("tiny")
        assert [(each.name, each.gpu_id) for each in ledger.view().holdings] == [
            ("tiny-embed", "0")
        ]
        with pytest.raises(ModelError, match="the largest GPU has 1000 MB"):
            await load(embedded, "tiny", LoadOptions(context_size=1_000_000))
        [vector] = await embedded.embed("tiny-embed", ["the water"])
        assert len(vector) == 64
    assert "tiny" in reasons[0]
    assert ledger.view().holdings == ()
    await ledger.close()


async def test_the_service_shows_the_wait_and_an_unload_ends_it(
    lent: Embedded, lender: ScriptedLender
) -> None:
    lender.hold("a task")
    service = Service(own=[lent])
    with pytest.raises(ModelError, match="was unloaded while it was being loaded"):
        async with asyncio.timeout(20):
            async for step in service.load("tiny", SMALL):
                if step.waiting:
                    await service.unload("tiny")
    assert lender.line == []
    lender.release("a task")
    async with asyncio.timeout(20):
        async for event in service.chat(asking(endless())):
            if isinstance(event, Token):
                break
    assert list(lender.held) == ["model:tiny"]
