"""The node keeps its eight promises, with doubles at its edges and everything real between."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.mesh.doubles import (
    DEADLINE_S,
    MODELS,
    ConnectionGone,
    MemoryEngine,
    MemoryFetch,
    MemoryJournal,
    MemoryPeer,
    done,
    is_end,
)
from workbench.core.job import Failed, Lost, TimedOut
from workbench.mesh.content import our_code
from workbench.mesh.limits import Limits
from workbench.mesh.node import Node

URL = "https://runes.example/batch.json"
TICKLESS = Limits(tick_s=3600.0)


class Bench:
    """A node with its doubles. `restart` gives a new one on what the journal had made durable."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder, self.options = folder, options
        self.journal = MemoryJournal()
        self.fetch = MemoryFetch({URL: b'{"batch": 1}'})
        self.clock = 0.0
        self.wall = 1_700_000_000.0
        self.serving: list[asyncio.Task[None]] = []

    async def start(self, slots: int = 2) -> None:
        self.engine = MemoryEngine(slots)
        self.node = Node(
            journal=self.journal,
            engine=self.engine,
            fetch=self.fetch,
            folder=self.folder,
            now=lambda: self.clock,
            wall=lambda: self.wall,
            **{"models": MODELS, "limits": TICKLESS, **self.options},
        )
        await self.node.start()

    async def restart(self) -> None:
        """As after kill -9: nothing but the durable rows is left."""
        await self.stop()
        self.journal = MemoryJournal(self.journal.durable)
        await self.start()

    async def stop(self) -> None:
        await self.node.stop()
        for serving in self.serving:
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionGone):
                await serving
        self.serving.clear()

    def peer(self, number: int = 1, scope: str = "admin") -> MemoryPeer:
        peer = MemoryPeer(number, scope)
        self.serving.append(asyncio.create_task(self.node.serve(peer)))
        return peer

    async def gone(self, peer: MemoryPeer) -> None:
        peer.leave()
        serving = self.serving.pop()
        with contextlib.suppress(ConnectionGone):
            await asyncio.wait_for(serving, DEADLINE_S)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.start()
    yield bench
    await bench.stop()


def task(task_id: str = "t", **fields: Any) -> dict[str, Any]:
    whole = {"type": "task", "taskId": task_id, "model": "steady", "inputDataURL": URL}
    return {**whole, **fields}


def content_of(path: str) -> str:
    return Path(path).read_text()


def inline(task_id: str, **fields: Any) -> dict[str, Any]:
    """A task whose input needs no fetching, so that tasks start in the order of their arrival."""
    whole = {"type": "task", "taskId": task_id, "model": "steady", "inputData": {"a": 1}}
    return {**whole, **fields}


async def settled() -> None:
    """Let everything that is ready run: many turns of the loop, no time."""
    for _ in range(200):
        await asyncio.sleep(0)


# 1. taskAccepted only after it is durable ------------------------------------------------


async def test_accepts_only_what_is_durable_and_runs_only_what_is_accepted(bench: Bench) -> None:
    peer = bench.peer()
    bench.journal.held = True
    peer.say(task())
    await settled()
    assert peer.frames == []
    assert bench.fetch.asked == []
    bench.journal.held = False
    bench.journal.commit()
    accepted = await peer.get("taskAccepted")
    assert (accepted["seq"], accepted["attempt"], accepted["duplicate"]) == (1, 1, False)
    (await bench.engine.attempt("t.1")).end()
    assert (await peer.end("t"))["result"]["data"] == {"answer": 42}


async def test_the_log_says_what_was_accepted_and_how_it_ended(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "workbench.mesh")
    peer = bench.peer()
    peer.say(task(parameters={"units": 3}))
    attempt = await bench.engine.attempt("t.1")
    bench.clock += 2.5
    attempt.end()
    await peer.end("t")
    assert [each.message for each in caplog.records] == [
        "task.accepted task='t' model=steady",
        "task.ended task='t' model=steady state=done duration_s=2.5",
    ]


