"""What a TaskBook remembers of a task, and the five mechanisms that keep its promises."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from workbench.core.job import Log, Progress
from workbench.core.mesh_wire import sentence
from workbench.core.task_nouns import Follow, Note, Record, Task

LINE_CHARS = 8192


class Entry(msgspec.Struct):
    """What the book knows about one open task."""

    task: Task
    arrival: int
    state: str = "queued"
    attempt: int = 1
    seq: int = 0
    lost: int = 0
    log_lines: int = 0
    dropped: int = 0
    done: float = 0.0
    template: str = ""
    values: dict[str, Any] = {}
    deadline: float = math.inf
    stopping: Literal["", "cancel", "timeout", "drain"] = ""
    loan: Literal["", "asked", "waits", "lent"] = ""
    """How its attempt stands with the GPU memory that it needs; empty: nothing was asked."""
    gpu_id: str = ""
    """The GPU of that memory, once it is lent."""

    @property
    def rank(self) -> tuple[int, int]:
        return (-self.task.priority, self.arrival)

    def note(self, kind: str, **body: Any) -> Note:
        """The next numbered entry about the task."""
        self.seq += 1
        return Note(self.seq, self.attempt, kind, body)

    def line(self, line: Log) -> Note:
        """The next line of its log, cut short where it is endless."""
        self.log_lines += 1
        content = sentence(line.template, line.values)[:LINE_CHARS]
        body: dict[str, Any] = {"content": content, "level": line.level}
        if len(line.template) <= LINE_CHARS:
            body |= {"template": line.template, "values": line.values}
        return self.note("log", **body)

    def time_from(self, moment: float) -> None:
        """Its limit on running counts from here."""
        self.deadline = moment + self.task.timeout_ms / 1000

    def advance(self, news: Progress) -> None:
        """Bytes fetched are no finished units: only a running model moves the bar."""
        self.template, self.values = news.template, news.values
        if self.state != "fetching":
            share = news.done / news.total if news.total > 0 else 0.0
            self.done = min(1.0, max(0.0, share)) if math.isfinite(share) else self.done


class Past(msgspec.Struct, frozen=True, gc=False):
    """What the book remembers of an ended task: about 300 bytes, for the newest ones.

    `seq` numbers its terminal message; 0: it ended before this start, and all is durable.
    """

    content_hash: str
    state: str
    model: str = ""
    attempt: int = 1
    seq: int = 0


def written(record: Record) -> Record:
    """The journal mechanism: every record is made durable."""
    return record


def missed(follow: Follow) -> Follow:
    """The replay mechanism: what was written before is sent again."""
    return follow


def same_content(known: str | None, given: str) -> Literal["new", "again", "conflict"]:
    """The dedupe mechanism: a taskId is an idempotency key."""
    if known is None:
        return "new"
    return "again" if known == given else "conflict"


def same_attempt(entry: Entry, attempt: int) -> bool:
    """The fence: only the present attempt is listened to."""
    return entry.attempt == attempt
