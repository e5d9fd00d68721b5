"""What the collectors' tests share: the fake NVML, a clock, and a collector that reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collectors.fake_nvml import World, nvml_world
from tests.collectors.readings import Clock
from workbench.collectors.gpu import Gpus

__all__ = ["nvml_world"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gpus(nvml_world: World, clock: Clock, tmp_path: Path) -> Iterator[Gpus]:
    found = Gpus(sysfs=tmp_path / "sys", now=clock)
    yield found
    found.close()
