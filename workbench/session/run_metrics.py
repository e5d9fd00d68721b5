"""What a run used and cost, as a notebook shows it: a task's, or an answer's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from workbench.clients.metrics import MetricsClient
from workbench.core import markup, metrics_wire
from workbench.core.sentence import spoken, told

UNKNOWN = "unknown"
SHARED = "{gpus} (all: nobody says which it used)"
NO_PRICE = "unknown: no price is set (WORKBENCH_POWER_PRICE, per kWh)"


class Metered(Protocol):
    """The workbench, as far as the metrics of a run need it."""

    metering: MetricsClient

    async def _ready(self) -> None: ...


class RunMetrics(metrics_wire.RunMetrics, frozen=True, kw_only=True, rename="camel"):
    """What ran while a task or an answer did; as the last line of a cell a table.

    None is unknown, and drawn as that: a number that nobody measured is never 0.
    """

    @property
    def elapsed_s(self) -> float | None:
        """From its start to its end; None while it runs or where nobody knows."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at) / 1000

    def rows(self) -> list[tuple[str, str]]:
        """Each fact with its unit, in words."""
        return [*self._when(), *self._gpu(), *self._host()]

    def __repr__(self) -> str:
        return "\n".join(["RunMetrics", *(f"  {name}: {value}" for name, value in self.rows())])

    def _repr_html_(self) -> str:
        speech = spoken()
        rows = [(speech.say(name), speech.text(value)) for name, value in self.rows()]
        return markup.table((speech.say("metrics of the run"), ""), rows)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return markup.bundle(self, lasting="")

    def _when(self) -> list[tuple[str, str]]:
        return [
            ("started", _moment(self.started_at)),
            ("took", _told(self.elapsed_s, "{:,.1f} s")),
            ("samples", _samples(self) if self.samples else "none"),
        ]

    def _gpu(self) -> list[tuple[str, str]]:
        if not self.gpus:
            return [("GPUs", "none")]
        named = ", ".join(self.gpus)
        return [
            ("GPUs", told(SHARED, gpus=named) if self.shared else named),
            ("peak GPU memory", _told(self.peak_memory_mb, "{:,.0f} MB")),
            ("mean GPU utilisation", _told(self.mean_utilization, "{:.0f} %")),
            ("peak temperature", _told(self.peak_temperature_c, "{:.0f} °C")),
            ("mean power", _told(self.mean_power_w, "{:,.0f} W")),
            *self._energy(),
        ]

    def _energy(self) -> list[tuple[str, str]]:
        priced = _told(self.cost, "{:,.4g} " + self.currency).rstrip()
        unpriced = self.cost is None and self.energy_wh is not None
        return [
            ("energy of its GPUs", _told(self.energy_wh, "{:,.3g} Wh")),
            ("cost", NO_PRICE if unpriced else priced),
        ]

    def _host(self) -> list[tuple[str, str]]:
        return [
            ("mean CPU of the machine", _told(self.mean_cpu, "{:.0f} %")),
            ("peak memory of the machine", _told(self.peak_host_memory_mb, "{:,.0f} MB")),
        ]


Measure = Callable[[int], RunMetrics]
"""The metrics of the answer with this number. Blocking."""


async def run_metrics(
    bench: Metered, *, task_id: str | None = None, message_id: int | None = None
) -> RunMetrics:
    """Asked of the hub once it is there."""
    await bench._ready()
    found = await bench.metering.run(task_id=task_id, message_id=message_id)
    return RunMetrics(**msgspec.structs.asdict(found))


def _told(value: float | None, template: str) -> str:
    return UNKNOWN if value is None else template.format(value)


def _samples(of: metrics_wire.RunMetrics) -> str:
    return told("{count} ({resolution})", count=f"{of.samples:,}", resolution=of.resolution)


def _moment(at_ms: int | None) -> str:
    if at_ms is None:
        return UNKNOWN
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
