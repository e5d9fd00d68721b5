"""A thousand clients that follow tasks while 200 tasks/s go in and out, for five minutes.

The hub is a process of its own, the clients are another one. Half of them follow on `/ws` as
dashboards do (metrics every 2 s, `task:update`), half on `/mesh`, where they submit in turn and
hear every numbered message. Each task has its sender and two dashboards; ten greedy ones beside
them have to do with every tenth. A third of the time all of them read, then one of the greedy
ones stops reading, then all ten. Aims: the hub's memory is flat, and nobody is delayed by those
that stopped.

Some of the tasks run in a process (`--fresh`, in percent); the others are answered with an earlier
result, since two cores that the clients share run no 200 tasks/s. Each is made durable twice.

    python benchmarks/followers.py [--seconds N] [--clients N] [--rate N] [--fresh PCT]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.hub_process import HubProcess

ROOT = Path(__file__).parent.parent
STOPPED = (0, 1, 10)
EVERY_S = 1.0
IDLE_S = 10.0
"""So long everybody is connected and nothing is sent: what that costs is no task's."""
WARM_UP_S = 90.0
"""Then 10,000 ended tasks are held whole, and the log was brought into the file once, which is
every 10,000 tasks. Two things still fill. Of each result that is known 0.3 kB, and as much again of
the newest 3,500: until there are 10,000, which is after 500 s at 20 fresh ones a second. And of
each task that ended longer ago 16 to 24 bytes, up to 34 MB."""
GROWTH_PCT, DELAY_PCT, DELAY_MS = 5.0, 50.0, 20.0
"""Memory counts as flat, and a p99 as the same, within these."""
NAMES = {"rss_mb": "RSS", "own_mb": "own memory", "pss_mb": "PSS"}
"""The last is told and not judged: the share of a library's pages grows when some other process
ends that had mapped them too, such as that of whoever else works on the machine."""
ROWS = {
    "event": "event to its follower on /mesh",
    "result": "sent to result, on /mesh",
    "update": "sent to its end seen on /ws",
}


@dataclass(frozen=True, slots=True)
class Reading:
    at_s: float
    rss_mb: float
    pss_mb: float | None
    own_mb: float | None
    """What no file backs, from /proc."""
    cpu_s: float
    slots_cpu_s: float
    """Of the processes in which the tasks run."""


class Scales:
    """Weighs the hub every second until it is told to end."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._children: dict[int, float] = {}
        self._end = threading.Event()
        self.readings: list[Reading] = []
        self._thread = threading.Thread(target=self._weigh, daemon=True)
        self._thread.start()

    def close(self) -> list[Reading]:
        self._end.set()
        self._thread.join()
        return self.readings

    def _weigh(self) -> None:
        while not self._end.wait(EVERY_S):
            cpu = self._process.cpu_times()
            rss_mb = self._process.memory_info().rss / 1e6
            full = self._process.memory_full_info()
            pss = getattr(full, "pss", None)
            self.readings.append(
                Reading(
                    time.perf_counter(),
                    rss_mb,
                    None if pss is None else pss / 1e6,
                    anonymous_mb(self._process.pid),
                    cpu.user + cpu.system,
                    self._below(),
                )
            )

    def _below(self) -> float:
        """CPU seconds of the hub's children so far; one that has ended keeps what it had."""
        for child in self._process.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                times = child.cpu_times()
                self._children[child.pid] = times.user + times.system
        return sum(self._children.values())


def anonymous_mb(pid: int) -> float | None:
    """The memory of a process that no file backs; None where the system does not tell."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Anonymous:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None


def flatness(readings: list[Reading], began: float) -> float:
    """Print memory in the first minute after the warm-up and in the last; growth in percent.

    It fills until the log is brought into the file, every 50 s at 200 tasks/s, and falls again:
    how it grows is seen in the lowest of a minute, not in a mean of a fall and two rises.
    """
    kept = [each for each in readings if each.at_s >= began]
    window_s = min(60.0, (kept[-1].at_s - began) / 3)
    first = [each for each in kept if each.at_s <= began + window_s]
    last = [each for each in kept if each.at_s >= kept[-1].at_s - window_s]
    growth = 0.0
    for name in NAMES:
        pair = [[getattr(each, name) for each in part] for part in (first, last)]
        if None in pair[0] or None in pair[1]:
            continue
        before, after = (min(part) for part in pair)
        if name != "pss_mb":
            growth = max(growth, 100 * (after / before - 1))
        print(
            f"hub's {NAMES[name]}: at least {before:.1f} MB in the first {window_s:.0f} s, "
            f"{after:.1f} in the last ({100 * (after / before - 1):+.1f} %), most "
            f"{max(getattr(each, name) for each in kept):.1f} MB"
        )
    return growth


def work(readings: list[Reading], heard: list[dict[str, Any]]) -> None:
    """Print the CPU time of the hub, of its tasks' processes and of the crowd, for each task and
    each message. What a machine of one's own would carry follows from it, whatever runs here."""
    at_s = {name: each["at_s"] for each in heard for name in ("connected", "idle") if name in each}
    idle = [each for each in readings if at_s["connected"] <= each.at_s <= at_s["idle"]]
    rest = (idle[-1].cpu_s - idle[0].cpu_s) / (idle[-1].at_s - idle[0].at_s)
    print(f"hub's CPU with nothing to do but tell the readings: {rest:.2f} cores")
    for phase in (each for each in heard if "lags" in each):
        took_s, tasks, messages = (phase[name] for name in ("seconds", "tasks", "messages"))
        began = phase["at_s"] - took_s
        kept = [each for each in readings if began <= each.at_s <= phase["at_s"]]
        share = (kept[-1].at_s - kept[0].at_s) / took_s
        hub, slots = (
            (getattr(kept[-1], name) - getattr(kept[0], name)) / share
            for name in ("cpu_s", "slots_cpu_s")
        )
        for_tasks = hub - rest * took_s
        print(
            f"{_stopped(phase).split(':')[0]}: hub {hub / took_s:.2f} cores, tasks' processes "
            f"{slots / took_s:.2f}, crowd {phase['cpu_s'] / took_s:.2f}; of the hub "
            f"{1000 * for_tasks / tasks:.2f} ms a task, {1000 * for_tasks / messages:.2f} ms a "
            f"message to a follower ({messages / tasks:.1f} for each task)"
        )


