"""The `/ws` endpoint: one session for each connection, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from workbench.core.alert_nouns import Rule
from workbench.core.gpu import Owners
from workbench.core.metrics import Sample
from workbench.core.metrics_frame import frame
from workbench.core.run_metrics import UNPRICED, Price
from workbench.hub.alerting import AlertDesk
from workbench.hub.chat import ANSWER_TOKENS, ChatDesk
from workbench.hub.chat_rows import Journal
from workbench.hub.conversations import Conversations
from workbench.hub.downloads import DownloadDesk, Downloads, Library
from workbench.hub.handlers import Desks, Rates, Session
from workbench.hub.lease_rows import LeaseRows
from workbench.hub.ledger import Ledger
from workbench.hub.llm import LanguageModels, ModelDesk
from workbench.hub.metrics_history import MetricsKeeper, Retention
from workbench.hub.prompts import Prompts
from workbench.hub.publishing import Metrics, TaskFeed, TaskFollowers
from workbench.hub.queries import Questions
from workbench.hub.run_metrics import RunDesk
from workbench.hub.sampling import Sampler
from workbench.listener import Connection

INTERVAL_S = 2.0


def nobody() -> Owners:
    """No process is known."""
    return {}


class Monitoring(msgspec.Struct, frozen=True, kw_only=True):
    """How this machine is watched."""

    interval_s: float = INTERVAL_S
    history: bool = True
    retention: Retention = Retention()
    rules: tuple[Rule, ...] = ()
    price: Price = UNPRICED


class Dashboard:
    """Serves `/ws`. A face hands in where answers, readings, tasks and models come from."""

    def __init__(
        self,
        *,
        questions: Questions,
        sampler: Sampler,
        ledger: Ledger,
        tasks: TaskFeed,
        journal: Journal,
        models: LanguageModels,
        library: Library,
        downloads: Downloads,
        rates: Rates,
        answer_tokens: int = ANSWER_TOKENS,
        owners: Callable[[], Owners] = nobody,
        is_here: Callable[[str], bool] = lambda backend: True,
        monitoring: Monitoring | None = None,
    ) -> None:
        self._sampler, self._ledger, self._owners = sampler, ledger, owners
        self._monitoring = monitoring = monitoring or Monitoring()
        self._metrics = Metrics(sampler, self._frame)
        self._followers = TaskFollowers(tasks)
        self._chat = ChatDesk(journal, models, answer_tokens=answer_tokens)
        self._keeper = MetricsKeeper(
            journal,
            interval_s=monitoring.interval_s,
            retention=monitoring.retention,
            keeping=monitoring.history,
        )
        self._downloads = DownloadDesk(downloads, library)
        self._alerts = AlertDesk(journal, monitoring.rules, self._metrics.tell)
        self._leases = LeaseRows(journal)
        self._desks = Desks(
            questions=questions,
            metrics=self._metrics,
            followers=self._followers,
            chat=self._chat,
            conversations=Conversations(self._chat, journal),
            prompts=Prompts(journal),
            models=ModelDesk(models, journal),
            downloads=self._downloads,
            history=self._keeper,
            runs=RunDesk(journal, self._keeper, self._own_gpus, is_here, monitoring.price),
            alerts=self._alerts,
            ledger=ledger,
            rates=rates,
        )

    async def start(self) -> None:
        """Before the first connection: what the last hub left half done is marked."""
        await self._chat.start()
        await self._alerts.start()
        await self._leases.start()
        self._ledger.granted(self._leases.granted)
        self._ledger.given_back(self._leases.given_back)
        self._sampler.listen(self._take)
        self._keeper.start()
        if self._monitoring.history:
            self._sampler.want("history", self._monitoring.interval_s)

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
        self._downloads.close()
        await self._sampler.close()
        await self._chat.close()
        await self._metrics.close()
        await self._keeper.close()

    def _take(self, sample: Sample, at: float) -> None:
        self._ledger.took(sample.gpus)
        self._keeper.take(sample, at)
        self._alerts.take(sample, at)
        self._metrics.publish(sample, at)

    def _frame(self, sample: Sample, interval_ms: int, pid: int | None) -> dict[str, Any]:
        return frame(
            sample,
            self._owners(),
            interval_ms=interval_ms,
            alerts=self._alerts.active,
            ledger=self._ledger.view(),
            price=self._monitoring.price,
            pid=pid,
        )

    def _own_gpus(self) -> Sequence[str]:
        newest = self._sampler.newest
        return [gpu.gpu_id for gpu in newest.gpus.gpus if not gpu.node] if newest else []
