"""A real log: what a writer leaves that was killed, and how long the log was after each commit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from workbench.store.place import FILE

WRITER = """
import asyncio, json, os, signal, sys
from pathlib import Path
from workbench.store import Store
from tests.store.rows import event, log, metric, task

async def main():
    folder, sizes = Path(sys.argv[1]), []
    store = await Store.open(folder)
    for n in range(40):
        rows = {"tasks": [task(f"t{n}")], "task_events": [event(f"t{n}", 2, "running")]}
        if n == 20:
            rows["metrics"] = [metric(value) for value in range(3000)]
        await store.append({**rows, "task_logs": [log(f"t{n}", 3, "x" * 300)]})
        sizes.append((folder / "workbench.duckdb.wal").stat().st_size)
    print(json.dumps(sizes), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


class Killed:
    """The files of a killed writer. `sizes[n]`: the log's length once commit n was acknowledged."""

    def __init__(self, folder: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-c", WRITER, str(folder)], capture_output=True, text=True, timeout=60
        )
        self.sizes: list[int] = json.loads(done.stdout)
        self.main = (folder / FILE).read_bytes()
        self.log = (folder / f"{FILE}.wal").read_bytes()

    def lay_out(self, folder: Path, *, main: bytes | None = None, log: bytes | None = None) -> None:
        """The files in a new folder, damaged or not."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_bytes(self.main if main is None else main)
        (folder / f"{FILE}.wal").write_bytes(self.log if log is None else log)

    def before(self, place: int) -> set[str]:
        """The tasks whose commit stood wholly before a byte of the log."""
        return {f"t{n}" for n, size in enumerate(self.sizes) if size <= place}
