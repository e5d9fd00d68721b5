"""The `/ws` endpoint: one session for each connection, and what they share."""

from __future__ import annotations

from workbench.hub.handlers import Session
from workbench.hub.publishing import Collector, Metrics, TaskFeed, TaskFollowers
from workbench.hub.queries import Questions
from workbench.listener import Connection


class Dashboard:
    """Serves `/ws`. A face hands in where answers, readings and tasks come from."""

    def __init__(self, *, questions: Questions, collector: Collector, tasks: TaskFeed) -> None:
        self._questions = questions
        self._metrics = Metrics(collector)
        self._followers = TaskFollowers(tasks)

    async def serve(self, connection: Connection) -> None:
        """One connection until it closes; ends by the listener's ConnectionGone."""
        session = Session(
            connection,
            questions=self._questions,
            metrics=self._metrics,
            followers=self._followers,
        )
        try:
            while True:
                session.handle(await connection.receive())
        finally:
            await session.end()

    async def close(self) -> None:
        """Publish nothing more."""
        self._followers.close()
        await self._metrics.close()
