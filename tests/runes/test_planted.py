"""`cypher-v1` finds what was planted, and finds nothing where nothing was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from tests.runes import intents
from tests.runes.intents import Made
from tests.runes.test_cypher import Bench
from workbench.runes.batch import load_batch
from workbench.runes.features import extract
from workbench.runes.models.cypher import cypher_v1
from workbench.runes.models.cypher_clusters import Labels, Matrix, even_features, find_clusters
from workbench.runes.models.cypher_scores import unified
from workbench.runes.models.steps import Steps

PLANTED = (intents.team, intents.crowd, intents.farm)
ODD = 10


def odd(made: Made) -> None:
    """A rune unlike all others in a way of its own."""
    kind = made.random.randrange(3)
    if kind == 0:
        rune = made.etch("odd", amount=2**100, cap=2**20, divisibility=38, premine=2**120)
        for _ in range(900):
            made.mint(rune, 10_000)
    elif kind == 1:
        rune = made.etch("odd", amount=10**14, cap=21_000)
        for _ in range(40):
            made.move(rune, [made.person() for _ in range(60)])
    else:
        rune = made.etch("odd", amount=1, cap=10, premine=10**30)
        for _ in range(10):
            made.mint(rune, 10_001, rune["height"] + 1)
        for mint in made.rows["mints"][-10:]:
            mint["fee_sat"] = 2_000_000


def batch(folder: Path, seed: int, *kinds: tuple[Callable[[Made], None], int]) -> Any:
    made = Made(seed)
    for intent, count in kinds:
        for _ in range(count):
            intent(made)
    path = folder / "planted.json"
    path.write_text(json.dumps(made.document()))
    return path, made.labels


def found(even: Matrix, method: Any) -> Labels:
    return find_clusters(even, method, 3, Steps(Bench(Path()), 10))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Matrix, list[str]]:
    folder = tmp_path_factory.mktemp("planted")
    path, labels = batch(folder, 11, *((kind, 40) for kind in PLANTED))
    table = extract(load_batch(path), depth=3).table
    return even_features(table), [labels[str(rune)] for rune in table.index]


@pytest.mark.parametrize("method", ["kmeans", "hierarchical", "dbscan"])
def test_planted_clusters_are_found(planted: tuple[Matrix, list[str]], method: str) -> None:
    even, labels = planted
    assert adjusted_rand_score(labels, found(even, method)) >= 0.9


@pytest.mark.parametrize("method", ["kmeans", "hierarchical", "dbscan"])
def test_shuffled_data_holds_none_of_them(planted: tuple[Matrix, list[str]], method: str) -> None:
    even, labels = planted
    random = np.random.default_rng(5)
    shuffled = np.column_stack([random.permutation(column) for column in even.T])
    assert adjusted_rand_score(labels, found(shuffled, method)) <= 0.1


def test_planted_anomalies_come_first(tmp_path: Path) -> None:
    path, labels = batch(tmp_path, 21, (intents.crowd, 100), (odd, ODD))
    bench = Bench(path)
    bench.rune_limit = 1000
    runes = cypher_v1(bench, outputFormat="summary").data["runes"]
    ranked = sorted(runes, key=lambda rune: -rune["anomalyScore"])
    first = [labels[rune["runeId"]] == "odd" for rune in ranked[:ODD]]
    assert np.mean(first) >= 0.9
    flagged = [labels[rune["runeId"]] for rune in runes if rune["anomalyScore"] >= 0.85]
    assert flagged.count("odd") >= 0.5 * ODD
    assert len(flagged) - flagged.count("odd") <= 1


def test_clean_data_raises_one_alarm_in_a_hundred_at_most(tmp_path: Path) -> None:
    path, _ = batch(tmp_path, 22, (intents.crowd, 120))
    bench = Bench(path)
    bench.rune_limit = 1000
    runes = cypher_v1(bench, outputFormat="summary").data["runes"]
    assert sum(rune["anomalyScore"] >= 0.85 for rune in runes) <= 1


def test_oddness_begins_where_the_modified_z_score_is_three_and_a_half() -> None:
    """Median 3 and MAD 1, so the outermost lie at 0.6745 * 5.189 = 3.5."""
    far = 3.5 / 0.6745
    scores = unified(np.array([3 - far, 2, 2, 2, 3, 4, 4, 4, 3 + far]))
    assert scores[-1] == pytest.approx(0.85)
    assert scores[0] == scores[4] == 0 < scores[5] < 0.4


def test_where_most_are_equal_the_others_are_still_told_apart() -> None:
    """49 at 0, one at 1: the MAD is 0, the mean absolute deviation 0.02, z = 1 / 0.02507."""
    scores = unified(np.array([0.0] * 49 + [1.0]))
    assert scores[-1] == pytest.approx(1) and not scores[:-1].any()
    assert not unified(np.zeros(5)).any()
