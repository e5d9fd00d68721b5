"""What goes into a TaskBook and what comes out: a task, events, instructions."""

from __future__ import annotations

from typing import Any

import msgspec

from workbench.core.job import Begun, Cancelled, Failed, Log, Lost, Progress, TimedOut
from workbench.core.mesh_wire import OPEN

INLINE_KEPT = 2048
"""An inline input of more bytes is read from the journal again when it is needed."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it was accepted; never changed afterwards.

    `inline` holds a small inline input; a large one (`inline_bytes` > 0, `inline` None)
    is read again from the journal when it is needed.
    """

    task_id: str
    model: str
    model_version: str
    pure: bool
    parameters: dict[str, Any]
    input_url: str | None
    inline: str | None = None
    inline_bytes: int = 0
    priority: int = 0
    timeout_ms: int = 600_000
    use_cache: bool = True
    return_logs: bool = True
    content_hash: str = ""
    gpu_memory_mb: int | None = None
    """What its model needs of one GPU, or takes where it is free; None: it runs on the CPU."""
    downloads: bool = True
    """Whether any of its inputs has to be brought here."""
    weight: int = 0
    """Bytes that the waiting task holds in memory."""

    def light(self) -> Task:
        """The task without an inline input that is too large to be held while it waits."""
        if self.inline_bytes <= INLINE_KEPT:
            return self
        return msgspec.structs.replace(self, inline=None)


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A model's result, ready for the journal. `body` is the entry that is kept; `shown` is
    the whole body where the entry only refers to a side file; `side` is that file's row."""

    body: dict[str, Any]
    shown: dict[str, Any] | None = None
    side: dict[str, Any] | None = None


# Events: what happened. ---------------------------------------------------------------


class Submitted(msgspec.Struct, frozen=True):
    """A connection sent a task."""

    task: Task
    by: int
    request_id: str | int | None = None


class Attached(msgspec.Struct, frozen=True):
    """A connection wants what came after `after`, and all that follows."""

    task_id: str
    after: int
    by: int
    request_id: str | int | None = None


class CancelAsked(msgspec.Struct, frozen=True):
    """A connection wants the work stopped."""

    task_id: str
    by: int
    request_id: str | int | None = None


class Unrecorded(msgspec.Struct, frozen=True):
    """The acceptance could not be made durable: there is no such task."""

    task_id: str


class Fetched(msgspec.Struct, frozen=True):
    """Every input lies on this machine."""

    task_id: str
    attempt: int


class FetchFailed(msgspec.Struct, frozen=True):
    """An input could not be had. `kind`: rejected (the input's fault) or failed."""

    task_id: str
    attempt: int
    kind: str
    template: str
    values: dict[str, Any] = {}


class FetchStopped(msgspec.Struct, frozen=True):
    """Fetching was stopped as told."""

    task_id: str
    attempt: int


class Lent(msgspec.Struct, frozen=True):
    """The attempt's GPU memory is its own, on the GPU `gpu_id`, until it is given back. None:
    none is free, and its model does without."""

    task_id: str
    attempt: int
    gpu_id: str | None


class LendWaits(msgspec.Struct, frozen=True):
    """The attempt's GPU memory is not free: why not, as far as is known."""

    task_id: str
    attempt: int
    template: str
    values: dict[str, Any] = {}


class LendRefused(msgspec.Struct, frozen=True):
    """The attempt's GPU memory will never be had here."""

    task_id: str
    attempt: int
    template: str
    values: dict[str, Any] = {}


class Reported(msgspec.Struct, frozen=True):
    """An attempt said how far it is, or something for the log."""

    task_id: str
    attempt: int
    news: list[Progress | Log | Begun]


class Ended(msgspec.Struct, frozen=True):
    """An attempt is over, and its process gone."""

    task_id: str
    attempt: int
    outcome: Saved | Failed | Cancelled | TimedOut | Lost


class Capacity(msgspec.Struct, frozen=True):
    """So many attempts may run at once from now on."""

    slots: int


class Ticked(msgspec.Struct, frozen=True):
    """Time has passed."""


class DrainBegan(msgspec.Struct, frozen=True):
    """Nothing new starts; what runs may end."""


