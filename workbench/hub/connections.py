"""The `/ws` endpoint: one session for each connection, and what they share."""

from __future__ import annotations

from workbench.hub.chat import ANSWER_TOKENS, ChatDesk
from workbench.hub.chat_rows import Journal
from workbench.hub.conversations import Conversations
from workbench.hub.handlers import Desks, Rates, Session
from workbench.hub.llm import LanguageModels, ModelDesk
from workbench.hub.prompts import Prompts
from workbench.hub.publishing import Collector, Metrics, TaskFeed, TaskFollowers
from workbench.hub.queries import Questions
from workbench.listener import Connection


class Dashboard:
    """Serves `/ws`. A face hands in where answers, readings, tasks and models come from."""

    def __init__(
        self,
        *,
        questions: Questions,
        collector: Collector,
        tasks: TaskFeed,
        journal: Journal,
        models: LanguageModels,
        rates: Rates,
        answer_tokens: int = ANSWER_TOKENS,
    ) -> None:
        self._metrics = Metrics(collector)
        self._followers = TaskFollowers(tasks)
        self._chat = ChatDesk(journal, models, answer_tokens=answer_tokens)
        self._desks = Desks(
            questions=questions,
            metrics=self._metrics,
            followers=self._followers,
            chat=self._chat,
            conversations=Conversations(self._chat, journal),
            prompts=Prompts(journal),
            models=ModelDesk(models, journal),
            rates=rates,
        )

    async def start(self) -> None:
        """Before the first connection: what the last hub left half answered is marked."""
        await self._chat.start()

    async def serve(self, connection: Connection) -> None:
        """One connection until it closes; ends by the listener's ConnectionGone."""
        session = Session(connection, self._desks)
        try:
            while True:
                session.handle(await connection.receive())
        finally:
            await session.end()

    async def close(self) -> None:
        """Publish nothing more; answers under way are kept as far as they came."""
        self._followers.close()
        await self._chat.close()
        await self._metrics.close()
