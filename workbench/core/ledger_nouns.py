"""Who may use how much memory of which GPU: claims, leases, and what a waiting one is told."""

from __future__ import annotations

from typing import Literal

import msgspec

from workbench.core.gpu import Vendor
from workbench.core.sentence import Sentence
from workbench.errors import WorkbenchError


class NoRoom(WorkbenchError):
    """No GPU here can ever hold it: ask for less, or go where there is a larger one."""

    code = "no-room"


class Claim(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What somebody needs before it starts. `claim_id` is unique while it is held."""

    claim_id: str
    """`<taskId>.<attempt>` of a task's attempt; `model:<id>` of a language model."""
    kind: Literal["task", "model"]
    name: str
    """As people know it: the task's model and id, the language model's id."""
    memory_mb: float = msgspec.field(name="memoryMB")
    gpu: str | None = None
    """A `gpuId`, where it has to be this one."""
    waits: bool = True
    """Whether it stands in the line where nothing is free; else it is refused at once."""


class Lease(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """So much memory of this GPU is its until it gives it back."""

    claim: Claim
    gpu_id: str
    uuid: str | None
    vendor: Vendor
    worker: str = ""
    """The Dask worker that has to run it; empty for the hub's own machine."""
    granted_at: float
    used_at: float
    """When it last did something; monotonic seconds, as `granted_at`."""


class Holding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A line of the ledger as a page shows it."""

    claim_id: str
    kind: Literal["task", "model"]
    name: str
    memory_mb: float = msgspec.field(name="memoryMB")
    gpu_id: str
    held_s: float
    idle_s: float


class Waiting(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A claim that waits, and why."""

    claim_id: str
    kind: Literal["task", "model"]
    name: str
    memory_mb: float = msgspec.field(name="memoryMB")
    reason: Sentence
    waits_s: float


class Room(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is left of one GPU's memory after leases and the use of others."""

    gpu_id: str
    total_mb: float | None = msgspec.field(name="totalMB")
    free_mb: float | None = msgspec.field(name="freeMB")
    leased_mb: float = msgspec.field(default=0.0, name="leasedMB")


class LedgerView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The whole ledger as a page shows it."""

    rooms: tuple[Room, ...] = ()
    holdings: tuple[Holding, ...] = ()
    waiting: tuple[Waiting, ...] = ()
