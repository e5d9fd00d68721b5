"""The mesh session: nothing lost, nothing doubled, whatever the connection does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.link import STABLE_S, Event
from workbench.core.mesh_config import MeshConfig, address
from workbench.core.mesh_following import HISTORY_KEPT, Tasks
from workbench.core.mesh_session import MeshSession
from workbench.errors import InputError, LinkError, ProtocolError

LOST = LinkError("the connection was lost")


def sent(session: MeshSession) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in session.outbox()]


def told(session: MeshSession, now: float = 1.0, /, **message: Any) -> list[Event]:
    """What follows from one message of the node, less the raw `message` event."""
    events = session.received(json.dumps(message), now)
    return [event for event in events if event.name != "message"]


def task(name: str = "a", **fields: Any) -> dict[str, Any]:
    return {"type": "task", "taskId": name, "model": "cypher-v1", **fields}


@pytest.fixture
def session() -> MeshSession:
    session = MeshSession()
    session.opened("local", 0.0)
    return session


def test_answers_a_heartbeat_at_once(session: MeshSession) -> None:
    told(session, type="heartbeat")
    assert sent(session) == [{"type": "heartbeat-response"}]


def test_follows_a_task_from_sent_to_done(session: MeshSession) -> None:
    events = session.submit(task(), "local", 0.0)
    assert events == [
        Event("task_sent", {"taskId": "a", "model": "cypher-v1", "endpoint": "local"})
    ]
    assert sent(session) == [task()]
    assert session.record("a", 0.0).state == "sent"
    accepted = {"type": "taskAccepted", "taskId": "a", "state": "queued", "seq": 1}
    assert [event.name for event in told(session, **accepted)] == ["task_accepted"]
    assert session.record("a", 0.0).state == "queued"
    told(session, type="taskProgress", taskId="a", progress=0.5, statusText="half")
    record = session.record("a", 3.0)
    assert (record.state, record.progress, record.status_text) == ("running", 0.5, "half")
    events = told(session, 7.0, type="taskResult", taskId="a", success=True, result=[1], seq=9)
    assert [event.name for event in events] == ["task_completed"]
    record = session.record("a", 99.0)
    assert (record.state, record.result, record.elapsed_s) == ("done", [1], 7.0)
    assert not session.is_pending("a")


def test_an_error_with_seq_ends_the_task_with_its_code(session: MeshSession) -> None:
    session.submit(task(), "local", 0.0)
    told(session, type="taskAccepted", taskId="a", seq=1)
    events = told(session, type="error", taskId="a", error="too slow", code="timeout", seq=2)
    assert [event.name for event in events] == ["task_error"]
    assert (session.record("a", 1.0).state, session.record("a", 1.0).error) == (
        "timeout",
        "too slow",
    )


def test_an_error_without_seq_refuses_a_message_and_ends_no_accepted_task(
    session: MeshSession,
) -> None:
    session.submit(task(), "local", 0.0)
    told(session, type="taskAccepted", taskId="a", seq=1)
    events = told(session, type="error", taskId="a", error="not yours", code="forbidden")
    assert [event.name for event in events] == ["log"]
    assert session.is_pending("a")


def test_a_refused_task_has_ended_here(session: MeshSession) -> None:
    session.submit(task(), "local", 0.0)
    events = told(session, type="error", taskId="a", error="no such model", code="unknown-model")
    assert [(event.name, event.data["code"]) for event in events] == [
        ("task_error", "unknown-model")
    ]
    assert session.record("a", 1.0).state == "refused"


def test_a_foreign_nodes_failure_is_a_task_error(session: MeshSession) -> None:
    session.submit(task(), "local", 0.0)
    told(session, type="taskProgress", taskId="a", progress=0.1)
    events = told(session, type="taskResult", taskId="a", success=False, error="no memory")
    assert [(event.name, event.data["error"]) for event in events] == [("task_error", "no memory")]
    assert session.record("a", 1.0).state == "failed"


def test_a_foreign_nodes_unnumbered_error_ends_the_task(session: MeshSession) -> None:
    session.submit(task(), "local", 0.0)
    told(session, type="taskProgress", taskId="a", progress=0.1)
    events = told(session, type="error", taskId="a", error="no memory")
    assert [event.name for event in events] == ["task_error"]
    assert session.record("a", 1.0).state == "failed"


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "[1]",
        "7",
        b"\xff\xfe",
        '{"type": "nonsense", "x": 1}',
        '{"type": 3}',
        '{"type": "taskProgress", "taskId": "a", "progress": "much"}',
        '{"type": "taskResult", "taskId": 5}',
        '{"type": "log"}',
        '{"type": "error"}',
    ],
)
def test_passes_over_what_it_does_not_understand(session: MeshSession, frame: str | bytes) -> None:
    session.submit(task(), "local", 0.0)
    session.received(frame, 1.0)
    assert session.record("a", 1.0).state == "sent"


def test_ignores_unknown_fields_and_null_ones(session: MeshSession) -> None:
    session.submit(task(), "local", 0.0)
    told(
        session,
        type="taskProgress",
        taskId="a",
        progress=2.5,
        statusText=None,
        values=None,
        attempt=None,
        colour="red",
    )
    assert session.record("a", 1.0).progress == 1.0


def test_attaches_again_from_the_last_number_it_saw(session: MeshSession) -> None:
    session.submit(task(), "local", 0.0)
    told(session, type="taskAccepted", taskId="a", seq=1)
    told(session, type="log", taskId="a", content="x", seq=7)
    session.outbox()
    session.closed(LOST, 2.0, 0.5)
    session.opened("local", 3.0)
    assert sent(session) == [{"type": "attach", "taskId": "a", "after": 7}]


def test_sends_again_what_was_never_accepted(session: MeshSession) -> None:
    session.submit(task(parameters={"x": 1}), "local", 0.0)
    first = sent(session)
    session.closed(LOST, 2.0, 0.5)
    session.opened("local", 3.0)
    assert sent(session) == first


def test_speaks_of_a_task_only_to_its_own_endpoint(session: MeshSession) -> None:
    session.submit(task("new"), "local", 0.0)
    session.submit(task("old"), "local", 0.0)
    told(session, type="taskAccepted", taskId="old", seq=1)
    session.outbox()
    session.closed(LOST, 2.0, 0.5)
    session.opened("remote", 3.0)
    assert sent(session) == []
    assert told(session, type="taskResult", taskId="old", result=1, seq=2) == []
    assert session.is_pending("old")


def test_moves_an_unaccepted_task_elsewhere_only_when_told(session: MeshSession) -> None:
    session.submit(task("new"), "local", 0.0)
    session.submit(task("old"), "local", 0.0)
    told(session, type="taskAccepted", taskId="old", seq=1)
    session.closed(LOST, 2.0, 0.5)
    session.opened("remote", 3.0)
    session.outbox()
    assert session.move("new", "remote")
    assert not session.move("old", "remote")
    assert [message["taskId"] for message in sent(session)] == ["new"]


def test_two_sessions_of_one_client_speak_of_their_own_tasks() -> None:
    tasks = Tasks()
    here, there = MeshSession(tasks=tasks), MeshSession(tasks=tasks)
    here.opened("local", 0.0)
    there.opened("remote", 0.0)
    here.submit(task("h"), "local", 0.0)
    there.submit(task("t"), "remote", 0.0)
    assert (sent(here), sent(there)) == ([task("h")], [task("t")])
    assert told(here, type="taskResult", taskId="t", result=1, seq=2) == []
    assert [record.task_id for record in here.history(1.0)] == ["t", "h"]
    with pytest.raises(InputError, match="task t is under way with another content"):
        here.submit(task("t", model="other"), "local", 0.0)
    told(here, type="error", error="slow down", code="busy")
    told(there, type="error", taskId="t", error="full", code="busy")
    for session in (here, there):  # each ticks; a task is sent again by its own
        session.tick(9.0)
    assert (sent(here), sent(there)) == ([task("h")], [task("t")])
    there.closed(LOST, 10.0, 0.5)
    there.opened("remote", 11.0)
    here.tick(12.0)
    there.tick(12.0)
    assert (sent(here), sent(there)) == ([], [task("t")])


def test_a_word_of_no_task_is_about_those_of_its_own_node() -> None:
    tasks = Tasks()
    here, there = MeshSession(tasks=tasks), MeshSession(tasks=tasks)
    here.opened("local", 0.0)
    there.opened("remote", 0.0)
    there.submit(task("t"), "remote", 0.0)
    there.outbox()
    told(here, type="error", error="slow down", code="busy")
    there.tick(9.0)
    assert sent(there) == []


def test_a_cancel_survives_a_lost_connection(session: MeshSession) -> None:
    session.submit(task(), "local", 0.0)
    told(session, type="taskAccepted", taskId="a", seq=1)
    session.closed(LOST, 2.0, 0.5)
    assert session.cancel("a")
    session.opened("local", 3.0)
    assert [message["type"] for message in sent(session)] == ["attach", "cancelTask"]


def test_a_task_cancelled_before_its_acceptance_is_not_sent_again(session: MeshSession) -> None:
    session.submit(task(), "local", 0.0)
    session.closed(LOST, 2.0, 0.5)
    session.cancel("a")
    session.opened("local", 3.0)
    assert [message["type"] for message in sent(session)] == ["attach", "cancelTask"]
    events = told(session, type="error", taskId="a", error="unknown", code="unknown-task")
    assert [event.name for event in events] == ["task_error"]
    assert session.record("a", 4.0).state == "cancelled"


def test_an_accepted_task_that_the_node_forgot_is_lost(session: MeshSession) -> None:
    session.submit(task(), "local", 0.0)
    told(session, type="taskAccepted", taskId="a", seq=1)
    session.closed(LOST, 2.0, 0.5)
    session.opened("local", 3.0)
    events = told(session, type="error", taskId="a", error="unknown", code="unknown-task")
    assert events[0].data["error"] == (
        "the node no longer knows this task: its data was removed, or it is another node"
    )
    assert session.record("a", 4.0).state == "lost"


def test_tells_silence_once_and_again_only_after_news(session: MeshSession) -> None:
    session.submit(task(), "local", 0.0)
    assert session.tick(29.9) == []
    assert session.tick(30.0) == [Event("task_timeout", {"taskId": "a", "silentS": 30.0})]
    assert session.tick(31.0) == []
    told(session, 40.0, type="taskProgress", taskId="a", progress=0.1)
    assert session.tick(69.0) == []
    assert [event.name for event in session.tick(70.0)] == ["task_timeout"]
    assert session.is_pending("a")


def test_a_heartbeat_is_no_news_of_a_task(session: MeshSession) -> None:
    session.submit(task(), "local", 0.0)
    told(session, 29.0, type="heartbeat")
    assert [event.name for event in session.tick(30.0)] == ["task_timeout"]


def test_the_time_to_silence_may_change_while_running(session: MeshSession) -> None:
    session.submit(task(), "local", 0.0)
    session.config = session.config.changed(taskTimeout=5)
    assert [event.name for event in session.tick(5.0)] == ["task_timeout"]


def test_a_busy_node_is_asked_again_later(session: MeshSession) -> None:
    session.submit(task(), "local", 0.0)
    session.outbox()
    assert told(session, type="error", taskId="a", error="full", code="busy") == []
    session.tick(1.4)
    assert sent(session) == []
    session.tick(1.5)
    assert sent(session) == [task()]


def test_a_node_that_stays_busy_refuses_in_the_end(session: MeshSession) -> None:
    session.submit(task(), "local", 0.0)
    rounds = 0
    while session.is_pending("a"):
        told(session, 100.0 * rounds, type="error", taskId="a", error="full", code="busy")
        session.tick(100.0 * rounds + 50)
        rounds += 1
    assert rounds == 8
    assert session.record("a", 1.0).code == "busy"


def test_a_busy_without_a_task_repeats_all_that_is_unanswered(session: MeshSession) -> None:
    session.submit(task("a"), "local", 0.0)
    session.submit(task("b"), "local", 0.0)
    told(session, type="taskAccepted", taskId="b", seq=1)
    session.outbox()
    told(session, type="error", error="slow down", code="busy")
    session.tick(9.0)
    assert sent(session) == [task("a")]


def test_drops_progress_of_an_attempt_that_is_over(session: MeshSession) -> None:
    session.submit(task(), "local", 0.0)
    told(session, type="taskAccepted", taskId="a", seq=1, attempt=1)
    told(session, type="log", taskId="a", content="again", seq=5, attempt=2)
    assert told(session, type="taskProgress", taskId="a", progress=0.9, attempt=1) == []
    assert session.record("a", 1.0).progress is None


def test_the_same_task_again_is_that_task_and_another_of_its_id_is_refused(
    session: MeshSession,
) -> None:
    session.submit(task(), "local", 0.0)
    assert sent(session) == [task()]
    assert session.submit(task() | {"timestamp": 9}, "local", 1.0) == []
    assert sent(session) == []
    with pytest.raises(InputError) as refusal:
        session.submit(task(model="other"), "local", 0.0)
    assert str(refusal.value) == (
        "task a is under way with another content: choose another id, or wait for its end"
    )


def test_keeps_every_pending_task_and_the_newest_ended_ones(session: MeshSession) -> None:
    session.submit(task("pending"), "local", 0.0)
    for number in range(HISTORY_KEPT + 20):
        session.submit(task(f"t{number}"), "local", 0.0)
        told(session, type="taskResult", taskId=f"t{number}", result=number, seq=2)
    history = session.history(1.0)
    assert len(history) == HISTORY_KEPT + 1
    assert history[0].task_id == f"t{HISTORY_KEPT + 19}"
    assert history[-1].task_id == "pending"


def test_a_task_that_was_slow_is_not_forgotten_in_the_moment_of_its_end(
    session: MeshSession,
) -> None:
    session.submit(task("slow"), "local", 0.0)
    for number in range(HISTORY_KEPT):
        session.submit(task(f"t{number}"), "local", 0.0)
        told(session, type="taskResult", taskId=f"t{number}", result=number, seq=2)
    told(session, type="taskResult", taskId="slow", result="at last", seq=2)
    record = session.record("slow", 1.0)
    assert record is not None
    assert record.result == "at last"
    assert session.record("t0", 1.0) is None


def test_the_wait_grows_by_half_each_time_then_ends() -> None:
    session = MeshSession(MeshConfig(reconnect_delay=2.0, reconnect_max_attempts=4))
    waits, now = [], 0.0
    while True:
        events = session.closed(LOST, now, 0.5)
        if events[0].name == "reconnect_failed":
            break
        waits.append(events[0].data["delayS"])
        now = session.retry_at or 0.0
    assert waits == pytest.approx([2.0, 3.0, 4.5, 6.75])
    assert session.retry_at is None


@pytest.mark.parametrize(("delay_s", "longest_s"), [(2.0, 60.0), (90.0, 90.0)])
def test_many_attempts_wait_a_minute_each_at_most(delay_s: float, longest_s: float) -> None:
    session = MeshSession(MeshConfig(reconnect_delay=delay_s, reconnect_max_attempts=1000))
    waits = [session.closed(LOST, 0.0, 0.5)[0].data["delayS"] for _ in range(1000)]
    assert waits[-1] == max(waits) == pytest.approx(longest_s)


@given(jitter=st.floats(0, 1))
def test_jitter_spreads_the_wait_over_80_to_120_percent(jitter: float) -> None:
    session = MeshSession()
    session.closed(LOST, 0.0, jitter)
    assert session.retry_at is not None
    assert 1.599 < session.retry_at < 2.401


@pytest.mark.parametrize(("stood_s", "attempt"), [(STABLE_S - 1, 2), (STABLE_S, 1)])
def test_the_count_starts_anew_only_after_a_stable_minute(stood_s: float, attempt: int) -> None:
    session = MeshSession()
    session.opened("local", 0.0)
    session.closed(LOST, 1.0, 0.5)
    session.opened("local", 2.0)
    events = session.closed(LOST, 2.0 + stood_s, 0.5)
    assert [(event.name, event.data.get("attempt")) for event in events] == [
        ("disconnected", None),
        ("reconnecting", attempt),
    ]


def test_a_server_that_accepts_and_closes_at_once_is_given_up() -> None:
    session, now, opened = MeshSession(), 0.0, 0
    while session.retry_at is not None or not opened:
        session.opened("local", now)
        opened += 1
        session.closed(LOST, now + 0.01, 0.5)
        now = session.retry_at or now
    assert opened == 6


def test_tries_on_each_minute_only_when_asked() -> None:
    session = MeshSession(MeshConfig(reconnect_max_attempts=0, keep_trying=True))
    assert [event.name for event in session.closed(LOST, 5.0, 0.5)] == ["reconnect_failed"]
    assert session.retry_at == 65.0
    assert session.closed(LOST, 65.0, 0.5) == []
    assert session.retry_at == 125.0


def test_a_refusal_is_not_tried_again() -> None:
    session = MeshSession(MeshConfig(keep_trying=True))
    events = session.closed(ProtocolError("wrong token"), 5.0, 0.5)
    assert [(event.name, event.data["reason"]) for event in events] == [
        ("reconnect_failed", "wrong token")
    ]
    assert session.retry_at is None


def test_asking_while_disconnected_says_what_to_do() -> None:
    with pytest.raises(LinkError, match="not connected to a mesh node: call connect"):
        MeshSession().ask({"type": "models"})


@pytest.mark.parametrize(
    ("url", "bare", "token"),
    [
        ("ws://localhost:8081/mesh", "ws://localhost:8081/mesh", None),
        ("ws://127.0.0.1:8081/mesh?token=s3", "ws://127.0.0.1:8081/mesh", "s3"),
        ("ws://[::1]:8081/mesh", "ws://[::1]:8081/mesh", None),
        ("wss://mesh.runes.pro/node?a=1&token=s3", "wss://mesh.runes.pro/node?a=1", "s3"),
    ],
)
def test_an_address_is_parted_from_its_token(url: str, bare: str, token: str | None) -> None:
    assert address(url)[:2] == (bare, token)


@pytest.mark.parametrize(
    "url", ["http://localhost/x", "localhost:8081", "ws://", "wss://u:p@h/x", "ws://h:99999/"]
)
def test_refuses_what_is_no_websocket_address(url: str) -> None:
    with pytest.raises(InputError, match="allowed: ws://localhost:PORT/PATH, or wss://HOST/PATH"):
        address(url)


def test_beyond_this_machine_only_encrypted() -> None:
    with pytest.raises(InputError) as refusal:
        address("ws://192.168.1.5:8081/mesh?token=geheim")
    assert str(refusal.value) == (
        "192.168.1.5 is not this machine, so the connection must be encrypted: use wss: for ws:"
    )


def test_a_refused_address_shows_no_token() -> None:
    with pytest.raises(InputError) as refusal:
        address("http://host/mesh?token=geheim")
    assert "geheim" not in str(refusal.value)


def test_a_setting_out_of_range_is_refused_with_its_bounds() -> None:
    with pytest.raises(InputError, match="reconnect_delay is -1; allowed: "):
        MeshConfig().changed(reconnectDelay=-1)


class Wire:
    """A node's numbered messages of one task and a connection that drops and repeats them."""

    def __init__(self, numbers: list[int]) -> None:
        self.log = [
            {"type": "taskAccepted", "taskId": "a", "seq": numbers[0], "attempt": 1},
            *(
                {"type": "log", "taskId": "a", "content": str(number), "seq": number}
                for number in numbers[1:-1]
            ),
            {"type": "taskResult", "taskId": "a", "success": True, "result": 1, "seq": numbers[-1]},
        ]
        self.due: list[dict[str, Any]] = []
        self.accepted = False

    def take(self, frames: list[str | bytes]) -> None:
        for frame in frames:
            message = json.loads(frame)
            if message["type"] == "task":
                self.accepted = True
                self.due = list(self.log)
            elif message["type"] == "attach":
                self.due = [each for each in self.log if each["seq"] > message["after"]]