async def test_the_time_of_a_task_counts_from_its_acceptance_by_a_hub_that_was_killed(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "workbench.mesh")
    bench.engine.slots = 0
    bench.node.tick()
    peer = bench.peer()
    peer.say(task())
    await peer.get("taskAccepted")
    bench.wall += 2.5
    await bench.restart()
    (await bench.engine.attempt(await bench.engine.any_key())).end()
    peer = bench.peer()
    peer.say({"type": "attach", "taskId": "t", "after": 1})
    await peer.end("t")
    ended = "task.ended task='t' model=steady state=done duration_s=2.5"
    assert [each.message for each in caplog.records][-1] == ended
    assert bench.node.ended.by_outcome["done"].total_s == 2.5


async def test_fifty_tasks_in_flight_need_no_fifty_commits(bench: Bench) -> None:
    peer = bench.peer()
    bench.journal.held = True
    for number in range(50):
        peer.say(task(f"t{number}"))
    await settled()
    assert bench.journal.appends == 50
    bench.journal.commit()
    await peer.get("taskAccepted", "t49")
    order = [f["taskId"] for f in peer.frames if f["type"] == "taskAccepted"]
    assert order == [f"t{number}" for number in range(50)]
    bench.journal.held = False
    bench.journal.commit()


async def test_a_task_that_could_not_be_made_durable_is_not_accepted(bench: Bench) -> None:
    peer = bench.peer()
    bench.journal.broken = "the disk is full"
    peer.say(task())
    refused = await peer.get("error", "t")
    assert (refused["code"], refused["cause"]) == ("unavailable", "store")
    assert "seq" not in refused
    assert refused["error"] == (
        "the task was not accepted, because it could not be made durable: "
        "the store is broken: the disk is full"
    )
    bench.journal.broken = ""
    peer.say(task())
    assert (await peer.get("taskAccepted"))["duplicate"] is False


async def test_an_accepted_task_survives_the_node(bench: Bench) -> None:
    bench.engine.slots = 0
    bench.node.tick()
    peer = bench.peer()
    peer.say(task())
    await peer.get("taskAccepted")
    await bench.restart()
    (await bench.engine.attempt(await bench.engine.any_key())).end()
    peer = bench.peer()
    peer.say({"type": "attach", "taskId": "t", "after": 1})
    assert (await peer.end("t"))["success"] is True


async def test_a_pure_task_that_ran_is_tried_again_after_kill_9(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task())
    await bench.engine.attempt("t.1")
    await settled()
    await bench.restart()
    (await bench.engine.attempt("t.2")).end()
    peer = bench.peer()
    peer.say({"type": "attach", "taskId": "t"})
    end = await peer.end("t")
    assert (end["success"], end["attempt"]) == (True, 2)
    assert [f["type"] for f in peer.numbered("t")] == ["taskAccepted", "log", "taskResult"]


async def test_an_impure_task_that_ran_is_lost_after_kill_9(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task(model="once"))
    await bench.engine.attempt("t.1")
    await settled()
    await bench.restart()
    peer = bench.peer()
    peer.say({"type": "attach", "taskId": "t"})
    end = await peer.end("t")
    assert end["code"] == "lost"
    assert bench.engine.begun == []


# 2. exactly one terminal message, kept and replayable --------------------------------------


@pytest.mark.parametrize(
    ("outcome", "code", "sentence"),
    [
        (Failed(template="it broke at {n}", values={"n": 3}), "failed", "it broke at 3"),
        (Failed(template="bad amount", rejected=True), "rejected", "bad amount"),
        (
            TimedOut(),
            "timeout",
            "the task ran longer than 600.0 s and was stopped: "
            "raise timeoutMs (at most 600000) or send a smaller batch",
        ),
    ],
)
async def test_every_other_end_is_an_error_with_its_code(
    bench: Bench, outcome: Any, code: str, sentence: str
) -> None:
    peer = bench.peer()
    peer.say(task())
    (await bench.engine.attempt("t.1")).end(outcome)
    end = await peer.end("t")
    assert (end["type"], end["code"], end["error"]) == ("error", code, sentence)
    assert end["error"] == end["template"].format(**end["values"])


