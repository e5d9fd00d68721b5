"""The ledger at work: leases are waited for, cancelled, given back, and never lent twice."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.collectors.fake_nvml import World
from workbench.collectors.gpu import Gpus
from workbench.core.gpu import Gpu, GpuReading, Owner
from workbench.core.ledger_nouns import Claim, Lease, NoRoom
from workbench.core.sentence import Sentence
from workbench.hub.ledger import Ledger

pytestmark = pytest.mark.timeout(30)

SELDOM_S = 60.0
"""Between looks, where a test wants to see that something else made the ledger look."""


def claim(name: str, memory_mb: float = 6000, **more: Any) -> Claim:
    return Claim(claim_id=f"model:{name}", kind="model", name=name, memory_mb=memory_mb, **more)


class Machine:
    """One GPU of 10 GB, as its driver tells of it."""

    def __init__(self) -> None:
        self.used_mb, self.reads, self.fails = 0.0, 0, False
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = asyncio.Event()

    async def read(self) -> GpuReading:
        self.reads += 1
        self.asked.set()
        await self.answers.wait()
        if self.fails:
            raise OSError("the bus is gone")
        card = Gpu(
            gpu_id="0",
            uuid="GPU-0",
            vendor="nvidia",
            memory_total_mb=10_000,
            memory_used_mb=self.used_mb,
        )
        return GpuReading(gpus=(card,))


class Said:
    """What a waiting one is told, one sentence after the other."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[str] = asyncio.Queue()

    def __call__(self, reason: Sentence) -> None:
        self._heard.put_nowait(str(reason))

    @property
    def silent(self) -> bool:
        return self._heard.empty()

    async def next(self) -> str:
        async with asyncio.timeout(30):
            return await self._heard.get()


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
async def ledger(machine: Machine) -> AsyncIterator[Ledger]:
    made = Ledger(machine.read, dict, look_s=SELDOM_S)
    yield made
    await made.close()


async def soon(asking: asyncio.Task[Lease]) -> Lease:
    return await asyncio.wait_for(asking, 30)


async def turns(count: int = 5) -> None:
    """Let everybody act who can act at once."""
    for _ in range(count):
        await asyncio.sleep(0)


def ask(ledger: Ledger, wanted: Claim, said: Said | None = None) -> asyncio.Task[Lease]:
    return asyncio.create_task(ledger.acquire(wanted, said or Said()))


# Getting and giving back


async def test_a_lease_is_granted_and_the_journal_hears_of_both_its_ends(ledger: Ledger) -> None:
    granted: list[Lease] = []
    given_back: list[Lease] = []
    ledger.granted(granted.append)
    ledger.given_back(given_back.append)
    lease = await soon(ask(ledger, claim("a")))
    assert (lease.gpu_id, lease.uuid, granted, given_back) == ("0", "GPU-0", [lease], [])
    ledger.release("model:a")
    ledger.release("model:a")
    assert given_back == [lease]
    assert ledger.view().holdings == ()


async def test_who_waits_hears_why_and_gets_what_comes_back(ledger: Ledger) -> None:
    said = Said()
    await soon(ask(ledger, claim("a")))
    waiting = ask(ledger, claim("b"), said)
    assert await said.next() == "waiting for GPU 0: 4 GB free, needs 6; held by a"
    assert [each.name for each in ledger.view().waiting] == ["b"]
    ledger.release("model:a")
    assert (await soon(waiting)).claim == claim("b")


async def test_what_can_never_be_is_refused_with_the_sentence(ledger: Ledger) -> None:
    with pytest.raises(NoRoom) as refused:
        await soon(ask(ledger, claim("large", 12_000)))
    assert refused.value.code == "no-room"
    assert str(refused.value) == (
        "large needs 12 GB of GPU memory, and the largest GPU that it may use, 0, has 10: "
        "let it need less, or run it on a larger one"
    )


async def test_a_claim_that_is_held_or_waits_is_not_asked_for_again(ledger: Ledger) -> None:
    said = Said()
    await soon(ask(ledger, claim("a")))
    waiting = ask(ledger, claim("b"), said)
    await said.next()
    for name in ("a", "b"):
        with pytest.raises(NoRoom, match=f"{name} has asked for GPU memory under model:{name} al"):
            await soon(ask(ledger, claim(name)))
    assert [each.name for each in ledger.view().holdings] == ["a"]
    ledger.release("model:a")
    await soon(waiting)


