"""What the metrics panel asks of a hub, on the runtime's thread; what comes of it is told home."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from workbench.boards.gpu_export import Wanted, export
from workbench.boards.hub_watch import said, tried
from workbench.boards.table_file import Format
from workbench.clients.hub import HubClient
from workbench.clients.llm import LanguageClient
from workbench.clients.metrics import MetricsClient
from workbench.core.alert_nouns import Rule
from workbench.core.metrics import CATALOGUE, SubjectKind
from workbench.core.wire import convert
from workbench.errors import InputError, WorkbenchError

SERIES_POINTS = 24_000
"""Of all series of a history together: what a page draws without a pause."""
POINTS = (60, 300)
SAMPLED_MS = 2000
"""How often a hub reads, unless a follower wants it faster."""
OF_VIEW: dict[str, SubjectKind] = {"gpu": "gpu", "llm": "model", "host": "host"}

Tell = Callable[[str, Any], None]
Reply = Callable[..., None]


class GpuDesk:
    """One panel's subscription, histories and alerts at a hub. `options` are the widget's.

    `tell(name, value)` hands home what is shown; `reply(kind, buffers, **said)` answers an
    intent.
    """

    def __init__(self, client: HubClient, tell: Tell, reply: Reply) -> None:
        self.client = client
        self.options: Mapping[str, Any] = {}
        self.subjects: Mapping[str, int] = {}
        """How many subjects there are of each view."""
        self.heard_at: float | None = None
        """When metrics were last asked for or heard of; None while nothing is followed."""
        self._metrics, self._llm = MetricsClient(client), LanguageClient(client)
        self._tell, self._reply = tell, reply
        self._asked = 0

    async def close(self) -> None:
        await self.client.disconnect()

    # Following

    def follow(self) -> None:
        """Hear of metrics at the interval of the options, from now on; a pause asks for none."""
        if self.options.get("paused"):
            self.leave()
            return
        self.heard_at = time.monotonic()
        self.client.monitor(int(self.options["intervalMs"]), pid=os.getpid())

    def leave(self) -> None:
        """Nobody looks: the hub sends nothing."""
        self.heard_at = None
        if self.client.monitored is not None:
            self.client.stop_monitoring()

    def heard(self) -> None:
        if self.heard_at is not None:
            self.heard_at = time.monotonic()

    @property
    def overdue(self) -> bool:
        """Whether two messages are missing: what is shown is no longer how it is."""
        if self.heard_at is None:
            return False
        interval_s = int(self.options["intervalMs"]) / 1000
        return time.monotonic() - self.heard_at > 3 * interval_s + 1

    # Asking

    async def catch_up(self) -> None:
        """After each connection, and when a page looks again: what was missed."""
        if not self.client.connected:
            return
        await self.history()
        await self.alerts()
        self._tell("problem", None)

    async def history(self) -> None:
        """What the charts of the view begin with. Of several asked for, the last counts."""
        self._asked += 1
        mine, wanted = self._asked, self.wanted()
        points = SERIES_POINTS // max(1, self._series(wanted))
        answer = await self._metrics.history(
            wanted.metrics,
            wanted.subjects,
            since=wanted.since_ms,
            points=min(max(points, POINTS[0]), POINTS[1]),
        )
        if mine == self._asked:
            self._tell("history", msgspec.to_builtins(answer))

    async def alerts(self) -> None:
        """Active and past ones, and the rules."""
        self._tell("alert_page", msgspec.to_builtins(await self._metrics.alerts()))

    async def refresh(self) -> None:
        """The numbers as they are now, also in a pause."""
        await self._metrics.current(pid=os.getpid())
        await self.catch_up()

    def do(self, kind: str, content: Mapping[str, Any]) -> Coroutine[Any, Any, None]:
        """The work for an intent that goes to the hub."""
        works: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "refresh": self.refresh,
            "history": self.history,
            "catchUp": self.catch_up,
            "alertsPage": self.alerts,
            "saveRule": lambda: self._save_rule(content),
            "deleteRule": lambda: self._delete_rule(content),
            "unload": lambda: self._llm.unload(str(content.get("model"))),
            "export": lambda: self._export(content),
        }
        return tried(works[kind], self._tell)

    def wanted(self) -> Wanted:
        """What the view of the panel is of: its metrics, the chosen GPUs, its window."""
        view = str(self.options["view"])
        names = [each.name for each in CATALOGUE.values() if each.of == OF_VIEW[view]]
        chosen = self.options.get("selected") if view == "gpu" else None
        since_ms = round((time.time() - self.options["windowS"]) * 1000)
        return Wanted(view, names, list(chosen) if chosen else None, since_ms)

    def _series(self, wanted: Wanted) -> int:
        subjects = len(wanted.subjects or ()) or self.subjects.get(wanted.view, 1)
        return subjects * len(wanted.metrics)

    async def _save_rule(self, content: Mapping[str, Any]) -> None:
        try:
            rule = convert(content.get("rule"), Rule)
            self._tell("rules", msgspec.to_builtins(await self._metrics.save_rule(rule)))
        except WorkbenchError as error:
            self._reply("ruleRefused", error=said(error))
        else:
            self._reply("ruleSaved", name=rule.name)

    async def _delete_rule(self, content: Mapping[str, Any]) -> None:
        rules = await self._metrics.delete_rule(str(content.get("name")))
        self._tell("rules", msgspec.to_builtins(rules))

    async def _export(self, content: Mapping[str, Any]) -> None:
        try:
            window_s = content.get("windowS") or self.options["windowS"]
            if not isinstance(window_s, int | float):
                raise InputError.field("windowS", window_s, "seconds")
            since_ms = round((time.time() - window_s) * 1000)
            wanted = self.wanted()._replace(since_ms=since_ms)
            every_ms = min(int(self.options["intervalMs"]), SAMPLED_MS)
            format: Format = "parquet" if content.get("format") == "parquet" else "csv"
            told = await export(self.client, wanted, self._series(wanted), every_ms, format)
        except WorkbenchError as error:
            self._reply("exportRefused", error=said(error))
        else:
            self._reply("exported", (told.content,), name=told.name, mediaType=told.media_type)
