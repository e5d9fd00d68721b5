"""Which device does the heavy sums of a model: the GPU that its task was lent, else the CPU.

On the CPU NumPy and scikit-learn compute, on a GPU PyTorch does, which is the extra `gpu`. Both
take 64-bit floats and the same random numbers, so that the answers agree to the digits that are
kept. What the GPU cannot do, the CPU does, and the task's log says why.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from workbench.core.model import Context

T = TypeVar("T")

LENT_MB = 2000
"""What a model takes of one GPU where it is free: CUDA itself, and batches of 20,000 runes."""
CUDA_MB = 600
"""What CUDA and its libraries take before the first number is there."""

COMPUTES = "{gpu} computes, with PyTorch {version}"
NO_TORCH = "PyTorch is not installed where this task runs: the CPU computes instead of the GPU"
NO_CUDA = (
    "this PyTorch ({version}) cannot use the GPU: the CPU computes. Install the one that is built "
    "for the GPU's driver"
)
TOO_LARGE = (
    "the batch takes {need_mb} MB of a GPU's memory, and {lent_mb} MB were lent: the CPU computes"
)
NO_MEMORY = "the GPU has too little memory left: the CPU computes instead"
FAILED = "the GPU failed: the CPU computes instead ({reason})"


def wish_mb() -> int | None:
    """For a model's `gpu_wish_mb`: nothing where PyTorch is not installed. It is not imported."""
    return LENT_MB if importlib.util.find_spec("torch") is not None else None


class Torch:
    """PyTorch on one device: 64-bit floats in, the same bits out for the same bits in."""

    def __init__(self, device: str) -> None:
        # Without it cuBLAS may sum in another order each time; it is read at the first product.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        self.lib: Any = importlib.import_module("torch")
        self.lib.use_deterministic_algorithms(True)
        self.lib.backends.cuda.matmul.allow_tf32 = False
        self.device = device

    def tensor(self, values: Any) -> Any:
        """A NumPy array on the device."""
        return self.lib.from_numpy(values).to(self.device)

    @contextmanager
    def sklearn(self) -> Iterator[None]:
        """Inside, scikit-learn takes tensors. It asks for SciPy's switch, which only its
        environment has."""
        from sklearn import config_context

        switch = "SCIPY_ARRAY_API"
        before = os.environ.get(switch)
        os.environ[switch] = "1"
        try:
            with config_context(array_api_dispatch=True):
                yield
        finally:
            if before is None:
                del os.environ[switch]
            else:
                os.environ[switch] = before


class Device(Protocol):
    """Does one heavy part of a model."""

    def compute(
        self, on_cpu: Callable[[], T], on_gpu: Callable[[Torch], T], *, need_mb: float
    ) -> T: ...


class Cpu:
    """Where there is nothing else."""

    def compute(
        self, on_cpu: Callable[[], T], on_gpu: Callable[[Torch], T], *, need_mb: float
    ) -> T:
        return on_cpu()


class Lent:
    """What a task was lent. Its result says so once something was computed there, and `cpu`
    again as soon as a part had to come back."""

    def __init__(self, context: Context, open_gpu: Callable[[str], Torch] | None = None) -> None:
        self._context, self._device = context, context.device
        self._open = open_gpu or self._opened
        self._torch: Torch | None = None
        context.device = "cpu"

    def compute(
        self, on_cpu: Callable[[], T], on_gpu: Callable[[Torch], T], *, need_mb: float
    ) -> T:
        """What `on_gpu` gives, or `on_cpu` where there is no GPU or it fails."""
        if self._device == "cpu":
            return on_cpu()
        try:
            if need_mb + CUDA_MB > LENT_MB:
                raise _Unfit(TOO_LARGE, need_mb=round(need_mb + CUDA_MB), lent_mb=LENT_MB)
            self._torch = self._torch or self._open(self._device)
            found = on_gpu(self._torch)
        except _Unfit as unfit:
            self._leave(unfit.template, **unfit.values)
        except ImportError:
            self._leave(NO_TORCH)
        except RuntimeError as error:  # all that PyTorch raises of CUDA, cuBLAS and cuSOLVER
            reason = str(error).strip().partition("\n")[0]
            if "out of memory" in reason.lower():
                self._leave(NO_MEMORY)
            else:
                self._leave(FAILED, reason=reason or type(error).__name__)
        else:
            self._context.device = self._device
            return found
        return on_cpu()

    def _leave(self, template: str, **values: Any) -> None:
        self._context.log(template, level="warning", **values)
        self._device = self._context.device = "cpu"

    def _opened(self, device: str) -> Torch:
        opened = Torch(device)
        cuda, version = opened.lib.cuda, opened.lib.__version__
        if not cuda.is_available():
            raise _Unfit(NO_CUDA, version=version)
        self._context.log(COMPUTES, gpu=cuda.get_device_name(device), version=version)
        return opened


class _Unfit(Exception):
    """The GPU is not for this: a sentence that says why."""

    def __init__(self, template: str, **values: Any) -> None:
        self.template, self.values = template, values
