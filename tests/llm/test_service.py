"""The service over scripted back ends: listing, answering, standing in, stopping."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import pytest

from tests.llm.scripted import HELLO, Script, Scripted, Ticking, asked, said
from workbench.core.llm import (
    BackendBroken,
    ChatRequest,
    Chosen,
    CompletionRequest,
    ContextOverflow,
    Event,
    Health,
    LanguageModel,
    LoadProgress,
    NoModel,
    Queued,
    Token,
)
from workbench.errors import InputError, LinkError
from workbench.llm.backend import Backend
from workbench.llm.service import Service

GONE = LinkError("{backend} cannot be reached", backend="one")


def service(*backends: Scripted, clock: Callable[[], float] | None = None) -> Service:
    return Service(own=backends, clock=clock or Ticking(), memory=lambda: 10**9)


async def heard(
    service: Service, request: ChatRequest, fallbacks: Sequence[str] = ()
) -> list[Event]:
    return [event async for event in service.chat(request, fallbacks=fallbacks)]


def text(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Token))


def chosen(events: Sequence[Event]) -> list[str]:
    return [event.backend for event in events if isinstance(event, Chosen)]


def failing(*steps: Event | Exception | asyncio.Event) -> Callable[[ChatRequest], Script]:
    return lambda request: steps


# listing


async def test_lists_the_models_of_every_back_end() -> None:
    listing = await service(Scripted("one", ["a", "b"]), Scripted("two", ["a"])).models()
    assert [(m.id, m.backend) for m in listing.models] == [("a", "one"), ("b", "one"), ("a", "two")]
    assert [(b.name, b.health.ok, b.breaker) for b in listing.backends] == [
        ("one", True, "closed"),
        ("two", True, "closed"),
    ]
    assert listing.current == "a@one"


async def test_asks_again_only_after_five_minutes_or_at_a_refresh() -> None:
    clock, backend = Ticking(), Scripted()
    subject = service(backend, clock=clock)
    await subject.models()
    clock.now += 299
    assert (await subject.models()).age_s == 299
    assert backend.listings == 1
    clock.now += 2
    await subject.models()
    assert backend.listings == 2
    await subject.models(refresh=True)
    assert backend.listings == 3


async def test_callers_at_the_same_time_share_one_round() -> None:
    backend = Scripted()
    subject = service(backend)
    await asyncio.gather(*(subject.models() for _ in range(20)))
    assert backend.listings == 1


async def test_a_back_end_that_does_not_answer_delays_nobody_beyond_the_bound() -> None:
    slow = Scripted("slow")
    slow.hold_list = asyncio.Event()
    away = Scripted("away", health=Health(ok=False, note="connection refused"))
    subject = Service(own=(slow, away, Scripted("good")), list_bound_s=0.05)
    listing = await asyncio.wait_for(subject.models(), 30)
    assert [(b.name, b.health.ok, b.health.note) for b in listing.backends] == [
        ("slow", False, "it did not answer in time"),
        ("away", False, "connection refused"),
        ("good", True, ""),
    ]
    assert {model.backend for model in listing.models} == {"good"}


async def test_servers_are_found_and_a_known_one_stays_itself() -> None:
    first, again = Scripted("ollama"), Scripted("ollama")
    found = [[first], [again], []]

    async def servers() -> Sequence[Backend]:
        return found.pop(0)

    subject = Service(servers=servers, own=[Scripted("own")])
    await subject.models()
    assert {m.backend for m in (await subject.models(refresh=True)).models} == {"own", "ollama"}
    assert again.closed
    assert not first.closed
    assert {m.backend for m in (await subject.models(refresh=True)).models} == {"own"}
    assert first.closed


async def test_a_search_for_servers_that_fails_loses_none() -> None:
    ollama = Scripted("ollama")
    found: list[Sequence[Backend] | None] = [[ollama], None]

    async def servers() -> Sequence[Backend]:
        result = found.pop(0)
        if result is None:
            await asyncio.Event().wait()
        return result or ()

    subject = Service(servers=servers, list_bound_s=0.05)
    await subject.models()
    assert {m.backend for m in (await subject.models(refresh=True)).models} == {"ollama"}
    assert not ollama.closed


async def test_a_server_found_twice_under_two_names_is_listed_once() -> None:
    named, again = Scripted("gpu box"), Scripted("ollama")
    again.url = named.url

    async def servers() -> Sequence[Backend]:
        return [named, again]

    listing = await Service(servers=servers).models()
    assert [backend.name for backend in listing.backends] == ["gpu box"]
    assert again.closed


async def test_without_any_model_it_says_what_would_help() -> None:
    with pytest.raises(NoModel, match="start a server such as Ollama or LM Studio"):
        await heard(service(), asked(model=""))
    away = Scripted("lmstudio", health=Health(ok=False))
    with pytest.raises(NoModel, match="lmstudio did not answer"):
        await heard(service(away), asked(model=""))


async def test_an_unknown_model_is_looked_for_again_and_then_named_with_those_there() -> None:
    clock, backend = Ticking(), Scripted("one", ["a"])
    subject = service(backend, clock=clock)
    await subject.models()
    clock.now += 10
    backend.known["new"] = LanguageModel(id="new", backend="one")
    backend.loaded.add("new")
    assert text(await heard(subject, asked(model="new"))) == "Hello"
    with pytest.raises(NoModel, match="there is no model 'b'; there are: a, new"):
        await heard(subject, asked(model="b"))


async def test_an_id_may_hold_an_at_sign() -> None:
    backend = Scripted("one", ["qwen@q4", "qwen"])
    subject = service(backend)
    for ref in ("qwen@q4", "qwen@one", "qwen@q4@one"):
        await heard(subject, asked(model=ref))
    assert [request.model for request in backend.requests] == ["qwen@q4", "qwen", "qwen@q4"]


async def test_chooses_the_smallest_that_fits_where_none_is_loaded() -> None:
    models = [
        LanguageModel(id="large", backend="one", size_bytes=4 * 10**9),
        LanguageModel(id="small", backend="one", size_bytes=10**8),
        LanguageModel(id="unknown", backend="one"),
        LanguageModel(id="vectors", backend="one", size_bytes=10**6, embedding=True),
    ]
    backend = Scripted("one", models, loaded=False)
    subject = service(backend)
    assert (await subject.models()).current == "small@one"
    events = await heard(subject, asked(model=""))
    assert backend.loads[0][0] == "small"
    assert [e.done for e in events if isinstance(e, LoadProgress)][-1] == 1.0
    assert text(events) == "Hello"


# answering


async def test_passes_every_event_on_and_says_who_answers() -> None:
    backend = Scripted()
    events = await heard(service(backend), asked())
    assert events == [Chosen(model="m", backend="one"), *HELLO]


async def test_completes_and_embeds() -> None:
    backend = Scripted("one", ["m", LanguageModel(id="v", backend="one", embedding=True)])
    subject = service(backend)
    events = [e async for e in subject.complete(CompletionRequest(model="m", prompt="Once"))]
    assert text(events) == "Hello"
    assert await subject.embed(None, ["ab", "abc"]) == [[2.0], [3.0]]


async def test_an_error_before_the_first_token_fails_over_and_says_why() -> None:
    one, two = Scripted("one", answer=failing(GONE)), Scripted("two")
    events = await heard(service(one, two), asked())
    assert text(events) == "Hello"
    assert [e for e in events if isinstance(e, Chosen)][1] == Chosen(
        model="m", backend="two", template="{backend} cannot be reached", values={"backend": "one"}
    )


async def test_a_back_end_killed_in_mid_answer_is_heard_and_not_tried_again() -> None:
    broken = BackendBroken("{backend} went away", backend="one")
    one = Scripted("one", answer=failing(Token(text="Hel"), broken))
    two = Scripted("two")
    subject = service(one, two)
    events: list[Event] = []
    with pytest.raises(BackendBroken, match="one went away"):
        async for event in subject.chat(asked(), fallbacks=["m@two"]):
            events.append(event)
    assert text(events) == "Hel"
    assert two.requests == []


async def test_a_stream_that_ends_without_its_end_is_broken() -> None:
    with pytest.raises(BackendBroken, match="one ended its answer too early"):
        await heard(service(Scripted(answer=failing(Token(text="Hel")))), asked())


async def test_two_instances_of_which_one_always_fails_answer_300_of_300() -> None:
    bad, good = Scripted("bad", answer=failing(GONE), parallel=4), Scripted("good", parallel=4)
    subject = Service(own=(bad, good))
    answers = await asyncio.gather(*(heard(subject, asked(session=f"{n % 7}")) for n in range(300)))
    assert [text(answer) for answer in answers] == ["Hello"] * 300
    assert good.most_in_flight <= 4
    assert len(bad.requests) < 30, "the breaker keeps the failing one out"


async def test_all_instances_failing_open_their_breakers_and_say_when_to_try_again() -> None:
    clock = Ticking()
    backend = Scripted(answer=failing(GONE))
    subject = service(backend, clock=clock)
    for _ in range(3):
        with pytest.raises(LinkError, match="one cannot be reached"):
            await heard(subject, asked())
    with pytest.raises(LinkError, match=r"one failed several times just now: try again in 2\.0 s"):
        await heard(subject, asked())
    assert len(backend.requests) == 3
    assert subject.backends()[0].breaker == "open"


async def test_half_open_sends_one_probe_and_lets_the_others_wait_for_it() -> None:
    clock, gate = Ticking(), asyncio.Event()
    backend = Scripted(answer=failing(GONE), parallel=4)
    subject = service(backend, clock=clock)
    for _ in range(3):
        with pytest.raises(LinkError):
            await heard(subject, asked())
    clock.now += 3
    backend.started.clear()
    backend.answer = lambda request: (gate, *HELLO)
    callers = [asyncio.create_task(heard(subject, asked())) for _ in range(4)]
    await backend.started.wait()
    assert len(backend.requests) == 4
    assert backend.in_flight == 1
    gate.set()
    assert [text(answer) for answer in await asyncio.gather(*callers)] == ["Hello"] * 4


async def test_a_refresh_that_finds_the_back_end_well_lets_it_be_probed_at_once() -> None:
    backend = Scripted(answer=failing(GONE))
    subject = service(backend)
    for _ in range(3):
        with pytest.raises(LinkError):
            await heard(subject, asked())
    backend.answer = lambda request: HELLO
    await subject.models(refresh=True)
    assert text(await heard(subject, asked())) == "Hello"


async def test_what_a_request_itself_is_to_blame_for_opens_no_breaker() -> None:
    wrong = InputError("temperature is {value}", value=9)
    backend, other = Scripted("one", answer=failing(wrong)), Scripted("two")
    subject = service(backend, other)
    for _ in range(10):
        with pytest.raises(InputError, match="temperature is 9"):
            await heard(subject, asked(model="m@one"), fallbacks=["m@two"])
    assert other.requests == []
    assert {state.breaker for state in subject.backends()} == {"closed"}


async def test_a_fallback_answers_where_the_context_is_too_short() -> None:
    overflow = ContextOverflow("the conversation has {n} tokens", n=9000)
    short = Scripted("one", ["short"], answer=failing(overflow))
    long = Scripted("two", ["long"])
    events = await heard(service(short, long), asked(model="short"), ["missing", "long"])
    assert text(events) == "Hello"
    assert events[1] == Chosen(
        model="long",
        backend="two",
        template="there is no model {model}; there are: {models}",
        values={"model": "'missing'", "models": "long, short"},
    )


async def test_a_model_that_was_unloaded_elsewhere_is_loaded_again() -> None:
    backend = Scripted()
    subject = service(backend)
    await subject.models()
    backend.loaded.clear()
    events = await heard(subject, asked())
    assert text(events) == "Hello"
    assert len(backend.loads) == 1


# stopping


async def test_closing_an_answer_frees_its_slot_at_once() -> None:
    backend = Scripted(answer=failing(Token(text="a"), asyncio.Event()))
    subject = service(backend)
    async with contextlib.aclosing(subject.chat(asked())) as events:
        assert isinstance(await anext(events), Chosen)
        assert await anext(events) == Token(text="a")
        assert subject.backends()[0].in_flight == 1
    assert backend.in_flight == 0
    assert subject.backends()[0].in_flight == 0
    assert subject.backends()[0].breaker == "closed"


async def test_a_cancelled_task_frees_its_slot_for_the_next_in_the_queue() -> None:
    backend = Scripted(answer=failing(asyncio.Event()))
    subject = service(backend)
    first = asyncio.create_task(heard(subject, asked()))
    await backend.started.wait()
    backend.answer = lambda request: HELLO
    second = asyncio.create_task(heard(subject, asked()))
    await asyncio.sleep(0)
    first.cancel()
    events = await asyncio.wait_for(second, 30)
    assert isinstance(events[0], Queued)
    assert text(events) == "Hello"


async def test_closing_while_the_model_loads_stops_the_load() -> None:
    backend = Scripted(loaded=False, load=lambda _: (LoadProgress(done=0.2), asyncio.Event()))
    subject = service(backend)
    async with contextlib.aclosing(subject.chat(asked())) as events:
        await anext(events)
        assert await anext(events) == LoadProgress(done=0.2)
    assert backend.loading == 0
    assert subject.backends()[0].in_flight == 0


# loading and unloading


async def test_a_load_makes_the_model_current_and_unload_takes_it_back() -> None:
    backend = Scripted("one", ["a", "b"], loaded=False)
    subject = service(backend)
    assert [step.done async for step in subject.load("b")][-1] == 1.0
    assert subject.current == "b@one"
    assert (await subject.models()).current == "b@one"
    assert await subject.is_running("b")
    await subject.unload("b")
    assert subject.current is None
    assert not await subject.is_running("b")


async def test_a_hundred_loads_at_a_time_are_one() -> None:
    gate = asyncio.Event()
    backend = Scripted(loaded=False, load=lambda _: (gate, LoadProgress(done=1.0)))
    subject = service(backend)

    async def load() -> None:
        async for _ in subject.load("m"):
            pass

    callers = [asyncio.create_task(load()) for _ in range(100)]
    await backend.started.wait()
    gate.set()
    await asyncio.gather(*callers)
    assert len(backend.loads) == 1


async def test_close_gives_every_back_end_back() -> None:
    backends = Scripted("one"), Scripted("two")
    subject = service(*backends)
    await subject.models()
    await subject.close()
    assert [backend.closed for backend in backends] == [True, True]


async def test_counts_exactly_only_by_a_loaded_model() -> None:
    subject = service(Scripted("one", ["m"]), Scripted("two", ["cold"], loaded=False))
    exact = await subject.count("m", "one two")
    assert (exact.tokens, exact.exact) == (3, True)
    assert not (await subject.count("cold", "one two")).exact
    assert not (await service().count(None, "one two")).exact


async def test_learns_from_answers_how_many_characters_a_token_has() -> None:
    backend = Scripted(tokenizer=None, answer=lambda request: said("abcd" * 100 + " "))
    subject = service(backend)
    before = (await subject.count("m", "x" * 400)).tokens
    await heard(subject, asked())
    assert before == 100
    after = await subject.count("m", "x" * 400)
    assert after.tokens == 101
    assert not after.exact
