"""A task's questions to a language model of the hub, from inside its process: each has its end."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable

from workbench.core.llm import ModelError
from workbench.engines.frames import PROMPT_CHARS, Order, Question, Reader, Reply

ALL_ANSWERS = 2  # the time for all answers of a task, in times for one
BACK_S = 2.0  # beyond its time, for the way back of what the hub says of it
READ_BYTES = 1 << 16

SILENT = "the hub did not say within {limit_s} s what a language model answers"
LATE = "no time is left for a language model: a task has {limit_s} s for all that it asks"


class Asking:
    """One for a process. Answers come where orders come from: none comes while a task runs."""

    def __init__(self, orders: int, reader: Reader, send: Callable[[Question], None]) -> None:
        self._orders, self._reader, self._send = orders, reader, send
        self._lock = threading.Lock()
        self._number = 0  # goes on from task to task: a late answer is nobody else's
        self._one_s = self._left_s = self._end = 0.0

    def begin(self, order: Order) -> None:
        """The next task: its time, and what it may spend of it on waiting."""
        self._one_s, self._left_s = order.answer_s, ALL_ANSWERS * order.answer_s
        self._end = time.monotonic() + order.timeout_s

    def ask(self, prompt: str) -> Reply:
        """Wait for the answer, or for why there is none. Half of the time that the task has left
        stays its own, so that a language model never makes it run out of it."""
        if len(prompt) > PROMPT_CHARS:
            raise ModelError(
                "the question to a language model has {count} characters; allowed: {most}",
                count=len(prompt),
                most=PROMPT_CHARS,
            )
        with self._lock:
            began = time.monotonic()
            limit_s = min(self._one_s, self._left_s, (self._end - began) / 2)
            if limit_s <= 0:
                raise ModelError(LATE, limit_s=ALL_ANSWERS * self._one_s)
            self._number += 1
            self._send(Question(number=self._number, prompt=prompt, limit_s=limit_s))
            try:
                return self._heard(began + limit_s + min(BACK_S, limit_s / 2), limit_s)
            finally:
                self._left_s -= time.monotonic() - began

    def _heard(self, deadline: float, limit_s: float) -> Reply:
        poll = select.poll()
        poll.register(self._orders, select.POLLIN)
        while (left_s := deadline - time.monotonic()) > 0:
            if not poll.poll(1000 * left_s):
                continue
            heard = os.read(self._orders, READ_BYTES)
            if not heard:
                break  # whoever gave the order is gone
            for frame in list(self._reader.feed(heard)):
                if isinstance(frame, Reply) and frame.number == self._number:
                    return frame
        raise ModelError(SILENT, limit_s=round(limit_s, 1))
