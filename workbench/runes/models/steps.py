"""Honest progress, and figures without a processor's noise, for the mesh models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workbench.core.model import Context

DIGITS = 9
"""Figures are rounded to so many digits: beyond them a processor's order of sums shows."""


@dataclass(slots=True)
class Steps:
    """Progress as finished units over all units, counted before the work begins."""

    context: Context
    total: int
    done: int = 0

    def finish(self, template: str, units: int = 1, **values: Any) -> None:
        self.done += units
        self.context.progress(self.done, self.total, template, **values)


def rounded(value: Any) -> float:
    return round(float(value), DIGITS)
