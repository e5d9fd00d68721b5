"""A client that follows every task of a storm, and keeps what it heard of each, and when."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from typing import Any, Self

from tests.faults.invariants import TERMINAL, Said, said_of
from tests.faults.road import Road
from workbench.clients.mesh import MeshClient
from workbench.errors import LinkError

NEVER_GIVES_UP = {"reconnect_delay": 0.2, "reconnect_max_attempts": 1000}
HURRY_S = 2.0


class Ear:
    """One MeshClient behind a road of its own."""

    def __init__(self, name: str, road: Road, token: str, **config: Any) -> None:
        self.name, self.road = name, road
        url = f"ws://127.0.0.1:{road.port}/mesh"
        self.client = MeshClient(
            local_endpoint=url, tokens={"local": token}, **NEVER_GIVES_UP | config
        )
        self.heard: dict[str, list[Said]] = defaultdict(list)
        self.complaints: list[str] = []
        self.refusals: dict[str, str] = {}
        """The code with which the node last refused a task that this client had sent."""
        self.word_at = time.monotonic()
        self._cancelled: set[str] = set()
        self._last: dict[str, int] = {}
        self._keys = itertools.count()
        self.client.on("message", self._on_wire)
        self.client.on("connected", lambda _: self._last.clear())
        if "reconnect_max_attempts" not in config:
            self.client.on("reconnecting", self._hurry)
        for event in ("task_accepted", "log", "task_completed", "task_error"):
            self.client.on(event, self._hear)

    async def __aenter__(self) -> Self:
        await self.client.connect(wait_s=30)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.disconnect()

    async def send(self, task: dict[str, Any]) -> None:
        """Send a task, or send it again."""
        self.refusals.pop(task["task_id"], None)
        await self.client.send_task(**task)

    async def cancel(self, task_id: str) -> None:
        self._cancelled.add(task_id)
        await self.client.cancel_task(task_id)

    async def question(self, message: dict[str, Any], wait_s: float) -> dict[str, Any] | None:
        """The answer to one message; None when none came, as happens in a storm."""
        key = f"{self.name}-{next(self._keys)}"
        try:
            with self.client._asking.answers(key) as answers:
                self.client._asking.say({**message, "requestId": key})
                answer = await asyncio.wait_for(answers.get(), wait_s)
        except (LinkError, TimeoutError):
            return None
        return None if isinstance(answer, LinkError) else answer

    def ended(self, task_id: str) -> bool:
        said = self.heard.get(task_id)
        return bool(said) and said[-1].kind in TERMINAL

    async def _hurry(self, told: dict[str, Any]) -> None:
        """A storm breaks more connections in a minute than a client expects."""
        if told["delayS"] > HURRY_S:
            await self.client.connect(wait_s=0)

    def _on_wire(self, message: dict[str, Any]) -> None:
        """On one connection the numbers of a task only grow, whatever the client makes of it.

        Whoever cancels a task that has ended is told its end once more.
        """
        self.word_at = time.monotonic()
        seq, task_id = message.get("seq"), message.get("taskId")
        if seq is None or task_id is None:
            return
        if message.get("duplicate"):  # asked for again: all that came after that follows
            self._last[task_id] = seq
            return
        if seq <= self._last.get(task_id, 0) and task_id not in self._cancelled:
            self.complaints.append(f"{task_id}: {self.name} was sent message {seq} again")
        self._last[task_id] = seq

    def _hear(self, message: dict[str, Any]) -> None:
        task_id = message.get("taskId")
        if task_id is None:
            return
        if self.client.get_task(task_id) is None:
            return  # forgotten among the ended ones: an answer to a question about it
        if message.get("seq") is not None:
            self.heard[task_id].append(said_of(message))
        elif message.get("code") == "lost":
            self.complaints.append(f"{task_id}: {self.name} was told that nobody knows it")
        elif message["type"] == "error" and not self.client.is_task_pending(task_id):
            self.refusals[task_id] = message["code"]
