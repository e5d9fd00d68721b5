"""`neuro-embed` with PyTorch gives what it gives without: on the CPU, and on a real GPU."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.runes.on_torch import NO_TORCH, Here, agree, blocks, gpu, named_batch
from tests.runes.test_cypher import Bench
from workbench.runes.models.embed import neuro_embed
from workbench.runes.models.embed_analysis import embed
from workbench.runes.models.embed_vectors import neighbours, normalized, reduced

NAMED = 1100
"""So many names have more than four million cells of letters."""


@pytest.fixture
def here() -> Here:
    pytest.importorskip("torch", reason=NO_TORCH)
    return Here()


@pytest.mark.parametrize("runes", [60, 400], ids=["fewer than columns", "as many as columns"])
def test_both_decompose_to_the_same_vectors(here: Here, runes: int) -> None:
    numbers, letters = blocks(runes)
    letters = letters[:, :300]
    ours = reduced(numbers, letters, 32, seed=3, exact_cells=0)
    its = reduced(numbers, letters, 32, seed=3, exact_cells=0, device=here)
    assert ours.rank == its.rank == 32
    np.testing.assert_allclose(its.values, ours.values, rtol=0, atol=1e-9)
    np.testing.assert_allclose(its.kept, ours.kept, rtol=0, atol=1e-9)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(here: Here) -> None:
    numbers, letters = blocks(80)
    first, second, other = (
        reduced(numbers, letters, 16, seed=seed, exact_cells=0, device=here).values.tobytes()
        for seed in (3, 3, 4)
    )
    assert first == second != other


def test_both_find_the_same_neighbours_ties_included(here: Here) -> None:
    values = normalized(np.random.default_rng(1).normal(size=(150, 8)), "l2")
    values[40:80] = values[40]
    values[90] = 0.0
    ours, its = neighbours(values), neighbours(values, cpu_cells=0, device=here)
    assert ours[0].tolist() == its[0].tolist()
    assert ours[1].tolist() == its[1].tolist()


def test_scipys_switch_is_put_back(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, letters = blocks(30)
    monkeypatch.delenv("SCIPY_ARRAY_API", raising=False)
    reduced(numbers, letters, 8, seed=3, exact_cells=0, device=here)
    assert "SCIPY_ARRAY_API" not in os.environ
    monkeypatch.setenv("SCIPY_ARRAY_API", "0")
    reduced(numbers, letters, 8, seed=3, exact_cells=0, device=here)
    assert os.environ["SCIPY_ARRAY_API"] == "0"


def test_a_whole_answer_agrees(here: Here, tmp_path: Path) -> None:
    bench = named_batch(tmp_path, NAMED)
    options = {"dimension": 64, "metadata": False, "normalization": "l2", "output_format": "json"}
    its = embed(bench, **options, device=here).data
    agree(its, neuro_embed(bench, embeddingDimension=64, includeMetadata=False).data)


# A real GPU


def lent(bench: Bench, device: str) -> Bench:
    again = Bench(bench.inputs["batch"])
    again.rune_limit, again.device = bench.rune_limit, device
    return again


@pytest.mark.gpu
def test_a_gpu_gives_the_answer_of_the_cpu_and_the_result_says_where(tmp_path: Path) -> None:
    device = gpu()
    bench = named_batch(tmp_path, 2100)
    on_cpu = neuro_embed(bench, embeddingDimension=128).data
    assert bench.device == "cpu"
    first, second = lent(bench, device), lent(bench, device)
    answer = neuro_embed(first, embeddingDimension=128)
    assert first.device == device and "computes, with PyTorch" in " ".join(first.lines)
    agree(answer.data, on_cpu)
    assert neuro_embed(second, embeddingDimension=128).data == answer.data


@pytest.mark.gpu
def test_a_gpu_finds_the_neighbours_of_the_cpu() -> None:
    there = Here(gpu())
    values = normalized(np.random.default_rng(1).normal(size=(3000, 16)), "l2")
    ours, its = neighbours(values), neighbours(values, cpu_cells=0, device=there)
    np.testing.assert_allclose(its[1], ours[1], rtol=0, atol=1e-6)
    assert (its[0] == ours[0]).mean() > 0.999


@pytest.mark.gpu
def test_a_gpu_that_is_full_leaves_it_to_the_cpu(tmp_path: Path) -> None:
    device = gpu()
    torch = pytest.importorskip("torch")
    again = lent(named_batch(tmp_path, NAMED), device)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        neuro_embed(again)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert again.device == "cpu"
    assert again.lines[-1] == "the GPU has too little memory left: the CPU computes instead"
