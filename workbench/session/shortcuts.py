"""`workbench.submit(...)` is `workbench.connect().submit(...)`; so are its neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workbench.clients.inputs import Batch
from workbench.session.map import Runs
from workbench.session.own import Model
from workbench.session.run import Run
from workbench.session.workbench import connect


def submit(model: Model, batch: Batch | None = None, **given: Any) -> Run:
    """Send a task to this process's hub. See `Workbench.submit`."""
    return connect().submit(model, batch, **given)


def map(model: Model, batches: Iterable[Batch] | Mapping[str, Batch], **given: Any) -> Runs:
    """One task for each batch. See `Workbench.map`."""
    return connect().map(model, batches, **given)


def run(task_id: str | None = None) -> Run:
    """A task sent earlier, by its id; without one the newest. See `Workbench.run`."""
    return connect().run(task_id)


def runs(ids: Iterable[str]) -> Runs:
    """The tasks of an earlier `map`, by `runs.ids`. See `Workbench.runs`."""
    return connect().runs(ids)
