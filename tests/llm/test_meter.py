"""The meter of language models, by a clock that is moved by hand, and over scripted back ends."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.llm.scripted import Script, Scripted, Ticking, asked, said
from workbench.core.llm import (
    BackendBroken,
    ChatRequest,
    Chosen,
    CompletionRequest,
    ContextOverflow,
    Done,
    Event,
    LoadProgress,
    NoModel,
    Queued,
    Reasoning,
    Token,
    ToolCall,
    Usage,
)
from workbench.core.metrics import LlmReading
from workbench.errors import InputError, LinkError
from workbench.llm.meter import FIRST_TOKENS, MODELS, WINDOW_S, Call, Meter
from workbench.llm.service import Service

A = Token(text="a")


class Subject:
    """A meter, its clock, and requests that are held open."""

    def __init__(self) -> None:
        self.clock = Ticking()
        self.meter = Meter(self.clock)
        self.open = contextlib.ExitStack()

    def begin(self, ref: str = "m@one", *, after_s: float = 0.0) -> Call:
        request = self.open.enter_context(self.meter.request())
        self.clock.now += after_s
        return self.open.enter_context(request.call(ref))

    def answer(self, ref: str = "m@one", *, first_s: float = 0.1, tokens: int = 11) -> None:
        """One that is written at 10 tokens a second."""
        with self.meter.request() as request, request.call(ref) as call:
            self.clock.now += first_s
            call.take(A)
            for _ in range(tokens - 1):
                self.clock.now += 0.1
                call.take(A)
            call.take(Done())

    def reading(self, ref: str = "") -> LlmReading:
        [found] = [reading for reading in self.meter.readings() if reading.model == ref]
        return found


@pytest.fixture
def subject() -> Subject:
    return Subject()


def test_where_nobody_ever_asked_there_are_no_times() -> None:
    assert Meter(Ticking()).readings() == (LlmReading(),)


def test_an_answer_has_its_time_to_the_first_token_and_its_speed(subject: Subject) -> None:
    subject.answer()
    assert subject.meter.readings() == (
        LlmReading(requests=1, requests_per_min=1.0, ttft_ms=100.0, tokens_per_s=10.0),
        LlmReading(
            model="m@one", requests=1, requests_per_min=1.0, ttft_ms=100.0, tokens_per_s=10.0
        ),
    )


def test_the_time_to_the_first_token_begins_when_it_was_asked(subject: Subject) -> None:
    call = subject.begin(after_s=2.0)
    subject.clock.now += 1.0
    call.take(LoadProgress())
    call.take(Reasoning(text="hm"))
    assert subject.reading("m@one").ttft_ms == 3000


def test_an_answer_under_way_has_its_speed_already(subject: Subject) -> None:
    call = subject.begin()
    call.take(A)
    for _ in range(8):
        subject.clock.now += 0.25
        call.take(A)
    assert (subject.reading().in_flight, subject.reading().tokens_per_s) == (1, 4.0)
    subject.clock.now += 2.0  # it says nothing for as long again
    assert subject.reading().tokens_per_s == 2.0


def test_answers_at_the_same_time_are_faster_together(subject: Subject) -> None:
    calls = [subject.begin("a@one"), subject.begin("b@one")]
    for call in calls:
        call.take(A)
    for _ in range(10):
        subject.clock.now += 0.1
        for call in calls:
            call.take(A)
    assert subject.reading("a@one").tokens_per_s == 10.0
    assert subject.reading().tokens_per_s == 20.0


def test_time_in_which_nobody_writes_makes_nothing_slower(subject: Subject) -> None:
    subject.answer()
    subject.clock.now += 20
    subject.answer()
    assert subject.reading().tokens_per_s == 10.0


def test_after_a_minute_only_the_counts_are_left(subject: Subject) -> None:
    with pytest.raises(LinkError), subject.meter.request() as request, request.call("m@one"):
        raise LinkError("away")
    subject.answer()
    assert subject.reading() == LlmReading(
        requests=2,
        errors=1,
        requests_per_min=2.0,
        errors_per_min=1.0,
        ttft_ms=100.0,
        tokens_per_s=10.0,
    )
    subject.clock.now += WINDOW_S + 1
    assert subject.reading("m@one") == LlmReading(model="m@one", requests=2, errors=1)


def test_a_long_answer_that_nobody_read_of_is_not_squeezed_into_the_last_second(
    subject: Subject,
) -> None:
    call = subject.begin()
    call.take(A)
    for _ in range(3000):
        subject.clock.now += 0.1
        call.take(A)
    assert subject.reading().tokens_per_s == pytest.approx(10.0, rel=0.01)


def test_the_median_is_of_the_requests_of_the_minute(subject: Subject) -> None:
    subject.answer(first_s=50)
    subject.clock.now += WINDOW_S
    for first_s in (0.1, 0.2, 9.0):
        subject.answer(first_s=first_s)
    assert subject.reading().ttft_ms == 200.0


def test_a_server_that_sends_many_tokens_as_one_piece_is_believed_in_the_end(
    subject: Subject,
) -> None:
    call = subject.begin()
    for _ in range(3):
        call.take(A)
        subject.clock.now += 1.0
    call.take(Usage(completion_tokens=31))
    assert subject.reading().tokens_per_s == 10.0
    call.take(Usage(completion_tokens=5))
    call.take(Usage())
    assert subject.reading().tokens_per_s == 10.0


def test_a_tool_call_is_a_first_token(subject: Subject) -> None:
    call = subject.begin()
    subject.clock.now += 0.5
    call.take(ToolCall(name="mint", arguments="{}"))
    call.take(ToolCall(name="mint", arguments="{}"))
    assert (subject.reading().ttft_ms, subject.reading().tokens_per_s) == (500.0, None)


@pytest.mark.parametrize(
    "error",
    [asyncio.CancelledError(), GeneratorExit(), InputError("bad"), ContextOverflow("too long")],
)
def test_a_stop_and_what_the_asker_has_to_mend_are_no_errors(
    subject: Subject, error: BaseException
) -> None:
    with (
        pytest.raises(type(error)),
        subject.meter.request() as request,
        request.call("m@one"),
    ):
        raise error
    assert [(r.requests, r.errors) for r in subject.meter.readings()] == [(1, 0), (1, 0)]


def test_a_request_that_waits_is_counted_once_and_at_each_model_that_it_waits_for(
    subject: Subject,
) -> None:
    with subject.meter.request() as request:
        for _ in range(2):
            request.waits(["m@one", "m@two", "m@one"])
        assert [r.queued for r in subject.meter.readings()] == [1, 1, 1]
        request.goes_on()
        assert [r.queued for r in subject.meter.readings()] == [0, 0, 0]
        request.waits(["m@two"])
    assert [r.queued for r in subject.meter.readings()] == [0, 0, 0]


def test_what_is_held_is_bounded(subject: Subject) -> None:
    busy = subject.begin("busy@one")
    for number in range(3 * MODELS):
        subject.answer(f"{number}@one", tokens=2)
    for _ in range(3 * FIRST_TOKENS):
        subject.answer("m@one", tokens=1, first_s=0.001)
    refs = [reading.model for reading in subject.meter.readings()]
    assert len(refs) == MODELS + 1
    assert {"busy@one", "m@one"} <= set(refs)
    busy.take(A)
    assert subject.reading("busy@one").ttft_ms is not None


@given(
    st.lists(
        st.tuples(st.floats(0, 40), st.sampled_from(["begin", "token", "end", "read"])),
        max_size=60,
    )
)
def test_no_order_of_events_makes_more_time_or_more_tokens_than_there_were(
    steps: list[tuple[float, str]],
) -> None:
    subject = Subject()
    stacks: list[contextlib.ExitStack] = []
    calls: list[Call] = []
    tokens = 0
    for pause_s, step in steps:
        subject.clock.now += pause_s
        if step == "begin":
            stacks.append(subject.open)
            calls.append(subject.begin())
            subject.open = contextlib.ExitStack()
        elif step == "token" and calls:
            calls[-1].take(A)
            tokens += 1
        elif step == "end" and calls:
            calls.pop()
            stacks.pop().close()
        reading = subject.reading()
        seconds = [second for second in subject.meter.total._seconds if second]
        assert sum(second.tokens for second in seconds) <= tokens + 1e-6
        assert all(second.written_s <= 1 + 1e-6 for second in seconds)
        assert reading.in_flight == len(calls)
    while stacks:
        stacks.pop().close()
    assert subject.reading().in_flight == 0


# Over the service


def service(*backends: Scripted) -> tuple[Service, Ticking]:
    clock = Ticking()
    return Service(own=backends, clock=clock, memory=lambda: 10**9), clock


async def heard(service: Service, request: ChatRequest, *fallbacks: str) -> list[Event]:
    return [event async for event in service.chat(request, fallbacks=fallbacks)]


def counts(service: Service) -> dict[str, tuple[int, int]]:
    return {reading.model: (reading.requests, reading.errors) for reading in service.readings()}


async def test_every_way_to_ask_is_counted() -> None:
    subject, _ = service(Scripted())
    await heard(subject, asked())
    completion = CompletionRequest(model="m", prompt="hi")
    async for _event in subject.complete(completion):
        pass
    await subject.embed("m", ["a"])
    assert counts(subject) == {"": (3, 0), "m@one": (3, 0)}


async def test_one_that_another_answers_for_fails_for_itself_alone() -> None:
    broken = Scripted("one", answer=lambda request: (BackendBroken("one broke"),))
    subject, _ = service(broken, Scripted("two", ["m", "n"]))
    await heard(subject, asked(model="m@one"), "n")
    assert counts(subject) == {"": (1, 0), "m@one": (1, 1), "n@two": (1, 0)}


async def test_a_request_that_fails_is_an_error_of_all_together() -> None:
    broken: Script = (A, BackendBroken("one broke"))
    subject, _ = service(Scripted(answer=lambda request: broken))
    with pytest.raises(BackendBroken):
        await heard(subject, asked())
    with pytest.raises(NoModel):
        await heard(subject, asked(model="nothing"))
    assert counts(subject) == {"": (2, 2), "m@one": (1, 1)}


async def test_one_that_is_stopped_by_its_asker_is_no_error() -> None:
    subject, _ = service(Scripted(answer=lambda request: (A, asyncio.Event())))
    async with contextlib.aclosing(subject.chat(asked())) as events:
        while not isinstance(await anext(events), Token):
            pass
        assert [reading.in_flight for reading in subject.readings()] == [1, 1]
    assert [(r.in_flight, r.requests, r.errors) for r in subject.readings()] == [(0, 1, 0)] * 2


async def test_who_stands_in_the_queue_is_counted_until_it_leaves() -> None:
    gate = asyncio.Event()
    backend = Scripted(answer=lambda request: (gate, *said("ok")))
    subject, _ = service(backend)

    async def asking() -> list[Event]:
        return await heard(subject, asked())

    def states() -> list[tuple[int, int, int]]:
        return [(r.in_flight, r.queued, r.requests) for r in subject.readings()]

    async with asyncio.timeout(30):
        first = asyncio.create_task(asking())
        await backend.started.wait()
        second, third = subject.chat(asked()), subject.chat(asked())
        assert isinstance(await anext(second), Queued)
        assert isinstance(await anext(third), Queued)
        assert states() == [(1, 2, 0)] * 2
        await third.aclose()
        assert states() == [(1, 1, 1), (1, 1, 0)]
        gate.set()
        await first
        assert isinstance(await anext(second), Chosen)
        assert states() == [(1, 0, 2), (1, 0, 1)]
        await second.aclose()
    assert states() == [(0, 0, 3), (0, 0, 2)]


def test_a_token_costs_no_look_at_the_clock() -> None:
    looks = 0

    def clock() -> float:
        nonlocal looks
        looks += 1
        return float(looks)

    meter = Meter(clock)
    with meter.request() as request, request.call("m@one") as call:
        call.take(A)
        before = looks
        for _ in range(1000):
            call.take(A)
        assert looks == before
