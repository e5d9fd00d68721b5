"""The engine against real processes: events, outcomes, cancel, time-out, crashes, loss."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow
import pytest
import pytest_asyncio

from tests.engines.flying import Flown, data_of, job, outcome_of
from tests.engines.waiting import alive, until
from workbench.core.job import (
    Begun,
    Cancelled,
    Done,
    Failed,
    Log,
    Lost,
    Progress,
    TimedOut,
)
from workbench.engines.dask import DaskEngine

pytestmark = pytest.mark.asyncio(loop_scope="module")
linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own guarantees")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DaskEngine]:
    """One engine for the whole file, as a hub has it; its processes stay warm."""
    engine = DaskEngine(slots=2, scratch=tmp_path_factory.mktemp("scratch"))
    await engine.start()
    yield engine
    await engine.stop()


async def test_events_come_in_order_and_all_before_the_outcome(engine: DaskEngine) -> None:
    outcome, events = await outcome_of(engine, job("talk", steps=20))
    assert isinstance(outcome, Done)
    said = [event for event in events if isinstance(event, Log)]
    lines = [event.values.get("line", event.template) for event in said]
    expected = [text for n in range(1, 21) for text in ("did step {step}", f"printed {n}")]
    ordered = [*expected, "to stderr", "from logging", "no newline"]
    assert [line for line in lines if line != "from the descriptor"] == ordered
    assert "from the descriptor" in lines
    levels = {event.values.get("line"): event.level for event in said}
    assert levels["printed 1"] == levels["from the descriptor"] == "info"
    assert levels["to stderr"] == levels["from logging"] == "warning"
    done = [event.done for event in events if isinstance(event, Progress)]
    assert done == list(range(1, 21))


async def test_news_and_outcome_of_an_embedded_task_wait_for_no_timer_of_dask(
    tmp_path: Path,
) -> None:
    """Dask gathers what its worker says of several tasks; here nobody need wait for it."""
    engine = DaskEngine(slots=1, scratch=tmp_path)
    await engine.start()
    try:
        _worker_of(engine).batched_stream.interval = 60.0
        async with asyncio.timeout(30):
            for _ in range(3):
                outcome, events = await outcome_of(engine, job("talk", steps=40))
                assert isinstance(outcome, Done)
                done = [event.done for event in events if isinstance(event, Progress)]
                assert done == list(range(1, 41))
    finally:
        await engine.stop()


async def test_jobs_that_wait_for_a_slot_never_begin_once_they_are_cancelled_or_the_engine_stops(
    tmp_path: Path,
) -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    engine = DaskEngine(slots=1, scratch=tmp_path)
    await engine.start()
    threads = _worker_of(engine).executors["default"]
    running = Flown(engine, job("hang"))
    await running.pids()
    waiting = [Flown(engine, job("echo")) for _ in range(3)]
    cancelled = Flown(engine, job("echo"))
    await asyncio.sleep(0)
    await engine.cancel(cancelled.key)
    assert await cancelled.task == Cancelled()
    await engine.stop()
    for each in (running, *waiting):
        assert await each.task == Lost("the engine was stopped")
    await asyncio.to_thread(threads.shutdown)  # whatever they had still to begin, they have begun
    assert {each.pid for each in psutil.Process().children(recursive=True)} <= before


async def test_the_last_word_of_a_task_is_its_own(engine: DaskEngine) -> None:
    """A descriptor and the frames are two pipes: what came first must not fall to the next task."""
    words = [f"word {number}" for number in range(200)]
    heard = [(await outcome_of(engine, job("last_word", word=word)))[1] for word in words]
    said = [[e.values["line"] for e in events if isinstance(e, Log)] for events in heard]
    assert said == [[word] for word in words]


async def test_events_come_while_the_task_runs(engine: DaskEngine) -> None:
    flown = Flown(engine, job("hang"))
    await flown.pids()
    assert not flown.task.done()
    await engine.cancel(flown.key)


async def test_a_flood_of_lines_arrives_whole_through_bounded_buffers(engine: DaskEngine) -> None:
    outcome, events = await outcome_of(engine, job("flood", lines=50_000))
    assert isinstance(outcome, Done)
    lines = [event.values["line"] for event in events if isinstance(event, Log)]
    assert lines == [f"line {number}" for number in range(50_000)]


async def test_a_line_without_end_is_cut(engine: DaskEngine) -> None:
    _, events = await outcome_of(engine, job("long_line"))
    lengths = sorted(len(event.values["line"]) for event in events if isinstance(event, Log))
    assert lengths == [4096, 4096]


async def test_tables_figures_and_batch_come_back(engine: DaskEngine) -> None:
    outcome, _ = await outcome_of(engine, job("tables", rows=100_000))
    assert isinstance(outcome, Done)
    table = pyarrow.ipc.open_stream(outcome.tables["numbers"]).read_all()
    assert table.num_rows == 100_000
    assert table.column("n")[99_999].as_py() == 99_999
    assert table.column("high")[0].as_py() == 2**64 - 1
    assert (outcome.batch, outcome.figures) == ("b1", b'[{"data":[]}]')
    assert outcome.device == "cpu"
    assert outcome.elapsed_ms >= 0


async def test_integers_stay_exact_both_ways_and_nan_is_null(engine: DaskEngine) -> None:
    data = await data_of(engine, job("big_integer", amount=2**128 - 1))
    assert data == {"amount": 2**128, "nan": None, "inf": None}


async def test_a_lent_gpu_is_the_only_one_that_the_model_sees(engine: DaskEngine) -> None:
    lent = {"device": "cuda:0", "gpu": "GPU-5c1d", "vendor": "nvidia"}
    outcome, events = await outcome_of(engine, job("where", on=lent))
    assert isinstance(outcome, Done)
    assert outcome.device == "cuda:0"
    assert events == [Begun()]
    data = json.loads(outcome.document)
    assert data["device"] == "cuda:0"
    assert data["seen"]["CUDA_VISIBLE_DEVICES"] == "GPU-5c1d"
    without = await data_of(engine, job("where"))
    assert (without["device"], without["seen"]["CUDA_VISIBLE_DEVICES"]) == ("cpu", "")


async def test_what_was_lent_and_not_used_is_not_said(engine: DaskEngine) -> None:
    lent = {"device": "cuda:0", "gpu": "GPU-5c1d", "vendor": "nvidia"}
    outcome, _ = await outcome_of(engine, job("does_without", on=lent))
    assert isinstance(outcome, Done) and outcome.device == "cpu"


async def test_a_process_that_had_a_gpu_is_gone_with_its_task(engine: DaskEngine) -> None:
    """As long as it lives, a CUDA context keeps memory that was given back."""
    warm = await data_of(engine, job("where"))
    on_gpu = await data_of(engine, job("where", on={"gpu": "GPU-5c1d", "vendor": "nvidia"}))
    assert on_gpu["pid"] != warm["pid"]
    assert not alive(on_gpu["pid"])
    assert (await data_of(engine, job("where")))["pid"] == warm["pid"]


async def test_the_engine_knows_which_process_does_what(engine: DaskEngine) -> None:
    flown = [Flown(engine, job("hang")) for _ in range(2)]
    named = {("", (await each.pids())[0]): each.key for each in flown}
    assert engine.pids() == named
    assert await engine.on_workers(os.getpid) == []
    for each in flown:
        await engine.cancel(each.key)
    assert engine.pids() == {}


async def test_inputs_of_an_embedded_engine_are_not_copied(
    engine: DaskEngine, tmp_path: Path
) -> None:
    path = tmp_path / "batch.json"
    path.write_text("hello")
    data = await data_of(engine, job("read", inputs={"batch": path}))
    assert data == {"text": "hello", "name": "batch.json", "path": str(path)}


async def test_a_models_faults_are_told_with_template_values_and_traceback(
    engine: DaskEngine,
) -> None:
    outcome, _ = await outcome_of(engine, job("reject"))
    assert isinstance(outcome, Failed)
    assert outcome.rejected
    assert outcome.template == "the block is cut at byte {offset}"
    assert outcome.values == {"offset": str(2**70)}
    outcome, _ = await outcome_of(engine, job("fail"))
    assert isinstance(outcome, Failed)
    assert not outcome.rejected
    assert outcome.values == {"kind": "ZeroDivisionError", "reason": "division by zero"}
    assert "models.py" in outcome.traceback
    assert "perform.py" not in outcome.traceback


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("leave", "SystemExit: 3"),
        (
            "wrong",
            "the model returned something of the type object as value; allowed: None, numbers, "
            "texts, lists and dictionaries, a DataFrame, a Series, an array, a pyarrow.Table, a "
            "Plotly figure, a dictionary or tuple of these, or a Result",
        ),
        (
            "unwritable",
            "the model's result cannot be written as JSON: a object cannot be written as JSON",
        ),
        (
            "absent",
            "AttributeError: module 'tests.engines.models' has no attribute 'absent'",
        ),
    ],
)
async def test_what_a_model_may_not_do_fails_with_a_sentence(
    engine: DaskEngine, function: str, sentence: str
) -> None:
    outcome, _ = await outcome_of(engine, job(function))
    assert isinstance(outcome, Failed)
    assert outcome.template.format(**outcome.values) == sentence


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("exit_hard", "the task's process exited with status 7"),
        ("segfault", "the task's process was killed by SIGSEGV"),
        ("kill_self", "the task's process was killed by SIGKILL"),
        ("garbage", "the task's process sent something unreadable"),
    ],
)
async def test_a_crash_is_lost_with_its_last_words_and_the_slot_works_on(
    engine: DaskEngine, function: str, reason: str
) -> None:
    outcome, events = await outcome_of(engine, job(function))
    assert isinstance(outcome, Lost)
    assert outcome.reason.startswith(reason)
    words = [event.values.get("line", "") for event in events if isinstance(event, Log)]
    if function == "exit_hard":
        assert words == ["last words"]
    if function == "segfault":
        assert "Fatal Python error: Segmentation fault" in words
    assert (await data_of(engine, job("echo", text="on")))["text"] == "on"


@pytest.mark.parametrize("function", ["hang", "busy", "locked"])
async def test_cancel_ends_the_work_in_c_code_too(engine: DaskEngine, function: str) -> None:
    flown = Flown(engine, job(function))
    pids = await flown.pids()
    await engine.cancel(flown.key)
    assert not any(map(alive, pids))
    assert await flown.task == Cancelled()


async def test_cancel_kills_a_stubborn_family_after_a_second(engine: DaskEngine) -> None:
    flown = Flown(engine, job("hang", stubborn=True, family=True))
    pids = await flown.pids()
    began = time.monotonic()
    await engine.cancel(flown.key)
    assert time.monotonic() - began > 0.9
    assert not any(map(alive, pids))
    assert await flown.task == Cancelled()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody adopts orphans")
async def test_cancel_ends_what_left_its_process_group(engine: DaskEngine) -> None:
    flown = Flown(engine, job("scatter"))
    pids = await flown.pids()
    assert len(pids) == 3
    await engine.cancel(flown.key)
    assert await flown.task == Cancelled()
    for pid in pids:
        await asyncio.to_thread(until, lambda pid=pid: not alive(pid), limit_s=30)


async def test_cancelling_the_waiter_cancels_the_job(engine: DaskEngine) -> None:
    flown = Flown(engine, job("hang"))
    (pid,) = await flown.pids()
    flown.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flown.task
    assert not alive(pid)


async def test_a_job_cancelled_before_it_has_a_slot_never_starts(engine: DaskEngine) -> None:
    running = [Flown(engine, job("hang")) for _ in range(2)]
    for flown in running:
        await flown.pids()
    waiting = Flown(engine, job("hang"))
    await asyncio.sleep(0)  # it is on its way
    await asyncio.wait_for(engine.cancel(waiting.key), 30)
    assert await waiting.task == Cancelled()
    await asyncio.gather(*(engine.cancel(flown.key) for flown in running))
    assert await data_of(engine, job("echo"))
    assert waiting.events == []


async def test_cancel_at_any_moment_ends_in_cancelled_and_no_process_works_on(
    engine: DaskEngine,
) -> None:
    for number in range(15):
        flown = Flown(engine, job("hang"))
        await asyncio.sleep(number * 0.003)
        await asyncio.wait_for(engine.cancel(flown.key), 30)
        assert await flown.task == Cancelled()
    assert (await data_of(engine, job("echo", text="x")))["text"] == "x"


async def test_a_cancel_touches_no_job_that_ends_in_the_same_moment(tmp_path: Path) -> None:
    engine, chance = DaskEngine(slots=6, scratch=tmp_path), random.Random(7)
    outcomes: list[Any] = []

    async def one_after_the_other() -> None:
        for _ in range(20):
            each = job("echo")
            flying = asyncio.ensure_future(engine.run(each, lambda event: None))
            await asyncio.sleep(chance.uniform(0, 0.05))
            if wanted := chance.random() < 0.5:
                await engine.cancel(each.key)
            await asyncio.wait([flying])
            outcomes.append("raised" if flying.cancelled() else type(flying.result()).__name__)
            assert wanted or outcomes[-1] == "Done", outcomes

    await engine.start()
    try:
        await asyncio.gather(*(one_after_the_other() for _ in range(6)))
    finally:
        await engine.stop()
    assert set(outcomes) <= {"Done", "Cancelled"}


async def test_cancelling_what_is_over_or_was_never_there_returns(engine: DaskEngine) -> None:
    over = job("echo")
    await data_of(engine, over)
    await engine.cancel(over.key)
    await engine.cancel("never.1")


async def test_a_key_runs_once_at_a_time(engine: DaskEngine) -> None:
    once = job("hang")
    flown = Flown(engine, once)
    await flown.pids()
    with pytest.raises(ValueError, match=f"{once.key} is running already"):
        await engine.run(once, print)
    await engine.cancel(once.key)


@pytest.mark.parametrize("function", ["hang", "busy"])
async def test_the_time_out_counts_from_when_it_runs(engine: DaskEngine, function: str) -> None:
    await data_of(engine, job("echo"))
    flown = Flown(engine, job(function, timeout_s=0.5))
    (pid,) = await flown.pids()
    assert await flown.task == TimedOut()
    assert not alive(pid)


async def test_a_process_is_used_again_and_replaced_after_a_kill(engine: DaskEngine) -> None:
    first = await data_of(engine, job("echo"))
    assert (await data_of(engine, job("echo")))["pid"] == first["pid"]
    assert (await data_of(engine, job("surroundings")))["pid"] == first["pid"]
    await outcome_of(engine, job("fail"))
    flown = Flown(engine, job("hang"))
    await flown.pids()
    await engine.cancel(flown.key)
    assert (await data_of(engine, job("echo")))["pid"] != first["pid"]


async def test_nothing_of_one_task_is_left_for_the_next(engine: DaskEngine) -> None:
    before = await data_of(engine, job("surroundings"))
    littered = await data_of(engine, job("litter"))
    after = await data_of(engine, job("surroundings"))
    assert before["pid"] == littered["pid"] == after["pid"]
    assert (after["litter"], after["stdin"], after["term"]) == (None, "", True)
    assert before.pop("cwd") != after["cwd"]
    folder = Path(after.pop("cwd"))
    assert before == after
    assert folder.name.startswith("task-")
    assert not await asyncio.to_thread(folder.exists)


async def test_a_process_with_a_leftover_thread_is_not_used_again(engine: DaskEngine) -> None:
    left = await data_of(engine, job("leave_thread"))
    assert not alive(left["pid"])
    assert (await data_of(engine, job("echo")))["pid"] != left["pid"]


async def test_two_slots_work_at_the_same_time(engine: DaskEngine, tmp_path: Path) -> None:
    assert engine.slots == 2
    outcomes = await asyncio.gather(
        outcome_of(engine, job("meet", folder=str(tmp_path), name="a", other="b")),
        outcome_of(engine, job("meet", folder=str(tmp_path), name="b", other="a")),
    )
    assert all(isinstance(outcome, Done) for outcome, _ in outcomes)


@linux
async def test_a_stopped_process_says_nothing_and_can_be_cancelled(engine: DaskEngine) -> None:
    flown = Flown(engine, job("tick", steps=100_000, pause_s=0.005))
    (pid,) = await flown.pids()
    os.kill(pid, signal.SIGSTOP)
    await asyncio.to_thread(
        until, lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, limit_s=30
    )
    with pytest.raises(TimeoutError):
        while True:  # what was under way may still arrive; one that goes on would tell for minutes
            flown.news.clear()
            await asyncio.wait_for(flown.news.wait(), 0.5)
    assert not flown.task.done()
    await engine.cancel(flown.key)
    assert not alive(pid)
    assert await flown.task == Cancelled()


def listening() -> set[object]:
    """Where this process and those below it listen."""
    everyone = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return {
        connection.laddr
        for process in everyone
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


async def test_nothing_listens(tmp_path: Path) -> None:
    before = listening()  # what other tests left
    engine = DaskEngine(slots=2, scratch=tmp_path)
    await engine.start()
    try:
        assert await data_of(engine, job("echo"))
        assert listening() <= before
    finally:
        await engine.stop()


@linux
async def test_no_process_inherits_a_socket(engine: DaskEngine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.set_inheritable(True)
        assert await data_of(engine, job("descriptors")) == {"sockets": []}


async def test_stop_ends_jobs_as_lost_and_leaves_no_process(tmp_path: Path) -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    engine = DaskEngine(slots=2, scratch=tmp_path)
    await engine.start()
    assert await data_of(engine, job("echo"))
    stubborn = Flown(engine, job("hang", stubborn=True))
    await stubborn.pids()
    await engine.stop()
    assert await stubborn.task == Lost("the engine was stopped")
    after = {process.pid for process in psutil.Process().children(recursive=True)}
    assert after <= before
    assert engine.slots == 0
    assert await engine.run(job("echo"), print) == Lost("the engine is not running")


async def test_a_dead_scheduler_is_told_and_restart_brings_it_back(tmp_path: Path) -> None:
    engine = DaskEngine(slots=1, scratch=tmp_path)
    await engine.start()
    flown = Flown(engine, job("hang"))
    (pid,) = await flown.pids()
    await _scheduler_of(engine).close()
    assert isinstance(await asyncio.wait_for(flown.task, 10), Lost)
    await asyncio.wait_for(engine.closed.wait(), 10)
    await engine.restart()
    assert not alive(pid)
    assert not engine.closed.is_set()
    assert (await data_of(engine, job("echo", text="back")))["text"] == "back"
    await engine.stop()


def _scheduler_of(engine: DaskEngine) -> Any:
    """The embedded scheduler, to end it as a fault of its own would."""
    assert engine._cluster is not None
    return engine._cluster._servers[-1]


def _worker_of(engine: DaskEngine) -> Any:
    assert engine._cluster is not None
    return engine._cluster._servers[0]
