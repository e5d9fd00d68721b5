"""Transactions per second through `block-import` on Dask, with one task at a time, two, and so on.

Blocks are made here: 5,000 transactions each, one in five a transfer with two edicts. Each is a
task: read in slices, decoded with its ids, its roots checked, its tables kept. The limit is this
process's own decoding of one block, on one core. Aims: 10,000 transactions/s on each core, and
twice as many on two.

    python benchmarks/blocks_on_cores.py [blocks]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import workbench
from benchmarks.decode_block import TRANSACTIONS, best, decode, made_block
from tests.hub_process import HubProcess

AIM_PER_S = 10_000
BLOCKS, WARM = 24, 8


def measure(slots: int, data: Path, files: list[Path]) -> float:
    """Transactions per second, from the first submission to the last end."""
    data.mkdir()
    with HubProcess(data, WORKBENCH_SLOTS=str(slots), WORKBENCH_METRICS_HISTORY="0"):
        bench = workbench.connect(data, start=False)
        try:
            bench.map("block-import", files[:WARM]).wait()  # the processes are up
            began = time.perf_counter()
            runs = bench.map("block-import", files[WARM:])
            runs.wait()
            took = time.perf_counter() - began
            if runs.failures:
                raise SystemExit(f"{len(runs.failures)} failed, the first: {runs.failures[0]}")
        finally:
            bench.close()
    return (len(files) - WARM) * TRANSACTIONS / took


def main() -> None:
    blocks = int(sys.argv[1]) if len(sys.argv) > 1 else BLOCKS
    cores = os.cpu_count() or 1
    print(f"{blocks} blocks of {TRANSACTIONS:,}; {cores} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / f"{number}.bin" for number in range(blocks + WARM)]
        for number, file in enumerate(files):
            file.write_bytes(made_block(number))
        limit = TRANSACTIONS / best(lambda: decode(files[0].read_bytes()))
        print(f"limit: decoding alone, here, on one core  {limit:9,.0f} transactions/s")
        one = 0.0
        for slots in sorted({1, *(2**power for power in range(1, cores.bit_length())), cores}):
            rate = measure(slots, folder / f"data-{slots}", files)
            one = one or rate
            print(
                f"{slots:3} at a time {rate:9,.0f} transactions/s  (x{rate / one:.2f} of one; "
                f"{rate / limit / slots:.2f} of the limit on each core; "
                f"{rate / AIM_PER_S / slots:.2f} of the aim)",
                flush=True,
            )


if __name__ == "__main__":
    main()
