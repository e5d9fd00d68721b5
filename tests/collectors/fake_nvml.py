"""NVIDIA GPUs that are not there: a libnvidia-ml.so.1 of our own and the script it reads.

`World(folder)` holds what the library tells, from each change on: to this process (`with
world.loaded():`) and to others (`world.environment()`). No function of pynvml is touched: it
finds another library, and that is all.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import pytest

SOURCE = Path(__file__).with_suffix(".c")
SCRIPT = "FAKE_NVML_SCRIPT"
MB = 1_000_000

ERRORS = {
    "unsupported": 3,
    "permission": 4,
    "not-found": 6,
    "driver-not-loaded": 9,
    "timeout": 10,
    "function-not-found": 13,
    "lost": 15,
    "reset-required": 16,
    "operating-system": 17,
    "mismatch": 18,
    "unknown": 999,
}
"""Names for the codes of nvml.h that the tests need."""

QUERIES = {
    *("init", "driver", "count", "handle", "name", "uuid", "pci", "memory", "utilization"),
    *("temperature", "power", "power_limit", "clock", "memory_clock", "fan", "throttle", "pcie"),
    *("compute", "graphics", "mig", "energy"),
}


class Process(NamedTuple):
    """A process on a GPU. `memory_mb` None: the driver does not tell."""

    pid: int
    memory_mb: float | None
    kind: Literal["compute", "graphics"] = "compute"


Processes = Mapping[int, float | None] | Iterable[tuple[int, float | None] | Process]


def build(folder: Path, *, old: bool = False) -> Path:
    """Compiles the library into `folder`; gives its path. Old: without the newer functions."""
    library = folder / "libnvidia-ml.so.1"
    compiler = shutil.which("cc") or shutil.which("gcc") or "cc"
    options = ["-shared", "-fPIC", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror"]
    options += ["-DOLD"] * old
    command = [compiler, *options, "-o", str(library), str(SOURCE)]
    made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if made.returncode:
        raise RuntimeError(f"the fake NVML does not compile:\n{made.stderr}")
    return library


@functools.cache
def library(*, old: bool = False) -> Path:
    """The library, compiled once per process into a folder that goes away with it."""
    folder = Path(tempfile.mkdtemp(prefix="fake-nvml-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return build(folder, old=old)


class World:
    """What the library tells. Memory in MB of 1,000,000 bytes. Each change is true at once."""

    def __init__(self, folder: Path, *, old: bool = False) -> None:
        """`old`: of a driver of some years ago, which lacks the newer functions."""
        self.script = folder / "fake-nvml.txt"
        self._old = old
        self.driver = "580.65.06"
        self._gpus: dict[tuple[int, int | None], dict[str, Any]] = {}
        self._errors: dict[tuple[tuple[int, int | None] | None, str], int] = {}
        self._delays: dict[tuple[tuple[int, int | None] | None, str], int] = {}
        self._written_ns = 0
        self.write()

    def gpu(self, index: int, **said: Any) -> Self:
        """Adds a GPU, or changes what is named of one that is there.

        name, uuid, memory_total_mb, memory_used_mb, memory_reserved_mb, utilization,
        memory_utilization, temperature_c, power_w, power_limit_w, clock_mhz, memory_clock_mhz,
        fan, throttle (bits of nvml.h), pcie_received_kb_s, pcie_sent_kb_s, energy_mj, mig (0, 1),
        processes (pid -> MB, or pairs, or `Process`), lost, unsupported (names of queries).
        None as a figure: the GPU does not support it.
        """
        return self._say((index, None), said, _new_gpu(index))

    def mig(self, index: int, slice_index: int, **said: Any) -> Self:
        """Adds or changes a slice of a GPU, whose MIG mode it turns on; takes what `gpu` takes."""
        if self._gpus[index, None]["mig"] != 1:
            self.gpu(index, mig=1, utilization=None)
        return self._say((index, slice_index), said, _new_slice(index, slice_index))

    def lose(self, index: int) -> Self:
        """It falls off the bus."""
        return self.gpu(index, lost=True)

    def come_back(self, index: int) -> Self:
        """It is there again, for those who begin anew with NVML."""
        return self.gpu(index, lost=False)

    def remove(self, index: int, slice_index: int | None = None) -> Self:
        """The driver forgets the GPU (at its next init) or the slice (at once)."""
        for key in [key for key in self._gpus if slice_index is None and key[0] == index]:
            del self._gpus[key]
        self._gpus.pop((index, slice_index), None)
        return self.write()

    def error(
        self,
        query: str,
        code: str | int | None,
        gpu: int | None = None,
        slice_index: int | None = None,
    ) -> Self:
        """Makes a query fail, with a name of ERRORS or a number; None: it works again.

        Without `gpu` it is about the library itself: init, driver, count, handle.
        """
        key = _place(gpu, slice_index), _query(query)
        self._errors.pop(key, None)
        if code is not None:
            self._errors[key] = ERRORS[code] if isinstance(code, str) else code
        return self.write()

    def delay(self, query: str, seconds: float, gpu: int | None = None) -> Self:
        """Makes a query slow."""
        self._delays[_place(gpu, None), _query(query)] = round(seconds * 1e6)
        return self.write()

    def write(self) -> Self:
        """Writes the script anew; every change does."""
        self._written_ns = max(time.time_ns(), self._written_ns + 1)
        fresh = self.script.with_suffix(f".{os.getpid()}.new")
        fresh.write_text("\n".join(self._lines()) + "\n", encoding="utf-8")
        # The library knows a new script by its time: two within one tick of the clock differ too.
        os.utime(fresh, ns=(self._written_ns, self._written_ns))
        fresh.replace(self.script)
        return self

    def environment(self) -> dict[str, str]:
        """What a process must find in its environment to see this world instead of a driver."""
        others = os.environ.get("LD_LIBRARY_PATH")
        folders = [str(library(old=self._old).parent), *([others] if others else [])]
        return {"LD_LIBRARY_PATH": ":".join(folders), SCRIPT: str(self.script)}

    @contextlib.contextmanager
    def loaded(self) -> Iterator[Self]:
        """This process's pynvml speaks with the fake for as long as the block lasts."""
        import pynvml

        before, environment = pynvml.nvmlLib, os.environ.get(SCRIPT)
        pynvml._nvmlGetFunctionPointer_cache.clear()
        pynvml.nvmlLib = _loaded(self._old)
        os.environ[SCRIPT] = str(self.script)
        _loaded(self._old).fake_reset()
        try:
            yield self
        finally:
            _loaded(self._old).fake_reset()
            pynvml._nvmlGetFunctionPointer_cache.clear()
            pynvml.nvmlLib = before
            os.environ.pop(SCRIPT)
            if environment is not None:
                os.environ[SCRIPT] = environment

    def calls(self, query: str) -> int:
        """How often this process made the query since `loaded`."""
        return int(_loaded(self._old).fake_calls(_query(query).encode()))

    def _say(
        self, key: tuple[int, int | None], said: Mapping[str, Any], new: dict[str, Any]
    ) -> Self:
        unknown = set(said) - set(new)
        if unknown:
            raise TypeError(f"a GPU of the fake NVML has no {', '.join(sorted(unknown))}")
        for query in said.get("unsupported", ()):
            _query(query)
        self._gpus[key] = {**new, **self._gpus.get(key, {}), **said}
        return self.write()

    def _lines(self) -> Iterator[str]:
        yield f"driver {self.driver}"
        yield from self._troubles(None)
        for key in sorted(self._gpus, key=lambda key: (key[0], -1 if key[1] is None else key[1])):
            yield f"device {key[0]}" if key[1] is None else f"slice {key[0]} {key[1]}"
            yield from _about(self._gpus[key])
            yield from self._troubles(key)

    def _troubles(self, key: tuple[int, int | None] | None) -> Iterator[str]:
        yield from (
            f"error {query} {code}" for (at, query), code in self._errors.items() if at == key
        )
        yield from (f"delay {query} {us}" for (at, query), us in self._delays.items() if at == key)


