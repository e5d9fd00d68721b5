"""The background loop of a kernel: it waits, cancels, reports, and ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from workbench.errors import LinkError, WorkbenchError
from workbench.runtime import Runtime, runtime


@pytest.fixture
def background() -> Iterator[Runtime]:
    background = Runtime("test-runtime")
    yield background
    background.close()


async def where() -> str:
    return threading.current_thread().name


def test_runs_on_its_own_thread_and_gives_the_result_back(background: Runtime) -> None:
    assert background.run(where()) == "test-runtime"


def test_an_exception_comes_to_the_caller(background: Runtime) -> None:
    async def fail() -> None:
        raise KeyError("k")

    with pytest.raises(KeyError):
        background.run(fail())


def test_a_blocked_caller_does_not_stop_the_loop(background: Runtime) -> None:
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)

    future = background.spawn(tick())
    deadline = time.monotonic() + 60
    while len(ticks) <= 10 and time.monotonic() < deadline:  # as a cell that computes would
        sum(range(1000))
    assert len(ticks) > 10
    future.cancel()


def test_a_deadline_is_a_sentence_and_cancels_the_work(background: Runtime) -> None:
    ended = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(LinkError, match=r"no answer within 0\.05 s"):
        background.run(forever(), timeout_s=0.05)
    assert ended.wait(30)


def test_a_time_out_of_the_work_itself_stays_what_it_is(background: Runtime) -> None:
    async def inner() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        background.run(inner(), timeout_s=60)


def test_stop_cancels_the_work_and_comes_through(background: Runtime) -> None:
    began, cancelled = threading.Event(), threading.Event()

    async def forever() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def interrupt() -> None:
        assert began.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        background.run(forever())
    assert cancelled.wait(30)
    assert background.run(where()) == "test-runtime"


def test_a_blocking_call_in_a_callback_is_refused_and_not_a_deadlock(background: Runtime) -> None:
    async def nested() -> None:
        background.run(where())

    with pytest.raises(WorkbenchError, match="await the coroutine instead"):
        background.run(nested(), timeout_s=5)


def test_spawned_work_that_fails_is_logged_and_told(
    background: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[str, str]] = []
    heard = threading.Event()

    def watcher(error: BaseException, name: str) -> None:
        told.append((str(error), name))
        heard.set()

    leave = background.watch(watcher)

    async def fail() -> None:
        raise ValueError("broken")

    with caplog.at_level(logging.ERROR, "workbench.runtime"):
        background.spawn(fail(), name="drawing")
        assert heard.wait(30)
    assert told == [("broken", "drawing")]
    assert "spawned.failed name=drawing error=broken" in caplog.text
    leave()
    leave()


def test_cancelled_work_is_no_failure(background: Runtime) -> None:
    told: list[BaseException] = []
    background.watch(lambda error, name: told.append(error))
    future = background.spawn(asyncio.sleep(60))
    future.cancel()
    assert background.run(where()) == "test-runtime"
    assert told == []


def test_closing_cancels_what_runs_and_a_second_time_does_nothing() -> None:
    background = Runtime()
    began, ended = threading.Event(), threading.Event()

    async def forever() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    background.spawn(forever())
    assert began.wait(30)
    background.close()
    background.close()
    assert ended.is_set()
    assert not background.alive
    with pytest.raises(WorkbenchError, match="was closed: connect again"):
        background.run(where())


def test_a_process_has_one_runtime_and_a_new_one_after_it_was_closed() -> None:
    first = runtime()
    assert runtime() is first
    first.close()
    second = runtime()
    assert second is not first
    assert second.run(where()) == "workbench-runtime"
    second.close()


def test_a_process_ends_cleanly_with_work_under_way() -> None:
    program = (
        "import asyncio\n"
        "from workbench.runtime import runtime\n"
        "runtime().spawn(asyncio.sleep(600))\n"
        "print(runtime().run(asyncio.sleep(0, 'ready')))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=30
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("ready\n", "", 0)
