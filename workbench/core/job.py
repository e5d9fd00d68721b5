"""One attempt at a task, as an engine runs it: what goes in, what comes out."""

from __future__ import annotations

from typing import Any

import msgspec


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine needs to run one attempt. `key` is `<taskId>.<attempt>`."""

    key: str
    target: str
    parameters: dict[str, Any]
    inputs: dict[str, str]
    timeout_s: float
    seed: int
    rune_limit: int = 5000
    device: str = "cpu"
    gpu: int | None = None


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """Finished units over all units."""

    done: float
    total: float
    template: str = ""
    values: dict[str, Any] = {}


class Log(msgspec.Struct, frozen=True, tag="log"):
    """One line of the task's log."""

    level: str
    template: str
    values: dict[str, Any] = {}


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """The model returned. `document` and `figures` are JSON; tables are Arrow IPC streams."""

    document: bytes
    tables: dict[str, bytes]
    figures: bytes
    batch: str | None
    elapsed_ms: int
    device: str


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The model raised. `rejected` says that its input was to blame."""

    template: str
    values: dict[str, Any] = {}
    traceback: str = ""
    rejected: bool = False


class Cancelled(msgspec.Struct, frozen=True, tag="cancelled"):
    """Cancelled, and its process is gone."""


class TimedOut(msgspec.Struct, frozen=True, tag="timeout"):
    """Stopped at its limit on running, and its process is gone."""


class Lost(msgspec.Struct, frozen=True, tag="lost"):
    """Whatever ran it went away: it may be tried again."""

    reason: str


Event = Progress | Log
Outcome = Done | Failed | Cancelled | TimedOut | Lost