NUMBERS: Mapping[str, float | None] = {
    "memory_total_mb": 24_000.0,
    "memory_used_mb": 400.0,
    "memory_reserved_mb": 0.0,
    "utilization": 0,
    "memory_utilization": 0,
    "temperature_c": 40,
    "power_w": 30.0,
    "power_limit_w": 300.0,
    "energy_mj": 0,
    "clock_mhz": 1200,
    "memory_clock_mhz": 5000,
    "fan": 30,
    "throttle": 0,
    "pcie_received_kb_s": 2000,
    "pcie_sent_kb_s": 1000,
    "mig": None,
}
"""Those of a new GPU."""


def _new_gpu(index: int) -> dict[str, Any]:
    return {
        "name": "NVIDIA Fake 24",
        "uuid": f"GPU-{index:08x}-0000-4000-8000-000000000000",
        **NUMBERS,
        **_nothing(),
    }


def _new_slice(index: int, slice_index: int) -> dict[str, Any]:
    """As real slices are: their card alone tells temperature, power, clocks and fan."""
    memory = {"memory_total_mb": 5_000.0, "memory_used_mb": 10.0, "memory_reserved_mb": 0.0}
    return {
        "name": "NVIDIA Fake 24 MIG 1g.5gb",
        "uuid": f"MIG-{index:08x}-{slice_index:04x}-4000-8000-000000000000",
        **dict.fromkeys(NUMBERS),
        **memory,
        **_nothing(),
    }


