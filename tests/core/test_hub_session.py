"""The hub session: subscriptions outlive a connection, questions are answered or given back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.hub_session import HubSession
from workbench.core.link import Event
from workbench.errors import LinkError

LOST = LinkError("the connection was lost")


def sent(session: HubSession) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in session.outbox()]


def told(session: HubSession, **message: Any) -> list[Event]:
    events = session.received(json.dumps(message), 1.0)
    return [event for event in events if event.name != "message"]


@pytest.fixture
def session() -> HubSession:
    session = HubSession()
    session.opened("hub", 0.0)
    return session


def test_subscribes_again_on_each_connection(session: HubSession) -> None:
    session.monitor(2000)
    session.follow_task("a")
    first = sent(session)
    assert first == [
        {"type": "monitoring:subscribe", "data": {"intervalMs": 2000}},
        {"type": "task:subscribe", "data": {"taskId": "a"}},
    ]
    session.closed(LOST, 1.0, 0.5)
    session.opened("hub", 2.0)
    assert sent(session) == first


def test_subscribes_once_it_is_connected() -> None:
    session = HubSession()
    session.monitor(1000)
    session.follow_task("a")
    assert sent(session) == []
    session.opened("hub", 0.0)
    assert len(sent(session)) == 2


def test_what_was_left_is_not_subscribed_again(session: HubSession) -> None:
    session.monitor(2000)
    session.follow_task("a")
    session.monitor(None)
    session.leave_task("a")
    assert [message["type"] for message in sent(session)[2:]] == [
        "monitoring:unsubscribe",
        "task:unsubscribe",
    ]
    session.closed(LOST, 1.0, 0.5)
    session.opened("hub", 2.0)
    assert sent(session) == []


def test_the_askers_own_process_is_named_on_each_connection(session: HubSession) -> None:
    session.monitor(500, 412)
    asked = {"type": "monitoring:subscribe", "data": {"intervalMs": 500, "pid": 412}}
    assert sent(session) == [asked]
    assert session.monitored == (500, 412)
    session.closed(LOST, 1.0, 0.5)
    session.opened("hub", 2.0)
    assert sent(session) == [asked]
    session.monitor(None)
    assert session.monitored is None


def test_alerts_are_told_as_they_are(session: HubSession) -> None:
    alert = {"alertId": "a", "state": "raised"}
    told_of = told(session, type="alert:raised", data={"alert": alert})
    assert told_of == [Event("alert", alert)]
    assert told(session, type="alert:cleared", data={"alert": "a"}) == []


def test_hands_each_binary_frame_to_its_query(session: HubSession) -> None:
    session.ask("one", "query", {"sql": "SELECT 1"})
    session.ask("two", "query", {"sql": "SELECT 2"})
    assert told(session, type="query:batch", data={"n": 0}, requestId="two") == []
    assert session.received(b"22", 1.0) == [Event("part", {"requestId": "two", "frame": b"22"})]
    told(session, type="query:batch", data={"n": 0}, requestId="one")
    assert session.received(b"11", 1.0) == [Event("part", {"requestId": "one", "frame": b"11"})]
    assert session.received(b"stray", 1.0) == []


def test_a_cancelled_query_is_stopped_at_the_hub_and_its_frames_are_dropped(
    session: HubSession,
) -> None:
    session.ask("one", "query", {"sql": "SELECT 1"})
    session.outbox()
    session.cancel("one", True)
    assert sent(session) == [{"type": "query:cancel", "requestId": "one"}]
    told(session, type="query:batch", data={"n": 0}, requestId="one")
    assert session.received(b"11", 1.0) == []


def test_a_settled_question_needs_no_cancel(session: HubSession) -> None:
    session.ask("one", "ping")
    session.outbox()
    assert told(session, type="pong", requestId="one")[0].name == "answer"
    session.settle("one")
    session.cancel("one", True)
    assert sent(session) == []


def test_a_lost_connection_gives_questions_back(session: HubSession) -> None:
    session.ask("one", "query", {"sql": "SELECT 1"})
    events = session.closed(LOST, 1.0, 0.5)
    assert [event.name for event in events] == ["disconnected", "unanswered", "reconnecting"]
    assert events[1].data["requestId"] == "one"
    assert session.retry_at == pytest.approx(3.0)


def test_metrics_and_task_updates_become_events(session: HubSession) -> None:
    session.follow_task("5")
    assert told(session, type="metrics", data={"cpu": {"usage": 3}}) == [
        Event("metrics", {"cpu": {"usage": 3}})
    ]
    update = {"task": {"id": 5, "title": "x", "status": "running"}}
    assert told(session, type="task:update", data=update) == [
        Event("task_update", {"task": {"id": "5", "title": "x", "status": "running"}})
    ]
    assert told(session, type="task:update", data={"task": {"id": "other"}}) == []


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "[]",
        '{"type": "metrics", "data": 5}',
        '{"type": "task:update", "data": {"task": 1}}',
        '{"type": "from-the-future", "data": {}}',
        '{"requestId": {"a": 1}}',
    ],
)
def test_passes_over_what_it_does_not_understand(session: HubSession, frame: str) -> None:
    assert [event for event in session.received(frame, 1.0) if event.name != "message"] == []


def test_asking_while_disconnected_says_what_to_do() -> None:
    with pytest.raises(LinkError, match="not connected to the hub: call connect"):
        HubSession().ask("one", "ping")


@given(
    st.lists(
        st.sampled_from(["follow a", "follow b", "leave a", "leave b", "drop", "open"]), max_size=40
    )
)
def test_the_hub_always_ends_up_with_the_wanted_subscriptions(steps: list[str]) -> None:
    session, wanted, at_hub = HubSession(), set[str](), set[str]()
    session.opened("hub", 0.0)
    for step in [*steps, "open"]:
        verb, _, name = step.partition(" ")
        if verb == "follow":
            wanted.add(name)
            session.follow_task(name)
        elif verb == "leave":
            wanted.discard(name)
            session.leave_task(name)
        elif verb == "drop":
            session.closed(LOST, 0.0, 0.5)
        elif not session.connected:
            at_hub = set()
            session.opened("hub", 0.0)
        for message in sent(session):
            change = at_hub.add if message["type"] == "task:subscribe" else at_hub.discard
            change(message["data"]["taskId"])
    assert at_hub == wanted


def test_followed_conversations_come_back_with_the_connection(session: HubSession) -> None:
    session.follow_conversation(7)
    session.follow_conversation(7)
    session.follow_conversation(9)
    session.leave_conversation(9)
    session.leave_conversation(7)
    follow = {"type": "conversation:follow", "data": {"conversationId": 7}}
    told_so_far = sent(session)
    assert told_so_far[:2] == [follow, follow]
    assert told_so_far[3:] == [{"type": "conversation:unfollow", "data": {"conversationId": 9}}]
    session.closed(LOST, 1.0, 0.5)
    session.opened("hub", 2.0)
    assert sent(session) == [follow]
    session.leave_conversation(7)
    session.leave_conversation(7)
    assert [message["type"] for message in sent(session)] == ["conversation:unfollow"]


def test_what_concerns_conversations_is_an_event_also_as_an_answer(session: HubSession) -> None:
    session.ask("one", "chat:send", {"message": "Hi"})
    said = {"type": "chat:message", "data": {"id": 1}, "requestId": "one"}
    assert told(session, **said) == [Event("chat", said), Event("answer", said)]
    pushed = {"type": "model:changed", "data": {}}
    assert told(session, **pushed) == [Event("chat", pushed)]


def test_a_call_is_cancelled_by_its_own_verb(session: HubSession) -> None:
    session.ask("one", "llm:chat", {})
    session.outbox()
    session.cancel("one", True, "llm:cancel")
    assert sent(session) == [{"type": "llm:cancel", "requestId": "one"}]
    session.tell("chat:stop", {"conversationId": 7})
    assert sent(session) == [{"type": "chat:stop", "data": {"conversationId": 7}}]
    session.closed(LOST, 1.0, 0.5)
    with pytest.raises(LinkError, match="not connected to the hub"):
        session.tell("chat:stop")
