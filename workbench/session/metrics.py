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
from workbench.core.sentence import Sentence, Speech, Told, filled, spoken
from workbench.errors import InputError
from workbench.session.metric_history import MetricHistory, unit_of, utc

if TYPE_CHECKING:
    import pandas

Moment = str | timedelta | datetime
"""`"30min"`, `"24h"` or `"7d"` ago, a timedelta ago, or a moment; one without a zone is local."""

UNIT_S = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
SHOWN_USERS = 3
SHOWN_ALERTS = 20

_ENGLISH = Speech()
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
        lines = ["  ".join(filter(None, map(str, _gpu_row(gpu, _ENGLISH)))) for gpu in self]
        return "\n".join([f"Gpus: {self._caption(_ENGLISH)}", *(f"  {line}" for line in lines)])

    def _repr_html_(self) -> str:
        speech = spoken()
        if not self:
            return markup.note(self._caption(speech))
        names = ("GPU", "name", "state", "utilisation", "memory", "temperature", "power", "used by")
        rows = [_gpu_row(gpu, speech) for gpu in self]
        return markup.table(speech.each(*names), rows, self._caption(speech))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return markup.bundle(self, lasting="")

    def _caption(self, speech: Speech) -> str:
        count = f"{len(self)} GPU{'' if len(self) == 1 else 's'}"
        at = Sentence("as of {time} UTC", {"time": f"{self.taken_at:%Y-%m-%d %H:%M:%S}"})
        return ", ".join(filter(None, (count, speech.say(at), speech.say(self.note))))


class Alerts(ListedAlerts, frozen=True, kw_only=True):
    """Active and past alerts, and the rules; drawn as tables."""

    def __repr__(self) -> str:
        lines = [f"  {' '.join(map(str, _alert_row(each, _ENGLISH)))}" for each in self.active]
        return "\n".join([f"Alerts({self._caption(_ENGLISH)})", *lines])

    def _repr_html_(self) -> str:
        speech = spoken()
        names = ("rule", "metric", "of", "state", "value", "worst", "raised", "cleared")
        shown = [_alert_row(each, speech) for each in (*self.active, *self.past[:SHOWN_ALERTS])]
        rules = [
            (
                speech.say(e.name),
                e.metric,
                f"{speech.say(e.direction)} {speech.digits(_number(e.threshold, e.metric))}",
                e.for_s,
                e.enabled if speech.language == "en" else speech.say("yes" if e.enabled else "no"),
            )
            for e in self.rules
        ]
        drawn = markup.table(speech.each(*names), shown, self._caption(speech))
        heads = speech.each("rule", "metric", "when", "for s", "enabled")
        return drawn + markup.table(heads, rules)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return markup.bundle(self, lasting="")

    def _caption(self, speech: Speech) -> str:
        counts = {"active": len(self.active), "past": len(self.past), "rules": len(self.rules)}
        return speech.say(Sentence("{active} active, {past} past, {rules} rules", counts))


class Ledger(LedgerView, frozen=True, kw_only=True, rename="camel"):
    """Who holds how much memory of which GPU, and who waits for it; drawn as tables."""

    def __repr__(self) -> str:
        held = f"{len(self.holdings)} held, {len(self.waiting)} waiting"
        lines = [f"  {each.name}: {each.reason}" for each in self.waiting]
        return "\n".join([f"Ledger({len(self.rooms)} GPUs, {held})", *lines])

    def _repr_html_(self) -> str:
        speech = spoken()

        def mb(value: float | None) -> str:
            return speech.text(_mb(value))

        def seconds(value: float) -> str:
            return speech.digits(f"{value:,.0f} s")

        rooms = [(e.gpu_id, mb(e.total_mb), mb(e.leased_mb), mb(e.free_mb)) for e in self.rooms]
        held = [
            (
                *(e.gpu_id, speech.say(e.kind), e.name, mb(e.memory_mb)),
                *(seconds(e.held_s), seconds(e.idle_s)),
            )
            for e in self.holdings
        ]
        waits = [
            (speech.say(e.kind), e.name, mb(e.memory_mb), seconds(e.waits_s), speech.say(e.reason))
            for e in self.waiting
        ]
        memory = speech.say("GPU memory")
        parts = [markup.table(speech.each("GPU", "memory", "leased", "free"), rooms, memory)]
        if held:
            heads = speech.each("GPU", "", "held by", "memory", "since", "idle")
            parts.append(markup.table(heads, held))
        if waits:
            heads = speech.each("", "waits", "memory", "since", "why")
            parts.append(markup.table(heads, waits))
        return "".join(parts)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return markup.bundle(self, lasting="")


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


def _gpu_row(gpu: Mapping[str, Any], speech: Speech) -> tuple[Any, ...]:
    state = speech.say(gpu.get("state") or "ok")
    note = speech.say(_said(gpu.get("note")))
    used = {"used": _mb(gpu.get("memoryUsedMB")), "total": _mb(gpu.get("memoryTotalMB"))}
    return (
        gpu.get("gpuId"),
        gpu.get("name"),
        f"{state}: {note}" if note else state,
        speech.say(_unknown(gpu.get("utilization"), "{:.0f} %")),
        speech.say(Sentence("{used} of {total}", used)),
        speech.say(_unknown(gpu.get("temperatureC"), "{:.0f} °C")),
        speech.say(_unknown(gpu.get("powerUsageW"), "{:.0f} W")),
        _users(gpu.get("processes"), speech),
    )


def _users(processes: Sequence[Mapping[str, Any]] | None, speech: Speech) -> str:
    if processes is None:
        return speech.say("unknown")
    named = [
        f"{each['name'] or speech.say('this kernel' if each['kind'] == 'kernel' else 'others')} "
        f"({speech.text(_mb(each.get('memoryMB')))})"
        for each in processes
    ]
    more = len(named) - SHOWN_USERS
    if more > 0:
        named[SHOWN_USERS:] = [speech.say(Sentence("{count} more", {"count": more}))]
    return ", ".join(named) or speech.say("nobody")


def _alert_row(alert: Alert, speech: Speech) -> tuple[Any, ...]:
    why = (
        speech.say(alert.state)
        if alert.reason is None
        else speech.say(Sentence("cleared: {reason}", {"reason": speech.say(alert.reason)}))
    )
    return (
        speech.say(alert.rule),
        alert.metric,
        alert.subject,
        why,
        speech.digits(_number(alert.value, alert.metric)),
        speech.digits(_number(alert.worst, alert.metric)),
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
    """As text, which keeps what says it in another language."""
    if not sentence:
        return ""
    said = Sentence(str(sentence["template"]), sentence.get("values") or {})
    line = Told(filled(said.template, said.values))
    line.sentence = said
    return line
