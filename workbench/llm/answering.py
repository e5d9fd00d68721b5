"""One request from its choice of an instance to its last event, standing in where one fails.

Another instance, or a fallback, is asked only while nothing of the answer was shown; after
that the error is what the reader gets. Each change says why, as a Chosen event.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from msgspec.structs import replace

from workbench.core.llm import (
    BackendBroken,
    Chosen,
    ContextOverflow,
    Done,
    Event,
    NoModel,
    Queued,
    Reasoning,
    Token,
    ToolCall,
)
from workbench.errors import InputError, WorkbenchError
from workbench.llm.breaker import Outcome, outcome_of
from workbench.llm.loading import Loads
from workbench.llm.meter import Meter, Request
from workbench.llm.router import Instance, Lease, Place, Router

SHOWN = frozenset({Token, Reasoning, ToolCall})

Ask = Callable[[Instance], AsyncGenerator[Event]]
Find = Callable[[str], Awaitable[list[Instance]]]
Hear = Callable[[Instance, list[Event]], None]
"""Told of a whole answer: its instance, and its tokens, reasoning and usage."""


class Answering:
    """Answers requests by the instances that `find` gives for a reference."""

    def __init__(self, router: Router, loads: Loads, find: Find, hear: Hear, meter: Meter) -> None:
        self._router = router
        self._meter = meter
        self._loads = loads
        self._find = find
        self._hear = hear

    async def stream(self, refs: Sequence[str], session: str, ask: Ask) -> AsyncGenerator[Event]:
        """Events of the first of `refs` that answers. Raises the last one's error."""
        place = self._router.place(session)
        trouble: WorkbenchError | None = None
        with self._meter.request() as request:
            for ref in refs:
                attempt = _Attempt(trouble, request)
                async with contextlib.aclosing(self._one(ref, place, ask, attempt)) as events:
                    async for event in events:
                        yield event
                if attempt.done:
                    return
                trouble = attempt.trouble
            assert trouble is not None  # noqa: S101 - each attempt that is not done has one
            raise trouble

    async def _one(
        self, ref: str, place: Place, ask: Ask, attempt: _Attempt
    ) -> AsyncGenerator[Event]:
        """All instances of one model, until one answers."""
        try:
            left = await self._find(ref)
        except NoModel as error:
            attempt.trouble = error
            return
        while left and not attempt.done:
            try:
                async with contextlib.aclosing(self._leased(left, place, attempt)) as leases:
                    async for event in leases:
                        yield event
                lease = attempt.lease
                assert lease is not None  # noqa: S101 - the last thing that `_leased` does
                async with contextlib.aclosing(self._asked(lease, ask, attempt)) as events:
                    async for event in events:
                        yield event
                attempt.done = True
            except WorkbenchError as error:
                if attempt.shown or isinstance(error, InputError):
                    raise
                attempt.trouble = error
                left = attempt.others(left, error)

    async def _leased(
        self, left: list[Instance], place: Place, attempt: _Attempt
    ) -> AsyncGenerator[Event]:
        attempt.lease = None
        try:
            async with contextlib.aclosing(self._router.take(place, left)) as turns:
                async for turn in turns:
                    if isinstance(turn, Queued):
                        attempt.request.waits([instance.ref for instance in left])
                        yield turn
                    else:
                        attempt.lease = turn
        finally:
            attempt.request.goes_on()

    async def _asked(self, lease: Lease, ask: Ask, attempt: _Attempt) -> AsyncGenerator[Event]:
        instance, outcome = lease.instance, _Outcome()
        heard: list[Event] = []
        try:
            with attempt.request.call(instance.ref) as call:
                yield attempt.chosen(instance)
                if not instance.model.loaded:
                    steps = self._loads.follow(instance.backend, instance.model.id)
                    async with contextlib.aclosing(steps):
                        async for step in steps:
                            yield step
                last: Event | None = None
                async with contextlib.aclosing(ask(instance)) as events:
                    async for event in events:
                        last = event
                        heard.append(event)
                        call.take(event)
                        if not attempt.shown and type(event) in SHOWN:
                            attempt.shown = True
                            lease.answered()
                        yield event
                if type(last) is not Done:
                    raise BackendBroken(
                        "{backend} ended its answer too early: ask again", backend=instance.name
                    )
            outcome.is_ = "good"
            self._hear(instance, heard)
        except WorkbenchError as error:
            outcome.is_ = outcome_of(error)
            raise
        finally:
            lease.end(outcome.is_)


class _Outcome:
    """Neutral until something else is known: so does a cancel or a bug of ours end."""

    is_: Outcome = "neutral"


class _Attempt:
    """How far the attempts with one model are."""

    def __init__(self, trouble: WorkbenchError | None, request: Request) -> None:
        self.trouble = trouble
        self.request = request
        self.shown = False
        self.done = False
        self.lease: Lease | None = None

    def chosen(self, instance: Instance) -> Chosen:
        if self.trouble is None:
            return Chosen(model=instance.model.id, backend=instance.name)
        return Chosen(
            model=instance.model.id,
            backend=instance.name,
            template=self.trouble.template,
            values=self.trouble.values,
        )

    def others(self, left: list[Instance], error: WorkbenchError) -> list[Instance]:
        """Whom else to ask. A longer context is a matter of another model; a model that was
        unloaded since the list was made is loaded again.
        """
        lease, self.lease = self.lease, None
        if lease is None or isinstance(error, ContextOverflow):
            return []
        failed = lease.instance
        others = [instance for instance in left if instance.name != failed.name]
        if isinstance(error, NoModel) and failed.model.loaded:
            others.append(Instance(failed.backend, replace(failed.model, loaded=False)))
        return others
