"""The TaskBook keeps its promises, and each of its mechanisms is needed for that."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.core.task_world import World, a_task, outcome_of, saved
from workbench.core.job import Begun, Log, Progress
from workbench.core.mesh_wire import TERMINAL
from workbench.core.task_entry import Entry
from workbench.core.task_nouns import (
    Attached,
    CancelAsked,
    Capacity,
    DrainBegan,
    DrainOver,
    Ended,
    Follow,
    GiveBack,
    LendWaits,
    Lent,
    Record,
    Refuse,
    Reported,
    Run,
    Show,
    Submitted,
    Task,
)

NAMES = ["a", "b", "c", "d"]
OUTCOMES = ["done", "failed", "rejected", "timeout", "stopped"]


class Life(RuleBasedStateMachine):
    """Anything may happen at any moment; at the end everything must come out right."""

    mechanisms: ClassVar[dict[str, Any]] = {}
    around: ClassVar[type[World]] = World

    @initialize(slots=st.integers(1, 3))
    def begin(self, slots: int) -> None:
        self.world = self.around(slots, **self.mechanisms)
        self.given_up: list[tuple[str, int]] = []

    @rule(
        name=st.sampled_from(NAMES),
        pure=st.booleans(),
        priority=st.integers(-1, 1),
        gpu_mb=st.sampled_from([None, None, 6, 12]),
    )
    def submit(self, name: str, pure: bool, priority: int, gpu_mb: int | None) -> None:
        known = self.world.accepted.get(name)
        fields = {"pure": pure, "priority": priority, "gpu_memory_mb": gpu_mb}
        self.world.submit(known or a_task(name, **fields))

    @rule()
    def commit(self) -> None:
        self.world.commit()

    @rule()
    def all_goes_well_for_a_while(self) -> None:
        for _ in range(2):
            self.world.commit()
            for name in sorted(self.world.fetching):
                self.world.fetched(name)
            self.world.lend()

    @precondition(lambda self: self.world.lender.line)
    @rule()
    def lender_speaks(self) -> None:
        self.world.lend()

    @precondition(lambda self: self.world.fetching)
    @rule(data=st.data(), well=st.booleans())
    def fetch_ends(self, data: st.DataObject, well: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.world.fetching)))
        (self.world.fetched if well else self.world.fetch_failed)(name)

    @precondition(lambda self: any(self.world.running.values()))
    @rule(data=st.data(), how=st.sampled_from(OUTCOMES))
    def attempt_ends(self, data: st.DataObject, how: str) -> None:
        self.world.end(data.draw(st.sampled_from(self.running())), outcome_of(how))

    @precondition(lambda self: any(self.world.running.values()))
    @rule(data=st.data(), told_twice=st.booleans())
    def worker_dies(self, data: st.DataObject, told_twice: bool) -> None:
        name = data.draw(st.sampled_from(self.running()))
        attempt = self.world.running[name][-1]
        self.given_up.append((name, attempt))
        self.world.end(name, outcome_of("lost"))
        if told_twice:
            self.world.late(name, attempt, outcome_of("lost"))

    @precondition(lambda self: any(self.world.running.values()))
    @rule(data=st.data())
    def attempt_speaks(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.running()))
        self.world.report(name, Progress(1, 2), Log("info", "half"))

    @precondition(lambda self: self.given_up)
    @rule(data=st.data(), how=st.sampled_from(["lost", "done"]))
    def a_late_message_comes(self, data: st.DataObject, how: str) -> None:
        name, attempt = data.draw(st.sampled_from(self.given_up))
        self.world.late(name, attempt, outcome_of(how))

    @rule(name=st.sampled_from(NAMES))
    def cancel(self, name: str) -> None:
        self.world.cancel(name)

    @rule(seconds=st.sampled_from([1.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.tick(seconds)

    @rule()
    def connection_breaks(self) -> None:
        self.world.disconnect()

    @rule()
    def node_is_drained(self) -> None:
        self.given_up.clear()
        self.world.drain()

    @rule()
    def node_is_killed(self) -> None:
        self.given_up.clear()
        self.world.crash()

    @invariant()
    def numbers_only_grow(self) -> None:
        if hasattr(self, "world"):
            self.world.check_seqs()

    def running(self) -> list[str]:
        return sorted(name for name, attempts in self.world.running.items() if attempts)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()
            self.world.check_ends()
            self.world.check_lender()


Life.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, derandomize=True
)
TestLife = Life.TestCase


def not_written(record: Record) -> Record:
    return Record(record.task_id, record.notes, record.task, durable=False)


def nothing_missed(follow: Follow) -> Follow:
    return Follow(follow.task_id, follow.by, follow.after, missed=False)


def always_new(known: str | None, given: str) -> str:
    return "new"


def any_attempt(entry: Entry, attempt: int) -> bool:
    return True


@pytest.mark.parametrize(
    "null",
    [
        {"journal": not_written},
        {"replay": nothing_missed},
        {"dedupe": always_new},
        {"fence": any_attempt},
    ],
    ids=lambda null: next(iter(null)),
)
def test_without_one_mechanism_a_promise_breaks(null: dict[str, Any]) -> None:
    with pytest.raises((AssertionError, KeyError, IndexError)):
        hunt(type("Broken", (Life,), {"mechanisms": null}))


class Forgetful(World):
    """A node that never gives GPU memory back."""

    def give_back(self, order: GiveBack) -> None:
        """Forgotten."""


def test_a_node_that_keeps_a_gpu_is_found_out() -> None:
    with pytest.raises(AssertionError, match="left: "):
        hunt(type("Broken", (Life,), {"around": Forgetful}))


def hunt(life: type[Life]) -> None:
    """Look for a life in which a promise breaks."""
    thorough = settings(
        max_examples=1000,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(life, settings=thorough)


def endless(attempts: float) -> int:
    """How many attempts a task gets whose worker always dies, out of 50 at most."""
    world = World(1, attempts=attempts)
    world.submit(a_task("a"))
    world.commit()
    world.fetched("a")
    while world.running["a"] and len(world.runs) < 50:
        world.end("a", outcome_of("lost"))
        world.commit()
    return len(world.runs)


def test_a_task_whose_worker_always_dies_gets_three_attempts() -> None:
    assert endless(3) == 3


def test_without_the_attempt_limit_it_never_ends() -> None:
    assert endless(math.inf) == 50


# One thing at a time


def put_in(world: World, *names: str, **fields: Any) -> None:
    """Accepted and fetched, as far as the node fetches ahead."""
    for name in names:
        world.submit(a_task(name, **fields))
    world.commit()
    while world.fetching:
        world.fetched(next(iter(world.fetching)))
        world.commit()


def running_world(**fields: Any) -> World:
    world = World(1)
    world.submit(a_task("a", **fields))
    world.commit()
    world.fetched("a")
    world.commit()
    return world


def ends(world: World, name: str = "a") -> list[str]:
    world.commit()
    return [note.kind for note in world.disk[name] if note.kind in TERMINAL]


def error_of(world: World, name: str = "a") -> str:
    world.commit()
    return str(world.disk[name][-1].body["error"])


def test_nothing_is_done_before_the_acceptance_is_durable() -> None:
    world = World(1)
    world.submit(a_task("a"))
    assert not world.fetching
    assert not world.client.seen["a"]
    world.commit()
    assert world.fetching == {"a": 1}
    assert [note.kind for note in world.client.seen["a"]] == ["accepted"]


def test_an_impure_model_starts_only_after_its_start_is_durable() -> None:
    for pure, started in ((True, ["a"]), (False, [])):
        world = World(1)
        world.submit(a_task("a", pure=pure))
        world.commit()
        world.fetched("a")
        assert [name for name, attempts in world.running.items() if attempts] == started
        world.commit()
        assert world.running["a"] == [1]


def test_higher_priority_goes_first_then_earlier_arrival() -> None:
    world = World(1)
    for name, priority in (("first", 0), ("second", 0), ("urgent", 5)):
        world.submit(a_task(name, priority=priority))
    world.commit()
    for name in list(world.fetching):
        world.fetched(name)
    order = []
    while busy := [name for name, attempts in world.running.items() if attempts]:
        order += busy
        world.end(busy[0], saved())
        world.commit()
    assert order[1:] == ["urgent", "second"]


def test_what_has_nothing_to_download_waits_for_no_place_among_those_that_do() -> None:
    world = World(1)
    for number in range(10):
        world.submit(a_task(f"inline-{number}", downloads=False))
    world.commit()
    assert len(world.fetching) == 10
    for number in range(10):
        world.submit(a_task(f"far-{number}"))
    world.commit()
    downloading = [name for name in world.fetching if name.startswith("far")]
    assert downloading == [f"far-{number}" for number in range(4)]
    world.fetched("inline-0")
    world.fetched("far-0")
    world.commit()
    assert sum(name.startswith("far") for name in world.fetching) == 4


def test_places_say_who_is_ahead_and_why_it_waits() -> None:
    world = running_world()
    for name, priority in (("low", -1), ("high", 1)):
        world.submit(a_task(name, priority=priority))
    assert world.book.places() == {}
    world.commit()
    for name in list(world.fetching):
        world.fetched(name)
    assert world.book.places() == {"high": 0, "low": 1}
    assert world.book.why(1)[1] == {"busy": 1, "slots": 1, "ahead": 1}


def test_the_same_task_again_is_a_duplicate_and_other_content_a_conflict() -> None:
    world = running_world()
    world.submit(a_task("a"))
    assert [(again.seq, again.state) for again in world.again] == [(1, "running")]
    world.submit(a_task("a", content="other"))
    assert [refused.code for refused in world.refused] == ["conflict"]
    world.end("a", saved())
    world.commit()
    world.submit(a_task("a"))
    assert world.again[-1].state == "done"
    assert world.runs == [("a", 1)]


def test_a_duplicate_is_recognised_after_a_restart() -> None:
    world = running_world()
    world.end("a", saved())
    world.commit()
    world.crash()
    world.submit(a_task("a"))
    world.submit(a_task("a", content="other"))
    assert world.again[-1].state == "done"
    assert world.refused[-1].code == "conflict"


def test_a_cancelled_task_in_the_line_ends_at_once() -> None:
    world = running_world()
    world.submit(a_task("b"))
    world.commit()
    world.fetched("b")
    world.cancel("b")
    assert ends(world, "b") == ["cancelled"]
    assert error_of(world, "b") == "the task was cancelled"


def test_a_running_task_is_cancelled_only_when_its_process_is_gone() -> None:
    world = running_world()
    world.cancel("a")
    assert world.stopping == {("a", 1)}
    assert ends(world) == []
    world.end("a", outcome_of("lost"))
    assert ends(world) == ["cancelled"]


def test_work_that_was_done_before_it_could_be_stopped_is_done() -> None:
    world = running_world()
    world.cancel("a")
    world.end("a", saved())
    assert ends(world) == ["done"]


def test_cancelling_an_ended_task_shows_its_end_again() -> None:
    world = running_world()
    world.end("a", saved())
    world.commit()
    world.cancel("a")
    assert world.reminded == ["a"]


def test_a_cancel_survives_the_node() -> None:
    world = running_world()
    world.cancel("a")
    world.commit()
    world.crash()
    assert ends(world) == ["cancelled"]


def test_an_unknown_task_is_refused_by_name() -> None:
    world = World()
    for event in (CancelAsked("x", 1), Attached("x", 0, 1)):
        (refused,) = world.book.handle(event, 0.0)
        assert isinstance(refused, Refuse)
        assert (refused.code, refused.values) == ("unknown-task", {"task": "x"})


def test_the_book_steps_in_when_an_engine_misses_the_limit() -> None:
    world = running_world(timeout_ms=1000)
    world.tick(5.9)
    assert not world.stopping
    world.tick(0.2)
    assert world.stopping == {("a", 1)}
    world.end("a", outcome_of("stopped"))
    assert ends(world) == ["timeout"]
    assert error_of(world).startswith("the task ran longer than 1.0 s and was stopped: ")


@pytest.mark.parametrize(
    ("how", "kind"),
    [("done", "done"), ("failed", "failed"), ("rejected", "rejected"), ("timeout", "timeout")],
)
def test_an_outcome_becomes_its_end(how: str, kind: str) -> None:
    world = running_world()
    world.end("a", outcome_of(how))
    assert ends(world) == [kind]


def test_a_failure_leaves_its_traceback_in_the_log() -> None:
    world = running_world()
    world.end("a", outcome_of("failed"))
    world.commit()
    assert [note.kind for note in world.client.seen["a"]] == ["accepted", "log", "failed"]
    assert world.client.seen["a"][1].body["content"] == "Traceback"
    assert error_of(world) == "it broke: x"


def test_a_pure_model_is_tried_again_and_the_log_says_so() -> None:
    world = running_world()
    world.end("a", outcome_of("lost"))
    assert world.running["a"] == [2]
    world.commit()
    said = [note.body["content"] for note in world.client.seen["a"] if note.kind == "log"]
    assert said == ["attempt 1 was lost because the worker died: attempt 2 follows"]


def test_an_impure_model_is_never_run_twice() -> None:
    world = running_world(pure=False)
    world.end("a", outcome_of("lost"))
    assert ends(world) == ["lost"]
    assert "steady must not run twice" in error_of(world)


def test_an_impure_task_that_was_only_being_fetched_survives_the_node() -> None:
    world = World(1)
    world.submit(a_task("a", pure=False))
    world.commit()
    world.commit()
    world.crash()
    world.settle()
    assert ends(world) == ["done"]


def test_an_impure_task_that_ran_is_lost_with_the_node() -> None:
    world = running_world(pure=False)
    world.crash()
    assert ends(world) == ["lost"]


def test_three_crashes_while_running_are_three_attempts() -> None:
    world = running_world()
    for _ in range(3):
        world.commit()
        world.crash()
        while world.fetching:
            world.fetched("a")
            world.commit()
    assert ends(world) == ["lost"]
    assert "lost 3 times" in error_of(world)


def test_a_drain_counts_no_attempt() -> None:
    world = running_world()
    for _ in range(5):
        world.tell(DrainBegan())
        world.tell(DrainOver())
        world.end("a", outcome_of("stopped"))
        world.commit()
        assert not world.running["a"]
        world.crash()
        world.fetched("a")
        world.commit()
    world.end("a", saved())
    assert ends(world) == ["done"]


def test_a_drain_starts_nothing_and_refuses_what_is_new() -> None:
    world = running_world()
    world.submit(a_task("b"))
    world.commit()
    world.tell(DrainBegan())
    world.submit(a_task("c"))
    assert world.refused[-1].code == "unavailable"
    world.end("a", saved())
    world.commit()
    assert not any(world.running.values())
    assert world.book.entry("b") is not None
    assert not world.fetching


def test_a_drain_ends_an_impure_model_that_it_must_stop_as_lost() -> None:
    world = running_world(pure=False)
    world.tell(DrainBegan())
    world.tell(DrainOver())
    world.end("a", outcome_of("stopped"))
    assert ends(world) == ["lost"]


def test_logs_are_capped_and_the_last_line_says_how_many_were_dropped() -> None:
    world = World(1, log_lines=3)
    world.submit(a_task("a"))
    world.commit()
    world.fetched("a")
    for number in range(5):
        world.report("a", Log("info", "line {n}", {"n": number}))
    world.end("a", saved())
    world.commit()
    lines = [note.body["content"] for note in world.disk["a"] if note.kind == "log"]
    assert lines == [
        "line 0",
        "line 1",
        "line 2",
        "2 more lines were dropped: a task keeps at most 3",
    ]


def test_too_many_waiting_tasks_are_refused() -> None:
    world = World(0, waiting_limit=2)
    for name in NAMES:
        world.submit(a_task(name))
    assert [(r.code, r.task_id) for r in world.refused] == [("busy", "c"), ("busy", "d")]


def test_too_many_waiting_bytes_are_refused_and_given_back_by_a_cancel() -> None:
    world = World(0, waiting_bytes=100)
    world.submit(a_task("a", weight=101))
    world.submit(a_task("b", weight=1))
    assert [r.task_id for r in world.refused] == ["b"]
    world.cancel("a")
    world.submit(a_task("c", weight=1))
    assert len(world.refused) == 1


@pytest.mark.parametrize(
    ("done", "total", "shown"),
    [(1, 2, 0.5), (3, 2, 1.0), (-1, 2, 0.0), (1, 0, 0.0), (math.nan, 1, 0.0)],
)
def test_progress_is_a_share(done: float, total: float, shown: float) -> None:
    world = running_world()
    world.report("a", Progress(done, total))
    entry = world.book.entry("a")
    assert entry is not None and entry.done == shown


def test_progress_is_shown_and_never_written() -> None:
    world = running_world()
    orders = world.book.handle(Reported("a", 1, [Progress(1, 2, "half")]), 0.0)
    assert orders == [Show("a")]


def test_a_late_message_of_an_earlier_attempt_is_dropped() -> None:
    world = running_world()
    world.end("a", outcome_of("lost"))
    assert world.book.handle(Reported("a", 1, [Log("info", "late")]), 0.0) == []
    assert world.book.handle(Ended("a", 1, saved()), 0.0) == []


def test_no_worker_no_start_and_a_new_one_is_used_at_once() -> None:
    world = World(0)
    world.submit(a_task("a"))
    world.commit()
    assert not world.fetching
    assert world.book.why(0)[0].startswith("waits for a worker")
    world.tell(Capacity(1))
    assert world.fetching == {"a": 1}


# GPU memory


def status(world: World, name: str) -> str:
    entry = world.book.entry(name)
    assert entry is not None
    return entry.template.format(**entry.values)


def runs(world: World) -> list[str]:
    return [name for name, attempts in world.running.items() if attempts]


def test_a_fetched_task_asks_for_its_gpu_before_it_takes_a_slot() -> None:
    world = World(1)
    put_in(world, "a", gpu_memory_mb=6)
    assert world.lender.line == {("a", 1): 6}
    assert (world.book.running, status(world, "a")) == (0, "waits for 6 MB of a GPU's memory")
    put_in(world, "b")
    assert runs(world) == ["b"]
    world.lend()
    world.end("b", saved())
    assert runs(world) == ["a"]
    world.commit()
    assert world.disk["a"][-1].body == {"lost": 0, "gpu": "0"}
    world.end("a", saved())
    assert not world.lender.lent


def test_why_it_waits_is_its_status_and_is_written_once() -> None:
    world = World(2)
    put_in(world, "a", "b", gpu_memory_mb=6)
    for _ in range(3):
        world.lend()
    entry = world.book.entry("b")
    assert entry is not None
    assert (entry.state, status(world, "b")) == ("queued", "held by a")
    world.commit()
    kept = [note.body for note in world.disk["b"] if note.kind == "queued"]
    assert kept == [{"lost": 0, "why": "held by a"}]
    assert world.book.handle(LendWaits("b", 1, "held by {who}", {"who": "c"}), 0.0) == [Show("b")]
    world.end("a", saved())
    world.lend()
    assert (runs(world), status(world, "b")) == (["b"], "")


@pytest.mark.parametrize("lent", [False, True])
def test_a_task_that_waits_with_a_gpu_or_for_one_is_cancelled_at_once(lent: bool) -> None:
    world = running_world()
    put_in(world, "b", gpu_memory_mb=6)
    if lent:
        world.lend()
        assert world.lender.lent
    world.cancel("b")
    assert ends(world, "b") == ["cancelled"]
    world.check_lender()


def test_a_gpu_that_cannot_be_had_fails_the_task_with_its_sentence() -> None:
    world = World(1)
    put_in(world, "a", gpu_memory_mb=12)
    world.lend()
    assert ends(world) == ["failed"]
    assert error_of(world) == "no GPU has 12 MB"


def test_a_task_that_does_without_a_gpu_runs_and_its_time_counts_from_there() -> None:
    world = World(1)
    put_in(world, "a", gpu_memory_mb=6, timeout_ms=1000)
    world.lend_nothing("a")
    assert (runs(world), status(world, "a")) == (["a"], "")
    world.commit()
    assert world.disk["a"][-1].body == {"lost": 0}
    world.tick(3600.0)
    assert world.stopping
    world.end("a", saved())
    world.check_lender()


def test_a_lost_attempt_gives_back_and_the_next_one_asks_anew() -> None:
    world = World(1)
    put_in(world, "a", gpu_memory_mb=6)
    world.lend()
    world.end("a", outcome_of("lost"))
    assert (world.lender.lent, world.lender.line) == ({}, {("a", 2): 6})
    assert world.book.handle(Lent("a", 1, "0"), 0.0) == []
    world.lend()
    assert world.running["a"] == [2]


def test_a_gpu_is_given_back_before_the_end_is_written() -> None:
    world = World(1)
    put_in(world, "a", gpu_memory_mb=6)
    world.lend()
    orders = world.book.handle(Ended("a", 1, saved()), 0.0)
    assert isinstance(orders[0], GiveBack)
    assert isinstance(orders[1], Record)


def test_the_limit_counts_from_when_a_worker_beside_the_gpu_takes_it() -> None:
    world = World(1)
    put_in(world, "a", gpu_memory_mb=6, timeout_ms=1000)
    world.tick(3600.0)
    world.lend()
    world.tick(3600.0)
    assert not world.stopping
    world.tell(Reported("a", 1, [Begun()]))
    world.tick(5.9)
    assert not world.stopping
    world.tick(0.2)
    assert world.stopping == {("a", 1)}


def test_tasks_that_wait_for_a_gpu_keep_nobody_waiting_who_needs_none() -> None:
    world = World(2)
    put_in(world, *(f"g{number}" for number in range(30)), gpu_memory_mb=6)
    assert len(world.lender.line) < 15
    put_in(world, "a", "b", priority=-1)
    assert runs(world) == ["a", "b"]
    for _ in range(20):
        world.lend()
    assert len(world.lender.lent) == 1
    assert world.book.places()["g29"] > 0


@pytest.mark.parametrize("gpu_mb", [None, 6])
def test_to_lie_fetched_through_many_drains_is_no_attempt(gpu_mb: int | None) -> None:
    world = running_world(priority=1)
    put_in(world, "b", gpu_memory_mb=gpu_mb)
    for _ in range(5):
        world.drain()
        put_in(world)
    assert runs(world) == ["a"]
    world.settle()
    assert (ends(world), ends(world, "b")) == (["done"], ["done"])


def test_a_drain_gives_back_every_gpu_and_asks_for_none() -> None:
    world = World(1)
    put_in(world, "a", "b", "c", gpu_memory_mb=5)
    for _ in range(3):
        world.lend()
    assert (len(world.lender.lent), len(world.lender.line)) == (2, 1)
    world.tell(DrainBegan())
    world.tell(DrainOver())
    assert list(world.lender.lent) == [("a", 1)]
    world.end("a", outcome_of("stopped"))
    world.check_lender()


def test_to_wait_for_a_gpu_through_many_crashes_is_no_attempt() -> None:
    world = World(1)
    put_in(world, "a", gpu_memory_mb=6)
    for _ in range(5):
        world.tell(LendWaits("a", 1, "held"))
        world.commit()
        world.crash()
        put_in(world)
    world.settle()
    assert ends(world) == ["done"]


def test_a_large_inline_input_is_written_but_not_held() -> None:
    world = World(0)
    inline = '"' + "x" * 5000 + '"'
    task = a_task("a", input_url=None, inline=inline, inline_bytes=len(inline))
    orders = world.book.handle(Submitted(task, 1), 0.0)
    records = [order for order in orders if isinstance(order, Record)]
    assert records[0].task is not None and records[0].task.inline == inline
    entry = world.book.entry("a")
    assert entry is not None and entry.task.inline is None


def test_a_kept_result_spares_the_run() -> None:
    world = World(1)
    world.submit(a_task("a"))
    world.commit()
    orders = world.book.handle(Ended("a", 1, saved()), 0.0)
    assert not any(isinstance(order, Run) for order in orders)
    assert isinstance(orders[0], Record) and orders[0].notes[-1].kind == "done"


def test_a_failed_fetch_rejects_the_task_with_its_sentence() -> None:
    world = World(1)
    world.submit(a_task("a"))
    world.commit()
    world.fetch_failed("a")
    assert ends(world) == ["rejected"]
    assert error_of(world) == "u is bad"


def test_tasks_are_values() -> None:
    assert a_task("a") == a_task("a")
    assert isinstance(a_task("a").light(), Task)
