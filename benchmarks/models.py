"""What the mesh models find in what was planted: figures for the aims of each.

Planted clusters: adjusted Rand index from 0.9, and up to 0.1 on shuffled data. Planted anomalies:
precision@k from 0.9, and up to 1 % false alarms on clean data. Categories: macro F1 from 0.9 on
seeds that no bound was chosen on. Forecasts: MASE below 0.9 on planted seasonality, skill on up to
one random walk in ten, and 95 % intervals that hold 92 to 98 % over 500 series.

It takes some two minutes on one free core and ends by itself; `--series 60` is a quick look.

    python benchmarks/models.py [--series N]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from sklearn.metrics import adjusted_rand_score, f1_score

from tests.runes import intents
from tests.runes.series import KINDS, WEEK, series
from tests.runes.test_cypher import Bench
from tests.runes.test_planted import ODD, PLANTED, batch, found, odd
from workbench.runes.batch import load_batch
from workbench.runes.features import extract
from workbench.runes.models.classify import rune_classifier
from workbench.runes.models.cypher import cypher_v1
from workbench.runes.models.cypher_clusters import even_features
from workbench.runes.models.forecast import forecast

SEEDS = (501, 502, 503)
LONGEST_AHEAD = 14


def say(what: str, value: float, aim: str, good: bool) -> None:
    print(f"{what:44s} {value:7.3f}   aim {aim:12s} {'reached' if good else 'MISSED'}", flush=True)


def clusters(folder: Path) -> None:
    planted, shuffled = [], []
    for seed in SEEDS:
        path, labels = batch(folder, seed, *((kind, 40) for kind in PLANTED))
        table = extract(load_batch(path), depth=3).table
        truth, even = [labels[str(rune)] for rune in table.index], even_features(table)
        random = np.random.default_rng(seed)
        mixed = np.column_stack([random.permutation(column) for column in even.T])
        planted.append(adjusted_rand_score(truth, found(even, "kmeans")))
        shuffled.append(adjusted_rand_score(truth, found(mixed, "kmeans")))
    say("clusters: adjusted Rand index, lowest", min(planted), ">= 0.9", min(planted) >= 0.9)
    say("the same on shuffled data, highest", max(shuffled), "<= 0.1", max(shuffled) <= 0.1)


def anomalies(folder: Path) -> None:
    precision, alarms = [], []
    for seed in SEEDS:
        path, labels = batch(folder, seed, (intents.crowd, 200), (odd, ODD))
        runes = cypher_v1(_bench(path), outputFormat="summary").data["runes"]
        ranked = sorted(runes, key=lambda rune: -rune["anomalyScore"])[:ODD]
        precision.append(float(np.mean([labels[rune["runeId"]] == "odd" for rune in ranked])))
        path, _ = batch(folder, seed + 50, (intents.crowd, 300))
        runes = cypher_v1(_bench(path), outputFormat="summary").data["runes"]
        alarms.append(float(np.mean([rune["anomalyScore"] >= 0.85 for rune in runes])))
    mean = float(np.mean(precision))
    say("anomalies: precision@10, mean", mean, ">= 0.9", mean >= 0.9)
    say(
        "false alarms on clean data, mean",
        float(np.mean(alarms)),
        "<= 0.01",
        float(np.mean(alarms)) <= 0.01,
    )


def categories(folder: Path) -> None:
    for depth, kinds in (("standard", intents.STANDARD), ("detailed", intents.DETAILED)):
        scores = []
        for seed in SEEDS:
            document, labels = intents.made(seed, 40, kinds)
            path = folder / "categories.json"
            path.write_text(json.dumps(document))
            runes = rune_classifier(_bench(path), classificationDepth=depth).data["runes"]
            meant = [labels[rune["runeId"]] for rune in runes]
            said = [rune["category"] or "none" for rune in runes]
            scores.append(f1_score(meant, said, average="macro", labels=sorted(set(meant))))
        say(f"categories, {depth}: macro F1, lowest", min(scores), ">= 0.9", min(scores) >= 0.9)


def forecasts(count: int) -> None:
    random = np.random.default_rng(11)
    inside: list[float] = []
    for kind in KINDS:
        held, mase, skilled = [], [], []
        for _ in range(-(-count // len(KINDS))):
            days, ahead = int(random.integers(42, 120)), int(random.integers(1, LONGEST_AHEAD + 1))
            whole = series(kind, days + ahead, random)
            one, truth = forecast(whole[:days], WEEK, ahead), whole[days:]
            low, high = one.path.quantile(0.025), one.path.quantile(0.975)
            held.append(float(np.mean((truth >= low) & (truth <= high))))
            mase.append(one.mase or 0.0)
            skilled.append(one.skill is not None)
        inside += held
        print(
            f"  {kind:8s} held {np.mean(held):.3f}  MASE {np.mean(mase):.2f}  "
            f"skill claimed {np.mean(skilled):.2f}"
        )
        if kind == "season":
            say(
                "planted seasonality: MASE, mean",
                float(np.mean(mase)),
                "< 0.9",
                float(np.mean(mase)) < 0.9,
            )
        if kind == "walk":
            say(
                "random walks with a claim of skill",
                float(np.mean(skilled)),
                "<= 0.1",
                float(np.mean(skilled)) <= 0.1,
            )
    whole_share = float(np.mean(inside))
    say(
        f"95 % intervals over {len(inside)} series",
        whole_share,
        "0.92 - 0.98",
        0.92 <= whole_share <= 0.98,
    )


def _bench(path: Path) -> Bench:
    bench = Bench(path)
    bench.rune_limit = 5000
    return bench


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=500)
    count = parser.parse_args().series
    with tempfile.TemporaryDirectory() as folder:
        clusters(Path(folder))
        anomalies(Path(folder))
        categories(Path(folder))
    forecasts(count)


if __name__ == "__main__":
    main()
