"""What a hub measures, for a notebook: GPUs now, alerts, GPU memory; and how it is asked."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from workbench.clients.metrics import ListedAlerts, MetricsClient
from workbench.core import markup
from workbench.core.alert_nouns import Alert
from workbench.core.ledger_nouns import LedgerView
from workbench.core.metrics_wire import POINTS
from workbench.core.sentence import filled
from workbench.errors import InputError
from workbench.session.metric_history import MetricHistory, unit_of, utc

if TYPE_CHECKING:
    import pandas

Moment = str | timedelta | datetime
"""`"30min"`, `"24h"` or `"7d"` ago, a timedelta ago, or a moment; one without a zone is local."""

UNIT_S = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
SHOWN_USERS = 3
SHOWN_ALERTS = 20

_AGO = re.compile(r"(?P<count>\d+(\.\d+)?)\s*(?P<unit>s|min|h|d)")


class Gpus(list[dict[str, Any]]):
    """The GPUs as one sample shows them, keys as on the wire; they draw themselves as a table."""

    def __init__(self, frame: Mapping[str, Any]) -> None:
        super().__init__(frame.get("gpus") or [])
        self.taken_at = utc(frame["takenAt"])
        """When they were read, in UTC."""
        self.note = _said(frame.get("gpuNote"))
        """Why there are none, or why some could not be read; empty where nothing is amiss."""

    def df(self) -> pandas.DataFrame:
        """One row for each GPU, a column for each number."""
        import pandas

        return pandas.DataFrame([{k: v for k, v in each.items() if k != "note"} for each in self])

    def __repr__(self) -> str:
        lines = ["  ".join(filter(None, map(str, _gpu_row(gpu)))) for gpu in self]
        return "\n".join([f"Gpus: {self._caption()}", *(f"  {line}" for line in lines)])

    def _repr_html_(self) -> str:
        if not self:
            return markup.note(self._caption())
        names = ("GPU", "name", "state", "utilisation", "memory", "temperature", "power", "used by")
        return markup.table(names, map(_gpu_row, self), self._caption())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": repr(self)}

    def _caption(self) -> str:
        count = f"{len(self)} GPU{'' if len(self) == 1 else 's'}"
        at = f"as of {self.taken_at:%Y-%m-%d %H:%M:%S} UTC"
        return ", ".join(filter(None, (count, at, self.note)))


class Alerts(ListedAlerts, frozen=True, kw_only=True):
    """Active and past alerts, and the rules; drawn as tables."""

    def __repr__(self) -> str:
        lines = [f"  {' '.join(map(str, _alert_row(each)))}" for each in self.active]
        return "\n".join([f"Alerts({self._caption()})", *lines])

    def _repr_html_(self) -> str:
        names = ("rule", "metric", "of", "state", "value", "worst", "raised", "cleared")
        shown = [_alert_row(each) for each in (*self.active, *self.past[:SHOWN_ALERTS])]
        rules = [
            (
                e.name,
                e.metric,
                f"{e.direction} {_number(e.threshold, e.metric)}",
                e.for_s,
                e.enabled,
            )
            for e in self.rules
        ]
        drawn = markup.table(names, shown, self._caption())
        return drawn + markup.table(("rule", "metric", "when", "for s", "enabled"), rules)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": repr(self)}

    def _caption(self) -> str:
        return f"{len(self.active)} active, {len(self.past)} past, {len(self.rules)} rules"


class Ledger(LedgerView, frozen=True, kw_only=True, rename="camel"):
    """Who holds how much memory of which GPU, and who waits for it; drawn as tables."""

    def __repr__(self) -> str:
        held = f"{len(self.holdings)} held, {len(self.waiting)} waiting"
        lines = [f"  {each.name}: {each.reason}" for each in self.waiting]
        return "\n".join([f"Ledger({len(self.rooms)} GPUs, {held})", *lines])

    def _repr_html_(self) -> str:
        rooms = [(e.gpu_id, _mb(e.total_mb), _mb(e.leased_mb), _mb(e.free_mb)) for e in self.rooms]
        held = [
            (e.gpu_id, e.kind, e.name, _mb(e.memory_mb), f"{e.held_s:,.0f} s", f"{e.idle_s:,.0f} s")
            for e in self.holdings
        ]
        waits = [
            (e.kind, e.name, _mb(e.memory_mb), f"{e.waits_s:,.0f} s", str(e.reason))
            for e in self.waiting
        ]
        parts = [markup.table(("GPU", "memory", "leased", "free"), rooms, "GPU memory")]
        if held:
            parts.append(markup.table(("GPU", "", "held by", "memory", "since", "idle"), held))
        if waits:
            parts.append(markup.table(("", "waits", "memory", "since", "why"), waits))
        return "".join(parts)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": repr(self)}


# Asked of the hub


async def gpus(client: MetricsClient) -> Gpus:
    """The GPUs now; what this kernel uses is told apart."""
    return Gpus(await client.current(pid=os.getpid()))


async def history(
    client: MetricsClient,
    metrics: Sequence[str],
    subjects: Sequence[str] | str | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    points: int = POINTS,
) -> MetricHistory:
    """Metrics over time. Raises InputError for a moment that cannot be read."""
    named = [subjects] if isinstance(subjects, str) else subjects
    now = time.time()
    began, ended = _instant("since", since, now), _instant("until", until, now)
    return MetricHistory(await client.history(metrics, named, began, ended, points))


async def alerts(client: MetricsClient, limit: int) -> Alerts:
    """Active and past alerts."""
    return Alerts(**msgspec.structs.asdict(await client.alerts(limit)))


async def ledger(client: MetricsClient) -> Ledger:
    """The ledger of GPU memory."""
    return Ledger(**msgspec.structs.asdict(await client.ledger()))


# In words and lines


def _instant(name: str, given: Moment | None, now: float) -> int | None:
    if given is None:
        return None
    if isinstance(given, datetime):
        return round(given.timestamp() * 1000)
    if isinstance(given, timedelta):
        return round((now - given.total_seconds()) * 1000)
    ago = _AGO.fullmatch(given.strip()) if isinstance(given, str) else None
    if ago is None:
        raise InputError.field(name, given, "such as 30min, 24h or 7d, a timedelta, a datetime")
    return round((now - float(ago["count"]) * UNIT_S[ago["unit"]]) * 1000)


def _gpu_row(gpu: Mapping[str, Any]) -> tuple[Any, ...]:
    state = gpu.get("state") or "ok"
    note = _said(gpu.get("note"))
    used, total = _mb(gpu.get("memoryUsedMB")), _mb(gpu.get("memoryTotalMB"))
    return (
        gpu.get("gpuId"),
        gpu.get("name"),
        f"{state}: {note}" if note else state,
        _unknown(gpu.get("utilization"), "{:.0f} %"),
        f"{used} of {total}",
        _unknown(gpu.get("temperatureC"), "{:.0f} °C"),
        _unknown(gpu.get("powerUsageW"), "{:.0f} W"),
        _users(gpu.get("processes")),
    )


def _users(processes: Sequence[Mapping[str, Any]] | None) -> str:
    if processes is None:
        return "unknown"
    named = [
        f"{each['name'] or ('this kernel' if each['kind'] == 'kernel' else 'others')} "
        f"({_mb(each.get('memoryMB'))})"
        for each in processes
    ]
    more = len(named) - SHOWN_USERS
    return ", ".join([*named[:SHOWN_USERS], *((f"{more} more",) if more > 0 else ())]) or "nobody"


def _alert_row(alert: Alert) -> tuple[Any, ...]:
    why = f"cleared: {alert.reason}" if alert.reason is not None else alert.state
    return (
        alert.rule,
        alert.metric,
        alert.subject,
        why,
        _number(alert.value, alert.metric),
        _number(alert.worst, alert.metric),
        f"{utc(alert.raised_at):%Y-%m-%d %H:%M:%S}",
        f"{utc(alert.cleared_at):%Y-%m-%d %H:%M:%S}" if alert.cleared_at is not None else "",
    )


def _number(value: float, metric: str) -> str:
    return f"{value:,.6g} {unit_of(metric)}".rstrip()


def _mb(value: float | None) -> str:
    return _unknown(value, "{:,.0f} MB")


def _unknown(value: float | None, template: str) -> str:
    return "unknown" if value is None else template.format(value)


def _said(sentence: Mapping[str, Any] | None) -> str:
    if not sentence:
        return ""
    return filled(str(sentence["template"]), sentence.get("values") or {})