async def test_to_give_back_what_one_waits_for_changes_nothing(ledger: Ledger) -> None:
    said = Said()
    await soon(ask(ledger, claim("a")))
    waiting = ask(ledger, claim("b"), said)
    await said.next()
    ledger.release("model:b")
    ledger.release("model:a")
    await soon(waiting)


async def test_a_touch_is_a_sign_of_life(machine: Machine) -> None:
    now = [100.0]
    ledger = Ledger(machine.read, dict, clock=lambda: now[0])
    await soon(ask(ledger, claim("a")))
    now[0] = 160.0
    assert [each.idle_s for each in ledger.view().holdings] == [60]
    ledger.touch("model:a")
    assert [(each.idle_s, each.held_s) for each in ledger.view().holdings] == [(0, 60)]
    await ledger.close()


async def test_a_page_hears_of_each_change(ledger: Ledger) -> None:
    seen: list[tuple[int, int]] = []
    said = Said()

    def look() -> None:
        view = ledger.view()
        seen.append((len(view.holdings), len(view.waiting)))

    ledger.watch(look)
    await soon(ask(ledger, claim("a")))
    waiting = ask(ledger, claim("b"), said)
    await said.next()
    ledger.release("model:a")
    await soon(waiting)
    assert seen == [(1, 0), (1, 1), (0, 1), (1, 0)]


async def test_with_a_cluster_a_task_does_not_get_the_gpu_of_the_hub(machine: Machine) -> None:
    ledger = Ledger(machine.read, dict, tasks_elsewhere=True)
    wanted = Claim(claim_id="t.1", kind="task", name="t", memory_mb=100)
    with pytest.raises(NoRoom, match="no GPU is here, and t needs"):
        await soon(ask(ledger, wanted))
    await ledger.close()


# Readings


async def test_no_claim_is_decided_by_a_reading_that_is_older_than_itself(
    machine: Machine, ledger: Ledger
) -> None:
    machine.answers.clear()
    first, said = ask(ledger, claim("first", 1000)), Said()
    await machine.asked.wait()
    second = ask(ledger, claim("second", 9000), said)
    await turns()
    machine.answers.set()
    await soon(first)
    machine.used_mb = 5000
    assert await said.next() == "waiting for GPU 0: 5 GB free, needs 9; held by first"
    assert machine.reads == 2
    second.cancel()


async def test_nothing_is_read_while_nobody_waits(machine: Machine) -> None:
    ledger = Ledger(machine.read, dict, look_s=0.001)
    await soon(ask(ledger, claim("a")))
    reads = machine.reads
    ledger.release("model:a")
    await asyncio.sleep(0.02)
    assert machine.reads == reads == 1
    await ledger.close()


async def test_while_somebody_waits_it_looks_again_and_again(machine: Machine) -> None:
    ledger, said = Ledger(machine.read, dict, look_s=0.01), Said()
    machine.used_mb = 9000
    waiting = ask(ledger, claim("a"), said)
    assert await said.next() == "waiting for GPU 0: 1 GB free, needs 6; other programs use the rest"
    machine.used_mb = 8000
    assert await said.next() == "waiting for GPU 0: 2 GB free, needs 6; other programs use the rest"
    machine.used_mb = 0
    await soon(waiting)
    await ledger.close()


async def test_a_sample_that_was_taken_anyway_is_as_good_as_a_look(
    machine: Machine, ledger: Ledger
) -> None:
    said = Said()
    machine.used_mb = 9000
    waiting = ask(ledger, claim("a"), said)
    await said.next()
    await turns(20)
    machine.used_mb = 0
    ledger.took(await machine.read())
    await soon(waiting)
    assert machine.reads == 2


