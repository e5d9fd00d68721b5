"""One client's side of `/ws`, without a socket and without a clock.

Subscriptions are remembered and made again on every new connection; a question that was
under way when the connection was lost is answered by an error, for its asker to repeat.
"""

from __future__ import annotations

from typing import Any

import msgspec

from workbench.core.link import BY_THE_USER, Event, Reconnects, reason_of
from workbench.core.wire import encode
from workbench.errors import LinkError

CHAT = ("chat:", "conversation:", "model:", "instruction:", "template:")
ALERTS = ("alert:raised", "alert:cleared")


class HubSession:
    """The client's decisions. One thread only; `now` is any clock that never goes back.

    Events: `connected`, `disconnected`, `reconnecting`, `reconnect_failed`, `metrics`,
    `alert` (one that was raised or cleared), `task_update`, `chat` (what concerns
    conversations, models or prompts, as on the wire), `message`, and for questions `answer`
    (any JSON message with their `requestId`), `part` (one binary frame) and `unanswered` (the
    connection was lost).
    """

    def __init__(
        self, *, reconnect_delay: float = 2.0, max_attempts: int = 5, keep_trying: bool = True
    ) -> None:
        self.connected = False
        self._delay_s, self._max_attempts = reconnect_delay, max_attempts
        self._keep_trying = keep_trying
        self._schedule = Reconnects()
        self._outbox: list[str | bytes] = []
        self._asked: dict[str, None] = {}
        self._part_of: str | None = None
        self._monitored: dict[str, int] | None = None
        self._tasks: dict[str, None] = {}
        self._conversations: dict[int, int] = {}

    # The four inputs of the shell

    def opened(self, endpoint: str, now: float) -> list[Event]:
        """A connection stands: every subscription is made again."""
        self._schedule.opened(now)
        self.connected = True
        self._outbox.clear()
        if self._monitored is not None:
            self._send("monitoring:subscribe", self._monitored)
        for task_id in self._tasks:
            self._send("task:subscribe", {"taskId": task_id})
        for conversation_id in self._conversations:
            self._send("conversation:follow", {"conversationId": conversation_id})
        return [Event("connected", {"endpoint": endpoint})]

    def received(self, frame: str | bytes, now: float) -> list[Event]:
        """One frame of the hub. What is unknown or malformed is passed over, never fatal."""
        if isinstance(frame, bytes):
            return self._part(frame)
        try:
            message = msgspec.json.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []
        if not isinstance(message, dict):
            return []
        events = [Event("message", message)]
        data = message.get("data")
        if str(message.get("type")).startswith(CHAT):
            events.append(Event("chat", message))
        request_id = message.get("requestId")
        if isinstance(request_id, str) and request_id in self._asked:
            events += self._answer(request_id, message)
        elif message.get("type") == "metrics" and isinstance(data, dict):
            events.append(Event("metrics", data))
        elif message.get("type") in ALERTS and isinstance(data, dict):
            events += self._alert(data.get("alert"))
        elif message.get("type") == "task:update" and isinstance(data, dict):
            events += self._task(data.get("task"))
        return events

    def tick(self, now: float) -> list[Event]:
        """The hub's protocol asks for nothing here: the socket's own pings notice silence."""
        return []

    def closed(self, error: LinkError, now: float, jitter: float) -> list[Event]:
        """A connection is gone or could not be made. A ProtocolError is final."""
        return self._drop(reason_of(error)) + self._schedule.closed(
            error,
            now,
            delay_s=self._delay_s,
            max_attempts=self._max_attempts,
            keep_trying=self._keep_trying,
            jitter=jitter,
        )

    def outbox(self) -> list[str | bytes]:
        """The frames to be sent now, oldest first; each is handed out once."""
        frames, self._outbox = self._outbox, []
        return frames

    # What the user wants

    @property
    def retry_at(self) -> float | None:
        """When the shell is to try again, on the caller's clock; None for never."""
        return self._schedule.retry_at

    def asked_anew(self) -> None:
        """The user asks for a connection: the count of attempts begins at nothing."""
        self._schedule.start_anew()

    def disconnected(self) -> list[Event]:
        """The user wants no connection now."""
        self._schedule.start_anew()
        return self._drop(BY_THE_USER)

    def ask(self, request_id: str, kind: str, data: dict[str, Any] | None = None) -> None:
        """Send a question whose answers carry `request_id`."""
        if not self.connected:
            raise LinkError("not connected to the hub: call connect() and try again")
        self._asked[request_id] = None
        self._send(kind, data, request_id)

    def tell(self, kind: str, data: dict[str, Any] | None = None) -> None:
        """Send what asks for no answer."""
        if not self.connected:
            raise LinkError("not connected to the hub: call connect() and try again")
        self._send(kind, data)

    def cancel(self, request_id: str, tell: bool, verb: str = "query:cancel") -> None:
        """Nobody waits for this answer any more; `tell` the hub to stop working on it."""
        if self._asked.pop(request_id, 0) is None and tell and self.connected:
            self._send(verb, request_id=request_id)

    def settle(self, request_id: str) -> None:
        """The question is answered in full."""
        self._asked.pop(request_id, None)

    def monitor(self, interval_ms: int | None, pid: int | None = None) -> None:
        """Follow metrics at an interval; None to stop. What the process `pid` uses of a GPU is
        told as the asker's own."""
        self._monitored = None
        if interval_ms is not None:
            self._monitored = {"intervalMs": interval_ms} | ({} if pid is None else {"pid": pid})
        if not self.connected:
            return
        if self._monitored is None:
            self._send("monitoring:unsubscribe")
        else:
            self._send("monitoring:subscribe", self._monitored)

    @property
    def monitored(self) -> tuple[int, int | None] | None:
        """The interval (ms) and the pid that metrics are followed with; None where they are not."""
        asked = self._monitored
        return None if asked is None else (asked["intervalMs"], asked.get("pid"))

    def follow_task(self, task_id: str) -> None:
        if task_id not in self._tasks:
            self._tasks[task_id] = None
            if self.connected:
                self._send("task:subscribe", {"taskId": task_id})

    def leave_task(self, task_id: str) -> None:
        if self._tasks.pop(task_id, 0) is None and self.connected:
            self._send("task:unsubscribe", {"taskId": task_id})

    def follow_conversation(self, conversation_id: int) -> None:
        """Hear of a conversation, from a snapshot on; whoever joins gets one too. Counted."""
        self._conversations[conversation_id] = self._conversations.get(conversation_id, 0) + 1
        if self.connected:
            self._send("conversation:follow", {"conversationId": conversation_id})

    def leave_conversation(self, conversation_id: int) -> None:
        """One follower less; the last one tells the hub."""
        left = self._conversations.pop(conversation_id, 0) - 1
        if left > 0:
            self._conversations[conversation_id] = left
        elif left == 0 and self.connected:
            self._send("conversation:unfollow", {"conversationId": conversation_id})

    # Inside

    def _answer(self, request_id: str, message: dict[str, Any]) -> list[Event]:
        if message.get("type") == "query:batch":
            self._part_of = request_id
            return []
        return [Event("answer", message)]

    def _part(self, frame: bytes) -> list[Event]:
        """A binary frame belongs to the `query:batch` right before it."""
        request_id, self._part_of = self._part_of, None
        if request_id is None or request_id not in self._asked:
            return []
        return [Event("part", {"requestId": request_id, "frame": frame})]

    def _alert(self, alert: Any) -> list[Event]:
        """Its `state` says which: raised or cleared."""
        return [Event("alert", alert)] if isinstance(alert, dict) else []

    def _task(self, task: Any) -> list[Event]:
        """An update of a followed task. The hub may give an integer where it got a string."""
        if not isinstance(task, dict) or str(task.get("id")) not in self._tasks:
            return []
        return [Event("task_update", {"task": {**task, "id": str(task["id"])}})]

    def _drop(self, reason: dict[str, Any]) -> list[Event]:
        events = []
        if self.connected:
            events.append(Event("disconnected", {"endpoint": "hub", **reason}))
        self.connected, self._part_of = False, None
        self._outbox.clear()
        asked, self._asked = self._asked, {}
        return events + [Event("unanswered", {"requestId": each, **reason}) for each in asked]

    def _send(
        self, kind: str, data: dict[str, Any] | None = None, request_id: str | None = None
    ) -> None:
        envelope: dict[str, Any] = {"type": kind}
        if data is not None:
            envelope["data"] = data
        if request_id is not None:
            envelope["requestId"] = request_id
        self._outbox.append(encode(envelope))
