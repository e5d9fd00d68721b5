"""One attempt at a task, as an engine runs it: what goes in, what comes out."""

from __future__ import annotations

from typing import Any

import msgspec

from workbench.core.gpu import Vendor

FUNCTION = "own function"
"""The name, no parameter's, under which the bytes of an own function travel beside its inputs."""
TASK_MARK = "WORKBENCH_TASK"
"""The environment variable that is set inside a task's process and in all that this starts."""


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
    """As the model's function gets it: `cuda:0` for the one GPU that it sees."""
    gpu: str | None = None
    """The GPU that was lent, as its driver's list of visible devices takes it; None: none."""
    vendor: Vendor | None = None
    worker: str = ""
    """The Dask worker that has to run it, beside the GPU; empty: any."""


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


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """A worker took it. Said of a job that has to run beside its GPU, where it may have to wait
    for a free thread: its time counts from here."""


TableBytes = bytes | memoryview
"""An Arrow IPC stream. A view keeps a large one where it arrived."""


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """The model returned. `document` and `figures` are JSON; tables are Arrow IPC streams."""

    document: bytes
    tables: dict[str, TableBytes]
    figures: bytes
    batch: str | None
    elapsed_ms: int
    device: str
    language_model: str | None = None
    """Who answered what the function asked a language model: `id@backend`, empty where none was
    loaded; None where it asked nothing."""
    repeatable: bool = True
    """Whether the same content gives it again. A question without an answer spoils that."""


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


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one Dask worker elsewhere said: the `value` of a function that ran in its process."""

    address: str
    host: str
    """The name of its machine; empty where that is this one."""
    value: Any
    pids: dict[int, str]
    """Each task process of any worker on that machine, and the key of the job that it runs."""


Event = Progress | Log | Begun
Outcome = Done | Failed | Cancelled | TimedOut | Lost
