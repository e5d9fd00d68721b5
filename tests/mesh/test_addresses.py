"""An address or parameter with a secret: used as given, also after a kill, and kept nowhere."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.mesh.doubles import MODELS
from tests.mesh.test_node import Bench, task
from workbench.core.model import Context, Result, model

SECRET = "canary-2f7c"
URL = f"https://me:{SECRET}@runes.example/batch.json?page=2&token={SECRET}"
MASKED = "https://***@runes.example/batch.json?page=2&token=***"


@model(name="login", version="1", title="Needs a password")
def login(context: Context, *, password: str, db: dict[str, str] | None = None) -> Result:
    """Never called: the double of the engine ends it."""
    return Result()


def logging_in(task_id: str = "t", **given: Any) -> dict[str, Any]:
    return task(task_id, model="login", parameters={"password": SECRET, **given})


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, models={**MODELS, "login": login})
    bench.fetch.pages[URL] = b'{"batch": 1}'
    await bench.start()
    yield bench
    await bench.stop()


def kept(bench: Bench) -> list[Path]:
    folder = bench.folder / "addresses"
    return sorted(folder.iterdir()) if folder.is_dir() else []


def everywhere(bench: Bench) -> str:
    """The journal and every file but those of open addresses."""
    files = [path for path in bench.folder.rglob("*") if path.is_file()]
    files = [path for path in files if path.parent.name != "addresses"]
    return repr(bench.journal.durable) + "".join(path.read_text() for path in files)


async def test_the_journal_and_the_list_have_it_masked_and_the_fetch_whole(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(task(inputDataURL=URL))
    await peer.get("taskAccepted")
    (await bench.engine.attempt("t.1")).end()
    await peer.end("t")
    assert bench.fetch.asked == [URL]
    peer.say({"type": "tasks"})
    assert (await peer.get("tasks"))["tasks"][0]["inputDataURL"] == MASKED
    assert SECRET not in everywhere(bench)
    assert kept(bench) == []


async def test_after_a_kill_it_is_fetched_whole_and_then_forgotten(bench: Bench) -> None:
    bench.fetch.gate = asyncio.Event()
    peer = bench.peer()
    peer.say(task(inputDataURL=URL))
    await peer.get("taskAccepted")
    (path,) = kept(bench)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    (path.parent / "left-by-a-kill").write_text(SECRET)
    assert SECRET not in everywhere(bench)
    await bench.restart()
    bench.fetch.gate.set()
    (await bench.engine.attempt("t.2")).end()
    peer = bench.peer()
    peer.say({"type": "attach", "taskId": "t"})
    await peer.end("t")
    assert set(bench.fetch.asked) == {URL}
    assert kept(bench) == []


async def test_the_same_request_again_is_a_duplicate_and_the_masked_one_is_refused(
    bench: Bench,
) -> None:
    peer = bench.peer()
    peer.say(task(inputDataURL=URL))
    await peer.get("taskAccepted")
    peer = bench.peer(2)
    peer.say(task(inputDataURL=URL))
    assert (await peer.get("taskAccepted"))["duplicate"] is True
    peer.say(task("again", inputDataURL=MASKED))
    refusal = await peer.get("error")
    assert refusal["error"] == (
        f"inputDataURL is '{MASKED}': its secret was not kept, so give the whole address again"
    )


async def test_where_it_cannot_be_kept_the_task_is_not_accepted(bench: Bench) -> None:
    (bench.folder / "addresses").write_text("a file in the place of the folder")
    peer = bench.peer()
    peer.say(task(inputDataURL=URL))
    refusal = await peer.get("error")
    assert (refusal["code"], "its secrets cannot be kept on the disk" in refusal["error"]) == (
        "unavailable",
        True,
    )
    os.remove(bench.folder / "addresses")
    peer.say(task(inputDataURL=URL))
    await peer.get("taskAccepted")


async def test_a_parameter_that_its_name_calls_secret_reaches_the_model_and_no_record(
    bench: Bench,
) -> None:
    peer = bench.peer()
    peer.say(logging_in(db={"user": "me", "api_key": SECRET}))
    attempt = await bench.engine.attempt("t.1")
    assert attempt.job.parameters["password"] == SECRET
    assert attempt.job.parameters["db"] == {"user": "me", "api_key": SECRET}
    attempt.end()
    await peer.end("t")
    peer.say({"type": "tasks"})
    listed = (await peer.get("tasks"))["tasks"][0]
    assert listed["parameters"] == {"password": "***", "db": {"user": "me", "api_key": "***"}}
    assert SECRET not in everywhere(bench)
    assert kept(bench) == []


async def test_after_a_kill_the_model_gets_the_value_and_without_its_file_the_task_fails(
    bench: Bench,
) -> None:
    bench.fetch.gate = asyncio.Event()
    peer = bench.peer()
    for name in ("a", "b"):
        peer.say(logging_in(name))
        await peer.get("taskAccepted")
    await bench.stop()
    (bench.folder / "addresses" / hashlib.sha256(b"b").hexdigest()).unlink()
    await bench.restart()
    bench.fetch.gate.set()
    attempt = await bench.engine.attempt("a.2")
    assert attempt.job.parameters["password"] == SECRET
    attempt.end()
    peer = bench.peer()
    peer.say({"type": "attach", "taskId": "b"})
    assert (await peer.end("b"))["error"] == (
        "parameters.password is a secret, of which the record has only a mask, and the file that "
        "kept its value until the task's end is gone: submit the task again with the value itself"
    )


async def test_a_run_again_from_the_record_is_told_to_give_the_value(bench: Bench) -> None:
    peer = bench.peer()
    peer.say(logging_in(password="***"))
    assert (await peer.get("error"))["error"] == (
        "parameters.password is the mask of a secret, which was not kept: give the value itself "
        "again"
    )
