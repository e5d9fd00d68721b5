"""The service over a real engine: the embedded worker with the tiny model."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests.llm.test_text import story
from tests.llm.tiny_model import saying, tiny_embedder, tiny_model, write
from workbench.core.llm import (
    ChatRequest,
    Chosen,
    Done,
    Event,
    LoadOptions,
    NoModel,
    Sampling,
    Token,
    Turn,
)
from workbench.core.llm_checks import Checks
from workbench.core.llm_results import Benchmark, Generated, Processed, Progress
from workbench.http import Http
from workbench.llm.embedded import Embedded
from workbench.llm.service import Service

SMALL = LoadOptions(context_size=1024)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("models")
    tiny_model(found)
    tiny_embedder(found)
    write(found / "odd.gguf", name="Odd", architecture="nosuch")
    return found


@pytest.fixture
async def service(folder: Path) -> AsyncIterator[Service]:
    async with Http(private_addresses=True) as http:
        opened = Service(own=[Embedded([folder], http=http)])
        try:
            async for _ in opened.load("tiny", SMALL):
                pass
            yield opened
        finally:
            await opened.close()


def request(sampling: Sampling, content: str = "Say it.") -> ChatRequest:
    return ChatRequest(model="tiny", turns=(Turn(role="user", content=content),), sampling=sampling)


def text(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Token))


async def test_chats_and_frees_the_slot_of_an_answer_that_is_closed(service: Service) -> None:
    said = [event async for event in service.chat(request(Sampling(grammar=saying("Hello 👍!"))))]
    assert said[0] == Chosen(model="tiny", backend="embedded")
    assert text(said) == "Hello 👍!"
    assert said[-1] == Done(finish="stop")
    async with contextlib.aclosing(service.chat(request(Sampling(max_tokens=900)))) as events:
        async for event in events:
            if isinstance(event, Token):
                break
    assert service.backends()[0].in_flight == 0
    again = [event async for event in service.chat(request(Sampling(grammar=saying("Again"))))]
    assert text(again) == "Again"


async def test_counts_and_cuts_exactly(service: Service) -> None:
    long = story(30)
    whole = await service.count("tiny", long)
    assert whole.exact
    for keep in ("start", "end"):
        cut = await service.truncate("tiny", long, 200, keep=keep)
        assert (await service.count("tiny", cut.text)).tokens == cut.count.tokens
        assert 199 <= cut.count.tokens <= 200
        assert cut.cut
    same = await service.truncate("tiny", long, whole.tokens)
    assert same.text == long


async def test_every_part_is_within_the_limit_and_together_they_are_the_text(
    service: Service,
) -> None:
    long = story(30)
    parts = await service.split("tiny", long, 150)
    assert "".join(parts) == long
    counts = [(await service.count("tiny", part)).tokens for part in parts]
    assert max(counts) <= 150
    assert not any(part.isspace() for part in parts)
    overlapping = await service.split("tiny", long, 150, overlap_tokens=30)
    for before, after in itertools.pairwise(overlapping):
        assert long.index(before) < long.index(after)
        assert not long[long.index(before) + len(before) : long.index(after)].strip()


async def test_works_through_a_text_longer_than_the_context_and_stops_when_closed(
    service: Service,
) -> None:
    long = story(40)
    sampling = Sampling(temperature=0.0, max_tokens=24)
    stream = service.process("tiny", long, "Shorten it.", answer_tokens=24, sampling=sampling)
    steps = [step async for step in stream]
    result = steps[-1]
    assert isinstance(result, Processed)
    assert result.parts > 1
    assert result.rounds >= 1
    assert result.text
    shares = [step.done / step.total for step in steps if isinstance(step, Progress)]
    assert shares[-1] == 1.0
    stream = service.process("tiny", long, "Shorten it.", answer_tokens=24, sampling=sampling)
    async with contextlib.aclosing(stream):
        await anext(stream)
    assert service.backends()[0].in_flight == 0


async def test_a_switch_to_a_file_that_cannot_be_loaded_brings_the_old_model_back(
    service: Service,
) -> None:
    async for _ in service.switch("odd", SMALL):
        pass
    assert service.current == "tiny@embedded"
    odd, old = service.attempts
    assert (odd.model, odd.ok, old.model, old.ok) == ("odd", False, "tiny", True)
    assert odd.error
    assert odd.error.message
    listing = await service.models(refresh=True)
    assert {m.id: m.loaded for m in listing.models}["tiny"]
    assert {m.id: m.context_size for m in listing.models}["tiny"] == 1024
    with pytest.raises(NoModel):
        async for _ in service.switch("nowhere"):
            pass
    assert await service.is_running("tiny")


async def test_embeds_by_the_model_that_does(service: Service) -> None:
    one, two, same = await service.embed(None, ["rune", "a block", "rune"])
    assert len(one) == len(two) > 1
    assert one == pytest.approx(same, abs=1e-4)
    assert one != two


async def test_measures_and_generates(service: Service) -> None:
    steps = [s async for s in service.benchmark("tiny", runs=2, prompt_tokens=64, answer_tokens=32)]
    result = steps[-1]
    assert isinstance(result, Benchmark)
    assert result.ttft_ms is not None
    assert result.ttft_ms > 0
    assert result.tokens_per_second is not None
    assert result.tokens_per_second > 0
    assert result.prompt_tokens_per_second is not None
    assert all(run.prompt_tokens and run.prompt_tokens >= 32 for run in result.runs)
    checks = Checks(
        json_schema={
            "type": "object",
            "properties": {"rune": {"type": "string", "enum": ["UNCOMMON", "GOODS"]}},
            "required": ["rune"],
        }
    )
    # A model of random weights now and then says nothing at all before its end.
    wanted = request(Sampling(max_tokens=200))
    told = [s async for s in service.generate(wanted, checks, attempts=10)]
    assert isinstance(told[-1], Generated)
    assert told[-1].answer.text.startswith("{")


async def test_a_file_that_was_damaged_since_it_was_listed_is_named_and_the_old_model_stays(
    service: Service, folder: Path
) -> None:
    damaged = write(folder / "damaged.gguf", name="Damaged")
    assert "damaged" in {m.id for m in (await service.models(refresh=True)).models}
    damaged.write_bytes(damaged.read_bytes()[:-50_000])
    try:
        async for _ in service.switch("damaged", SMALL):
            pass
    finally:
        damaged.unlink()
    assert service.current == "tiny@embedded"
    error = service.attempts[0].error
    assert error
    assert "damaged" in error.message