class DrainOver(msgspec.Struct, frozen=True):
    """What still runs is stopped; for a pure model that is no attempt."""


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """An open task found in the journal at start, with the last entry about it."""

    task: Task
    kind: str
    attempt: int
    seq: int
    lost: int
    log_lines: int
    accepted_ms: int = 0
    """When it was accepted, in ms since the epoch."""


class Known(msgspec.Struct, frozen=True):
    """A task that had ended before this start, or so long ago that it was looked up."""

    task_id: str
    content_hash: str
    state: str
    model: str = ""
    attempt: int = 1


Event = (
    Submitted
    | Attached
    | CancelAsked
    | Unrecorded
    | Fetched
    | FetchFailed
    | FetchStopped
    | Lent
    | LendWaits
    | LendRefused
    | Reported
    | Ended
    | Capacity
    | Ticked
    | DrainBegan
    | DrainOver
    | Recovered
    | Known
)


# Instructions: what is to be done, in order for each task. ------------------------------


class Note(msgspec.Struct, frozen=True):
    """One numbered entry about a task. `shown` replaces `body` on the wire where given."""

    seq: int
    attempt: int
    kind: str
    body: dict[str, Any]
    shown: dict[str, Any] | None = None


class Record(msgspec.Struct, frozen=True):
    """Make these notes durable, all or none; then show them to the followers.

    `gate` says that later instructions about the task wait for it. `durable` False is
    for tests alone.
    """

    task_id: str
    notes: list[Note]
    task: Task | None = None
    side: dict[str, Any] | None = None
    gate: bool = True
    logs: bool = True
    """Whether log notes are shown; they are kept in any case."""
    durable: bool = True

    @property
    def unheard(self) -> bool:
        """Whether nobody waits until it is durable: it says where the task is, and no more."""
        return not self.gate and all(note.kind in OPEN for note in self.notes)


class Show(msgspec.Struct, frozen=True):
    """Tell the followers how far the task is; the newest wins, nothing is kept."""

    task_id: str


class Fetch(msgspec.Struct, frozen=True):
    """Bring the task's inputs to this machine."""

    task: Task
    attempt: int


class StopFetch(msgspec.Struct, frozen=True):
    """Stop fetching, then say FetchStopped."""

    task_id: str
    attempt: int


class Borrow(msgspec.Struct, frozen=True):
    """Ask for the GPU memory that the task's model needs."""

    task: Task
    attempt: int


class GiveBack(msgspec.Struct, frozen=True):
    """What the attempt borrowed is not needed any more; or, if it still waits for it, is not
    wanted any more."""

    task_id: str
    attempt: int


class Run(msgspec.Struct, frozen=True):
    """Run the task's model."""

    task: Task
    attempt: int


class Stop(msgspec.Struct, frozen=True):
    """Stop the attempt's process; Ended follows."""

    task_id: str
    attempt: int


class Follow(msgspec.Struct, frozen=True):
    """Send connection `by` what concerns the task, from after `after`. `missed` says that
    something was written before: it is replayed."""

    task_id: str
    by: int
    after: int
    missed: bool
    keep: bool = False
    """Do nothing where the connection follows the task already."""
    request_id: str | int | None = None


class Again(msgspec.Struct, frozen=True):
    """Tell `by` that its task was accepted before, as message `seq`."""

    task_id: str
    by: int
    seq: int
    attempt: int
    state: str
    request_id: str | int | None = None


class Greet(msgspec.Struct, frozen=True):
    """Tell `by` alone how far the task is."""

    task_id: str
    by: int
    request_id: str | int | None = None


class Remind(msgspec.Struct, frozen=True):
    """Tell `by` once more how the task ended."""

    task_id: str
    by: int
    request_id: str | int | None = None


class Refuse(msgspec.Struct, frozen=True):
    """Refuse one message of `by`; no task ends by it."""

    by: int
    code: str
    template: str
    values: dict[str, Any] = {}
    task_id: str | None = None
    request_id: str | int | None = None


Instruction = (
    Record
    | Show
    | Fetch
    | StopFetch
    | Borrow
    | GiveBack
    | Run
    | Stop
    | Follow
    | Again
    | Greet
    | Remind
    | Refuse
)
