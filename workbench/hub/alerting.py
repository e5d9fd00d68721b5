"""Alerts: rules of the settings and of people, looked at with each sample, kept, and told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from workbench.core.alert_nouns import Alert, Rule
from workbench.core.alerts import AlertBook
from workbench.core.hub_wire import message
from workbench.core.metrics import Sample, values
from workbench.core.metrics_wire import AlertDelete, AlertList, AlertPage, AlertSave
from workbench.core.sentence import Sentence
from workbench.core.wire import encode
from workbench.errors import WorkbenchError
from workbench.hub.chat_rows import Journal
from workbench.hub.instants import from_ms, now, to_ms
from workbench.listener import Connection

log = logging.getLogger("workbench.hub")

Tell = Callable[[str, dict[str, Any]], None]


class AlertDesk:
    """One for all connections. `tell` sends to everybody who follows metrics."""

    def __init__(
        self,
        journal: Journal,
        rules: Sequence[Rule],
        tell: Tell,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._journal, self._defaults, self._tell, self._wall = journal, tuple(rules), tell, wall
        self._book = AlertBook(rules)
        self._keeping: asyncio.Future[None] | None = None

    @property
    def active(self) -> tuple[Alert, ...]:
        """What is raised now."""
        return self._book.active

    async def start(self) -> None:
        """Take up the rules that people made, and what was raised when the last hub ended."""
        rules = {rule.name: rule for rule in self._defaults}
        for row in await self._journal.read("alert_rules"):
            if row["rule"] is None:
                rules.pop(row["name"], None)
            else:
                rules[row["name"]] = msgspec.json.decode(row["rule"], type=Rule)
        active = [_alert(row) for row in await self._journal.read("alerts_active")]
        self._book = AlertBook(rules.values(), active)

    def take(self, sample: Sample, at: float) -> None:
        """A new sample: what it raises and clears is told and kept."""
        self._changed(self._book.take(values(sample), sample.taken_at, at))

    async def listing(self, connection: Connection, request: AlertList) -> None:
        """`alert:list`."""
        if self._keeping is not None:
            await asyncio.wait([self._keeping])
        limit = (request.data or AlertPage()).limit
        past = [_alert(row) for row in await self._journal.read("alerts_past", limit=limit)]
        data = {"active": self.active, "past": past, "rules": self._book.rules}
        connection.send(message("alert:list", msgspec.to_builtins(data), request.request_id))

    async def save(self, connection: Connection, request: AlertSave) -> None:
        """`alert:save`: durable before it counts."""
        rule = request.data.rule
        self._book.check(rule)
        await self._keep_rule(rule.name, encode(msgspec.to_builtins(rule)))
        self._changed(self._book.set_rule(rule, self._now_ms()))
        self._answer(connection, request)

    async def delete(self, connection: Connection, request: AlertDelete) -> None:
        """`alert:delete`; one that is not there is deleted already."""
        await self._keep_rule(request.data.name, None)
        self._changed(self._book.drop_rule(request.data.name, self._now_ms()))
        self._answer(connection, request)

    def _answer(self, connection: Connection, request: AlertSave | AlertDelete) -> None:
        rules = {"rules": msgspec.to_builtins(self._book.rules)}
        connection.send(message("alert:rules", rules, request.request_id))

    async def _keep_rule(self, name: str, rule: str | None) -> None:
        await self._journal.append({"alert_rule_entries": [(name, rule, now())]})

    def _changed(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            self._tell(f"alert:{alert.state}", {"alert": msgspec.to_builtins(alert)})
            log.info("alert.%s rule=%r subject=%r", alert.state, alert.rule, alert.subject)
        if alerts:
            rows = [_entry(each) for each in alerts]
            self._keeping = self._journal.append({"alert_entries": rows})
            self._keeping.add_done_callback(_log_unkept)

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)


def _log_unkept(kept: asyncio.Future[None]) -> None:
    error = None if kept.cancelled() else kept.exception()
    if isinstance(error, WorkbenchError):
        log.warning("alert.unsaved reason=%s", error)


def _entry(alert: Alert) -> tuple[Any, ...]:
    """A row of `alert_entries`."""
    return (
        alert.alert_id,
        alert.state,
        alert.rule,
        alert.metric,
        alert.subject,
        alert.threshold,
        alert.direction,
        alert.value,
        alert.worst,
        from_ms(alert.raised_at),
        None if alert.cleared_at is None else from_ms(alert.cleared_at),
        None if alert.reason is None else encode(msgspec.to_builtins(alert.reason)),
        now(),
    )


def _alert(row: dict[str, Any]) -> Alert:
    reason = row.pop("reason")
    for name in ("raised_at", "cleared_at"):
        row[name] = None if row[name] is None else to_ms(row[name])
    return Alert(**row, reason=msgspec.json.decode(reason, type=Sentence) if reason else None)
