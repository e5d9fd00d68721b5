"""A task that needs a GPU: the node borrows before it runs, says why it waits, and gives back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.mesh.doubles import WITH_GPU, Attempt, MemoryLender, MemoryPeer, done
from tests.mesh.test_node import Bench, inline, settled
from workbench.core.job import Lost
from workbench.core.ledger_nouns import Claim
from workbench.core.sentence import Sentence
from workbench.errors import WorkbenchError

HELD = Sentence("GPU {gpu} is held by {holder}", {"gpu": "0", "holder": "qwen"})


@pytest.fixture
async def lender() -> MemoryLender:
    return MemoryLender()


@pytest.fixture
async def bench(tmp_path: Path, lender: MemoryLender) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, models=WITH_GPU, lender=lender)
    await bench.start(slots=1)
    yield bench
    await bench.stop()


def greedy(task_id: str = "t", **fields: Any) -> dict[str, Any]:
    return inline(task_id, model="greedy", **fields)


async def asks(bench: Bench, lender: MemoryLender, **fields: Any) -> MemoryPeer:
    """A client whose task has asked for its GPU."""
    peer = bench.peer()
    peer.say(greedy(**fields))
    await lender.claim("t.1")
    return peer


async def runs(bench: Bench, lender: MemoryLender) -> Attempt:
    """The attempt that begins once it has its GPU."""
    lender.lend("t.1")
    return await bench.engine.attempt("t.1")


async def listed(peer: MemoryPeer, request: int = 1) -> dict[str, Any]:
    peer.say({"type": "tasks", "requestId": request})
    answer = await peer.until(lambda f: f["type"] == "tasks" and f["requestId"] == request)
    row: dict[str, Any] = answer["tasks"][0]
    return row


async def test_the_job_runs_on_the_gpu_that_was_lent_and_its_result_names_it(
    bench: Bench, lender: MemoryLender
) -> None:
    peer = bench.peer()
    peer.say(greedy())
    assert await lender.claim("t.1") == Claim(
        claim_id="t.1", kind="task", name="greedy (t)", memory_mb=6000
    )
    assert bench.engine.begun == []
    lender.lend("t.1", gpu_id="node/1", worker="tcp://10.0.0.2:9000")
    attempt = await bench.engine.attempt("t.1")
    job = attempt.job
    assert (job.device, job.gpu, job.vendor) == ("cuda:0", "GPU-5c1d", "nvidia")
    assert job.worker == "tcp://10.0.0.2:9000"
    assert lender.held == ["t.1"]
    attempt.end(done(device="cuda:0"))
    result = (await peer.end("t"))["result"]
    assert (result["device"], result["gpu"]) == ("cuda:0", "node/1")
    assert lender.held == []


async def test_a_model_without_a_gpu_borrows_nothing(bench: Bench, lender: MemoryLender) -> None:
    peer = bench.peer()
    peer.say(inline("t"))
    attempt = await bench.engine.attempt("t.1")
    assert (attempt.job.device, attempt.job.gpu, attempt.job.worker) == ("cpu", None, "")
    attempt.end()
    assert (await peer.end("t"))["result"]["gpu"] is None
    assert lender.asking == {}


async def test_why_it_waits_is_shown_and_listed_and_others_pass(
    bench: Bench, lender: MemoryLender
) -> None:
    peer = await asks(bench, lender)
    waits = await peer.get("taskProgress", "t")
    assert waits["statusText"] == "waits for 6000 MB of a GPU's memory"
    lender.say("t.1", HELD)
    waits = await peer.until(lambda f: f.get("statusText") == "GPU 0 is held by qwen")
    assert (waits["state"], waits["template"], waits["values"]) == (
        "queued",
        HELD.template,
        HELD.values,
    )
    snapshot = bench.node.tasks.snapshot("t")
    assert snapshot is not None and snapshot["statusText"] == "GPU 0 is held by qwen"
    row = await listed(peer)
    assert (row["state"], row["waitsFor"]) == ("queued", "GPU 0 is held by qwen")
    assert (row["waitsForTemplate"], row["waitsForValues"]) == (HELD.template, HELD.values)
    assert "position" not in row
    peer.say(inline("u"))
    (await bench.engine.attempt("u.1")).end()
    await peer.end("u")


async def test_the_limit_on_running_does_not_count_the_wait(
    bench: Bench, lender: MemoryLender
) -> None:
    peer = await asks(bench, lender, timeoutMs=1000)
    bench.clock += 30
    bench.node.tick()
    attempt = await runs(bench, lender)
    bench.clock += 3
    bench.node.tick()
    assert not attempt.stopped
    attempt.end()
    assert (await peer.end("t"))["success"] is True


async def test_cancelled_while_it_waits_it_asks_no_more(bench: Bench, lender: MemoryLender) -> None:
    peer = await asks(bench, lender)
    peer.say({"type": "cancelTask", "taskId": "t"})
    assert (await peer.end("t"))["code"] == "cancelled"
    await settled()
    assert (lender.asking, lender.held, bench.engine.begun) == ({}, [], [])


async def test_cancelled_with_a_gpu_in_hand_but_no_slot_it_gives_back(
    bench: Bench, lender: MemoryLender
) -> None:
    peer = bench.peer()
    peer.say(inline("busy"))
    await bench.engine.attempt("busy.1")
    peer.say(greedy())
    await lender.claim("t.1")
    lender.lend("t.1")
    await settled()
    assert lender.held == ["t.1"]
    peer.say({"type": "cancelTask", "taskId": "t"})
    assert (await peer.end("t"))["code"] == "cancelled"
    assert lender.held == []


async def test_cancelled_while_it_runs_it_gives_back_once_its_process_is_gone(
    bench: Bench, lender: MemoryLender
) -> None:
    peer = await asks(bench, lender)
    attempt = await runs(bench, lender)
    bench.engine.stubborn = True
    peer.say({"type": "cancelTask", "taskId": "t"})
    await settled()
    assert (attempt.stopped, lender.held) == (True, ["t.1"])
    attempt.end()
    await peer.end("t")
    assert lender.held == []


async def test_a_refusal_fails_the_task_with_the_lenders_sentence(
    bench: Bench, lender: MemoryLender
) -> None:
    peer = bench.peer()
    peer.say(greedy("t"))
    peer.say(greedy("u"))
    await lender.claim("t.1")
    lender.refuse("t.1", WorkbenchError("no GPU has {need} MB", need=6000))
    end = await peer.end("t")
    assert (end["code"], end["error"]) == ("failed", "no GPU has 6000 MB")
    await lender.claim("u.1")
    lender.refuse("u.1", RuntimeError("the driver is gone"))
    end = await peer.end("u")
    assert end["error"] == "no GPU memory could be lent: RuntimeError: the driver is gone"
    assert lender.held == []


async def test_a_lost_attempt_gives_back_and_the_next_borrows_anew(
    bench: Bench, lender: MemoryLender
) -> None:
    peer = await asks(bench, lender)
    (await runs(bench, lender)).end(Lost("the worker died"))
    await lender.claim("t.2")
    assert lender.held == []
    lender.lend("t.2", uuid="GPU-other")
    attempt = await bench.engine.attempt("t.2")
    assert attempt.job.gpu == "GPU-other"
    attempt.end()
    assert (await peer.end("t"))["attempt"] == 2
    assert lender.held == []


async def test_a_gpu_in_use_is_never_idle(bench: Bench, lender: MemoryLender) -> None:
    await asks(bench, lender)
    bench.node.tick()
    assert lender.touched == []
    await runs(bench, lender)
    bench.node.tick()
    assert lender.touched == ["t.1"]


async def test_a_drain_and_a_stop_leave_nothing_borrowed(
    bench: Bench, lender: MemoryLender
) -> None:
    peer = bench.peer()
    for number, name in enumerate(("t", "u")):
        peer.say(greedy(name, inputData={"a": number}))
        await lender.claim(f"{name}.1")
    attempt = await runs(bench, lender)
    assert lender.held == ["t.1"]
    attempt.end()
    await peer.end("t")
    await bench.node.drain()
    assert (lender.held, lender.asking) == ([], {})
    await bench.restart()
    await lender.claim("u.2")
    lender.lend("u.2")
    await bench.engine.attempt("u.2")
    await bench.node.stop()
    assert (lender.held, lender.asking) == ([], {})


async def test_what_a_task_needs_is_known_again_after_a_start(
    bench: Bench, lender: MemoryLender
) -> None:
    await asks(bench, lender)
    lender.say("t.1", HELD)
    await settled()
    assert bench.journal.kinds("t") == ["accepted", "queued"]
    await bench.restart()
    assert (await lender.claim("t.1")).memory_mb == 6000


async def test_without_a_lender_such_a_task_fails_and_says_what_to_do(tmp_path: Path) -> None:
    bench = Bench(tmp_path, models=WITH_GPU)
    await bench.start()
    try:
        peer = bench.peer()
        peer.say(greedy())
        end = await peer.end("t")
        assert (end["code"], end["error"]) == (
            "failed",
            "greedy (t) needs 6000 MB of a GPU's memory, and this node lends none: "
            "run it on a hub with a GPU",
        )
        peer.say({"type": "models"})
        needs = {one["name"]: one["gpuMemoryMB"] for one in (await peer.get("models"))["models"]}
        assert needs == {"greedy": 6000, "modest": None, "once": None, "steady": None}
    finally:
        await bench.stop()


# A model that takes a GPU only where one is free


async def test_what_is_free_is_lent_to_a_model_that_wishes_for_it(
    bench: Bench, lender: MemoryLender
) -> None:
    peer = bench.peer()
    peer.say(inline("t", model="modest"))
    claim = await lender.claim("t.1")
    assert (claim.memory_mb, claim.waits) == (2000, False)
    attempt = await runs(bench, lender)
    assert (attempt.job.device, attempt.job.gpu) == ("cuda:0", "GPU-5c1d")
    attempt.end(done(device="cuda:0"))
    result = (await peer.end("t"))["result"]
    assert (result["device"], result["gpu"], lender.held) == ("cuda:0", "0", [])


@pytest.mark.parametrize("why", [WorkbenchError("held by qwen"), RuntimeError("no driver")])
async def test_where_none_is_free_it_runs_on_the_cpu(
    bench: Bench, lender: MemoryLender, why: Exception
) -> None:
    peer = bench.peer()
    peer.say(inline("t", model="modest"))
    await lender.claim("t.1")
    lender.refuse("t.1", why)
    attempt = await bench.engine.attempt("t.1")
    assert (attempt.job.device, attempt.job.gpu, attempt.job.worker) == ("cpu", None, "")
    attempt.end()
    result = (await peer.end("t"))["result"]
    assert (result["device"], result["gpu"], lender.held) == ("cpu", None, [])


async def test_a_gpu_that_was_lent_and_not_used_is_not_named(
    bench: Bench, lender: MemoryLender
) -> None:
    peer = bench.peer()
    peer.say(inline("t", model="modest"))
    await lender.claim("t.1")
    (await runs(bench, lender)).end(done(device="cpu"))
    result = (await peer.end("t"))["result"]
    assert (result["device"], result["gpu"], lender.held) == ("cpu", None, [])


async def test_the_answer_of_the_gpu_is_kept_for_the_cpu_and_the_other_way_round(
    bench: Bench, lender: MemoryLender
) -> None:
    peer = bench.peer()
    peer.say(inline("t", model="modest"))
    await lender.claim("t.1")
    attempt = await runs(bench, lender)
    attempt.end(done(device="cuda:0"))
    await peer.end("t")
    peer.say(inline("u", model="modest"))
    result = (await peer.end("u"))["result"]
    assert (result["device"], len(bench.engine.begun)) == ("cuda:0", 1)
    peer.say(inline("v", model="modest", useCache=False))
    await lender.claim("v.1")
    lender.refuse("v.1", WorkbenchError("held by qwen"))
    again = await bench.engine.attempt("v.1")
    assert again.job.seed == attempt.job.seed
    again.end()
    assert (await peer.end("v"))["result"]["device"] == "cpu"
