"""The GpuLedger lends what is there, to those who asked first, and says why somebody waits."""

from __future__ import annotations

import math
from typing import Any

import pytest

from workbench.core.gpu import Gpu, GpuProcess, GpuReading, Owner
from workbench.core.gpu_ledger import Decision, GpuLedger, Granted, Refused, Waits
from workbench.core.ledger_nouns import Claim, Lease

HUB = 1
"""The pid that is an ancestor of everything the hub started."""


def gpu(
    gpu_id: str = "0", *, used: float | None = 0, total: float | None = 24_000, **more: Any
) -> Gpu:
    whole: dict[str, Any] = {"vendor": "nvidia", "uuid": f"GPU-{gpu_id}", "processes": ()}
    return Gpu(gpu_id=gpu_id, memory_used_mb=used, memory_total_mb=total, **whole | more)


def claim(name: str, memory_mb: float = 6000, **more: Any) -> Claim:
    return Claim(claim_id=f"model:{name}", kind="model", name=name, memory_mb=memory_mb, **more)


def task(name: str, memory_mb: float = 6000, **more: Any) -> Claim:
    return Claim(claim_id=f"{name}.1", kind="task", name=name, memory_mb=memory_mb, **more)


def process(pid: int, memory_mb: float | None, *ancestors: int) -> GpuProcess:
    return GpuProcess(pid=pid, memory_mb=memory_mb, ancestors=ancestors or (HUB,))


def hidden(pid: int, memory_mb: float) -> GpuProcess:
    """One that the driver lists and that cannot be seen from inside our container."""
    return GpuProcess(pid=pid, memory_mb=memory_mb)


class Desk:
    """A ledger and the GPUs as they were read last."""

    def __init__(self, *gpus: Gpu, **kind: Any) -> None:
        self.ledger, self.now = GpuLedger(**kind), 0.0
        self.owners: dict[tuple[str, int], Owner] = {}
        self.look(*gpus)

    def look(self, *gpus: Gpu, after: float = 0.0) -> list[str]:
        self.now += after
        return list(map(said, self.ledger.readings(GpuReading(gpus=gpus), self.owners, self.now)))

    def ask(self, wanted: Claim, after: float = 0.0) -> str:
        """What is said to it, in words."""
        self.now += after
        (decision,) = self.ledger.ask(wanted, self.now)
        return said(decision)

    def own(self, pid: int, wanted: Claim, node: str = "") -> None:
        """A process of it is there."""
        kind = wanted.kind
        self.owners[node, pid] = Owner(kind=kind, name=wanted.name, claim_id=wanted.claim_id)

    def free(self) -> dict[str, float | None]:
        return {room.gpu_id: room.free_mb for room in self.ledger.view(self.now).rooms}

    def line(self) -> list[tuple[str, str]]:
        waiting = self.ledger.view(self.now).waiting
        return [(each.name, str(each.reason)) for each in waiting]


def said(decision: Decision) -> str:
    if isinstance(decision, Granted):
        return f"{decision.lease.claim.name} on {decision.lease.gpu_id}"
    return str(decision.reason if isinstance(decision, Waits) else decision.sentence)


# Lending


def test_a_lease_names_its_gpu_and_what_it_needs_to_use_it() -> None:
    desk = Desk(gpu(vendor="amd"))
    (granted,) = desk.ledger.ask(claim("qwen3"), 5.0)
    assert isinstance(granted, Granted)
    assert granted.lease == Lease(
        claim=claim("qwen3"),
        gpu_id="0",
        uuid="GPU-0",
        vendor="amd",
        granted_at=5.0,
        used_at=5.0,
    )
    assert desk.ledger.holds("model:qwen3")
    assert not desk.ledger.holds("model:other")


def test_what_is_lent_is_not_lent_twice() -> None:
    desk = Desk(gpu(total=10_000))
    assert desk.ask(claim("a")) == "a on 0"
    assert desk.ask(claim("b")).startswith("waiting for GPU 0: 4 GB free, needs 6;")
    assert desk.look(gpu(total=10_000)) == []


