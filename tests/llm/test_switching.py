"""A change of the current model, and the way back where it fails."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pytest

from tests.llm.scripted import Scripted
from workbench.core.llm import LoadOptions, LoadProgress, ModelError, NoModel
from workbench.llm.service import Service


async def switched(
    subject: Service, model: str, fallbacks: Sequence[str] = (), options: LoadOptions | None = None
) -> list[float | None]:
    steps = subject.switch(model, options or LoadOptions(), fallbacks=fallbacks)
    return [step.done async for step in steps]


async def loaded(subject: Service, model: str, options: LoadOptions) -> None:
    async for _ in subject.load(model, options):
        pass


def backend(*broken: str) -> Scripted:
    def load(model: str) -> Sequence[LoadProgress | Exception]:
        if model in broken:
            return (ModelError("{model} is truncated", model=model),)
        return (LoadProgress(done=0.5), LoadProgress(done=1.0))

    return Scripted("one", ["old", "new", "third"], loaded=False, load=load)


async def test_the_old_model_goes_before_the_new_one_comes() -> None:
    one = backend()
    subject = Service(own=[one])
    await loaded(subject, "old", LoadOptions())
    assert (await switched(subject, "new"))[-1] == 1.0
    assert one.unloads == ["old"]
    assert one.loaded == {"new"}
    assert subject.current == "new@one"
    assert [(a.model, a.ok) for a in subject.attempts] == [("new", True)]


async def test_the_fallbacks_are_tried_in_order_and_each_failure_is_told() -> None:
    subject = Service(own=[backend("new")])
    await loaded(subject, "old", LoadOptions())
    await switched(subject, "new", ["nowhere", "third"])
    assert subject.current == "third@one"
    assert [(a.model, a.ok) for a in subject.attempts] == [
        ("nowhere", False),
        ("new", False),
        ("third", True),
    ]
    failure = subject.attempts[1].error
    assert failure
    assert failure.message == "new is truncated"


async def test_the_old_one_comes_back_as_it_was() -> None:
    one = backend("new")
    subject = Service(own=[one])
    options = LoadOptions(context_size=2048, gpu_layers=4)
    await loaded(subject, "old", options)
    await switched(subject, "new", options=LoadOptions(context_size=64))
    assert one.loads[-1] == ("old", options)
    assert subject.current == "old@one"


async def test_the_first_failure_is_raised_where_nothing_can_be_loaded() -> None:
    one = backend()
    subject = Service(own=[one])
    await loaded(subject, "old", LoadOptions())
    one.load_script = lambda model: (ModelError("{model} is truncated", model=model),)
    with pytest.raises(ModelError, match="new is truncated"):
        await switched(subject, "new", ["third"])
    assert subject.current is None
    assert [a.model for a in subject.attempts] == ["new", "third", "old"]


async def test_a_model_that_is_not_there_costs_the_old_one_nothing() -> None:
    one = backend()
    subject = Service(own=[one])
    await loaded(subject, "old", LoadOptions())
    with pytest.raises(NoModel):
        await switched(subject, "nowhere")
    assert one.unloads == []
    assert subject.current == "old@one"


async def test_the_current_model_is_not_loaded_again_without_other_options() -> None:
    one = backend()
    subject = Service(own=[one])
    await loaded(subject, "old", LoadOptions(context_size=64))
    assert await switched(subject, "old") == [1.0]
    assert len(one.loads) == 1
    await switched(subject, "old", options=LoadOptions(context_size=128))
    assert one.unloads == ["old"]
    assert one.loads[-1][1].context_size == 128


async def test_a_switch_that_is_stopped_leaves_nothing_half_loaded() -> None:
    one = backend()
    subject = Service(own=[one])
    await loaded(subject, "old", LoadOptions())
    async with contextlib.aclosing(subject.switch("new")) as steps:
        await anext(steps)
    assert one.loading == 0
    assert one.loaded == set()
    assert subject.current is None
    await switched(subject, "old")
    assert subject.current == "old@one"