async def test_a_replay_is_word_for_word_what_was_sent(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task())
    attempt = await bench.engine.attempt("t.1")
    attempt.log("read {rows} rows", rows=5)
    attempt.end()
    await peer.end("t")
    other = bench.peer(2)
    other.say({"type": "attach", "taskId": "t"})
    await other.end("t")
    assert other.frames == peer.numbered("t")


async def test_a_large_document_lies_in_a_side_file_and_is_replayed_whole(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task())
    large = {"runes": ["x" * 1000] * 100}
    (await bench.engine.attempt("t.1")).end(done(large, figures=b'[{"data": []}]'))
    live = await peer.end("t")
    assert live["result"]["data"] == large
    assert live["result"]["file"].startswith("results/t_")
    rows = bench.journal.durable["task_events"]
    assert max(len(row["body"]) for row in rows) < 1000
    assert [row[0] for row in bench.journal.side_files] == [live["result"]["alias"]]
    other = bench.peer(2)
    other.say({"type": "attach", "taskId": "t", "after": live["seq"] - 1})
    assert await other.end("t") == live


# 3. idempotency, fencing, attempts ---------------------------------------------------------


async def test_the_same_task_again_attaches_to_the_first(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task())
    attempt = await bench.engine.attempt("t.1")
    other = bench.peer(2)
    other.say(task(timestamp=5))
    again = await other.get("taskAccepted")
    assert (again["duplicate"], again["state"], again["seq"]) == (True, "running", 1)
    attempt.end()
    assert await other.end("t") == await peer.end("t")
    assert bench.engine.begun == ["t.1"]


async def test_a_duplicate_of_an_ended_task_gets_its_end_even_after_a_restart(
    bench: Bench,
) -> None:
    peer = bench.peer()
    peer.say(task())
    (await bench.engine.attempt("t.1")).end()
    end = await peer.end("t")
    await bench.restart()
    peer = bench.peer()
    peer.say(task())
    assert (await peer.get("taskAccepted"))["duplicate"] is True
    assert await peer.end("t") == end


async def test_the_same_id_with_other_content_is_a_conflict(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task())
    await peer.get("taskAccepted")
    peer.say(task(parameters={"units": 4}))
    refused = await peer.get("error", "t")
    assert (refused["code"], "seq" in refused) == ("conflict", False)
    assert refused["error"] == ("task t exists with other content: give this one another taskId")


async def test_a_lost_worker_costs_an_attempt_and_late_news_of_it_is_dropped(
    bench: Bench,
) -> None:
    peer = bench.peer()
    peer.say(task())
    first = await bench.engine.attempt("t.1")
    first.end(Lost("the worker died"))
    second = await bench.engine.attempt("t.2")
    first.log("I am not dead")
    first.progress(0.9)
    await settled()
    second.end()
    end = await peer.end("t")
    assert end["attempt"] == 2
    said = [f["content"] for f in peer.frames if f["type"] == "log"]
    assert said == ["attempt 1 was lost because the worker died: attempt 2 follows"]


# 4. attach -----------------------------------------------------------------------------------


async def test_after_attach_come_the_missed_messages_in_order_and_once(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task())
    attempt = await bench.engine.attempt("t.1")
    for number in range(1200):
        attempt.log("line {n}", n=number)
    await peer.until(lambda f: f.get("content") == "line 1199")
    seen = peer.numbered("t")[500]["seq"]
    other = bench.peer(2)
    other.say({"type": "attach", "taskId": "t", "after": seen, "requestId": "r"})
    attempt.log("while it is replayed")
    attempt.end()
    await other.end("t")
    await peer.end("t")
    missed = [{k: v for k, v in f.items() if k != "requestId"} for f in other.numbered("t")]
    assert missed == [f for f in peer.numbered("t") if f["seq"] > seen]
    snapshot = other.frames[0]
    assert (snapshot["type"], snapshot["state"], snapshot["requestId"]) == (
        "taskProgress",
        "running",
        "r",
    )


