"""PyTorch for the tests of the models: on the CPU, and on a GPU where there is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sparse

from tests.runes.intents import Made
from tests.runes.test_cypher import Bench
from workbench.runes.models.devices import Torch
from workbench.runes.models.embed_vectors import spelling

NO_TORCH = "PyTorch is not installed: pip install 'runes-workbench[gpu]'"


class Here:
    """A device of PyTorch that always computes."""

    def __init__(self, device: str = "cpu") -> None:
        self.torch = Torch(device)

    def compute(
        self, on_cpu: Callable[[], Any], on_gpu: Callable[[Torch], Any], *, need_mb: float
    ) -> Any:
        return on_gpu(self.torch)


def gpu() -> str:
    """The first GPU of PyTorch, or the test is skipped."""
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    if not torch.cuda.is_available():
        pytest.skip(f"PyTorch {torch.__version__} finds no GPU")
    return "cuda:0"


def blocks(runes: int) -> tuple[np.ndarray, sparse.csr_matrix]:
    """What runes do and what they are called, as neuro-embed reduces them."""
    random = np.random.default_rng(5)
    letters = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    names = ["".join(random.choice(letters, random.integers(8, 20))) for _ in range(runes)]
    numbers = random.normal(size=(runes, 20)) / np.sqrt(20)
    return numbers, spelling(pd.Series(names))


def named_batch(folder: Path, runes: int) -> Bench:
    """A batch of etchings and nothing else: more cells than the CPU decomposes exactly."""
    made = Made(11)
    for number in range(runes):
        made.etch("any", cap=10 + number % 90, amount=1 + number % 7)
    path = folder / "named.json"
    path.write_text(json.dumps(made.document()))
    bench = Bench(path)
    bench.rune_limit = runes
    return bench


def agree(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two answers of neuro-embed, within what docs/reference/models.md allows."""
    vectors = [np.array([rune["vector"] for rune in data["runes"]]) for data in (one, other)]
    np.testing.assert_allclose(*vectors, rtol=0, atol=1e-6)
    axes = [np.array([(rune["x"], rune["y"]) for rune in data["runes"]]) for data in (one, other)]
    np.testing.assert_allclose(*axes, rtol=0, atol=1e-6)
    assert (one["rank"], one["features"]) == (other["rank"], other["features"])
    assert one["keptShare"] == pytest.approx(other["keptShare"], abs=1e-6)
    for mine, its in zip(one["runes"], other["runes"], strict=True):
        near, same = ({n["runeId"]: n["similarity"] for n in x["neighbours"]} for x in (mine, its))
        assert sorted(near.values()) == pytest.approx(sorted(same.values()), abs=1e-6)
        last = min(near.values())
        for rune in near.keys() ^ same.keys():  # only where two are as near as each other
            assert (near | same)[rune] == pytest.approx(last, abs=1e-6)
