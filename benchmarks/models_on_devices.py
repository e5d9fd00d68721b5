"""The heavy parts of neuro-embed on the CPU, with PyTorch on the CPU, and on a GPU.

Made names and behaviour of so many runes; each way runs once to be warm and then three times, of
which the fastest counts. Printed besides: what starting PyTorch takes, how far the vectors lie
apart, how many neighbours differ, and whether a second run gives the same bytes. Aims: 1e-6, none
but ties, the same bytes; and a GPU that is faster than the CPU.

    python benchmarks/models_on_devices.py [--runes N] [--dimensions N]
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from tests.runes.on_torch import NO_TORCH, Here, blocks
from workbench.runes.models.devices import Cpu
from workbench.runes.models.embed_vectors import neighbours, normalized, reduced

RUNES, DIMENSIONS, TIMES = 5000, 128, 3


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and its fastest of some runs, in seconds."""
    took = []
    found = work()
    for _ in range(TIMES):
        began = time.perf_counter()
        found = work()
        took.append(time.perf_counter() - began)
    return found, min(took)


def say(what: str, value: str) -> None:
    print(f"{what:44s} {value}", flush=True)


def devices() -> dict[str, Any]:
    """The ways that there are on this machine, by name."""
    if importlib.util.find_spec("torch") is None:
        print(NO_TORCH)
        return {}
    began = time.perf_counter()
    here = Here()
    cuda = here.torch.lib.cuda
    found: dict[str, Any] = {f"PyTorch {here.torch.lib.__version__}, CPU": here}
    if cuda.is_available():
        there = Here("cuda:0")
        there.torch.tensor(np.ones(1))
        found[cuda.get_device_name(0)] = there
    say("starting PyTorch", f"{time.perf_counter() - began:8.2f} s")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runes", type=int, default=RUNES)
    parser.add_argument("--dimensions", type=int, default=DIMENSIONS)
    given = parser.parse_args()
    runes, dimensions = given.runes, given.dimensions
    numbers, letters = blocks(runes)
    print(f"{runes} runes, {numbers.shape[1] + letters.shape[1]} features, {dimensions} dimensions")

    def decompose(device: Any) -> Any:
        return reduced(numbers, letters, dimensions, 7, exact_cells=0, device=device).values

    ours, cpu_s = timed(lambda: decompose(Cpu()))
    values = normalized(ours, "l2")
    (near, _), near_s = timed(lambda: neighbours(values))
    say("decomposition, scikit-learn on the CPU", f"{cpu_s:8.2f} s")
    say("neighbours, scikit-learn on the CPU", f"{near_s:8.2f} s")
    for name, device in devices().items():
        its, its_s = timed(lambda device=device: decompose(device))
        (found, _), found_s = timed(
            lambda device=device: neighbours(values, cpu_cells=0, device=device)
        )
        say(f"decomposition, {name}", f"{its_s:8.2f} s   {cpu_s / its_s:6.2f} times as fast")
        say(f"neighbours, {name}", f"{found_s:8.2f} s   {near_s / found_s:6.2f} times as fast")
        apart, same = np.abs(its - ours).max(), (its == decompose(device)).all()
        say("  vectors apart by at most", f"{apart:8.1e}   aim 1e-6")
        say("  neighbours that differ", f"{(found != near).mean():8.1e}   aim 0, but for ties")
        say("  the same bytes again", "     yes" if same else "      NO")


if __name__ == "__main__":
    main()