async def test_attach_shows_the_newest_progress_first(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task())
    (await bench.engine.attempt("t.1")).progress(0.25, "block {n}", n=7)
    await peer.until(lambda f: f.get("progress") == 0.25)
    other = bench.peer(2)
    other.say({"type": "attach", "taskId": "t", "after": 1})
    shown = await other.get("taskProgress")
    assert (shown["progress"], shown["statusText"]) == (0.25, "block 7")
    assert "seq" not in shown


async def test_attach_to_an_unknown_task_is_refused(bench: Bench) -> None:
    peer = bench.peer()
    peer.say({"type": "attach", "taskId": "nobody", "requestId": 9})
    refused = await peer.get("error")
    assert (refused["code"], refused["taskId"]) == ("unknown-task", "nobody")
    assert refused["requestId"] == 9
    assert refused["error"] == "there is no task nobody: send it first"


async def test_logs_are_not_sent_when_they_are_not_wanted_but_kept(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task(returnLogs=False))
    attempt = await bench.engine.attempt("t.1")
    attempt.log("kept")
    attempt.end()
    await peer.end("t")
    other = bench.peer(2)
    other.say({"type": "attach", "taskId": "t"})
    await other.end("t")
    assert not [f for f in peer.frames + other.frames if f["type"] == "log"]
    assert [row["content"] for row in bench.journal.durable["task_logs"]] == ["kept"]


# 5. cancel -----------------------------------------------------------------------------------


async def test_cancelled_is_said_when_the_process_is_gone(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task())
    attempt = await bench.engine.attempt("t.1")
    bench.engine.stubborn = True
    peer.say({"type": "cancelTask", "taskId": "t", "requestId": "c"})
    told = await peer.until(lambda f: f.get("requestId") == "c")
    assert told["state"] == "cancelling"
    assert attempt.stopped
    assert not [f for f in peer.frames if is_end(f)]
    attempt.end(Lost("killed"))
    end = await peer.end("t")
    assert (end["code"], end["error"]) == ("cancelled", "the task was cancelled")


async def test_a_waiting_and_a_fetching_task_are_cancelled_too(bench: Bench) -> None:
    bench.fetch.gate = asyncio.Event()
    peer = bench.peer()
    peer.say(task())
    await peer.until(lambda f: f.get("state") == "fetching")
    peer.say({"type": "cancelTask", "taskId": "t"})
    assert (await peer.end("t"))["code"] == "cancelled"
    bench.engine.slots = 0
    bench.node.tick()
    peer.say(task("w"))
    await peer.get("taskAccepted", "w")
    peer.say({"type": "cancelTask", "taskId": "w"})
    assert (await peer.end("w"))["code"] == "cancelled"


async def test_a_dropped_connection_cancels_nothing(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task())
    attempt = await bench.engine.attempt("t.1")
    await bench.gone(peer)
    assert not attempt.stopped
    attempt.end()
    other = bench.peer(2)
    other.say({"type": "attach", "taskId": "t"})
    assert (await other.end("t"))["success"] is True


async def test_a_cancel_that_comes_too_late_overtakes_nothing_that_was_missed(
    bench: Bench,
) -> None:
    peer = bench.peer()
    peer.say(task())
    attempt = await bench.engine.attempt("t.1")
    attempt.log("one")
    attempt.log("two")
    attempt.end()
    await peer.end("t")
    back = bench.peer(2)
    back.say({"type": "attach", "taskId": "t", "after": 1})
    back.say({"type": "cancelTask", "taskId": "t"})
    await back.end("t")
    await settled()
    assert back.numbered("t") == peer.numbered("t")[1:]


async def test_cancelling_an_ended_task_tells_its_end_again(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task())
    (await bench.engine.attempt("t.1")).end()
    end = await peer.end("t")
    other = bench.peer(2)
    other.say({"type": "cancelTask", "taskId": "t"})
    assert await other.end("t") == end


# 6. slow readers -----------------------------------------------------------------------------


