"""Loads: one for all who ask, stopped only when nobody is left."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.llm.scripted import Scripted
from workbench.core.llm import LoadOptions, LoadProgress, ModelError
from workbench.llm.backend import Backend
from workbench.llm.loading import Loads

loaded: list[tuple[str, LoadOptions]] = []


seen: list[set[str]] = []
"""What was under way at each change."""


async def note(backend: Backend, model: str, options: LoadOptions) -> None:
    loaded.append((model, options))


@pytest.fixture
async def loads() -> AsyncIterator[Loads]:
    loaded.clear()
    seen.clear()
    loads = Loads(note, lambda: seen.append(loads.under_way))
    yield loads
    await loads.close()


async def followed(
    loads: Loads, backend: Backend, options: LoadOptions | None = None
) -> list[float | None]:
    steps = loads.follow(backend, "m", options or LoadOptions())
    return [step.done async for step in steps]


def held(gate: asyncio.Event) -> Scripted:
    steps = (LoadProgress(done=0.1), gate, LoadProgress(done=1.0))
    return Scripted(loaded=False, load=lambda _: steps)


async def test_a_hundred_callers_share_one_load(loads: Loads) -> None:
    gate = asyncio.Event()
    backend = held(gate)
    callers = [asyncio.create_task(followed(loads, backend)) for _ in range(100)]
    await backend.started.wait()
    gate.set()
    steps = await asyncio.gather(*callers)
    assert len(backend.loads) == 1
    assert all(one[-1] == 1.0 for one in steps)
    assert len(loaded) == 1


async def test_whoever_watches_is_told_of_the_beginning_and_the_end(loads: Loads) -> None:
    gate = asyncio.Event()
    backend = held(gate)
    callers = [asyncio.create_task(followed(loads, backend)) for _ in range(2)]
    await backend.started.wait()
    assert seen == [{f"m@{backend.name}"}]
    gate.set()
    await asyncio.gather(*callers)
    assert seen == [{f"m@{backend.name}"}, set()]


async def test_a_caller_who_leaves_does_not_stop_the_others(loads: Loads) -> None:
    gate = asyncio.Event()
    backend = held(gate)
    callers = [asyncio.create_task(followed(loads, backend)) for _ in range(3)]
    await backend.started.wait()
    callers[0].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await callers[0]
    assert backend.loading == 1
    gate.set()
    assert (await callers[1])[-1] == 1.0
    assert (await callers[2])[-1] == 1.0


async def test_the_last_to_leave_stops_the_load(loads: Loads) -> None:
    backend = held(asyncio.Event())
    callers = [asyncio.create_task(followed(loads, backend)) for _ in range(2)]
    await backend.started.wait()
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    assert backend.loading == 0
    assert backend.loaded == set()


async def test_a_load_that_was_left_is_begun_anew_by_the_next(loads: Loads) -> None:
    gate = asyncio.Event()
    backend = held(gate)
    async with contextlib.aclosing(loads.follow(backend, "m")) as steps:
        assert (await anext(steps)).done == 0.1
    gate.set()
    assert (await followed(loads, backend))[-1] == 1.0
    assert len(backend.loads) == 2


async def test_every_follower_hears_why_a_load_failed(loads: Loads) -> None:
    gate = asyncio.Event()
    broken = ModelError("the file {file} is broken", file="m.gguf")
    backend = Scripted(loaded=False, load=lambda _: (gate, broken))
    callers = [asyncio.create_task(followed(loads, backend)) for _ in range(3)]
    await backend.started.wait()
    gate.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["the file m.gguf is broken"] * 3
    assert loaded == []


async def test_other_options_wait_and_then_load_anew(loads: Loads) -> None:
    gate = asyncio.Event()
    backend = held(gate)
    first = asyncio.create_task(followed(loads, backend))
    await backend.started.wait()
    other = asyncio.create_task(followed(loads, backend, LoadOptions(context_size=64)))
    gate.set()
    await asyncio.gather(first, other)
    assert [options.context_size for _, options in backend.loads] == [None, 64]


async def test_an_unload_in_between_is_told_to_who_waits_for_the_load(loads: Loads) -> None:
    backend = held(asyncio.Event())
    caller = asyncio.create_task(followed(loads, backend))
    await backend.started.wait()
    await loads.stop(backend.name, "m")
    with pytest.raises(ModelError, match="unloaded while it was being loaded"):
        await caller
