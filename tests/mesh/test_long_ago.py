"""A task that ended so long ago that the book holds it no more is still the same task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.mesh.test_node import Bench, inline
from workbench.core.task import TaskBook

KEPT, ENDED = 2, 6


@pytest.fixture(params=["", "restarted"])
async def bench(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """After six tasks, by a node that holds two; `restarted`: they ended before its start."""
    bench = Bench(tmp_path, book=TaskBook(past_kept=KEPT))
    await bench.start()
    peer = bench.peer(9)
    for number in range(ENDED):
        peer.say(inline(f"t{number}", inputData={"n": number}))
        (await bench.engine.attempt(f"t{number}.1")).end()
        await peer.end(f"t{number}")
    if request.param:
        bench.options["book"] = TaskBook(past_kept=KEPT)
        await bench.restart()
    yield bench
    await bench.stop()


@pytest.mark.parametrize("number", [0, ENDED - 1])
async def test_sent_again_it_is_a_duplicate_and_gives_its_result(bench: Bench, number: int) -> None:
    before = list(bench.engine.begun)
    peer = bench.peer()
    peer.say(inline(f"t{number}", inputData={"n": number}))
    assert (await peer.end(f"t{number}"))["result"]["data"] == {"answer": 42}
    accepted = [each for each in peer.frames if each["type"] == "taskAccepted"]
    assert {(each["duplicate"], each["state"]) for each in accepted if each["duplicate"]} == {
        (True, "done")
    }
    assert bench.engine.begun == before


async def test_with_other_content_it_is_a_conflict(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(inline("t0", inputData={"n": "other"}))
    assert (await peer.until(lambda each: each["type"] == "error"))["code"] == "conflict"


async def test_it_can_be_attached_and_its_end_is_told_to_who_cancels_it(bench: Bench) -> None:
    peer = bench.peer()
    peer.say({"type": "attach", "taskId": "t1"})
    assert (await peer.end("t1"))["type"] == "taskResult"
    other = bench.peer(2)
    other.say({"type": "cancelTask", "taskId": "t2"})
    assert (await other.end("t2"))["type"] == "taskResult"


async def test_a_dashboard_sees_how_it_ended(bench: Bench) -> None:
    feed = bench.node.tasks
    assert feed.must_look_up("t0")
    seen = await feed.looked_up("t0")
    assert seen is not None
    assert (seen["status"], seen["model"], seen["attempt"]) == ("done", "steady", 1)
    assert not feed.must_look_up("never there")
    assert await feed.looked_up("never there") is None


async def test_what_never_was_is_unknown(bench: Bench) -> None:
    peer = bench.peer()
    peer.say({"type": "attach", "taskId": "never there"})
    assert (await peer.until(lambda each: each["type"] == "error"))["code"] == "unknown-task"


async def test_ended_tasks_of_one_model_share_its_name(tmp_path: Path) -> None:
    book = TaskBook()
    bench = Bench(tmp_path, book=book)
    await bench.start()
    peer = bench.peer()
    for number in range(2):
        peer.say(inline(f"t{number}", inputData={"n": number}))
        (await bench.engine.attempt(f"t{number}.1")).end()
        await peer.end(f"t{number}")
    first, second = (book.past(f"t{number}") for number in range(2))
    assert first is not None
    assert second is not None
    assert first.model is second.model
    await bench.stop()