async def test_a_slow_reader_costs_itself_alone_and_misses_nothing(bench: Bench) -> None:
    peer, slow = bench.peer(), bench.peer(2)
    peer.say(task())
    attempt = await bench.engine.attempt("t.1")
    slow.say({"type": "attach", "taskId": "t"})
    await slow.get("taskAccepted")
    slow.slow = True
    for number in range(600):
        attempt.log("line {n}", n=number)
        attempt.progress(number / 600)
    attempt.end()
    end = await peer.end("t")
    await settled()
    assert len(slow.numbered("t")) == 1
    slow.read()
    assert await slow.end("t") == end
    assert slow.numbered("t") == peer.numbered("t")


async def test_a_reader_that_stays_stuck_is_disconnected(tmp_path: Path) -> None:
    bench = Bench(tmp_path, limits=Limits(tick_s=3600.0, slow_reader_s=0.05))
    await bench.start()
    peer = bench.peer()
    peer.say(task())
    attempt = await bench.engine.attempt("t.1")
    await peer.get("taskAccepted")
    peer.slow = True
    attempt.log("nobody reads this")
    with pytest.raises(ConnectionGone):
        await asyncio.wait_for(bench.serving.pop(), DEADLINE_S)
    assert peer.closed == (1008, "this connection reads too slowly")
    await bench.stop()


# 7. drain ------------------------------------------------------------------------------------


async def test_a_drain_says_so_lets_work_end_and_closes_with_1012(bench: Bench) -> None:
    peer = bench.peer()
    for number in range(4):
        peer.say(inline(f"t{number}"))
    first, second = await bench.engine.attempt("t0.1"), await bench.engine.attempt("t1.1")
    draining = asyncio.create_task(bench.node.drain())
    notice = await peer.get("error")
    assert (notice["code"], "taskId" in notice) == ("unavailable", False)
    peer.say(task("late"))
    assert (await peer.get("error", "late"))["code"] == "unavailable"
    first.end()
    second.end()
    await asyncio.wait_for(draining, DEADLINE_S)
    assert peer.closed is not None and peer.closed[0] == 1012
    assert bench.engine.begun == ["t0.1", "t1.1"]
    assert [f["taskId"] for f in peer.frames if is_end(f)] == ["t0", "t1"]


async def test_a_drain_stops_what_does_not_end_and_counts_no_attempt(tmp_path: Path) -> None:
    bench = Bench(tmp_path, limits=Limits(tick_s=3600.0, drain_s=0.01))
    await bench.start()
    for _ in range(4):
        peer = bench.peer()
        peer.say(task())
        await bench.engine.any_key()
        await settled()
        await bench.node.drain()
        assert bench.engine.running == {}
        await bench.restart()
    (await bench.engine.attempt(await bench.engine.any_key())).end()
    peer = bench.peer()
    peer.say(task())
    assert (await peer.end("t"))["success"] is True
    await bench.stop()


# 8. heartbeats -------------------------------------------------------------------------------


async def test_a_heartbeat_comes_in_time_and_silence_disconnects(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task())
    await bench.engine.attempt("t.1")
    bench.clock = 15.0
    bench.node.tick()
    await peer.get("heartbeat")
    peer.say({"type": "heartbeat-response"})
    await settled()
    bench.clock = 74.0
    bench.node.tick()
    assert peer.closed is None
    bench.clock = 76.0
    bench.node.tick()
    await settled()
    assert peer.closed == (1001, "nothing was heard for 60 s")
    assert "t.1" in bench.engine.running


