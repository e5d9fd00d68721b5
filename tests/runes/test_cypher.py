"""`cypher-v1` finds groups, rare and odd runes that were put there on purpose, and says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.core.llm import NoModel
from workbench.errors import InputError
from workbench.runes.models.cypher import cypher_v1
from workbench.runes.models.cypher_figures import rune_map

FIRST = 840_000


class Bench:
    """The context of a run, with its progress and log kept."""

    device = "cpu"
    seed = 7
    rune_limit = 100

    def __init__(self, batch: Path) -> None:
        self.inputs = {"batch": batch}
        self.shares: list[float] = []
        self.lines: list[str] = []

    def progress(self, done: float, total: float, template: str = "", /, **values: Any) -> None:
        self.shares.append(done / total)

    def log(self, template: str, /, *, level: str = "info", **values: Any) -> None:
        self.lines.append(template.format(**values))

    def generate(self, prompt: str, /) -> str:
        raise NoModel("no language model is loaded")


def hash_of(number: int) -> str:
    return f"{number:064x}"


def etching(number: int, **terms: Any) -> dict[str, Any]:
    name = "RUNE" + "".join(chr(65 + (number // 26**place) % 26) for place in range(9))
    row = {
        "rune_id": f"{FIRST}:{number + 1}",
        "name": name,
        "spaced_name": name,
        "divisibility": 0,
        "spacers": 0,
        "premine": "0",
        "amount": "1000",
        "cap": "21000",
        "turbo": False,
        "terms": True,
        "cenotaph": False,
        "commitment": "unknown",
        "height": FIRST,
        "tx_index": number + 1,
        "txid": hash_of(number + 1),
    }
    optional = ("symbol", "height_start", "height_end", "offset_start", "offset_end")
    return {**row, **dict.fromkeys(optional), **terms}


def mint(number: int, of: int, receiver: int) -> dict[str, Any]:
    return {
        "height": FIRST + number % 10,
        "tx_index": 100 + number,
        "txid": hash_of(10_000 + number),
        "rune_id": f"{FIRST}:{of + 1}",
        "receiver": f"5120{receiver:064x}",
        "address": None,
        "fee_sat": 500 + number % 7,
        "credited": None,
    }


def batch(folder: Path, runes: int = 40) -> Path:
    """Half are fair mints to many receivers, half premined and never minted; the last is odd."""
    fair = runes // 2
    etchings = [etching(n) for n in range(fair)]
    etchings += [
        etching(n, premine=str(10**15 + n), amount=None, cap=None, terms=False, divisibility=8)
        for n in range(fair, runes - 1)
    ]
    etchings.append(etching(runes - 1, premine=str(2**127), cap=str(2**100), divisibility=38))
    mints = [mint(n, n % fair, receiver=n) for n in range(fair * 12)]
    mints += [mint(len(mints) + n, runes - 1, receiver=1) for n in range(300)]
    events = [
        {key: row[key] for key in ("height", "tx_index", "txid", "rune_id")}
        | {"kind": "minted", "amount": None, "output": None, "cause": None}
        for row in mints
    ]
    blocks = [
        {
            "height": FIRST + n,
            "hash": hash_of(n),
            "mined_at": "2024-04-20T00:00:00Z",
            "transactions": 500,
            "size_bytes": 1000,
            "weight": 4000,
            "subsidy_sat": 312500000,
            "coinbase_sat": 312500000,
            "fees_sat": None,
        }
        for n in range(10)
    ]
    document = {
        "schema": "runes-batch/1",
        "id": "made",
        "network": "mainnet",
        "source": {"producer": "test", "address": None, "fetched_at": None, "sha256": None},
        "units": "atomic",
        "completeness": "runestone",
        "first_height": FIRST,
        "last_height": FIRST + 9,
        "tables": {"blocks": blocks, "etchings": etchings, "mints": mints, "events": events},
    }
    path = folder / "batch.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return batch(tmp_path_factory.mktemp("batch"))


@pytest.mark.parametrize("method", ["kmeans", "hierarchical", "dbscan"])
def test_fair_and_premined_runes_come_apart(made: Path, method: str) -> None:
    data = cypher_v1(Bench(made), clusteringMethod=method).data
    cluster = {rune["runeId"]: rune["cluster"] for rune in data["runes"]}
    fair = {cluster[f"{FIRST}:{n + 1}"] for n in range(20)}
    premined = {cluster[f"{FIRST}:{n + 1}"] for n in range(20, 39)}
    assert fair.isdisjoint(premined)
    assert sum(row["size"] for row in data["clusters"]) <= 40


def test_the_odd_rune_is_the_oddest_the_rarest_and_its_drivers_say_why(made: Path) -> None:
    data = cypher_v1(Bench(made)).data
    oddest = max(data["runes"], key=lambda rune: rune["anomalyScore"])
    assert oddest["runeId"] == f"{FIRST}:40"
    assert oddest["anomalyScore"] >= 0.85
    assert oddest["rarityRank"] == 1
    weights = [driver["weight"] for driver in oddest["drivers"]]
    assert weights == sorted(weights, reverse=True)
    assert 0 < sum(weights) <= 1


def test_what_the_batch_does_not_hold_is_missing_and_named(made: Path) -> None:
    data = cypher_v1(Bench(made), analysisDepth=4).data
    why = {row["feature"]: row["why"] for row in data["dropped"]}
    assert why["holders"] == "the batch does not hold it"
    assert "holders" not in data["runes"][0]["features"]


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_the_same_batch_gives_the_same_answer(made: Path, depth: int) -> None:
    first, second = (cypher_v1(Bench(made), analysisDepth=depth) for _ in range(2))
    assert first.data == second.data
    assert first.figures == second.figures
    assert all(first.tables[name].equals(second.tables[name]) for name in first.tables)


@pytest.mark.parametrize("depth", [1, 5])
@pytest.mark.parametrize("method", ["kmeans", "dbscan"])
def test_progress_is_finished_work_over_all_work(made: Path, depth: int, method: str) -> None:
    bench = Bench(made)
    cypher_v1(bench, analysisDepth=depth, clusteringMethod=method)
    assert bench.shares == sorted(bench.shares)
    assert bench.shares[0] == 0 < bench.shares[1] and bench.shares[-1] == 1


def test_depth_five_adds_stability_and_importance(made: Path) -> None:
    data = cypher_v1(Bench(made), analysisDepth=5).data
    assert -1 <= data["stability"]["lowest"] <= data["stability"]["mean"] <= 1
    assert len(data["importance"]) == len(data["runes"][0]["features"])


def test_the_output_formats_keep_what_they_promise(made: Path) -> None:
    full, summary, compact = (
        cypher_v1(Bench(made), outputFormat=form).data for form in ("full", "summary", "compact")
    )
    assert "features" in full["runes"][0]
    assert "features" not in summary["runes"][0]
    assert len(summary["runes"]) == len(full["runes"]) == 40
    assert {rune["runeId"] for rune in compact["runes"]} == {
        rune["runeId"] for rune in full["runes"] if rune["anomalyScore"] >= 0.85
    }


def test_history_can_be_switched_off(made: Path) -> None:
    data = cypher_v1(Bench(made), analysisDepth=5, includeHistorical=False).data
    assert {"feature": "history", "why": "historical features were switched off"} in data["dropped"]
    assert "active_blocks" not in data["runes"][0]["features"]


def test_a_batch_above_the_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        cypher_v1(Bench(batch(tmp_path, runes=120)))
    assert str(refused.value) == "the batch holds 120 runes; allowed: up to 100"


def test_too_few_runes_are_refused_with_the_number(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        cypher_v1(Bench(batch(tmp_path, runes=4)))
    assert str(refused.value) == (
        "the batch holds 4 runes; allowed: at least 10, fewer cannot be grouped"
    )


def test_the_table_begins_with_the_oddest_runes(made: Path) -> None:
    scores = cypher_v1(Bench(made)).tables["runes"]["anomaly_score"].to_pylist()
    assert scores == sorted(scores, reverse=True)


def test_the_oddest_bars_are_parted_among_named_drivers_alone(made: Path) -> None:
    result = cypher_v1(Bench(made))
    bars = result.figures[1]["data"]
    assert [bar["name"] for bar in bars] == ["strongest driver", "second driver", "third driver"]
    highest = max(rune["anomalyScore"] for rune in result.data["runes"])
    assert sum(bar["x"][-1] for bar in bars) == pytest.approx(highest)
    assert bars[0]["text"][-1].islower()


def test_each_cluster_of_the_map_has_a_sign_of_its_own() -> None:
    """By its colour as long as there are few; noise has the shape of none."""
    labels = [-1, *range(40)]
    answer = pd.DataFrame({"cluster": labels, "name": None}, index=[f"1:{n}" for n in labels])
    figure = rune_map(answer, np.zeros((len(labels), 2)))
    marks = [trace["marker"] for trace in figure["data"]]
    signs = [(mark["color"], mark["symbol"]) for mark in marks]
    assert figure["data"][0]["name"] == "noise" and len({*signs}) == len(signs)
    few = [mark["color"] for mark in marks[:9]]
    assert len({*few}) == len(few)
    assert signs[0][1] not in {symbol for _, symbol in signs[1:]}