def table(phases: list[dict[str, Any]]) -> bool:
    """Print what was seen in each phase; whether nobody was delayed by those that stopped."""
    print(f"{'ms':34}" + "".join(f"{_stopped(each):>27}" for each in phases))
    fair = True
    for row, title in ROWS.items():
        cells = [each["lags"].get(row) for each in phases]
        texts = [
            "never"
            if cell is None
            else f"{cell['p50']:.0f} / {cell['p99']:.0f} / {cell['max']:.0f}"
            for cell in cells
        ]
        print(f"{title:34}" + "".join(f"{text:>27}" for text in texts))
        if None not in cells:
            limit = max(cells[0]["p99"] * (1 + DELAY_PCT / 100), cells[0]["p99"] + DELAY_MS)
            fair = fair and all(cell["p99"] <= limit for cell in cells[1:])
    print(f"{'tasks/s':34}" + "".join(f"{each['per_s']:27.0f}" for each in phases))
    print(
        f"{'waiting in line at its end':34}" + "".join(f"{each['waiting']:27,}" for each in phases)
    )
    print(f"{'cut off for not reading':34}" + "".join(f"{each['cut_off']:27}" for each in phases))
    return fair


def _stopped(phase: dict[str, Any]) -> str:
    return f"{phase['stopped']} stopped: p50/p99/max"


def measure(said: dict[str, Any], asked: argparse.Namespace) -> tuple[list[dict[str, Any]], float]:
    """Run the crowd; what it said, and when its warm-up was over."""
    order = {
        "said": said,
        "clients": asked.clients,
        "rate": asked.rate,
        "fresh": asked.fresh / 100,
        "idle_s": IDLE_S,
        "warm_up_s": min(WARM_UP_S, asked.seconds / 3),
        "phase_s": asked.seconds / len(STOPPED),
        "stopped": STOPPED,
    }
    command = [sys.executable, "-m", "benchmarks._follower_crowd", json.dumps(order)]
    heard: list[dict[str, Any]] = []
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as crowd:
        assert crowd.stdout is not None
        for line in crowd.stdout:
            heard.append({**json.loads(line), "at_s": time.perf_counter()})
            if "warm" in heard[-1]:
                began = time.perf_counter()
            if "connected" in heard[-1]:
                print(f"{heard[-1]['connected']:,} followers connected", flush=True)
            if "lags" in heard[-1]:
                print(
                    f"{_stopped(heard[-1]).split(':')[0]}: {heard[-1]['per_s']:.0f} tasks/s",
                    flush=True,
                )
    if crowd.returncode:
        raise SystemExit("the crowd failed")
    return heard, began


def report(
    heard: list[dict[str, Any]], readings: list[Reading], began: float, asked: argparse.Namespace
) -> bool:
    """Print all of it; whether every aim is met."""
    phases, last = [each for each in heard if "lags" in each], heard[-1]
    fair = table(phases)
    growth = flatness(readings, began)
    work(readings, heard)
    print(
        f"{last['tasks']:,} tasks; followers missed {last['missed']} ends, heard {last['twice']} "
        f"twice, lost {last['lost']} connections"
    )
    for problem, count in last["problems"].items():
        print(f"{count} x {problem}")
    reached = min(each["per_s"] for each in phases)
    aims = {
        f"{asked.rate:.0f} tasks/s ({reached:.0f})": reached >= asked.rate * 0.98,
        f"memory flat within {GROWTH_PCT:.0f} % ({growth:+.1f} %)": growth <= GROWTH_PCT,
        "nobody delayed by those that stopped": fair,
        "nothing missed, nothing twice": not (last["missed"] or last["twice"] or last["lost"]),
    }
    for aim, met in aims.items():
        print(f"{'met' if met else 'MISSED':8}{aim}")
    return all(aims.values())


def main() -> None:
    """Measure, print, and fail where an aim is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--fresh", type=float, default=10, metavar="PCT")
    asked = parser.parse_args()
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as name:
        hub = HubProcess(Path(name), WORKBENCH_SLOTS="2", WORKBENCH_LLM_DISCOVER="0")
        try:
            said = hub.start()
            scales = Scales(said["pid"])
            heard, began = measure(said, asked)
            readings = scales.close()
        finally:
            hub.stop()
    met = report(heard, readings, began, asked)
    print(f"load average {load[0]:.1f} before, {os.getloadavg()[0]:.1f} at the end")
    if not met:
        raise SystemExit("an aim was missed")


if __name__ == "__main__":
    main()