# Requests and refusals -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "code", "sentence"),
    [
        (task(model="tea"), "unknown-model", "there is no model tea; known: once, steady"),
        (
            task(parameters={"units": 99}),
            "invalid",
            "parameters.units is 99; allowed: integer from 1 to 9",
        ),
        (
            task(parameters={"x": 1}),
            "invalid",
            "unknown parameter 'x' of steady; allowed: units",
        ),
        (
            task(parameters={"unit": 1}),
            "invalid",
            "unknown parameter 'unit' of steady; did you mean 'units'? allowed: units",
        ),
        (
            task(model="stedy"),
            "unknown-model",
            "there is no model stedy; did you mean steady? known: once, steady",
        ),
        (
            task(inputDataURL="file:///etc/passwd"),
            "invalid",
            "inputDataURL is 'file:///etc/passwd'; allowed: https:, http:, upload:<sha256>, "
            "batch:<alias>, or a file in the data folder",
        ),
        (task(timeoutMs="soon"), "invalid", "timeoutMs is 'soon'; allowed: int"),
    ],
)
async def test_a_bad_task_is_refused_before_it_is_accepted(
    bench: Bench, message: dict[str, Any], code: str, sentence: str
) -> None:
    peer = bench.peer()
    peer.say({**message, "requestId": 3})
    refused = await peer.get("error")
    assert (refused["code"], refused["error"]) == (code, sentence)
    assert (refused["taskId"], refused["requestId"]) == ("t", 3)
    assert "seq" not in refused
    peer.say(task())
    await peer.get("taskAccepted")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"parameters": {"units": {"deep": ['to"ken-of-this-mesh']}}}, "parameters.units"),
        ({"inputDataURL": None, "inputData": {'a to"ken-of-this-mesh': 1}}, "inputData"),
    ],
)
async def test_a_task_that_holds_a_token_of_the_mesh_is_refused_without_saying_it(
    tmp_path: Path, fields: dict[str, Any], named: str
) -> None:
    bench = Bench(tmp_path, tokens={'to"ken-of-this-mesh': "admin"})
    await bench.start()
    peer = bench.peer()
    peer.say(task("t", **fields))
    refused = await peer.get("error", "t")
    assert refused["error"].startswith(f"{named} holds a token of this mesh, and is not taken")
    assert "ken-of" not in json.dumps(refused)
    assert not bench.journal.durable["tasks"]
    await bench.stop()


