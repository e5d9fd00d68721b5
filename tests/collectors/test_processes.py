"""The hub's own processes: what they take together, children that ended included."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.collectors.readings import Clock
from workbench.collectors.processes import PAGE_BYTES, TICK_S, Ancestry, ProcessTree

BUSY_S = 0.3
BURN = f"import time\nwhile time.process_time() < {BUSY_S}: pass\n"


def stat(proc: Path, pid: int, *, name: str = "hub", ticks: tuple[int, int, int, int], pages: int):
    """A process of a made /proc, in the format of proc_pid_stat(5)."""
    (proc / f"{pid}/task/{pid}").mkdir(parents=True, exist_ok=True)
    user, system, children_user, children_system = ticks
    (proc / f"{pid}/stat").write_text(
        f"{pid} ({name}) S 1 1 1 0 -1 4194304 9 9 9 9 {user} {system} {children_user} "
        f"{children_system} 20 0 1 0 3693314 3133440 {pages} 18446744073709551615\n"
    )


def children(proc: Path, pid: int, listed: str, thread: int | None = None) -> None:
    folder = proc / f"{pid}/task/{thread or pid}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "children").write_text(listed)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Process 10 with children of two of its threads: 11 and 12; 13 is a child of 12."""
    stat(tmp_path, 10, ticks=(100, 50, 0, 0), pages=1000)
    stat(tmp_path, 11, name="a (b) c", ticks=(200, 0, 0, 0), pages=500)
    stat(tmp_path, 12, ticks=(0, 0, 0, 0), pages=250)
    stat(tmp_path, 13, ticks=(10, 10, 10, 10), pages=50)
    stat(tmp_path, 99, ticks=(9999, 9999, 0, 0), pages=99999)
    children(tmp_path, 10, "11 ")
    children(tmp_path, 10, "12 ", thread=20)
    children(tmp_path, 12, "13 ")
    return tmp_path


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours that burns some CPU time, says so, and waits."""
    code = BURN + "import sys; print('done', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as started:
        yield started
        started.communicate()


def test_the_memory_of_all_is_one_sum_and_strangers_are_left_out(proc: Path) -> None:
    found = ProcessTree(2.0, pid=10, proc=proc).read()
    assert found is not None
    assert found.count == 4
    assert found.memory_mb == round(1800 * PAGE_BYTES / 1e6, 1)


def test_cpu_is_of_the_cores_that_we_may_use(proc: Path, clock: Clock) -> None:
    tree = ProcessTree(2.0, pid=10, proc=proc, now=clock)
    first = tree.read()
    assert first is not None
    assert first.cpu_percent is None  # there is nothing yet to compare with
    stat(proc, 11, ticks=(200 + round(1 / TICK_S), 0, 0, 0), pages=500)
    clock.now_s += 2
    second = tree.read()
    assert second is not None
    assert second.cpu_percent == 25.0  # a second in two, on one of two cores


def test_a_child_that_ended_does_not_take_its_time_along(proc: Path, clock: Clock) -> None:
    tree = ProcessTree(1.0, pid=10, proc=proc, now=clock)
    tree.read()
    children(proc, 10, "")
    stat(proc, 10, ticks=(100, 50, 200 + round(0.5 / TICK_S), 0), pages=1000)
    clock.now_s += 1
    found = tree.read()
    assert found is not None
    assert (found.count, found.cpu_percent) == (3, 50.0)


def test_a_moment_too_short_to_measure_gives_no_figure(proc: Path, clock: Clock) -> None:
    tree = ProcessTree(1.0, pid=10, proc=proc, now=clock)
    tree.read()
    clock.now_s += 0.01
    found = tree.read()
    assert found is not None
    assert found.cpu_percent is None


def test_without_known_cores_the_cpu_is_unknown_and_the_memory_known(
    proc: Path, clock: Clock
) -> None:
    tree = ProcessTree(None, pid=10, proc=proc, now=clock)
    tree.read()
    clock.now_s += 1
    found = tree.read()
    assert found is not None
    assert (found.cpu_percent, found.count) == (None, 4)


@pytest.mark.parametrize("listed", ["14 ", "nonsense "])
def test_a_child_that_goes_while_we_look_is_left_out(proc: Path, listed: str) -> None:
    children(proc, 13, listed)
    found = ProcessTree(1.0, pid=10, proc=proc).read()
    assert found is not None
    assert found.count == 4


def test_a_process_that_is_gone_takes_nothing_that_we_know(proc: Path) -> None:
    tree = ProcessTree(1.0, pid=10, proc=proc)
    (proc / "10/stat").unlink()
    assert tree.read() is None
    assert ProcessTree(1.0, pid=2**22 + 1).read() is None


@pytest.mark.parametrize("kernel", ["/proc", "/nowhere"])
def test_a_real_child_counts_with_and_without_the_kernels_lists(
    child: subprocess.Popen[bytes], clock: Clock, kernel: str
) -> None:
    tree = ProcessTree(1.0, proc=Path(kernel), now=clock)
    before = tree.read()
    assert before is not None
    assert child.stdout is not None
    assert child.stdout.readline() == b"done\n"
    clock.now_s += 1
    after = tree.read()
    assert after is not None
    assert after.count >= 2
    ours = psutil.Process().memory_info().rss + psutil.Process(child.pid).memory_info().rss
    assert after.memory_mb == pytest.approx(ours / 1e6, rel=0.25)
    assert after.cpu_percent is not None
    assert after.cpu_percent >= 50 * BUSY_S


@pytest.mark.parametrize("kernel", ["/proc", "/nowhere"])
def test_a_real_child_that_ended_counts_on(kernel: str, clock: Clock) -> None:
    tree = ProcessTree(1.0, proc=Path(kernel), now=clock)
    tree.read()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    clock.now_s += 1
    after = tree.read()
    assert after is not None
    assert after.cpu_percent is not None
    assert after.cpu_percent >= 100 * BUSY_S - 5  # the kernel counts in ticks of 10 ms


def test_ancestors_are_looked_up_once_until_they_are_forgotten(
    child: subprocess.Popen[bytes],
) -> None:
    ancestry = Ancestry()
    assert ancestry(child.pid)[:2] == (os.getpid(), os.getppid())
    child.communicate()
    assert ancestry(child.pid)[0] == os.getpid()
    ancestry.forget()
    assert ancestry(child.pid) == ()