def test_a_claim_may_fill_a_gpu_to_the_last_megabyte() -> None:
    desk = Desk(gpu(total=10_000, used=500))
    assert desk.ask(claim("a", 9501)).startswith("waiting")
    assert desk.ask(task("b", 9500, gpu="0")).startswith("waiting")
    desk.ledger.release("model:a")
    assert desk.look(gpu(total=10_000, used=500)) == ["b on 0"]


def test_the_smallest_room_that_fits_is_taken() -> None:
    desk = Desk(gpu("0", total=80_000), gpu("1", total=24_000), gpu("2", total=8_000))
    assert [desk.ask(task(name)) for name in "abc"] == ["a on 2", "b on 1", "c on 1"]
    assert desk.ask(task("large", 60_000)) == "large on 0"


def test_a_claim_may_ask_for_one_gpu() -> None:
    desk = Desk(gpu("0"), gpu("1"))
    assert desk.ask(task("a", 1000, gpu="1")) == "a on 1"
    assert desk.ask(task("b", 20_000, gpu="1")) == "b on 1"
    assert desk.ask(task("c", 20_000, gpu="1")).startswith("waiting for GPU 1: 3 GB free")


def test_a_claim_that_does_not_wait_gets_what_is_free_or_leaves_the_line() -> None:
    desk = Desk(gpu(total=10_000))
    assert desk.ask(task("a", 2000, waits=False)) == "a on 0"
    assert desk.ask(task("b", 9000)).startswith("waiting")
    (decision,) = desk.ledger.ask(task("c", 1000, waits=False), desk.now)
    assert isinstance(decision, Refused)
    assert said(decision) == "waiting for GPU 0: b asked for it before and needs 9 GB"
    assert [name for name, _ in desk.line()] == ["b"]


def test_memory_comes_back_once_a_reading_shows_it() -> None:
    desk = Desk(gpu(total=10_000))
    a, b = claim("a"), claim("b")
    desk.ask(a)
    desk.own(7, a)
    desk.look(gpu(total=10_000, used=6000, processes=(process(7, 6000),)))
    desk.ask(b)
    assert (desk.ledger.release("model:a") or pytest.fail()).claim == a
    assert desk.look(gpu(total=10_000, used=6000, processes=(process(7, 6000),))) == [
        "waiting for GPU 0: 4 GB free, needs 6; other programs use the rest"
    ]
    assert desk.look(gpu(total=10_000, used=300)) == ["b on 0"]


def test_a_process_that_outlives_its_lease_counts_as_long_as_it_is_there() -> None:
    desk, a = Desk(gpu(total=10_000)), claim("a")
    desk.ask(a)
    desk.own(7, a)
    desk.ask(claim("b", 3000))
    desk.look(gpu(total=10_000, used=6000, processes=(process(7, 6000),)))
    desk.ledger.release("model:a")
    assert desk.free() == {"0": 1000}
    desk.look(gpu(total=10_000))
    assert desk.free() == {"0": 7000}


def test_what_was_given_back_unused_is_shown_as_free_at_once() -> None:
    desk = Desk(gpu(total=10_000))
    desk.ask(claim("a"))
    assert desk.free() == {"0": 4000}
    desk.ledger.release("model:a")
    assert desk.free() == {"0": 10_000}


def test_giving_back_what_is_not_held_changes_nothing() -> None:
    desk = Desk(gpu())
    assert desk.ledger.release("model:a") is None
    desk.ledger.touch("model:a", 1.0)
    assert desk.ledger.view(0.0).holdings == ()


def test_who_leaves_the_line_makes_way() -> None:
    desk = Desk(gpu(total=10_000))
    desk.ask(claim("a", 8000))
    assert desk.ask(task("b", 9000)).startswith("waiting")
    assert desk.ask(task("c", 1000)).startswith("waiting")
    assert desk.ledger.release("b.1") is None
    assert desk.look(gpu(total=10_000)) == ["c on 0"]


# What others use


def test_the_use_of_others_counts() -> None:
    desk = Desk(gpu(total=10_000, used=5000, processes=(process(99, 4800, 1),)))
    assert desk.free() == {"0": 5000}
    assert desk.ask(claim("a")) == (
        "waiting for GPU 0: 5 GB free, needs 6; other programs use the rest"
    )
    assert desk.look(gpu(total=10_000, used=300)) == ["a on 0"]


