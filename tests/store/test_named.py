"""What the named queries answer, on the live data and at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.store.rows import NOON, event, log, task
from workbench.errors import StoreError
from workbench.store import Store
from workbench.store.named import read
from workbench.store.owner import Owner

DONE = '{"type":"taskResult","success":true,"result":{"alias":"t_aaaaaaaaaaaa"}}'
FAILED = '{"type":"error","error":"the batch has no runestones"}'


@pytest.fixture
async def three(store: Store) -> Store:
    """a is done, b failed in its second attempt, c runs."""
    await store.append(
        {
            "tasks": [task("a"), task("b", minute=1), task("c", minute=2, content_hash="bee")],
            "task_events": [
                event("a", 1, "accepted"),
                event("a", 2, "running", second=1),
                event("a", 9, "done", body=DONE, second=3.5),
                event("b", 1, "accepted"),
                event("b", 2, "running", second=1),
                event("b", 3, "running", attempt=2, second=10),
                event("b", 4, "failed", attempt=2, body=FAILED, second=11),
                event("c", 1, "accepted"),
                event("c", 2, "running", second=5),
            ],
            "task_logs": [log("c", 3, "three"), log("c", 4, "four"), log("c", 5, "five")],
        }
    )
    return store


async def test_open_tasks_come_with_all_that_a_node_needs_to_go_on(three: Store) -> None:
    (row,) = await three.read("tasks_open")
    assert (row["task_id"], row["attempt"], row["kind"]) == ("c", 1, "running")
    assert (row["max_seq"], row["logs"]) == (5, 3)
    assert (row["parameters"], row["pure"]) == ('{"k":3}', True)


async def test_a_task_comes_with_its_newest_seq_and_attempt(three: Store) -> None:
    (row,) = await three.read("task", task_id="b")
    assert (row["attempt"], row["max_seq"], row["model"]) == (2, 4, "cypher-v1")
    assert await three.read("task", task_id="unknown") == []


async def test_events_and_logs_come_in_order_after_a_seq(three: Store) -> None:
    events = await three.read("task_events", task_id="b", after=1)
    assert [(row["seq"], row["kind"]) for row in events] == [
        (2, "running"), (3, "running"), (4, "failed"),
    ]  # fmt: skip
    logs = await three.read("task_logs", task_id="c", after=3, limit=1)
    assert [row["content"] for row in logs] == ["four"]


async def test_the_terminal_event_is_there_once_a_task_has_ended(three: Store) -> None:
    (row,) = await three.read("terminal", task_id="a")
    assert (row["seq"], row["kind"], row["body"]) == (9, "done", DONE)
    assert await three.read("terminal", task_id="c") == []


async def test_history_shows_state_duration_error_and_alias(three: Store) -> None:
    c, b, a = await three.read("task_history", before=None, limit=10, state=None)
    assert (a["state"], a["duration_s"], a["error"], a["alias"]) == (
        "done", 2.5, None, "t_aaaaaaaaaaaa",
    )  # fmt: skip
    assert (b["state"], b["attempts"], b["duration_s"]) == ("failed", 2, 1.0)
    assert b["error"] == "the batch has no runestones"
    assert (c["state"], c["finished_at"], c["duration_s"]) == ("running", None, None)


async def test_history_has_short_inline_inputs_as_they_are(store: Store) -> None:
    rows = [
        (*task(name)[:6], text, *task(name)[7:]) for name, text in (("a", "1"), ("b", "1" * 2000))
    ]
    await store.append({"tasks": [*rows, task("c")]})
    found = await store.read("task_history", before=None, limit=9, state=None)
    assert [(row["inline_input"], row["content_hash"]) for row in found] == [
        ("1", "c0ffee"), ("", "c0ffee"), (None, "c0ffee"),
    ]  # fmt: skip


async def test_history_is_paged_by_time_and_by_state(three: Store) -> None:
    before: datetime = (NOON + timedelta(minutes=2)).replace(tzinfo=None)
    page = await three.read("task_history", before=before, limit=1, state=None)
    assert [row["task_id"] for row in page] == ["b"]
    done = await three.read("task_history", before=None, limit=10, state="done")
    assert [row["task_id"] for row in done] == ["a"]


async def test_an_accepted_task_is_queued(store: Store) -> None:
    await store.append({"tasks": [task("q")], "task_events": [event("q", 1, "accepted")]})
    (row,) = await store.read("task_history", before=None, limit=1, state="queued")
    assert (row["task_id"], row["attempts"]) == ("q", 1)


async def test_a_cached_result_is_the_newest_done_one_of_the_same_content(three: Store) -> None:
    (row,) = await three.read("cached_result", content_hash="c0ffee", since=None)
    assert (row["task_id"], row["body"]) == ("a", DONE)
    assert await three.read("cached_result", content_hash="bee", since=None) == []
    later = (NOON + timedelta(hours=1)).replace(tzinfo=None)
    assert await three.read("cached_result", content_hash="c0ffee", since=later) == []


async def test_the_newest_ids_come_with_hash_and_state(three: Store) -> None:
    rows = await three.read("all_task_ids", limit=2)
    assert rows == [
        {"task_id": "c", "content_hash": "bee", "state": "running"},
        {"task_id": "b", "content_hash": "c0ffee", "state": "failed"},
    ]


async def test_side_files_are_listed_and_found_by_alias(store: Store) -> None:
    made = ("b1_aa", "batches", "batches/b1_aa.duckdb", "00", 9, "{}", "a", "m", "b1_aa", NOON)
    await store.append({"side_files": [made]})
    (row,) = await store.read("side_file", alias="b1_aa")
    assert row["path"] == "batches/b1_aa.duckdb"
    assert len(await store.read("side_files", folder="batches", limit=5)) == 1
    assert await store.read("side_files", folder="results", limit=5) == []


async def test_a_wrong_parameter_is_a_sentence(store: Store) -> None:
    with pytest.raises(StoreError, match="the store could not answer task: "):
        await store.read("task", nonsense=1)


def test_reading_a_file_that_cannot_be_opened_again_is_a_sentence(tmp_path: Path) -> None:
    with Owner(tmp_path) as owner:
        owner.connection.close()  # as after a full disk, until there is room
        with pytest.raises(StoreError, match="the store could not answer tasks_open: "):
            read(owner, "tasks_open", {})
        owner.reopen()
        assert read(owner, "tasks_open", {}) == []
