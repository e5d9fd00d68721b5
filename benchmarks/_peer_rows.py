"""What each peer is asked in benchmarks/peers.py, and how it is timed: seconds, MB, as JSON lines.

Runs in each peer's own environment: nothing but the standard library and psutil.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from typing import Protocol

import psutil

SLOTS = 2
ALONE = 200
WARM_UP = 20
CANCELS = 5
EVENTS = 200
LARGE_MB = 100
NEVER_S = 20.0
"""How long a cancelled call is waited for."""
START_LIMIT_S, ROW_LIMIT_S, MANY_LIMIT_S = 90, 60, 120


class Peer(Protocol):
    """One system with two slots. Every call returns when what it asked for has come back."""

    def start(self) -> None: ...
    def noop(self) -> None: ...
    def many(self, count: int) -> None: ...
    def lags(self, count: int) -> list[float]:
        """Seconds from each of `count` events inside a task, 5 ms apart, to the client's code."""
        ...

    def large(self, mb: int) -> int:
        """The size of a result in bytes, once all of it is in this process."""
        ...

    def cancel(self) -> float | None:
        """With both slots in C calls that never end: seconds from the wish to end one until a
        no-op has come back; None where that is never. Both calls are ended then."""
        ...

    def stop(self) -> None: ...


def endless() -> int:
    """One call into C that looks at no signal and would take days."""
    return sum(range(10**14))


class Late(Exception):
    """A row took too long."""


class Rows:
    """Asks for one row after the other, each within its time: what fails costs only itself."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        signal.signal(signal.SIGALRM, self._late)

    @staticmethod
    def _late(*_: object) -> None:
        raise Late

    def row(self, names: str, limit_s: int, work: Callable[[], tuple[float | None, ...]]) -> None:
        """Print each of `names` with its value, or with the reason why it has none."""
        signal.alarm(limit_s)
        values: tuple[float | None, ...] = ()
        why = "never"
        try:
            values = work()
        except Late:
            why = f"> {limit_s} s"
        except Exception as error:
            why = "failed"
            print(f"{names}: {type(error).__name__}: {error}", file=sys.stderr)
        finally:
            signal.alarm(0)
        for number, name in enumerate(names.split()):
            value = values[number] if values else None
            print(json.dumps({"row": name, "value": value, "why": why}), flush=True)

    def all(self, tasks: int) -> None:
        """Each row in turn. A peer that does not start has none."""
        peer, before = self._peer, memory_mb()
        self.row("start_s", START_LIMIT_S, lambda: (_timed(lambda: _first(peer)),))
        self.row("memory_mb", ROW_LIMIT_S, lambda: (_idle_mb() - before,))
        self.row("noop_p50_ms noop_p99_ms", ROW_LIMIT_S, lambda: _alone(peer))
        self.row("event_p50_ms events", ROW_LIMIT_S, lambda: _lags(peer))
        self.row("large_s", ROW_LIMIT_S, lambda: (_timed(lambda: _large(peer)),))
        self.row("many_s", MANY_LIMIT_S, lambda: (_timed(lambda: peer.many(tasks)),))
        self.row("cancel_s", ROW_LIMIT_S, lambda: (_cancels(peer),))
        self.row("stop_s", ROW_LIMIT_S, lambda: (_timed(peer.stop),))


def _idle_mb() -> float:
    time.sleep(1.0)
    return memory_mb()


def _alone(peer: Peer) -> tuple[float, float]:
    alone = [_timed(peer.noop) for _ in range(ALONE + WARM_UP)][WARM_UP:]
    return 1000 * statistics.median(alone), 1000 * statistics.quantiles(alone, n=100)[98]


def _lags(peer: Peer) -> tuple[float | None, float]:
    lags = peer.lags(EVENTS)
    return 1000 * statistics.median(lags) if lags else None, float(len(lags))


def _cancels(peer: Peer) -> float | None:
    """One that never ends is enough to say so."""
    took: list[float] = []
    for _ in range(CANCELS):
        each = peer.cancel()
        if each is None:
            return None
        took.append(each)
    return statistics.median(took)


def _first(peer: Peer) -> None:
    peer.start()
    peer.noop()


def _large(peer: Peer) -> None:
    got = peer.large(LARGE_MB)
    assert got >= LARGE_MB * 1_000_000, got


def memory_mb() -> float:
    """What this process and all that it started hold, shared pages counted once: MB."""
    own = psutil.Process()
    total = 0
    for each in (own, *own.children(recursive=True)):
        try:
            total += each.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def until(ready: Callable[[], bool], limit_s: float) -> bool:
    """Whether it became true in time."""
    deadline = time.perf_counter() + limit_s
    while time.perf_counter() < deadline:
        if ready():
            return True
        time.sleep(0.001)
    return False


def run(make: Callable[[], Peer]) -> None:
    """A peer's script: its process ends with all that it started. It takes the number of no-ops."""
    own = psutil.Process()
    try:
        Rows(make()).all(int(sys.argv[1]))
    finally:
        for each in own.children(recursive=True):
            try:
                each.kill()
            except psutil.NoSuchProcess:
                continue
    sys.stdout.flush()
    os._exit(0)
