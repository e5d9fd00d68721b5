"""What a task process is given, and what keeps it from serving again."""

from __future__ import annotations

import pytest

from workbench.engines.process import environment


def test_a_process_gets_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_TOKEN", "canary")
    assert "canary" not in environment(gpu=None, threads=1).values()


def test_a_process_sees_only_the_gpu_lent_to_it() -> None:
    assert environment(gpu=None, threads=1)["CUDA_VISIBLE_DEVICES"] == ""
    assert environment(gpu=2, threads=1)["CUDA_VISIBLE_DEVICES"] == "2"
