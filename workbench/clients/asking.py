"""What a mesh client asks its node beside tasks: questions with an answer, and uploads."""

from __future__ import annotations

import time
import uuid
from contextlib import AbstractContextManager
from typing import Any

from workbench.clients.answers import Answers, Queue, next_answer
from workbench.clients.branches import Branch, Branches
from workbench.errors import LinkError


class Asking:
    """Speaks with the endpoint of new tasks, whichever that is just now."""

    def __init__(self, branches: Branches) -> None:
        self._branches = branches
        self._answers = Answers()
        self._carrying: Branch | None = None

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """The answer to a question. Raises what the node refuses, and LinkError without one."""
        request_id = uuid.uuid4().hex
        with self.answers(request_id) as answers:
            self.say({**message, "requestId": request_id})
            return await next_answer(answers, message["type"])

    def heard(self, answer: dict[str, Any]) -> None:
        """An answer has come."""
        self._answers.route(answer)

    def give_back(self, error: LinkError) -> None:
        """No answer comes any more."""
        self._answers.give_back(error)

    # What an upload needs

    def answers(self, key: str) -> AbstractContextManager[Queue]:
        """Everything that the node says with this requestId or uploadId."""
        return self._answers.of(key)

    def say(self, message: dict[str, Any]) -> None:
        """Send a message that belongs to no task. Raises LinkError when not connected."""
        branch = self._branches.current
        branch.session.ask(message)
        branch.flush()
        if message["type"] == "upload":
            self._carrying = branch

    def say_slice(self, part: bytes) -> None:
        """Send one binary frame of an upload. Raises LinkError when that began elsewhere."""
        branch = self._branches.current
        if branch is not self._carrying:
            raise LinkError("new tasks go to another endpoint now, and so does the upload")
        branch.session.send_slice(part)
        branch.flush()

    async def until_connected(self, wait_s: float) -> None:
        """Return when connected. Raises LinkError when the attempts or the time are spent."""
        deadline = time.monotonic() + wait_s
        while True:
            branch = self._branches.current
            try:
                return await branch.until_connected(max(0.0, deadline - time.monotonic()))
            except LinkError:
                if branch is self._branches.current:
                    raise