def _nothing() -> dict[str, Any]:
    return {"processes": {}, "lost": False, "unsupported": frozenset()}


def _about(gpu: Mapping[str, Any]) -> Iterator[str]:
    yield f"name {gpu['name']}"
    yield f"uuid {gpu['uuid']}"
    if gpu["lost"]:
        yield "lost"
    unsupported: Collection[str] = gpu["unsupported"]
    for query, values in _values(gpu).items():
        if query not in unsupported and values[0] is not None:
            yield f"value {query} {' '.join(str(round(each or 0)) for each in values)}"
    for query in unsupported:
        yield f"error {query} {ERRORS['unsupported']}"
    listed: Processes = gpu["processes"]
    for each in listed.items() if isinstance(listed, Mapping) else listed:
        pid, memory_mb, kind = Process(*each)
        yield f"process {kind} {pid} {-1 if memory_mb is None else round(memory_mb * MB)}"


def _values(gpu: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Each query's answer in NVML's own units: bytes, milliwatts, KB/s."""
    memory = [gpu[f"memory_{name}_mb"] for name in ("total", "used", "reserved")]
    return {
        "memory": tuple(None if each is None else each * MB for each in memory),
        "utilization": (gpu["utilization"], gpu["memory_utilization"]),
        "temperature": (gpu["temperature_c"],),
        "power": (_milli(gpu["power_w"]),),
        "power_limit": (_milli(gpu["power_limit_w"]),),
        "energy": (gpu["energy_mj"],),
        "clock": (gpu["clock_mhz"],),
        "memory_clock": (gpu["memory_clock_mhz"],),
        "fan": (gpu["fan"],),
        "throttle": (gpu["throttle"],),
        "pcie": (gpu["pcie_received_kb_s"], gpu["pcie_sent_kb_s"]),
        "mig": (gpu["mig"],),
    }


def _milli(value: float | None) -> float | None:
    return None if value is None else value * 1000


def _place(gpu: int | None, slice_index: int | None) -> tuple[int, int | None] | None:
    return None if gpu is None else (gpu, slice_index)


def _query(name: str) -> str:
    if name not in QUERIES:
        raise ValueError(f"the fake NVML has no query {name!r}: {', '.join(sorted(QUERIES))}")
    return name


@functools.cache
def _loaded(old: bool) -> ctypes.CDLL:
    found = ctypes.CDLL(str(library(old=old)))
    found.fake_calls.restype = ctypes.c_ulonglong
    return found


@pytest.fixture
def nvml_world(tmp_path: Path) -> Iterator[World]:
    """A world without GPUs that this process's pynvml sees; a test adds them."""
    with World(tmp_path).loaded() as world:
        yield world
