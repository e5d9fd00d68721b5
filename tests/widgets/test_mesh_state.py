"""What the mesh page shows, folded from the client's events."""

from __future__ import annotations

from typing import Any

from workbench.widgets.mesh_events import fold, history_row, said
from workbench.widgets.mesh_state import KEEP_LINES, KEEP_TASKS, WATCHED_LOGS, MeshState


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def running(clock: Clock) -> MeshState:
    state = MeshState(clock)
    fold(state, "task_accepted", {"taskId": "a", "state": "queued", "seq": 1})
    clock.now += 2
    progress = {"taskId": "a", "progress": 0.25, "state": "running", "attempt": 1}
    fold(state, "task_progress", {**progress, "statusText": "1 of 4", "template": "{n} of 4"})
    return state


def task(state: MeshState, name: str = "a") -> dict[str, Any]:
    found = state.task(name)
    assert found is not None
    return found


def test_a_task_starts_when_it_runs_not_when_it_is_accepted() -> None:
    clock = Clock()
    state = running(clock)
    assert task(state)["submittedAt"] == 1_000_000
    assert task(state)["startedAt"] == 1_002_000
    assert task(state)["status"] == {"text": "1 of 4", "template": "{n} of 4", "values": {}}


def test_a_bar_that_stands_still_keeps_the_time_of_its_last_step() -> None:
    clock = Clock()
    state = running(clock)
    clock.now += 7
    fold(state, "task_progress", {"taskId": "a", "progress": 0.25, "state": "running"})
    assert task(state)["progressAt"] == 1_002_000
    assert task(state)["heardAt"] == 1_009_000


def test_the_pace_counts_from_the_first_finished_unit() -> None:
    clock = Clock()
    state = running(clock)
    clock.now += 7
    fold(state, "task_progress", {"taskId": "a", "progress": 0.5, "state": "running"})
    assert task(state)["progressFrom"] == {"at": 1_002_000, "share": 0.25}


def test_another_attempt_starts_its_clock_anew() -> None:
    clock = Clock()
    state = running(clock)
    clock.now += 5
    fold(state, "task_progress", {"taskId": "a", "progress": 0, "state": "running", "attempt": 2})
    assert task(state)["startedAt"] == 1_007_000
    assert task(state)["attempt"] == 2


def test_an_ended_task_stays_as_it_ended() -> None:
    state = running(Clock())
    fold(state, "task_error", {"taskId": "a", "seq": 9, "code": "cancelled", "error": "cancelled"})
    fold(state, "task_completed", {"taskId": "a", "seq": 10, "result": {}})
    fold(state, "task_progress", {"taskId": "a", "progress": 0.9, "state": "running"})
    assert task(state)["state"] == "cancelled"


def test_a_refusal_of_one_message_ends_no_task() -> None:
    state = running(Clock())
    fold(state, "task_error", {"taskId": "a", "code": "invalid", "error": "no"})
    assert task(state)["state"] == "running"


def test_a_replayed_line_is_not_shown_twice() -> None:
    state = running(Clock())
    for seq in (2, 3, 2, 3):
        fold(state, "log", {"taskId": "a", "content": f"line {seq}", "seq": seq, "timestamp": seq})
    lines = state.opened("a")["lines"]
    assert [line["text"] for line in lines] == ["line 2", "line 3"]


def test_a_long_log_keeps_its_end_and_says_what_is_gone() -> None:
    state = running(Clock())
    for seq in range(KEEP_LINES + 30):
        fold(state, "log", {"taskId": "a", "content": str(seq), "seq": seq})
    opened = state.opened("a")
    assert len(opened["lines"]) == KEEP_LINES
    assert opened["dropped"] == 30
    assert opened["lines"][-1]["text"] == str(KEEP_LINES + 29)


def test_a_delta_holds_what_changed_since_the_last_one_and_then_nothing() -> None:
    state = running(Clock())
    state.follow("a")
    fold(state, "log", {"taskId": "a", "content": "x", "seq": 5})
    delta = state.take_delta()
    assert [one["taskId"] for one in delta["tasks"]] == ["a"]
    assert [line["text"] for line in delta["logs"]["a"]] == ["x"]
    assert state.take_delta() == {}


def test_lines_travel_only_for_tasks_that_a_page_opened() -> None:
    state = running(Clock())
    fold(state, "log", {"taskId": "a", "content": "x", "seq": 5})
    assert state.take_delta()["logs"] == {}
    for name in range(WATCHED_LOGS + 1):
        state.follow(str(name))
    fold(state, "log", {"taskId": "0", "content": "x", "seq": 5})
    assert state.take_delta()["logs"] == {}


def test_the_node_s_list_adds_tasks_but_is_older_than_the_events_of_a_running_one() -> None:
    state = running(Clock())
    row = {"taskId": "a", "model": "cypher-v1", "state": "queued", "progress": 0.0, "position": 3}
    old = {"taskId": "b", "model": "m", "state": "failed", "error": "it broke", "submittedAt": 5}
    state.merge_history([history_row(row), history_row(old)])
    assert task(state)["state"] == "running"
    assert task(state)["progress"] == 0.25
    assert task(state)["model"] == "cypher-v1"
    assert task(state, "b")["error"]["text"] == "it broke"
    assert state.oldest_ms == 5


def test_an_inline_input_is_shown_as_its_node_labels_it() -> None:
    state = MeshState(Clock())
    state.merge_history([history_row({"taskId": "a", "state": "queued", "inputLabel": '{"x":1}'})])
    assert task(state)["input"] == '{"x":1}'


def test_the_node_s_list_ends_a_task_whose_end_was_missed() -> None:
    state = running(Clock())
    state.merge_history([history_row({"taskId": "a", "state": "done", "finishedAt": 77})])
    assert task(state)["state"] == "done"
    assert task(state)["finishedAt"] == 77


def test_why_a_task_waits_is_gone_once_it_has_ended() -> None:
    state = MeshState(Clock())
    waits = {"waitsFor": "every slot is busy", "position": 2}
    state.merge_history([history_row({"taskId": "a", "state": "queued", **waits})])
    assert task(state)["why"]["text"] == "every slot is busy"
    state.end("a", "cancelled")
    assert "why" not in task(state)


def test_many_tasks_are_bounded_and_the_oldest_ended_go_first() -> None:
    state = MeshState(Clock())
    for number in range(KEEP_TASKS + 5):
        state.update(f"t{number}", state="done", submittedAt=number)
    assert len(state) == KEEP_TASKS
    assert state.task("t0") is None
    assert state.older


def test_a_better_sentence_of_a_replay_replaces_the_plain_one() -> None:
    state = MeshState(Clock())
    state.merge_history([history_row({"taskId": "a", "state": "failed", "error": "it broke: 5"})])
    told = {"template": "it broke: {n}", "values": {"n": 5}}
    fold(state, "task_error", {"taskId": "a", "code": "failed", "error": "it broke: 5", **told})
    assert task(state)["error"]["template"] == "it broke: {n}"


def test_a_message_without_words_says_nothing() -> None:
    assert said({"template": "{x}"}, "error") is None


def test_a_removed_result_is_told_of_its_task() -> None:
    told = {"removed": "gone after 30", "removedTemplate": "gone after {days}"}
    values = {"removedValues": {"days": "30"}}
    row = history_row({"taskId": "a", "state": "done", **told, **values})
    assert row["removed"] == {
        "text": "gone after 30", "template": "gone after {days}", "values": {"days": "30"},
    }  # fmt: skip
    assert row["error"] is None
    assert history_row({"taskId": "a", "state": "done"})["removed"] is None
