"""The `metrics` message: a sample as it is shown, with whose processes use which GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from workbench.core.alert_nouns import Alert
from workbench.core.gpu import Gpu, Owner, Owners, users
from workbench.core.ledger_nouns import LedgerView
from workbench.core.metrics import Sample
from workbench.core.run_metrics import UNPRICED, Price

KERNEL = Owner(kind="kernel", name="")


def frame(
    sample: Sample,
    owners: Owners,
    *,
    interval_ms: int,
    alerts: Sequence[Alert] = (),
    ledger: LedgerView | None = None,
    price: Price = UNPRICED,
    pid: int | None = None,
) -> dict[str, Any]:
    """What a follower gets. `pid` is its own process: what it uses is shown as a kernel's."""
    whose: Owners = owners if pid is None else {("", pid): KERNEL, **owners}
    data: dict[str, Any] = msgspec.to_builtins(sample.host)
    data |= {
        "takenAt": sample.taken_at,
        "intervalMs": interval_ms,
        "gpus": [_gpu(gpu, whose) for gpu in sample.gpus.gpus],
        "gpuNote": msgspec.to_builtins(sample.gpus.note),
        "llm": msgspec.to_builtins(sample.llm),
        "alerts": msgspec.to_builtins(tuple(alerts)),
    }
    if price.per_kwh is not None:
        data["price"] = {"perKwh": price.per_kwh, "currency": price.currency}
    if sample.gpus.gpus and ledger is not None:
        data["ledger"] = msgspec.to_builtins(ledger)
    return data


def _gpu(gpu: Gpu, owners: Owners) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(gpu, processes=None))
    del shown["worker"]  # an address of the cluster is nobody's business
    return {**shown, "processes": msgspec.to_builtins(users(gpu, owners))}
