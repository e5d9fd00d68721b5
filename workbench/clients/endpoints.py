"""Endpoints in order, from a settings file: the first that works takes new tasks.

A broken file keeps what the last good one said; `problem` and the log say why. Callbacks
and reports: on one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from workbench.core.endpoint import (
    DOCUMENT_BYTES,
    Named,
    Outcome,
    read_endpoints,
    tokens_of_variables,
)
from workbench.core.endpoint_choice import HOLD_S, Choice
from workbench.errors import InputError, WorkbenchError

LOOK_S = 2.0

log = logging.getLogger("workbench.clients")

Stamp = tuple[int, int, int]


class Preference:
    """A list of endpoints that may change, the choice among them, and who hears of it.

    `watch` runs while anybody listens; it calls `take` or `fail`.
    """

    def __init__(self, watch: Callable[[], Coroutine[Any, Any, None]], hold_s: float) -> None:
        self.problem: WorkbenchError | None = None
        """Why the newest list could not be had; None when it could."""
        self._watch, self._choice = watch, Choice(hold_s)
        self._callbacks: list[Callable[[], None]] = []
        self._watching: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._told: tuple[Named | None, str] = (None, "")

    def take(self, endpoints: Sequence[Named]) -> None:
        """The list as it is now."""
        self.problem = None
        self._choice.offer(endpoints)
        self._tell()

    def fail(self, problem: WorkbenchError, source: str) -> None:
        """No list could be had; the one there was stays."""
        if self.problem is None or str(problem) != str(self.problem):
            log.warning("endpoints.broken source=%s reason=%s", source, problem)
        self.problem = problem
        self._tell()

    def preferred(self) -> Named | None:
        """The choice; None before any list came. Raises why there is none."""
        found = self._choice.preferred(time.monotonic())
        if found is None and self.problem is not None:
            raise self.problem
        return found

    def report(self, endpoint: Named, outcome: Outcome) -> None:
        self._choice.report(endpoint, outcome, time.monotonic())
        if outcome.kind != "latency":
            self._tell()

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        if self._watching is None:
            self._told = self._now()
            self._watching = asyncio.create_task(self._watch(), name="endpoints")
            self._watching.add_done_callback(_log_failure)

        def leave() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)
            if not self._callbacks:
                self._stop()

        return leave

    def _tell(self) -> None:
        """Tell of another choice or problem, and look again when the next hold ends."""
        now = time.monotonic()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._callbacks:
            return
        next_at = self._choice.next_at(now)
        if next_at is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(next_at - now + 0.001, self._tell)
        found = self._now()
        if found != self._told:
            self._told = found
            for callback in list(self._callbacks):
                callback()

    def _now(self) -> tuple[Named | None, str]:
        """The choice, and what is wrong."""
        return self._choice.preferred(time.monotonic()), str(self.problem or "")

    def _stop(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("endpoints.failed", exc_info=task.exception())


class SettingsFileEndpoints:
    """An EndpointSource from a file, TOML or (`*.json`) JSON, as `core/endpoint.py` describes it:
    at most 64 KiB and 32 endpoints, the wanted one first. Tokens are named by their variable.

    One that fails twice in succession is passed over for `hold_s`, longer each time. The file
    is looked at every `look_s` while a client listens.
    """

    def __init__(self, path: str | Path, *, look_s: float = LOOK_S, hold_s: float = HOLD_S) -> None:
        self.path = Path(path).expanduser()
        self._look_s = look_s
        self._preference = Preference(self._watch, hold_s)
        self._seen: Stamp | None = None
        self._read = False

    @property
    def problem(self) -> WorkbenchError | None:
        """What is wrong with the file as it is now; None when nothing is."""
        return self._preference.problem

    def preferred(self) -> Named | None:
        """The first endpoint that has not failed lately. Raises InputError where the file was
        never good."""
        if not self._read:
            self._take(*self._look())
        return self._preference.preferred()

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when another endpoint is preferred or `problem` is another; returns
        what ends that."""
        return self._preference.on_change(callback)

    def report(self, endpoint: Named, outcome: Outcome) -> None:
        """What became of an endpoint."""
        self._preference.report(endpoint, outcome)

    def __repr__(self) -> str:
        return f"SettingsFileEndpoints({str(self.path)!r})"

    async def _watch(self) -> None:
        while True:
            self._take(*await asyncio.to_thread(self._look))
            await asyncio.sleep(self._look_s)

    def _look(self) -> tuple[Stamp | None, list[Named] | WorkbenchError | None]:
        """The file's stamp, and what it says where it is another than last time."""
        stamp = None
        try:
            about = self.path.stat()
            stamp = (about.st_mtime_ns, about.st_size, about.st_ino)
            if self._read and stamp == self._seen:
                return stamp, None
            with self.path.open("rb") as stream:
                body = stream.read(DOCUMENT_BYTES + 1)
            token = tokens_of_variables(os.environ)
            toml = self.path.suffix.lower() != ".json"
            return stamp, read_endpoints(body, toml=toml, token=token)
        except OSError as error:
            template = "the list of endpoints {path} cannot be read: {reason}"
            reason = error.strerror or str(error)
            return stamp, InputError(template, path=str(self.path), reason=reason)
        except WorkbenchError as error:
            return stamp, error

    def _take(self, stamp: Stamp | None, found: list[Named] | WorkbenchError | None) -> None:
        self._read, self._seen = True, stamp
        if isinstance(found, WorkbenchError):
            self._seen = None  # what was wrong may be a variable: read it again each time
            self._preference.fail(found, str(self.path))
        elif found is not None:
            self._preference.take(found)
