"""Who gets which instance, who waits, and in which order."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.llm.scripted import Scripted, Ticking
from workbench.core.llm import Busy, LanguageModel, Queued
from workbench.errors import LinkError
from workbench.llm.breaker import Outcome
from workbench.llm.router import Instance, Lease, Router


def instance(name: str, *, parallel: int = 1, loaded: bool = True) -> Instance:
    model = LanguageModel(id="m", backend=name, loaded=loaded)
    return Instance(Scripted(name, parallel=parallel), model)


def waiting(
    router: Router, instances: Sequence[Instance], session: str = ""
) -> AsyncGenerator[Queued | Lease]:
    return router.take(router.place(session), instances)


async def taken(router: Router, instances: Sequence[Instance], session: str = "") -> Lease:
    async for turn in waiting(router, instances, session):
        if isinstance(turn, Lease):
            return turn
    raise AssertionError("the last item is the lease")


async def fail(router: Router, one: Instance, times: int = 3) -> None:
    for _ in range(times):
        (await taken(router, [one])).end("faulty")


async def test_takes_the_least_busy_with_regard_to_its_slots() -> None:
    router, large, small = Router(), instance("large", parallel=6), instance("small", parallel=2)
    names = [(await taken(router, [large, small])).instance.name for _ in range(8)]
    assert Counter(names) == {"large": 6, "small": 2}
    assert names[:4] == ["large", "small", "large", "large"]


async def test_equally_free_ones_take_turns() -> None:
    router, both = Router(), [instance("one"), instance("two")]
    names = []
    for _ in range(4):
        lease = await taken(router, both)
        names.append(lease.instance.name)
        lease.end("good")
    assert names == ["one", "two", "one", "two"]


async def test_a_session_goes_back_to_the_instance_that_served_it() -> None:
    router, both = Router(), [instance("one", parallel=4), instance("two", parallel=4)]
    first = await taken(router, both, "mine")
    first.end("good")
    for _ in range(3):
        (await taken(router, both, "other")).end("good")
        again = await taken(router, both, "mine")
        again.end("good")
        assert again.instance.name == first.instance.name


async def test_a_session_leaves_an_instance_that_is_much_busier_or_full_or_broken() -> None:
    router, one, two = Router(), instance("one", parallel=4), instance("two", parallel=4)
    (await taken(router, [one], "mine")).end("good")
    held = [await taken(router, [one]) for _ in range(2)]
    kept = await taken(router, [one, two], "mine")
    kept.end("good")
    assert kept.instance.name == "one"
    held.append(await taken(router, [one]))
    moved = await taken(router, [one, two], "mine")
    moved.end("good")
    assert moved.instance.name == "two"
    await fail(router, two)
    assert (await taken(router, [one, two], "mine")).instance.name == "one"
    assert len(held) == 3


async def test_a_second_copy_is_loaded_only_where_the_loaded_one_is_broken() -> None:
    clock = Ticking()
    router, cold, warm = Router(clock=clock), instance("cold", loaded=False), instance("warm")
    held = await taken(router, [cold, warm])
    assert held.instance.name == "warm"
    async with contextlib.aclosing(waiting(router, [cold, warm])) as turns:
        assert await anext(turns) == Queued(position=1)
    held.end("good")
    await fail(router, warm)
    assert (await taken(router, [cold, warm])).instance.name == "cold"


async def test_who_waits_hears_each_change_of_position() -> None:
    router, only = Router(), [instance("one")]
    first = await taken(router, only)
    one, two = waiting(router, only), waiting(router, only)
    assert await anext(one) == Queued(position=1)
    assert await anext(two) == Queued(position=2)
    first.end("good")
    second = await anext(one)
    assert isinstance(second, Lease)
    assert await anext(two) == Queued(position=1)
    second.end("good")
    assert isinstance(await anext(two), Lease)


async def test_a_request_for_a_free_back_end_does_not_wait_behind_one_for_a_full_one() -> None:
    router, one, two = Router(), instance("one"), instance("two")
    await taken(router, [one])
    blocked = waiting(router, [one])
    assert await anext(blocked) == Queued(position=1)
    assert (await taken(router, [two])).instance.name == "two"
    await blocked.aclose()


async def test_a_batch_of_one_session_does_not_starve_another() -> None:
    router, only = Router(), [instance("one")]
    lease = await taken(router, only)
    served: list[str] = []

    async def ask(session: str) -> None:
        held = await taken(router, only, session)
        served.append(session)
        await asyncio.sleep(0)
        held.end("good")

    batch = [asyncio.create_task(ask("batch")) for _ in range(20)]
    await asyncio.sleep(0)
    chat = [asyncio.create_task(ask("chat")) for _ in range(3)]
    await asyncio.sleep(0)
    lease.end("good")
    await asyncio.gather(*batch, *chat)
    assert served.index("chat") <= 1
    assert [n for n, who in enumerate(served) if who == "chat"][-1] <= 6
    assert Counter(served) == {"batch": 20, "chat": 3}


async def test_a_full_queue_refuses_with_its_length() -> None:
    router, only = Router(queue_limit=2), [instance("one")]
    await taken(router, only)
    waiters = [waiting(router, only) for _ in range(2)]
    for waiter in waiters:
        await anext(waiter)
    with pytest.raises(Busy, match="2 requests wait for an answer already"):
        await taken(router, only)
    await waiters[0].aclose()
    third = waiting(router, only)
    assert await anext(third) == Queued(position=2)


async def test_a_waiter_who_leaves_makes_room_for_those_behind() -> None:
    router, only = Router(), [instance("one")]
    first = await taken(router, only)
    one, two = waiting(router, only), waiting(router, only)
    await anext(one)
    await anext(two)
    await one.aclose()
    assert await anext(two) == Queued(position=1)
    first.end("good")
    assert isinstance(await anext(two), Lease)


async def test_a_slot_granted_to_one_who_left_meanwhile_goes_to_the_next() -> None:
    router, only = Router(), [instance("one")]
    first = await taken(router, only)
    one, two = waiting(router, only), waiting(router, only)
    await anext(one)
    await anext(two)
    first.end("good")  # granted to the first in the queue, who does not look any more
    await one.aclose()
    assert isinstance(await anext(two), Lease)


async def test_those_who_wait_hear_when_their_only_back_end_breaks() -> None:
    router, only = Router(clock=Ticking()), instance("one", parallel=3)
    held = [await taken(router, [only]) for _ in range(3)]
    queued = asyncio.create_task(taken(router, [only]))
    await asyncio.sleep(0)
    for lease in held:
        lease.end("faulty")
        await asyncio.sleep(0)
    outcome = await asyncio.wait_for(asyncio.gather(queued, return_exceptions=True), 5)
    # It may have got the slot of the first that failed, before the third opened the breaker.
    assert isinstance(outcome[0], Lease | LinkError)
    with pytest.raises(LinkError, match="one failed several times just now"):
        await taken(router, [only])


async def test_who_waits_for_a_full_one_gets_the_other_when_its_pause_is_over() -> None:
    router, full, broken = Router(), instance("full"), instance("broken")
    router.seat("broken").breaker = type(router.seat("broken").breaker)(pause_s=0.05)
    await taken(router, [full])
    await fail(router, broken)
    lease = await asyncio.wait_for(taken(router, [full, broken]), 5)
    assert lease.instance.name == "broken"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "end", "leave", "wait"]),
        st.integers(0, 9),
        st.sampled_from(["", "a", "b", "c"]),
        st.sampled_from(["good", "neutral", "faulty"]),
        st.sampled_from([(0,), (1,), (0, 1)]),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, parallel=st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_no_slot_is_lost_or_given_twice_in_any_order_of_events(
    steps: list[tuple[str, int, str, Outcome, tuple[int, ...]]], parallel: tuple[int, int]
) -> None:
    asyncio.run(_any_order(steps, parallel))


async def _any_order(
    steps: list[tuple[str, int, str, Outcome, tuple[int, ...]]], parallel: tuple[int, int]
) -> None:
    clock = Ticking()
    router = Router(clock=clock)
    both = [instance("one", parallel=parallel[0]), instance("two", parallel=parallel[1])]
    tasks: list[asyncio.Task[Lease]] = []

    def held() -> list[Lease]:
        return [
            task.result()
            for task in tasks
            if task.done() and not task.cancelled() and task.exception() is None
        ]

    ended: list[Lease] = []
    for step, index, session, outcome, which in steps:
        live = [lease for lease in held() if lease not in ended]
        if step == "take":
            chosen = [both[i] for i in which]
            tasks.append(asyncio.create_task(taken(router, chosen, session)))
        elif step == "end" and live:
            lease = live[index % len(live)]
            ended.append(lease)
            lease.end(outcome)
            lease.end(outcome)
        elif step == "leave" and tasks:
            tasks[index % len(tasks)].cancel()
        elif step == "wait":
            clock.now += index
        for _ in range(4):
            await asyncio.sleep(0)
        live = [lease for lease in held() if lease not in ended]
        for one, slots in zip(both, parallel, strict=True):
            mine = [lease for lease in live if lease.instance.name == one.name]
            assert len(mine) == router.seat(one.name).in_flight <= slots
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for lease in held():
        lease.end("neutral")
    assert [router.seat(one.name).in_flight for one in both] == [0, 0]
