"""What a client asks about metrics: history, alerts, the ledger of GPU memory, a run's cost."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from workbench.core.alert_nouns import Name, Rule
from workbench.core.hub_wire import HubMessage, Identifier, Number, TaskId

Instant = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_000)]
"""In ms since the epoch, up to the end of the year 9999."""
POINTS = 300
SERIES_LIMIT = 500


class HistoryWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`since` and `until` in ms since the epoch; without them, the last hour up to now."""

    metrics: Annotated[list[Identifier], msgspec.Meta(min_length=1, max_length=40)]
    subjects: (
        Annotated[list[Annotated[str, msgspec.Meta(max_length=256)]], msgspec.Meta(max_length=100)]
        | None
    ) = None
    """Without any, all."""
    since: Instant | None = None
    until: Instant | None = None
    points: Annotated[int, msgspec.Meta(ge=1, le=2000)] = POINTS
    """At most so many for each series: steps are as wide as that needs."""


class MetricsHistory(HubMessage, frozen=True):
    """Answered by `metrics:history`."""

    data: HistoryWanted


class RunWanted(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """A task, or an answer of a language model: one of the two."""

    task_id: TaskId | None = None
    message_id: Number | None = None


class MetricsRun(HubMessage, frozen=True):
    """Answered by `metrics:run`: what a run used, and what it cost."""

    data: RunWanted


class AlertPage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many of the past alerts, newest first."""

    limit: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 100


class AlertList(HubMessage, frozen=True):
    """Answered by `alert:list`: active and past alerts, and the rules."""

    data: AlertPage | None = None


class RuleGiven(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule, in place of the one with its name if there is one."""

    rule: Rule


class AlertSave(HubMessage, frozen=True):
    """Answered by `alert:rules`."""

    data: RuleGiven


class RuleName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rule."""

    name: Name


class AlertDelete(HubMessage, frozen=True):
    """Answered by `alert:rules`. A rule of the settings is switched off, and on by a save."""

    data: RuleName


class LedgerList(HubMessage, frozen=True):
    """Answered by `gpu:ledger`: who holds GPU memory, and who waits for it."""


METRICS_KINDS: dict[str, type[HubMessage]] = {
    "metrics:history": MetricsHistory,
    "metrics:run": MetricsRun,
    "alert:list": AlertList,
    "alert:save": AlertSave,
    "alert:delete": AlertDelete,
    "gpu:ledger": LedgerList,
}
"""Every `type` about metrics that a client may send."""

Resolution = Literal["raw", "minute", "hour"]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one subject; the four lists are of one length. `at` in ms since the epoch."""

    metric: str
    subject: str
    at: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]


class History(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`resolution`: what it was made of; `step_ms`: how wide each point is."""

    resolution: Resolution
    step_ms: int
    since: int
    until: int
    series: list[Series]


class RunMetrics(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What ran while a task or an answer did. None is unknown, never 0."""

    started_at: int | None = None
    ended_at: int | None = None
    gpus: tuple[str, ...] = ()
    """The `gpuId`s it used; empty where it used none."""
    shared: bool = False
    """Whether `gpus` are all of the machine, because nobody says which it used."""
    samples: int = 0
    peak_memory_mb: float | None = msgspec.field(default=None, name="peakMemoryMB")
    mean_utilization: float | None = None
    peak_temperature_c: float | None = msgspec.field(default=None, name="peakTemperatureC")
    mean_power_w: float | None = msgspec.field(default=None, name="meanPowerW")
    energy_wh: float | None = None
    """Power integrated over the run."""
    cost: float | None = None
    currency: str = ""
    mean_cpu: float | None = None
    """Of the whole machine, percent."""
    peak_host_memory_mb: float | None = msgspec.field(default=None, name="peakHostMemoryMB")
    resolution: Resolution = "raw"