async def test_a_reading_that_fails_is_said_and_tried_again(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    ledger, said = Ledger(machine.read, dict, look_s=0.01), Said()
    machine.fails = True
    with caplog.at_level(logging.ERROR):
        waiting = ask(ledger, claim("a"), said)
        sentence = "waiting for a GPU: none could be read; it is tried again every 0.01 s"
        assert await said.next() == await said.next() == sentence
    machine.fails = False
    await soon(waiting)
    assert "ledger.unread" in caplog.text
    await ledger.close()


async def test_a_driver_that_hangs_is_said_and_not_asked_twice(machine: Machine) -> None:
    ledger, said = Ledger(machine.read, dict, look_s=0.01), Said()
    machine.answers.clear()
    waiting = ask(ledger, claim("a"), said)
    assert await said.next() == "waiting for a GPU: the driver has not answered for 0.01 s"
    other = ask(ledger, claim("b", 1000))
    await asyncio.sleep(0.05)
    assert machine.reads == 1
    machine.answers.set()
    await soon(waiting)
    await soon(other)
    await ledger.close()


async def test_who_does_not_wait_is_refused_by_a_driver_that_hangs_or_cannot_be_read(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(machine.read, dict, look_s=0.01)
    machine.answers.clear()
    with pytest.raises(NoRoom, match="the driver has not answered"):
        await soon(ask(ledger, claim("a", waits=False)))
    machine.fails = True
    machine.answers.set()
    with caplog.at_level(logging.ERROR), pytest.raises(NoRoom, match="none could be read"):
        await soon(ask(ledger, claim("b", waits=False)))
    assert ledger.view().waiting == ()
    await ledger.close()


async def test_a_hearer_that_fails_keeps_nobody_from_the_memory(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Lease] = []

    def broken(*news: object) -> None:
        raise RuntimeError("the journal is full")

    ledger.watch(broken)
    ledger.granted(broken)
    ledger.granted(heard.append)
    await soon(ask(ledger, claim("a")))
    waiting = asyncio.create_task(ledger.acquire(claim("b"), broken))
    await turns()
    ledger.release("model:a")
    await soon(waiting)
    assert [lease.claim.name for lease in heard] == ["a", "b"]
    assert "the journal is full" in caplog.text


# Leaving early


async def test_who_is_cancelled_leaves_the_line(ledger: Ledger) -> None:
    said, other = Said(), Said()
    await soon(ask(ledger, claim("a", 5000)))
    large = ask(ledger, claim("large", 9000), said)
    await said.next()
    small = ask(ledger, claim("small", 1000), other)
    assert await other.next() == "waiting for GPU 0: large asked for it before and needs 9 GB"
    large.cancel()
    await soon(small)
    assert large.cancelled()
    assert ledger.view().waiting == ()


async def test_who_is_cancelled_before_it_was_heard_never_asked(
    machine: Machine, ledger: Ledger
) -> None:
    machine.answers.clear()
    gone, stays = ask(ledger, claim("gone")), ask(ledger, claim("stays"))
    await machine.asked.wait()
    gone.cancel()
    await turns()
    again = ask(ledger, claim("gone", 1000))
    machine.answers.set()
    assert (await soon(stays)).claim.name == "stays"
    assert (await soon(again)).claim.memory_mb == 1000


@pytest.mark.parametrize("moment", ["before it is told", "before it wakes"])
async def test_a_lease_that_was_just_granted_is_given_back(ledger: Ledger, moment: str) -> None:
    ends: list[str] = []
    ledger.given_back(lambda lease: ends.append(lease.claim.name))
    asking = ask(ledger, claim("a"))

    def cancel(*news: object) -> None:
        asking.cancel()

    if moment == "before it is told":
        ledger.granted(cancel)
    else:
        ledger.watch(cancel)
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert ends == ["a"]
    assert ledger.view().holdings == ()


async def test_to_be_cancelled_when_refused_leaves_no_trace(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    gc.collect()
    caplog.clear()  # what other tests dropped
    asking = [ask(ledger, claim("large", 12_000))]
    ledger.watch(lambda: [task.cancel() for task in asking].clear())
    await asyncio.wait(asking, timeout=30)
    assert asking.pop().cancelled()
    gc.collect()  # asyncio complains when it drops an error that nobody looked at
    assert caplog.text == ""


async def test_a_hub_that_closes_refuses_who_waits_and_takes_back_what_is_held(
    ledger: Ledger,
) -> None:
    said = Said()
    await soon(ask(ledger, claim("a")))
    waiting = ask(ledger, claim("b"), said)
    cancelled = ask(ledger, claim("c"))
    await said.next()
    cancelled.cancel()
    await ledger.close()
    sentence = "the hub is shutting down: ask for GPU memory again when it is back"
    for late in (waiting, ask(ledger, claim("d"))):
        with pytest.raises(NoRoom) as refused:
            await soon(late)
        assert str(refused.value) == sentence
    ledger.release("model:a")
    assert ledger.view().holdings == ()


async def test_a_hub_that_never_lent_anything_closes_too(machine: Machine) -> None:
    ledger, changes = Ledger(machine.read, dict), list[str]()
    ledger.watch(lambda: changes.append("changed"))
    ledger.took(await machine.read())
    await ledger.close()
    assert changes == []
    assert [room.free_mb for room in ledger.view().rooms] == [10_000]


async def test_who_has_left_is_told_nothing(machine: Machine, ledger: Ledger) -> None:
    said, others = Said(), Said()
    machine.answers.clear()
    machine.fails = True
    gone, stays = ask(ledger, claim("gone"), said), ask(ledger, claim("stays"), others)
    await machine.asked.wait()
    gone.cancel()
    machine.answers.set()
    await others.next()
    assert said.silent
    stays.cancel()


async def test_a_hub_can_close_while_its_driver_hangs(machine: Machine) -> None:
    ledger = Ledger(machine.read, dict)
    machine.answers.clear()
    waiting = ask(ledger, claim("a"))
    await machine.asked.wait()
    await ledger.close()
    with pytest.raises(NoRoom):
        await soon(waiting)


# The race


TOTAL_MB, DRIVER_MB = 10_000.0, 500.0


class Card:
    """The GPU of the race: what the driver tells, and what its memory really holds."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.loaded: dict[int, float] = {}
        self.owners: dict[tuple[str, int], Owner] = {}
        self.tell()

    def tell(self) -> None:
        used = DRIVER_MB + sum(self.loaded.values())
        assert used <= TOTAL_MB, f"out of memory: {self.loaded}"
        self.world.gpu(
            0,
            memory_total_mb=TOTAL_MB,
            memory_used_mb=used,
            processes=list(self.loaded.items()),
        )

    def start(self, pid: int, lease: Lease) -> None:
        """A process begins, and is known for whose it is only a moment after."""
        self.loaded[pid] = lease.claim.memory_mb
        self.tell()

    def know(self, pid: int, lease: Lease) -> None:
        name = lease.claim.name
        self.owners["", pid] = Owner(kind="model", name=name, claim_id=lease.claim.claim_id)

    def end(self, pid: int) -> None:
        self.loaded.pop(pid)
        self.owners.pop(("", pid), None)
        self.tell()


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    world = World(tmp_path)
    with world.loaded():
        yield Card(world)


async def client(ledger: Ledger, card: Card, wanted: Claim, pid: int, chance: random.Random) -> str:
    """Ask, load, work, end, give back; cancelled at any point it leaves nothing behind."""
    try:
        lease = await ledger.acquire(wanted)
    except asyncio.CancelledError:
        return "cancelled"
    try:
        await turns(chance.randrange(3))
        card.start(pid, lease)
        await turns(chance.randrange(3))
        card.know(pid, lease)
        await asyncio.sleep(chance.uniform(0, 0.004))
        return "served"
    except asyncio.CancelledError:
        return "stopped"
    finally:
        if pid in card.loaded:
            card.end(pid)
        ledger.release(wanted.claim_id)


async def one_trial(ledger: Ledger, card: Card, trial: int, chance: random.Random) -> list[str]:
    """Two clients at nearly the same moment; in some trials one of them is cancelled."""
    clients = []
    for number in (1, 2):
        wanted = claim(f"m{trial}-{number}", chance.choice([2000, 4000, 6000, 9000]))
        clients.append(asyncio.create_task(client(ledger, card, wanted, 40_000 + number, chance)))
        await turns(chance.randrange(4))
    if chance.random() < 0.4:
        await asyncio.sleep(chance.uniform(0, 0.006))
        chance.choice(clients).cancel()
    return await asyncio.wait_for(asyncio.gather(*clients), 60)


async def test_two_clients_race_for_one_gpu_two_hundred_times(card: Card) -> None:
    chance, gpus, ends = random.Random(4), Gpus(), list[str]()
    ledger = Ledger(lambda: asyncio.to_thread(gpus.read), lambda: dict(card.owners))
    leased: list[tuple[float, ...]] = []
    waited: list[str] = []

    def look() -> None:
        view = ledger.view()
        leased.append(tuple(each.memory_mb for each in view.holdings))
        waited.extend(str(each.reason) for each in view.waiting)

    ledger.watch(look)
    for trial in range(200):
        ends += await one_trial(ledger, card, trial, chance)
        view = ledger.view()
        assert (view.holdings, view.waiting, card.loaded) == ((), (), {})
    await ledger.close()
    gpus.close()
    assert max(map(sum, leased)) + DRIVER_MB <= TOTAL_MB, "lent more than is there"
    assert {len(each) for each in leased} == {0, 1, 2}, "where both fit, both are served at once"
    assert len(ends) == 400
    assert ends.count("served") > 300
    assert min(ends.count("cancelled"), ends.count("stopped"), len(waited)) > 5, "no race"
