"""Where a model's heavy parts are computed: on the GPU that was lent, or why not there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.runes.test_cypher import Bench
from workbench.runes.models.devices import LENT_MB, Cpu, Lent, Torch, wish_mb


class Gpu:
    """Stands in for PyTorch on a GPU; nothing here computes."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    def open(self, device: str) -> Any:
        self.opened.append(device)
        return self


def failing(error: Exception) -> Callable[[Any], str]:
    def fail(torch: Any) -> str:
        raise error

    return fail


def on_gpu(torch: Any) -> str:
    return "gpu"


def on_cpu() -> str:
    return "cpu"


@pytest.fixture
def gpu() -> Gpu:
    return Gpu()


@pytest.fixture
def bench() -> Bench:
    made = Bench(Path())
    made.device = "cuda:0"
    return made


def test_without_a_gpu_the_cpu_computes_and_nothing_is_opened(gpu: Gpu) -> None:
    bench = Bench(Path())
    device = Lent(bench, gpu.open)
    assert device.compute(on_cpu, on_gpu, need_mb=1) == "cpu"
    assert (bench.device, bench.lines, gpu.opened) == ("cpu", [], [])
    assert Cpu().compute(on_cpu, on_gpu, need_mb=1) == "cpu"


def test_what_was_lent_computes_and_the_result_says_so(gpu: Gpu, bench: Bench) -> None:
    device = Lent(bench, gpu.open)
    assert bench.device == "cpu"  # nothing was computed there so far
    assert device.compute(on_cpu, on_gpu, need_mb=1) == "gpu"
    assert device.compute(on_cpu, on_gpu, need_mb=1) == "gpu"
    assert (bench.device, bench.lines, gpu.opened) == ("cuda:0", [], ["cuda:0"])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB\nand more"),
            "the GPU has too little memory left: the CPU computes instead",
        ),
        (
            RuntimeError("cusolver error: 7, when calling `cusolverDnCreate`\nat line 5"),
            "the GPU failed: the CPU computes instead "
            "(cusolver error: 7, when calling `cusolverDnCreate`)",
        ),
        (RuntimeError(), "the GPU failed: the CPU computes instead (RuntimeError)"),
    ],
)
def test_where_the_gpu_fails_the_cpu_computes_and_the_log_says_why(
    gpu: Gpu, bench: Bench, error: Exception, line: str
) -> None:
    device = Lent(bench, gpu.open)
    assert device.compute(on_cpu, on_gpu, need_mb=1) == "gpu"
    assert device.compute(on_cpu, failing(error), need_mb=1) == "cpu"
    assert device.compute(on_cpu, on_gpu, need_mb=1) == "cpu"  # and it stays there
    assert (bench.device, bench.lines) == ("cpu", [line])


def test_without_pytorch_the_cpu_computes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert Lent(bench).compute(on_cpu, on_gpu, need_mb=1) == "cpu"
    assert bench.device == "cpu"
    assert bench.lines == [
        "PyTorch is not installed where this task runs: the CPU computes instead of the GPU"
    ]


def test_more_than_was_lent_is_not_taken(gpu: Gpu, bench: Bench) -> None:
    device = Lent(bench, gpu.open)
    assert device.compute(on_cpu, on_gpu, need_mb=LENT_MB) == "cpu"
    assert gpu.opened == []
    assert bench.lines == [
        "the batch takes 2600 MB of a GPU's memory, and 2000 MB were lent: the CPU computes"
    ]


def test_a_fault_of_our_own_is_not_hidden(gpu: Gpu, bench: Bench) -> None:
    with pytest.raises(KeyError):
        Lent(bench, gpu.open).compute(on_cpu, failing(KeyError("x")), need_mb=1)


def test_a_gpu_is_asked_for_only_where_pytorch_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert wish_mb() is None
    there = ModuleType("torch")
    there.__spec__ = ModuleSpec("torch", None)
    monkeypatch.setitem(sys.modules, "torch", there)
    assert wish_mb() == LENT_MB


def test_a_pytorch_that_cannot_use_the_gpu_is_named(bench: Bench) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if torch.cuda.is_available():
        pytest.skip("this PyTorch can use a GPU")
    assert Lent(bench).compute(on_cpu, on_gpu, need_mb=1) == "cpu"
    assert bench.lines == [
        f"this PyTorch ({torch.__version__}) cannot use the GPU: the CPU computes. Install the "
        "one that is built for the GPU's driver"
    ]
    assert Torch("cpu").lib is torch
