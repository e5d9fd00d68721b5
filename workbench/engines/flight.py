"""One job on its way through the engine, as the hub's side sees it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable

from workbench.core.job import Event, Job, Outcome
from workbench.engines.answering import Questions


class Flight:
    """One submission: what was heard of it, and how it is to end."""

    def __init__(self, job: Job, on_event: Callable[[Event], None]) -> None:
        self.job, self.on_event = job, on_event
        self.run = uuid.uuid4().hex
        self.worker: str | None = None
        self.life: str | None = None
        self.seen = 0
        self.heard_at = time.monotonic()
        self.news = asyncio.Event()
        self.verdict: Outcome | None = None
        self.questions = Questions()
        self.doomed = asyncio.Event()
        self.over = asyncio.Event()

    def decide(self, verdict: Outcome) -> None:
        """Fix how it will have ended, whatever its worker says. The first word counts."""
        self.verdict = self.verdict or verdict
        self.questions.stop()

    def doom(self, verdict: Outcome) -> None:
        """End it now, without waiting for its worker."""
        self.decide(verdict)
        self.doomed.set()
