"""What a TaskBook says to people, as templates."""

from __future__ import annotations

CANCELLED = "the task was cancelled"
TIMED_OUT = (
    "the task ran longer than {limit_s} s and was stopped: "
    "raise timeoutMs (at most 600000) or send a smaller batch"
)
LOST = "the task was lost {count} times, at last because {reason}, and is not tried again"
LOST_ONCE = (
    "the task was lost because {reason}, and {model} must not run twice: "
    "send it again under a new taskId"
)
AGAIN = "attempt {attempt} was lost because {reason}: attempt {next} follows"
DROPPED = "{count} more lines were dropped: a task keeps at most {most}"
UNKNOWN = "there is no task {task}: send it first"
CONFLICT = "task {task} exists with other content: give this one another taskId"
BUSY = "{count} tasks are waiting already: try again later"
DRAINING = "the node is shutting down: send the task again when it is back"
NODE_DIED = "the node stopped in the middle of it"
NODE_DRAINED = "the node was shut down"
WAITS_SLOT = "waits for a free slot: {busy} of {slots} are in use, {ahead} tasks are ahead"
WAITS_WORKER = "waits for a worker: none is connected"
WAITS_GPU = "waits for {need_mb} MB of a GPU's memory"
WAITS_DRAIN = "waits for the node's restart"
