"""What is kept no longer goes, says that it went and why, and nothing else goes with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.store.rows import amounts, event, log, task
from workbench.store import Keep, Store

TODAY = datetime.now(UTC)


def days_ago(row: tuple[Any, ...], days: float) -> tuple[Any, ...]:
    """A row whose last column is its instant."""
    return (*row[:-1], TODAY - timedelta(days=days))


def done(alias: str | None = None, folder: str = "results", **result: Any) -> str:
    whole = {
        "model": "m", "version": "1", "tables": {"x": {"rows": 1}} if alias else {},
        "alias": alias, "file": f"{folder}/{alias}.duckdb" if alias else None, **result,
    }  # fmt: skip
    return json.dumps({"result": whole, "cacheKey": "k", "kept": alias is not None})


async def ended(store: Store, name: str, days: float, body: str) -> None:
    """A task that went its whole way and wrote a log."""
    steps = [
        event(name, 2, "fetching"),
        event(name, 3, "running"),
        event(name, 9, "done", body=body),
    ]
    await store.append(
        {
            "tasks": [days_ago(task(name), days)],
            "task_events": [days_ago(step, days) for step in steps],
            "task_logs": [days_ago(log(name, seq, "a line"), days) for seq in (4, 5, 6)],
        }
    )


async def with_file(
    store: Store, name: str, alias: str, days: float, folder: Any = "results"
) -> None:
    side = await store.write_side_file(folder, alias, {"x": amounts(1)}, b"{}")
    await ended(store, name, days, done(alias, folder))
    row = (alias, folder, side.path, side.sha256, side.bytes, "{}", name, "m", None)
    await store.append({"side_files": [(*row, TODAY - timedelta(days=days))]})


async def body(store: Store, name: str) -> dict[str, Any]:
    (row,) = await store.read("terminal", task_id=name)
    found: dict[str, Any] = json.loads(row["body"])
    return found


def files(store: Store) -> set[str]:
    return {path.stem for path in store.folder.glob("*/*.duckdb") if path.parent.name != "query"}


async def test_an_old_result_goes_and_its_end_says_so(store: Store) -> None:
    await with_file(store, "old", "t_old", 40)
    await with_file(store, "new", "t_new", 20)
    await ended(store, "small", 40, done(data={"answer": 42}))
    gone = await store.retire(Keep(results_d=30))
    assert (gone.files, files(store)) == (1, {"t_new"})
    assert [row["alias"] for row in await store.read("side_files", folder=None, limit=9)] == [
        "t_new"
    ]
    for name in ("old", "small"):
        kept = await body(store, name)
        assert kept["result"]["removed"]["text"] == (
            "the result was removed 30 days after the task had ended, as the setting "
            "WORKBENCH_KEEP_RESULTS_D says: run the task again to have it anew"
        )
        assert kept["result"]["data"] == {"notes": [_told(kept["result"]["removed"])]}
        assert (kept["result"]["model"], kept["result"]["tables"], kept["kept"]) == ("m", {}, False)
        assert "cacheKey" not in kept
        assert "alias" not in kept["result"]
    assert (await body(store, "new"))["cacheKey"] == "k"


def _told(removed: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in removed.items() if name != "file"}


async def test_the_task_still_stands_in_history(store: Store) -> None:
    await with_file(store, "old", "t_old", 40)
    await store.retire(Keep(results_d=30, logs_d=30, events_d=30))
    (row,) = await store.read("task_history", before=None, limit=9, state=None)
    assert (row["task_id"], row["state"], row["alias"], row["ending"]) == (
        "old",
        "done",
        None,
        None,
    )
    assert row["started_at"] is not None
    assert json.loads(row["removed"])["values"] == {
        "days": "30", "setting": "WORKBENCH_KEEP_RESULTS_D",
    }  # fmt: skip


async def test_a_result_that_a_younger_task_was_given_again_stays(store: Store) -> None:
    await with_file(store, "old", "t_old", 40)
    await ended(store, "given", 20, done("t_old"))
    gone = await store.retire(Keep(results_d=30))
    assert (gone.files, files(store)) == (0, {"t_old"})
    assert (await store.retire(Keep(results_d=10))).files == 1  # now that one is old, too
    assert files(store) == set()


async def test_batches_stay_whatever_the_setting(store: Store) -> None:
    await with_file(store, "import", "b_1", 400, "batches")
    await store.retire(Keep(results_d=30))
    assert files(store) == {"b_1"}
    assert (await body(store, "import"))["result"]["alias"] == "b_1"


async def test_a_result_that_nobody_named_stays_for_whoever_salvages(store: Store) -> None:
    await store.write_side_file("results", "t_orphan", {"x": amounts(1)}, b"{}")
    await store.retire(Keep(results_d=1))
    assert files(store) == {"t_orphan"}


async def test_a_file_that_a_kill_left_behind_goes_the_next_time(store: Store) -> None:
    await with_file(store, "old", "t_old", 40)
    await store.retire(Keep(results_d=30))
    await store.write_side_file("results", "t_old", {"x": amounts(1)}, b"{}")
    assert (await store.retire(Keep(results_d=30))).files == 1


async def test_one_line_takes_the_place_of_an_old_log(store: Store) -> None:
    await ended(store, "old", 40, done())
    await ended(store, "new", 20, done())
    for _ in range(2):  # the second time changes nothing
        await store.retire(Keep(logs_d=30))
        (line,) = await store.read("task_logs", task_id="old", after=0, limit=9)
        assert line["content"] == (
            "the log was removed 30 days after the task had ended, as the setting "
            "WORKBENCH_KEEP_LOGS_D says"
        )
        assert (line["seq"], line["level"]) == (6, "info")
    assert len(await store.read("task_logs", task_id="new", after=0, limit=9)) == 3


async def test_a_task_that_still_runs_loses_nothing(store: Store) -> None:
    await store.append(
        {
            "tasks": [days_ago(task("long"), 90)],
            "task_events": [days_ago(event("long", seq, "running"), 90) for seq in (2, 3)],
            "task_logs": [days_ago(log("long", 4, "begun"), 90)],
        }
    )
    gone = await store.retire(Keep(logs_d=1, results_d=1, events_d=1))
    assert gone.rows == 0


async def test_steps_of_old_tasks_go_but_acceptance_start_and_end_stay(store: Store) -> None:
    await ended(store, "old", 40, done())
    await store.retire(Keep(events_d=30))
    kept = await store.read("task_events", task_id="old", after=0)
    assert [row["kind"] for row in kept] == ["accepted", "running", "done"]


async def test_past_alerts_and_loans_go_and_those_that_last_stay(store: Store) -> None:
    old, new = TODAY - timedelta(days=40), TODAY - timedelta(days=1)
    common = ("r", "m", "", 1.0, "above", 2.0, 3.0)
    await store.append(
        {
            "alert_entries": [
                ("past", "raised", *common, old, None, None, old),
                ("past", "cleared", *common, old, old, "over", old),
                ("lasts", "raised", *common, old, None, None, old),
            ],
            "gpu_lease_entries": [
                ("a.1", "task", "m", "0", 1.0, old, None),
                ("a.1", "task", "m", "0", 1.0, old, old),
                ("b.1", "task", "m", "0", 1.0, old, None),
                ("b.1", "task", "m", "0", 1.0, old, new),
            ],
        }
    )
    gone = await store.retire(Keep(events_d=30))
    assert gone.rows == 4
    assert [row["alert_id"] for row in await store.read("alerts_active")] == ["lasts"]


async def test_without_settings_everything_stays(store: Store) -> None:
    await with_file(store, "old", "t_old", 4000)
    assert (await store.retire(Keep())).rows == 0
    assert files(store) == {"t_old"}
