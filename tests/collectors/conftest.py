"""What the collectors' tests share: fake NVML, made sysfs, a clock, a collector of them all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collectors.fake_nvml import World
from tests.collectors.made_sysfs import MadeSysfs
from tests.collectors.readings import Clock
from workbench.collectors.gpu import Gpus


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sysfs(tmp_path: Path) -> MadeSysfs:
    return MadeSysfs(tmp_path / "sys")


@pytest.fixture
def gpus(nvml_world: World, clock: Clock, tmp_path: Path) -> Iterator[Gpus]:
    found = Gpus(sysfs=tmp_path / "sys", now=clock)
    yield found
    found.close()