async def test_too_large_parameters_and_inline_inputs_are_refused(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(inline("t", inputData="x" * (1 << 20)))
    assert "at most 1048576 bytes" in (await peer.get("error"))["error"]
    peer.frames.clear()
    peer.say(task(parameters={"units": "x" * 70_000}))
    assert "at most 65536 bytes" in (await peer.get("error"))["error"]


async def test_a_viewer_may_look_and_nothing_else(bench: Bench) -> None:
    viewer = bench.peer(scope="view")
    for message in (
        task(),
        {"type": "cancelTask", "taskId": "t"},
        {"type": "upload", "uploadId": "u", "name": "n", "size": 1, "sha256": "0" * 64},
    ):
        viewer.frames.clear()
        viewer.say(message)
        refused = await viewer.get("error")
        assert refused["code"] == "forbidden"
        assert refused["error"] == (
            f"{message['type']} needs the scope submit, this connection has view: use another token"
        )
    viewer.say({"type": "models"})
    assert {m["name"] for m in (await viewer.get("models"))["models"]} == {"steady", "once"}


async def test_the_models_come_with_their_schema(bench: Bench) -> None:
    peer = bench.peer()
    peer.say({"type": "models", "requestId": "m"})
    answer = await peer.get("models")
    assert answer["requestId"] == "m"
    steady = next(m for m in answer["models"] if m["name"] == "steady")
    assert steady["title"] == "Steady work"
    assert steady["parametersSchema"]["properties"]["units"]["maximum"] == 9


async def test_the_list_of_tasks_says_who_waits_and_why(bench: Bench) -> None:
    peer = bench.peer()
    for number in range(4):
        bench.wall += 1
        peer.say((inline if number else task)(f"t{number}", parameters={"units": number + 1}))
        await bench.engine.attempt(f"t{number}.1") if number < 2 else await settled()
    (await bench.engine.attempt("t0.1")).end(Failed(template="no {x}", values={"x": "luck"}))
    await peer.end("t0")
    await bench.engine.attempt("t2.1")
    await settled()
    peer.say({"type": "tasks", "limit": 3, "requestId": 1})
    answer = await peer.get("tasks")
    assert (answer["truncated"], answer["requestId"]) == (True, 1)
    listed = answer["tasks"]
    assert [(row["taskId"], row["state"]) for row in listed] == [
        ("t3", "queued"),
        ("t2", "running"),
        ("t1", "running"),
    ]
    assert (listed[0]["position"], listed[0]["waitsFor"]) == (
        1,
        "waits for a free slot: 2 of 2 are in use, 0 tasks are ahead",
    )
    assert listed[0]["parameters"] == {"units": 4}
    peer.frames.clear()
    peer.say({"type": "tasks", "before": listed[-1]["submittedAt"]})
    (oldest,) = (await peer.get("tasks"))["tasks"]
    assert (oldest["state"], oldest["error"], oldest["inputDataURL"]) == ("failed", "no luck", URL)


async def test_tasks_over_dictionaries_are_told_apart_in_the_list(bench: Bench) -> None:
    peer = bench.peer()
    given = [{"x": 1}, {"x": 2, "token": "s3cr3t"}, {"xs": ["a" * 50, 1]}, {"xs": ["a" * 50, 2]}]
    deep: Any = 1
    for _ in range(490):
        deep = [deep]
    for number, data in enumerate([*given, deep, {"xs": "a" * 2000}]):
        bench.wall += 1
        peer.say(inline(f"t{number}", inputData=data))
        await settled()
    peer.say({"type": "tasks"})
    labels = [row["inputLabel"] for row in (await peer.get("tasks"))["tasks"]][::-1]
    assert labels[:2] == ['{"x":1}', '{"x":2,"token":"***"}']
    assert labels[2].startswith('{"xs":["aaaaa')
    assert labels[2] != labels[3]
    assert len(labels) == len(set(labels)) == 6
    assert max(map(len, labels)) < 80
    bench.wall += 1
    peer.frames.clear()
    peer.say(task("t9"))
    await settled()
    peer.say({"type": "tasks", "limit": 1})
    assert (await peer.get("tasks"))["tasks"][0]["inputLabel"] is None


async def test_an_impure_model_is_run_each_time_that_it_is_asked_for(bench: Bench) -> None:
    peer = bench.peer()
    for name in ("a", "b"):
        peer.say(task(name, model="once"))
        (await bench.engine.attempt(f"{name}.1")).end()
        await peer.end(name)
    assert bench.engine.begun == ["a.1", "b.1"]
    await bench.restart()
    peer = bench.peer()
    peer.say(task("c", model="once"))
    (await bench.engine.attempt("c.1")).end()
    await peer.end("c")


async def test_an_upgrade_answers_anew_with_the_same_seed(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task("a"))
    first = await bench.engine.attempt("a.1")
    first.end()
    await peer.end("a")
    await bench.restart()
    peer = bench.peer()
    peer.say(task("b"))
    await peer.end("b")
    assert bench.engine.begun == []
    bench.options["code"] = "another release"
    await bench.restart()
    peer = bench.peer()
    peer.say(task("c"))
    anew = await bench.engine.attempt("c.1")
    assert anew.job.seed == first.job.seed
    anew.end()
    await peer.end("c")
    assert our_code() == our_code() != ""


async def test_the_result_of_the_same_content_is_used_again(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task("a"))
    first = await bench.engine.attempt("a.1")
    first.end()
    end = await peer.end("a")
    bench.fetch.pages["https://other.example/same"] = bench.fetch.pages[URL]
    peer.say(task("b", inputDataURL="https://other.example/same"))
    assert (await peer.end("b"))["result"] == end["result"]
    assert bench.engine.begun == ["a.1"]
    peer.say(task("c", useCache=False))
    again = await bench.engine.attempt("c.1")
    assert again.job.seed == first.job.seed
    again.end()
    await peer.end("c")
    bench.wall += 24 * 3600 + 1
    peer.say(task("d"))
    (await bench.engine.attempt("d.1")).end()
    await peer.end("d")


async def test_a_result_is_used_again_only_while_its_language_model_would_be_asked(
    bench: Bench,
) -> None:
    """A text of one model is never given for another's; without an answer it is nobody's."""
    now = ""

    async def language_model() -> str:
        return now

    bench.options["language_model"] = language_model
    await bench.restart()
    peer = bench.peer()
    for number, at_hand in enumerate(("", "", "m@a", "m@b", "m@b", "", "m@b")):
        changed, now = number == 0 or at_hand != now, at_hand
        peer.say(task(f"t{number}"))
        if changed:
            attempt = await bench.engine.attempt(f"t{number}.1")
            attempt.end(done({"by": now}, language_model=now))
        assert (await peer.end(f"t{number}"))["result"]["data"] == {"by": now}
    await bench.restart()
    peer = bench.peer()
    peer.say(task("kept"))
    assert (await peer.end("kept"))["result"]["data"] == {"by": "m@b"}
    now = "m@a"
    for name in ("other", "again"):  # what misses an answer is run again
        peer.say(task(name))
        attempt = await bench.engine.attempt(f"{name}.1")
        attempt.end(done({"by": ""}, language_model="m@a", repeatable=False))
        await peer.end(name)


async def test_a_repeat_too_says_how_far_it_is_before_its_end(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task("a"))
    (await bench.engine.attempt("a.1")).end()
    await peer.end("a")
    peer.say(task("b"))
    await peer.end("b")
    heard = [each["type"] for each in peer.frames if each.get("taskId") == "b"]
    assert heard[:2] == ["taskAccepted", "taskProgress"]
    assert heard[-2:] == ["log", "taskResult"]


async def test_a_result_of_before_a_restart_is_used_again(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task("a"))
    (await bench.engine.attempt("a.1")).end()
    end = await peer.end("a")
    await bench.restart()
    peer = bench.peer()
    peer.say(task("b"))
    assert (await peer.end("b"))["result"] == end["result"]
    assert bench.engine.begun == []


@pytest.mark.parametrize("size", [10, 100_000])
async def test_an_inline_input_reaches_the_model(bench: Bench, size: int) -> None:
    peer = bench.peer()
    given = {"x": "y" * size, "amount": 2**128 - 1}
    peer.say(inline("t", inputData=given))
    attempt = await bench.engine.attempt("t.1")
    assert json.loads(content_of(attempt.job.inputs["batch"])) == given
    attempt.end()
    await peer.end("t")


async def test_a_fetch_that_fails_ends_the_task_with_its_sentence(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task(inputDataURL="https://runes.example/nothing"))
    end = await peer.end("t")
    assert (end["code"], end["error"]) == ("failed", "https://runes.example/nothing answered 404")
    peer.say(task("u", inputDataURL="upload:" + "0" * 64))
    end = await peer.end("u")
    assert end["code"] == "rejected"
    assert end["error"] == f"upload:{'0' * 64} is not on this node: upload it first"


async def test_a_task_whose_model_was_removed_fails_and_says_so(bench: Bench) -> None:
    bench.engine.slots = 0
    bench.node.tick()
    peer = bench.peer()
    peer.say(task(model="once"))
    await peer.get("taskAccepted")
    bench.options["models"] = {"steady": MODELS["steady"]}
    await bench.restart()
    peer = bench.peer()
    peer.say({"type": "attach", "taskId": "t"})
    end = await peer.end("t")
    assert (end["code"], end["error"]) == ("failed", "there is no model once; known: steady")


async def test_a_dashboard_follows_a_task_from_before_it_exists(bench: Bench) -> None:
    heard: list[dict[str, Any]] = []
    leave = bench.node.tasks.follow(heard.append)
    assert bench.node.tasks.snapshot("t") is None
    peer = bench.peer()
    peer.say(task())
    attempt = await bench.engine.attempt("t.1")
    attempt.progress(0.5)
    await settled()
    attempt.end()
    await peer.end("t")
    states = list(dict.fromkeys(told["status"] for told in heard))
    assert states == ["fetching", "running", "done"]
    assert heard[-1]["title"] == "Steady work"
    assert 0.5 in [told["progress"] for told in heard]
    leave()
    count = len(heard)
    peer.say(task("u", useCache=False))
    await bench.engine.attempt("u.1")
    assert len(heard) == count
