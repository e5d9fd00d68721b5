"""MetricsClient: what a hub measures now and measured before, its alerts, its GPU memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from workbench.clients.answers import ANSWER_S
from workbench.clients.hub import HubClient
from workbench.clients.reading import given, read, read_list
from workbench.core.alert_nouns import Alert, Rule
from workbench.core.ledger_nouns import LedgerView
from workbench.core.metrics_wire import POINTS, History, RunMetrics
from workbench.errors import InputError, LinkError

ONCE_MS = 3_600_000
"""An interval that ends before its second frame: nobody asked for one."""


class ListedAlerts(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts as they stand: `active`, the newest of the `past`, and every rule."""

    active: list[Alert]
    past: list[Alert]
    rules: list[Rule]


class MetricsClient:
    """Asks one hub about metrics. Async; on the loop of its HubClient."""

    def __init__(self, client: HubClient) -> None:
        self.client = client
        self._asking = asyncio.Lock()

    async def current(self, *, pid: int | None = None) -> dict[str, Any]:
        """One `metrics` frame, keys as on the wire, sampled just now. With `pid`, what this process
        uses of a GPU is told apart. A subscription that the client has goes on.

        Raises LinkError when none comes in time.
        """
        async with self._asking:
            if not self.client.connected:
                raise LinkError("not connected to the hub: call connect() and try again")
            before = self.client.monitored
            frame: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

            def heard(data: dict[str, Any]) -> None:
                if not frame.done():
                    frame.set_result(data)

            leave = self.client.on("metrics", heard)
            try:
                self.client.monitor(before[0] if before else ONCE_MS, pid=pid)
                async with asyncio.timeout(ANSWER_S):
                    return await frame
            except TimeoutError:
                template = "the hub sent no metrics within {limit_s} s"
                raise LinkError(template, limit_s=ANSWER_S) from None
            finally:
                leave()
                self._monitor_as_before(before)

    async def history(
        self,
        metrics: Sequence[str],
        subjects: Sequence[str] | None = None,
        since: int | None = None,
        until: int | None = None,
        points: int = POINTS,
    ) -> History:
        """How metrics were, of all subjects unless named; instants in ms since the epoch, the
        last hour unless given. Each series has at most `points`."""
        asked = given(metrics=list(metrics), since=since, until=until, points=points)
        asked |= given(subjects=None if subjects is None else list(subjects))
        return read(await self.client.ask("metrics:history", asked), History)

    async def run(self, *, task_id: str | None = None, message_id: int | None = None) -> RunMetrics:
        """What a task, or an answer of a language model, used and cost: one of the two."""
        if (task_id is None) == (message_id is None):
            raise InputError("a run is named by its task_id or by its message_id: give one of them")
        asked = given(taskId=task_id, messageId=message_id)
        return read(await self.client.ask("metrics:run", asked), RunMetrics)

    async def alerts(self, limit: int = 100) -> ListedAlerts:
        """Active alerts, the newest past ones, and the rules."""
        return read(await self.client.ask("alert:list", {"limit": limit}), ListedAlerts)

    async def save_rule(self, rule: Rule) -> list[Rule]:
        """Set a rule, in place of the one with its name; all rules as they are then."""
        answer = await self.client.ask("alert:save", given(rule=rule))
        return read_list(answer, "rules", Rule)

    async def delete_rule(self, name: str) -> list[Rule]:
        """Drop a rule; one of the settings is only switched off. All rules as they are then."""
        return read_list(await self.client.ask("alert:delete", {"name": name}), "rules", Rule)

    async def ledger(self) -> LedgerView:
        """Who holds GPU memory, and who waits for it."""
        return read(await self.client.ask("gpu:ledger"), LedgerView)

    def _monitor_as_before(self, before: tuple[int, int | None] | None) -> None:
        if before is None:
            self.client.stop_monitoring()
        elif before != self.client.monitored:
            self.client.monitor(before[0], pid=before[1])
