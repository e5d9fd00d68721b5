"""What a task process is given, and what keeps it from serving again."""

from __future__ import annotations

import pytest

from tests.engines.waiting import until
from workbench.core.gpu import Vendor
from workbench.core.job import TASK_MARK
from workbench.engines.nursery import Nursery
from workbench.engines.process import environment


def test_a_process_gets_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_TOKEN", "canary")
    assert "canary" not in environment(threads=1).values()


def test_a_process_knows_that_it_is_a_tasks() -> None:
    assert environment(threads=1)[TASK_MARK] == "1"


@pytest.mark.parametrize(
    ("gpu", "vendor", "cuda", "rocr", "hip"),
    [
        (None, None, "", "-1", "-1"),
        ("GPU-5c1d", "nvidia", "GPU-5c1d", "-1", "-1"),
        ("MIG-77aa", "nvidia", "MIG-77aa", "-1", "-1"),
        ("GPU-deadbeef", "amd", "", "GPU-deadbeef", "0"),
    ],
)
def test_a_process_sees_only_the_gpu_lent_to_it(
    monkeypatch: pytest.MonkeyPatch,
    gpu: str | None,
    vendor: Vendor | None,
    cuda: str,
    rocr: str,
    hip: str,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    seen = environment(1, gpu, vendor)
    assert seen["CUDA_VISIBLE_DEVICES"] == cuda
    assert (seen["ROCR_VISIBLE_DEVICES"], seen["HIP_VISIBLE_DEVICES"]) == (rocr, hip)


def test_a_spare_process_comes_once_nobody_wants_another() -> None:
    nursery = Nursery(threads=1)
    try:
        nursery.spare()
        nursery.end(nursery.take(own="one"))
        nursery.spare()  # one is enough
        until(lambda: bool(nursery._idle), limit_s=30)
        [spare] = nursery._idle
        taken = nursery.take(own="two")
        assert taken is spare
        nursery.end(taken)
    finally:
        nursery.close()
