"""Rules for alerts, and alerts. A rule looks at one metric, of one subject or of each."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from workbench.core.sentence import Sentence

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Value = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
State = Literal["raised", "cleared"]


class Rule(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Raised once the metric is beyond `threshold` for `for_s`, cleared once it is back at
    `clear` or better for `for_s`: between the two nothing changes."""

    name: Name
    metric: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    threshold: Value
    clear: Value | None = None
    """Without one, 5 % of the threshold to the good side."""
    direction: Literal["above", "below"] = "above"
    for_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 10.0
    subject: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    """A `gpuId`, or a model as `id@backend`; None: each that there is."""
    enabled: bool = True


class Alert(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One metric of one subject that went beyond its rule. Instants in ms since the epoch."""

    alert_id: str
    rule: str
    metric: str
    subject: str
    threshold: float
    direction: Literal["above", "below"]
    state: State
    value: float
    """At its raising; once cleared, at its clearing."""
    worst: float
    """The furthest beyond the threshold so far."""
    raised_at: int
    cleared_at: int | None = None
    reason: Sentence | None = None
    """Why it was cleared, where not because the value is back: the rule is gone, or nothing is
    measured any more."""
