"""How long what is kept, and the deletion of what is kept no longer. A task itself always stays."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from workbench.store import named
from workbench.store.owner import Owner

RESULT_REMOVED = (
    "the result was removed {days} days after the task had ended, as the setting {setting} says: "
    "run the task again to have it anew"
)
LOG_REMOVED = (
    "the log was removed {days} days after the task had ended, as the setting {setting} says"
)
RESULTS, LOGS = "WORKBENCH_KEEP_RESULTS_D", "WORKBENCH_KEEP_LOGS_D"


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """Days after a task's end; None: for ever. `events` are the steps on the way of ended tasks,
    past alerts and loans of GPU memory: a task's acceptance and its end always stay."""

    logs_d: float | None = None
    results_d: float | None = None
    events_d: float | None = None


class Retired(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that went, and the bytes of the side files that went with them."""

    rows: int
    files: int
    bytes: int


def retire(owner: Owner, keep: Keep, now: datetime) -> Retired:
    """Delete what is kept no longer, rows before files. In the writer's thread only.

    `now` is naive UTC. A result's end stays and says what removed it; a log's place is taken by
    one line that does.
    """
    rows = 0
    if keep.logs_d is not None:
        line = _said(LOG_REMOVED, keep.logs_d, LOGS)
        given = {"content": line["text"], "template": LOG_REMOVED, "given": _json(line["values"])}
        rows += _change(owner, "retire_logs", now, keep.logs_d, **given)
    if keep.events_d is not None:
        rows += _change(owner, "retire_events", now, keep.events_d)
    if keep.results_d is None:
        return Retired(rows=rows, files=0, bytes=0)
    rows += _change(owner, "retire_results", now, keep.results_d, instead=_instead(keep.results_d))
    sizes = [_remove(owner.folder, row["path"]) for row in named.read(owner, "retired_files", {})]
    gone = [size for size in sizes if size is not None]
    return Retired(rows=rows, files=len(gone), bytes=sum(gone))


def retire_metrics(
    owner: Owner, now: datetime, *, raw_h: float, minutes_d: float, hours_d: float | None
) -> int:
    """Roll up what is complete, then delete what is kept no longer; how many rows went."""
    named.change(owner, "metrics_roll_up", {"now": now})
    before = {
        "raw_before": now - timedelta(hours=raw_h),
        "minutes_before": now - timedelta(days=minutes_d),
        "hours_before": None if hours_d is None else now - timedelta(days=hours_d),
    }
    return named.change(owner, "metrics_retire", before)


def _instead(days: float) -> str:
    """What a result's entry says once it is gone; a page draws `notes` as it draws a model's."""
    said = _said(RESULT_REMOVED, days, RESULTS)
    result = {"data": {"notes": [said]}, "figures": [], "tables": {}, "removed": said}
    return _json({"result": result})


def _said(template: str, days: float, setting: str) -> dict[str, Any]:
    values: Mapping[str, Any] = {"days": f"{days:g}", "setting": setting}
    return {"text": template.format(**values), "template": template, "values": values}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _change(owner: Owner, query: str, now: datetime, days: float, **params: Any) -> int:
    before = now - timedelta(days=days)
    return named.change(owner, query, {"before": before, **params}, optimized=True)


def _remove(data: Path, path: str) -> int | None:
    """The bytes of a file that was there. A path that leads elsewhere is left alone."""
    file = data / path
    if file.parent.resolve() != (data / "results").resolve():
        return None
    try:
        size = file.stat().st_size
        file.unlink()
    except FileNotFoundError:
        return None
    return size
