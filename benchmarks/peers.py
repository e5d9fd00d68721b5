"""Tasks on two slots: this workbench's hub beside Dask's own client, ipyparallel and Ray.

The peers run in an environment of their own (`.peers` in the clone, made when it is not there),
each after the other, each in processes of its own on this machine. Ours goes over a WebSocket to
a hub that makes each acceptance, event and result durable before it tells of it; none of the
peers keeps anything. What that costs at least is printed beside.
Aim: ahead of ipyparallel on every row, ahead of Ray on start, memory, event lag and cancel.

It takes up to ten minutes: each peer four at most, and each row a minute or two; a row that a
peer does not do in that time, or cannot do, says so.

    python benchmarks/peers.py [no-ops in a row]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import duckdb

ROOT = Path(__file__).parent.parent
HOME = ROOT / ".peers"
NEEDED = ("distributed", "ipyparallel", "ray", "numpy", "psutil")
LIMIT_S = 240
LINES = 200
ROWS = {
    "start_s": "start, to the first no-op: s",
    "memory_mb": "memory when idle: MB",
    "noop_p50_ms": "a no-op alone, p50: ms",
    "noop_p99_ms": "a no-op alone, p99: ms",
    "many_s": "{tasks} no-ops: s",
    "events": "events of 200 that arrived",
    "event_p50_ms": "event to client, p50: ms",
    "large_s": "a result of 100 MB: s",
    "cancel_s": "cancel of a C call, slot free: s",
}
PEERS = ("ours", "distributed", "ipyparallel", "ray")
AIMS = {
    "ipyparallel": tuple(ROWS),
    "ray": ("start_s", "memory_mb", "event_p50_ms", "cancel_s"),
}
Found = dict[str, tuple[float | None, str]]
"""What each row is, and why it is nothing."""


def python_of_peers() -> str:
    """The interpreter of the peers' environment, made first where it is not there."""
    python = HOME / "bin" / "python"
    if not python.exists():
        print(f"making {HOME.name} with {', '.join(NEEDED)}", flush=True)
        venv.create(HOME, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *NEEDED], check=True)
    return str(python)


def measured(peer: str, tasks: int) -> Found:
    """The rows that a peer's script printed, those of before a failure included."""
    python = sys.executable if peer == "ours" else python_of_peers()
    command = [python, "-m", f"benchmarks._peer_{peer}", str(tasks)]
    began, load = time.perf_counter(), os.getloadavg()[0]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S)
        said, why = done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        said, why = (late.stdout or b"").decode(), f"not done within {LIMIT_S} s"
    rows = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    print(
        f"{peer}: {time.perf_counter() - began:.0f} s, load average {load:.1f} before and "
        f"{os.getloadavg()[0]:.1f} after",
        flush=True,
    )
    if not ROWS.keys() <= {row["row"] for row in rows if row["value"] is not None}:
        print("  " + "\n  ".join(why.strip().splitlines()[-3:]), file=sys.stderr)
    return {row["row"]: (row["value"], row["why"]) for row in rows}


def main() -> None:
    """Measure all, print one table, and say where an aim is missed."""
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    found = {peer: measured(peer, tasks) for peer in PEERS}
    durable_ms = durable_row_ms()
    print(f"{'':34}" + "".join(f"{peer:>14}" for peer in PEERS))
    for row, title in ROWS.items():
        cells = [_cell(*found[peer].get(row, (None, "failed"))) for peer in PEERS]
        print(f"{title.format(tasks=f'{tasks:,}'):34}" + "".join(f"{cell:>14}" for cell in cells))
    print(
        f"limit of ours: one durable row of bare DuckDB takes {durable_ms:.1f} ms; an event waits "
        "for one, a no-op for two"
    )
    for peer, rows in AIMS.items():
        behind = [ROWS[row] for row in rows if not _ahead(row, found["ours"], found[peer])]
        print(
            f"behind {peer}: " + ("; ".join(behind).format(tasks=tasks) or "on no row of the aim")
        )


def durable_row_ms() -> float:
    """What DuckDB alone takes to make one log line durable, at the benchmark's pace: p50."""
    took = []
    with tempfile.TemporaryDirectory() as folder:
        database = duckdb.connect(f"{folder}/rows.duckdb", config={"threads": 1})
        database.execute("CREATE TABLE lines (task VARCHAR, seq BIGINT, content VARCHAR)")
        for number in range(LINES):
            began = time.perf_counter()
            database.execute("INSERT INTO lines VALUES (?, ?, ?)", ["task", number, "x" * 100])
            took.append(time.perf_counter() - began)
            time.sleep(0.005)
        database.close()
    return 1000 * statistics.median(took)


def _cell(value: float | None, why: str) -> str:
    return why if value is None else f"{value:,.3g}" if value < 100 else f"{value:,.0f}"


def _ahead(row: str, ours: Found, theirs: Found) -> bool:
    """A row that a peer does not give at all is no reason to be behind it."""
    mine, other = (found.get(row, (None, ""))[0] for found in (ours, theirs))
    if mine is None or other is None:
        return mine is not None
    return mine >= other if row == "events" else mine <= other


if __name__ == "__main__":
    main()