def test_who_uses_more_than_it_asked_for_counts_with_what_it_uses() -> None:
    desk, a = Desk(gpu(total=10_000)), claim("a", 3000)
    desk.ask(a)
    desk.own(7, a)
    desk.look(gpu(total=10_000, used=2200, processes=(process(7, 2000),)))
    assert desk.free() == {"0": 6800}
    desk.look(gpu(total=10_000, used=5200, processes=(process(7, 2000), process(8, 3000, 7, 1))))
    assert desk.free() == {"0": 4800}


def test_others_that_come_after_a_lease_count_beside_it() -> None:
    desk, a = Desk(gpu(total=10_000)), claim("a", 3000)
    desk.ask(a)
    desk.look(gpu(total=10_000, used=4000, processes=(process(99, 4000, 1),)))
    assert desk.free() == {"0": 3000}
    desk.owners["", 99] = Owner(kind="kernel", name="kernel")
    desk.look(gpu(total=10_000, used=4000, processes=(process(99, 4000, 1),)))
    assert desk.free() == {"0": 3000}


def test_where_no_process_is_listed_what_was_used_before_counts_as_that_of_others() -> None:
    desk, a = Desk(gpu(total=10_000, used=1000, processes=None)), claim("a", 3000)
    desk.ask(a)
    assert desk.free() == {"0": 6000}
    desk.look(gpu(total=10_000, used=3900, processes=None))
    assert desk.free() == {"0": 6000}
    desk.look(gpu(total=10_000, used=9000, processes=None))
    assert desk.free() == {"0": 1000}
    desk.look(gpu(total=10_000, used=500, processes=None))
    assert desk.free() == {"0": 6500}


@pytest.mark.parametrize("seen", [(), (hidden(4007, 2900),)])
def test_in_a_container_a_lease_is_not_counted_twice(seen: tuple[GpuProcess, ...]) -> None:
    desk = Desk(gpu(total=10_000, used=1000))
    desk.ask(claim("a", 3000))
    desk.look(gpu(total=10_000, used=3900, processes=seen))
    assert desk.free() == {"0": 6000}


def test_a_process_without_its_memory_is_as_good_as_not_listed() -> None:
    desk, a = Desk(gpu(total=10_000, used=1000)), claim("a", 3000)
    desk.ask(a)
    desk.own(7, a)
    desk.look(gpu(total=10_000, used=3900, processes=(process(7, 100), process(8, None, 7))))
    assert desk.free() == {"0": 6000}


def test_once_a_lease_is_seen_all_else_is_that_of_others() -> None:
    desk, a = Desk(gpu(total=10_000, used=1000, processes=None)), claim("a", 3000)
    desk.ask(a)
    desk.own(7, a)
    desk.look(gpu(total=10_000, used=5000, processes=(process(7, 2900),)))
    assert desk.free() == {"0": 4900}


def test_one_gpu_under_two_names_is_lent_once() -> None:
    near, far = gpu(total=10_000), gpu("box/0", total=10_000, uuid="GPU-0", worker="tcp://w:1")
    desk = Desk(near, far, tasks_elsewhere=True)
    assert desk.ask(claim("a")) == "a on 0"
    assert desk.free() == {"0": 4000, "box/0": 4000}
    assert desk.ask(task("b")) == "waiting for GPU box/0: 4 GB free, needs 6; held by a"
    assert desk.ask(claim("c")) == "waiting for GPU 0: b asked for it before and needs 6 GB"


def test_gpus_without_a_uuid_are_told_apart_by_their_number() -> None:
    desk = Desk(gpu("0", total=10_000, uuid=None), gpu("1", total=10_000, uuid=None))
    assert [desk.ask(task(name)) for name in "ab"] == ["a on 0", "b on 1"]


# Places


def test_with_a_cluster_tasks_go_to_its_workers_and_models_stay_here() -> None:
    far = gpu("box/0", node="box", worker="tcp://box:1")
    desk = Desk(gpu(), far, tasks_elsewhere=True)
    (granted,) = desk.ledger.ask(task("t"), 0.0)
    assert isinstance(granted, Granted)
    assert (granted.lease.gpu_id, granted.lease.worker) == ("box/0", "tcp://box:1")
    assert desk.ask(claim("m")) == "m on 0"