@settings(max_examples=300, deadline=None)
@given(
    numbers=st.lists(st.integers(1, 1000), min_size=2, max_size=12, unique=True).map(sorted),
    steps=st.lists(
        st.sampled_from(["deliver", "drop", "lose-outbox", "repeat", "progress"]), max_size=60
    ),
    pick=st.randoms(use_true_random=False),
)
def test_every_numbered_event_arrives_once_and_in_order(
    numbers: list[int], steps: list[str], pick: Any
) -> None:
    session, wire, now = MeshSession(), Wire(numbers), 0.0
    seen: list[int] = []

    def hear(message: dict[str, Any]) -> None:
        for event in session.received(json.dumps(message), now):
            if event.name in ("task_accepted", "log", "task_completed"):
                seen.append(event.data["seq"])

    session.opened("local", now)
    session.submit(task(), "local", now)
    for step in [*steps, "drop", *["deliver"] * len(numbers)]:
        now += 1.0
        if step in ("drop", "lose-outbox"):
            if step == "lose-outbox":
                session.outbox()
            else:
                wire.take(session.outbox())
            wire.due = []
            session.closed(LOST, now, pick.random())
            session.opened("local", now)
        wire.take(session.outbox())
        if step == "deliver" and wire.due:
            hear(wire.due.pop(0))
        elif step == "repeat" and wire.due:
            position = wire.log.index(wire.due[0])
            hear(wire.log[pick.randrange(position)] if position else wire.due[0])
            if not position:
                wire.due.pop(0)
        elif step == "progress" and wire.accepted:
            hear({"type": "taskProgress", "taskId": "a", "progress": pick.random()})
    assert seen == numbers
    assert session.record("a", now).state == "done"
