"""When a commit is due: at once for one caller, with others where several write at a time."""

from __future__ import annotations

import asyncio
import math

import pytest

from workbench.errors import StoreError
from workbench.store.waiting import BACKLOG_ROWS, LAZY_S, REST_S, Append, Call, Waiting


class Line:
    """A line of its own clock. `taken` is what the writer would write now, by its rows."""

    def __init__(self) -> None:
        self.clock = 100.0
        self.waiting = Waiting(lambda: self.clock)
        self.loop = asyncio.get_running_loop()

    def put(self, name: str, *, lazy: bool = False) -> None:
        self.waiting.append({name: [(1,)]}, self.loop.create_future(), lazy=lazy)

    @property
    def due_s(self) -> float:
        """In how many seconds the next commit is due; at most 0: now."""
        return self.waiting.due() - self.clock

    def taken(self) -> list[str]:
        assert self.due_s <= 0
        group = self.waiting.next()
        assert isinstance(group, list)
        self.waiting.rest(group)
        return [name for each in group for name in each.rows]


@pytest.fixture
async def line() -> Line:
    return Line()


async def test_one_caller_alone_never_waits(line: Line) -> None:
    assert line.due_s == math.inf
    for name in "abc":
        line.put(name)
        assert line.taken() == [name]


async def test_where_several_wrote_as_many_again_are_waited_for(line: Line) -> None:
    for name in "abcd":
        line.put(name)
    assert line.taken() == ["a", "b", "c", "d"]
    for name in "efg":
        line.put(name)
    assert line.due_s == pytest.approx(REST_S)
    line.put("h")
    assert line.taken() == ["e", "f", "g", "h"]


async def test_after_a_few_that_fell_together_by_chance_nobody_waits(line: Line) -> None:
    for few in ("ab", "cde"):
        for name in few:
            line.put(name)
        assert line.taken() == list(few)
        line.put("alone")
        assert line.taken() == ["alone"]


async def test_they_are_not_waited_for_long(line: Line) -> None:
    for name in "abcd":
        line.put(name)
    line.taken()
    line.put("d")
    line.clock += REST_S
    assert line.taken() == ["d"]
    line.put("e")  # after one alone there is no rest
    assert line.taken() == ["e"]


async def test_what_nobody_waits_for_goes_with_what_somebody_does(line: Line) -> None:
    line.put("lazy", lazy=True)
    assert line.due_s == pytest.approx(LAZY_S)
    line.put("wanted")
    assert line.taken() == ["lazy", "wanted"]
    line.put("next")  # the lazy one tells nothing of how many write at a time
    assert line.taken() == ["next"]


async def test_what_nobody_waits_for_goes_alone_in_the_end(line: Line) -> None:
    line.put("lazy", lazy=True)
    line.clock += LAZY_S
    assert line.taken() == ["lazy"]


async def test_a_call_keeps_its_place_and_waits_for_nobody(line: Line) -> None:
    for name in "abcd":
        line.put(name)
    line.taken()
    line.put("before", lazy=True)
    line.waiting.call(lambda: None, line.loop.create_future())
    line.put("after")
    assert line.taken() == ["before"]
    assert isinstance(line.waiting.next(), Call)
    after = line.waiting.next()
    assert isinstance(after, list)
    assert [*after[0].rows] == ["after"]


async def test_at_its_end_it_gives_what_is_left_and_takes_nothing(line: Line) -> None:
    for name in "ab":
        line.put(name)
    line.taken()
    line.put("last", lazy=True)
    line.waiting.close()
    with pytest.raises(StoreError, match="the store is closed"):
        line.put("late")
    left = line.waiting.next()
    assert isinstance(left, list)
    assert isinstance(left[0], Append)
    assert line.waiting.next() is None


async def test_the_rows_that_wait_are_counted_and_bounded(line: Line) -> None:
    done: asyncio.Future[None] = line.loop.create_future()
    line.waiting.append({"a": [(1,)] * BACKLOG_ROWS}, done, lazy=False)
    assert line.waiting.rows == BACKLOG_ROWS
    with pytest.raises(StoreError, match="send less at a time"):
        line.put("one more")
    line.taken()
    assert line.waiting.rows == 0