@pytest.mark.parametrize("worker", ["tcp://box:1", ""])
def test_without_a_cluster_nothing_goes_elsewhere(worker: str) -> None:
    desk = Desk(gpu("box/0", node="box", worker=worker))
    sentence = "no GPU is here, and {} needs 6 GB of one: run it on a machine that has one"
    assert desk.ask(task("t")) == sentence.format("t")
    assert desk.ask(claim("m")) == sentence.format("m")


def test_slices_are_lent_and_their_card_is_not() -> None:
    slices = [gpu(f"0:{n}", total=10_000, parent="0", uuid=f"MIG-{n}") for n in (1, 2)]
    desk = Desk(gpu(total=80_000), *slices)
    assert desk.ask(task("a", 9000)) == "a on 0:1"
    assert desk.ask(task("b", 9000)) == "b on 0:2"
    assert desk.free() == {"0:1": 1000, "0:2": 1000}
    assert desk.ask(task("c", 20_000)) == (
        "c needs 20 GB of GPU memory, and the largest GPU that it may use, 0:2, has 10: "
        "let it need less, or run it on a larger one"
    )
    assert desk.ask(task("d", 1000, gpu="0")) == (
        "GPU 0 is split into slices and is not lent as a whole: ask for one of 0:1, 0:2"
    )


# Refusals


def test_without_a_gpu_a_claim_is_refused() -> None:
    desk = Desk()
    (refused,) = desk.ledger.ask(claim("qwen3", 6100), 0.0)
    assert isinstance(refused, Refused)
    assert str(refused.sentence) == (
        "no GPU is here, and qwen3 needs 6.1 GB of one: run it on a machine that has one"
    )
    assert desk.line() == []


def test_a_claim_larger_than_every_gpu_is_refused_at_once() -> None:
    desk = Desk(gpu("0", total=8_000), gpu("1", total=24_576), gpu("2", total=None))
    desk.ask(task("a", 24_000))
    assert desk.ask(claim("b", 24_600)) == (
        "b needs 24.6 GB of GPU memory, and the largest GPU that it may use, 1, has 24.5: "
        "let it need less, or run it on a larger one"
    )
    assert desk.line() == []


def test_a_claim_on_a_gpu_that_is_not_there_is_refused() -> None:
    desk = Desk(gpu("0"), gpu("1"))
    assert desk.ask(task("a", gpu="7")) == "there is no GPU 7 for a here: ask for one of 0, 1"
    assert Desk().ask(task("a", gpu="7")).startswith("no GPU is here")


@pytest.mark.parametrize(
    "silent", [gpu(total=None), gpu(total=None, used=None), gpu(state="denied")]
)
def test_a_gpu_that_does_not_tell_its_memory_is_not_lent(silent: Gpu) -> None:
    assert Desk(silent).ask(claim("a")) == (
        "a needs 6 GB of GPU memory, and GPU 0 does not tell how much it has free: "
        "see what the GPU panel says about it"
    )


@pytest.mark.parametrize("amount", [0, -1, math.nan, math.inf])
def test_an_amount_that_is_none_is_refused(amount: float) -> None:
    assert Desk(gpu()).ask(claim("a", amount)) == (
        f"a asks for {amount} MB of GPU memory; allowed: a number above 0"
    )


def test_a_claim_is_asked_once() -> None:
    desk = Desk(gpu(total=10_000))
    sentence = "{0} has asked for GPU memory under model:{0} already: give that back first"
    desk.ask(claim("a"))
    assert desk.ask(claim("a", 100)) == sentence.format("a")
    desk.ask(claim("b"))
    assert desk.ask(claim("b", 100)) == sentence.format("b")
    assert [name for name, _ in desk.line()] == ["b"]


# Why somebody waits


def test_an_idle_model_is_named_as_what_could_be_unloaded() -> None:
    desk = Desk(gpu(total=10_000, used=900))
    desk.ask(claim("qwen3-14b"))
    waiting = desk.ask(task("cypher (t-1)"), after=12 * 60 + 59)
    assert waiting == (
        "waiting for GPU 0: 3.1 GB free, needs 6; held by qwen3-14b, idle 12 min: "
        "unload it to go on"
    )
    assert desk.line() == [("cypher (t-1)", waiting)]


def test_the_reason_is_told_again_only_when_it_is_another() -> None:
    desk = Desk(gpu(total=10_000, used=900))
    desk.ask(claim("m"))
    assert desk.ask(task("t")) == "waiting for GPU 0: 3.1 GB free, needs 6; held by m"
    assert desk.look(gpu(total=10_000, used=900), after=59) == []
    told = "waiting for GPU 0: 3.1 GB free, needs 6; held by m, idle {} min: unload it to go on"
    assert desk.look(gpu(total=10_000, used=900), after=1) == [told.format(1)]
    assert desk.look(gpu(total=10_000, used=900), after=59) == []
    assert desk.look(gpu(total=10_000, used=900), after=1) == [told.format(2)]
    desk.ledger.touch("model:m", desk.now)
    assert desk.look(gpu(total=10_000, used=900)) == [
        "waiting for GPU 0: 3.1 GB free, needs 6; held by m"
    ]


def test_a_task_is_never_called_idle() -> None:
    desk = Desk(gpu(total=10_000))
    desk.ask(task("long"))
    assert desk.ask(task("t"), after=7200) == (
        "waiting for GPU 0: 4 GB free, needs 6; held by long"
    )


def test_nobody_is_told_to_unload_what_would_not_be_enough() -> None:
    desk = Desk(gpu(total=24_000))
    desk.ask(claim("small", 2000))
    desk.ask(task("large", 20_000))
    assert desk.ask(task("t"), after=600) == "waiting for GPU 0: 2 GB free, needs 6; held by large"


def test_the_gpu_is_named_on_which_unloading_would_help() -> None:
    desk = Desk(gpu("0", total=10_000), gpu("1", total=12_000))
    desk.ask(task("busy", 7000, gpu="1"))
    desk.ask(claim("idle", 6000, gpu="0"))
    assert desk.ask(task("t"), after=60) == (
        "waiting for GPU 0: 4 GB free, needs 6; held by idle, idle 1 min: unload it to go on"
    )


def test_the_gpu_is_named_on_which_the_least_is_missing() -> None:
    desk = Desk(gpu("0", total=10_000, used=9000), gpu("1", total=10_000, used=7000))
    assert desk.ask(claim("a")) == (
        "waiting for GPU 1: 3 GB free, needs 6; other programs use the rest"
    )


def test_what_is_missing_never_looks_as_if_it_were_there() -> None:
    desk = Desk(gpu(total=10_000, used=4001))
    assert desk.ask(claim("a", 6000)).startswith("waiting for GPU 0: 5.9 GB free, needs 6;")
    overfull = Desk(gpu(total=10_000, used=10_001))
    assert overfull.ask(claim("a", 101)).startswith("waiting for GPU 0: 0 GB free, needs 0.2;")


def test_who_asked_first_is_served_first() -> None:
    desk = Desk(gpu(total=10_000))
    desk.ask(task("holder", 5000))
    assert desk.ask(task("large", 8000)).endswith("held by holder")
    assert desk.ask(task("small", 1000)) == (
        "waiting for GPU 0: large asked for it before and needs 8 GB"
    )
    desk.ledger.release("holder.1")
    assert desk.look(gpu(total=10_000)) == ["large on 0", "small on 0"]


def test_each_gpu_has_a_line_of_its_own() -> None:
    desk = Desk(gpu("0", total=10_000, used=9000), gpu("1", total=10_000, used=9000))
    desk.ask(task("a", gpu="0"))
    desk.ask(task("b", 7000, gpu="1"))
    assert desk.ask(task("c", 100, gpu="1")) == (
        "waiting for GPU 1: b asked for it before and needs 7 GB"
    )


def test_who_wants_another_gpu_passes() -> None:
    desk = Desk(gpu("0", total=10_000), gpu("1", total=10_000))
    desk.ask(task("holder", 5000, gpu="0"))
    desk.ask(task("large", 8000, gpu="0"))
    assert desk.ask(task("small", 1000)) == "small on 1"


def test_who_waits_for_any_gpu_is_not_passed_on_any() -> None:
    desk = Desk(gpu("0", total=10_000), gpu("1", total=10_000))
    desk.ask(task("a", 5000, gpu="0"))
    desk.ask(task("b", 5000, gpu="1"))
    desk.ask(task("large", 8000))
    desk.ask(task("small", 1000))
    desk.ledger.release("b.1")
    assert desk.look(gpu("0", total=10_000), gpu("1", total=10_000)) == [
        "large on 1",
        "small on 1",
    ]


# GPUs that come and go


@pytest.mark.parametrize(
    ("sick", "reason"),
    [
        (
            gpu(state="lost", used=None),
            "waiting for GPU 0: it is lost, until its driver gives it again",
        ),
        (
            gpu(state="lost", used=None, total=None),
            "waiting for GPU 0: it is lost, until its driver gives it again",
        ),
        (
            gpu(state="failed"),
            "waiting for GPU 0: how much of its memory is free cannot be read now",
        ),
        (
            gpu(used=None),
            "waiting for GPU 0: how much of its memory is free cannot be read now",
        ),
    ],
)
def test_a_sick_gpu_is_not_lent_until_it_is_well(sick: Gpu, reason: str) -> None:
    desk = Desk(sick)
    assert desk.ask(claim("a")) == reason
    assert desk.free() == {"0": None}
    assert desk.look(gpu()) == ["a on 0"]


def test_a_lease_outlives_the_loss_of_its_gpu() -> None:
    desk = Desk(gpu(total=10_000))
    desk.ask(claim("a"))
    desk.look(gpu(total=10_000, state="lost", used=None))
    assert desk.free() == {"0": None}
    desk.look(gpu(total=10_000))
    assert desk.free() == {"0": 4000}


def test_a_loss_does_not_make_others_forgotten() -> None:
    desk = Desk(gpu(total=10_000, used=1000, processes=None))
    desk.ask(claim("a", 3000))
    desk.look(gpu(total=10_000, used=None, processes=None, state="lost"))
    desk.look(gpu(total=10_000, used=3900, processes=None))
    assert desk.free() == {"0": 6000}


def test_a_gpu_that_one_reading_misses_is_waited_for() -> None:
    desk = Desk(gpu(total=10_000))
    desk.ask(claim("a"))
    desk.ask(claim("b"))
    assert desk.look() == ["waiting for GPU 0: it is lost, until its driver gives it again"]
    desk.ledger.release("model:a")
    assert desk.look(after=60) == []
    assert desk.look(gpu(total=10_000)) == ["b on 0"]


def test_a_gpu_that_is_gone_for_good_is_forgotten() -> None:
    desk = Desk(gpu())
    desk.ask(claim("a", 20_000))
    desk.ask(claim("b", 20_000))
    desk.look(after=61)
    assert [name for name, _ in desk.line()] == ["b"], "somebody holds it still"
    desk.ledger.release("model:a")
    assert desk.look() == [
        "no GPU is here, and b needs 20 GB of one: run it on a machine that has one"
    ]
    assert desk.ledger.view(desk.now).rooms == ()


# The page


def test_the_whole_ledger_can_be_shown() -> None:
    desk = Desk(gpu(total=10_000, used=500))
    desk.ask(claim("m"))
    desk.ask(task("t", 9000), after=10)
    desk.ledger.touch("model:m", 8.0)
    view = desk.ledger.view(14.0)
    (room,), (holding,), (waiting,) = view.rooms, view.holdings, view.waiting
    assert (room.gpu_id, room.total_mb, room.free_mb, room.leased_mb) == ("0", 10_000, 3500, 6000)
    assert (holding.claim_id, holding.kind, holding.name) == ("model:m", "model", "m")
    assert (holding.memory_mb, holding.gpu_id) == (6000, "0")
    assert (holding.held_s, holding.idle_s) == (14.0, 6.0)
    assert (waiting.claim_id, waiting.kind, waiting.name) == ("t.1", "task", "t")
    assert (waiting.memory_mb, waiting.waits_s) == (9000, 4.0)
    assert str(waiting.reason) == "waiting for GPU 0: 3.5 GB free, needs 9; held by m"
