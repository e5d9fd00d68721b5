"""The work of `cypher-v1`, from a batch to its answer, tables and figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from workbench.core.model import Context, Result
from workbench.errors import InputError
from workbench.runes.batch import load_batch
from workbench.runes.features import Features, extract
from workbench.runes.history import trust_notes
from workbench.runes.models import cypher_figures as figures
from workbench.runes.models.cypher_clusters import (
    RESAMPLES,
    Labels,
    Matrix,
    Method,
    even_features,
    find_clusters,
    most_clusters,
    projected,
    scaled_features,
    stability,
)
from workbench.runes.models.cypher_scores import (
    find_drivers,
    grown,
    importance,
    rarity_bits,
    unified,
)
from workbench.runes.models.steps import DIGITS, Steps, rounded

FEWEST_RUNES = 10
DRIVERS = 3
TYPICAL = 3

STRANGERS = (
    "{count} of {total} {total:rune|runes} {count:is|are} not etched in this batch: of "
    "{count:that|those} only what happened in it is known"
)


def analyse(
    context: Context,
    *,
    depth: int,
    include_historical: bool,
    method: Method,
    threshold: float,
    output_format: str,
) -> Result:
    """One run: see `cypher_v1` for the parameters."""
    batch = load_batch(context.inputs["batch"], rune_limit=context.rune_limit)
    context.log("the batch holds {runes} runes", runes=len(batch.rune_ids()))
    found = extract(batch, depth=depth, include_historical=include_historical)
    _enough(found)
    scaled, even = scaled_features(found.table), even_features(found.table)
    deep = depth == 5
    tries = 1 if method == "dbscan" else most_clusters(even) - 1
    width = scaled.shape[1]
    total = 1 + tries + 1 + width + (RESAMPLES + width if deep else 0)
    steps = Steps(context, total)
    context.log(
        "{runes} runes, {features} features, {dropped} dropped",
        runes=len(scaled),
        features=width,
        dropped=len(found.dropped),
    )
    steps.finish("features extracted")

    clusters = find_clusters(even, method, context.seed, steps)
    forest = grown(scaled, context.seed)
    raw = -forest.score_samples(scaled)
    steps.finish("anomalies scored")
    drivers = find_drivers(forest, scaled, raw, steps)
    extra: dict[str, Any] = {}
    if deep:
        extra["stability"] = stability(even, clusters, method, context.seed, steps)
        extra["importance"] = importance(
            forest, scaled, raw, found.table.columns.tolist(), context.seed, steps
        )

    answer = _answer(found, scaled, clusters, unified(raw), drivers)
    flagged = int((answer["anomaly_score"] >= threshold).sum())
    context.log(
        "{clusters} clusters, {flagged} runes at or above the anomaly threshold",
        clusters=len(set(clusters[clusters >= 0].tolist())),
        flagged=flagged,
    )
    summary = _cluster_rows(found, even, clusters)
    return Result(
        batch=batch.id,
        data={
            "runes": _rune_rows(answer, found, output_format, threshold),
            "clusters": summary,
            "dropped": found.dropped,
            "flagged": flagged,
            "parameters": {"families": depth, "seed": context.seed},
            "notes": [*trust_notes(batch.source.trust), *_notes(found)],
            **extra,
        },
        tables={"runes": _table(answer, found), "clusters": _cluster_table(summary)},
        figures=[
            figures.rune_map(answer, projected(even, context.seed)),
            figures.oddest(answer),
            figures.sizes(summary),
        ],
    )


def _notes(found: Features) -> list[dict[str, Any]]:
    """What a reader of the counts should know: a rune may be minted here and etched elsewhere."""
    strangers = int(found.names.isna().sum())
    if not strangers:
        return []
    return [{"template": STRANGERS, "values": {"count": strangers, "total": len(found.names)}}]


def _enough(found: Features) -> None:
    if len(found.table) < FEWEST_RUNES:
        raise InputError(
            "the batch holds {count} {count:rune|runes}; allowed: at least {fewest}, fewer cannot "
            "be grouped",
            count=len(found.table),
            fewest=FEWEST_RUNES,
        )
    if len(found.table.drop_duplicates()) < 2:
        raise InputError(
            "no feature tells these runes apart; allowed: a batch with etchings, mints or edicts,"
            " or a greater analysis depth"
        )


def _answer(
    found: Features, scaled: Matrix, clusters: Labels, scores: Matrix, drivers: Matrix
) -> pd.DataFrame:
    """A row a rune, in the order of the batch."""
    columns = found.table.columns.tolist()
    strongest = np.argsort(-drivers, axis=1, kind="stable")[:, :DRIVERS]
    bits = rarity_bits(found.table).round(DIGITS)
    order = pd.Series(range(len(bits)), index=bits.index)
    ranked = pd.DataFrame({"bits": -bits, "order": order}).sort_values(["bits", "order"]).index
    return pd.DataFrame(
        {
            "name": found.names,
            "cluster": clusters,
            "anomaly_score": np.round(scores, DIGITS),
            "rarity_rank": pd.Series(range(1, len(bits) + 1), index=ranked).reindex(bits.index),
            "rarity_bits": bits,
            "drivers": [
                [
                    {"feature": columns[column], "weight": rounded(drivers[row, column])}
                    for column in strongest[row]
                    if drivers[row, column] > 0
                ]
                for row in range(len(scaled))
            ],
        },
        index=found.table.index,
    )


def _rune_rows(
    answer: pd.DataFrame, found: Features, form: str, threshold: float
) -> list[dict[str, Any]]:
    runes = answer.reset_index().to_dict("records")
    features = found.table.round(DIGITS).to_dict("records")
    return [
        {
            "runeId": rune["rune_id"],
            "name": rune["name"] if isinstance(rune["name"], str) else None,
            "cluster": rune["cluster"] if rune["cluster"] >= 0 else None,
            "anomalyScore": rune["anomaly_score"],
            "drivers": rune["drivers"],
            "rarityRank": rune["rarity_rank"],
            **({"features": _known(known)} if form == "full" else {}),
        }
        for rune, known in zip(runes, features, strict=True)
        if form != "compact" or rune["anomaly_score"] >= threshold
    ]


def _known(values: Mapping[Any, Any]) -> dict[str, float | None]:
    return {str(name): None if pd.isna(value) else float(value) for name, value in values.items()}


def _cluster_rows(found: Features, even: Matrix, clusters: Labels) -> list[dict[str, Any]]:
    rows = []
    for label in sorted({label for label in clusters.tolist() if label >= 0}):
        members = np.flatnonzero(clusters == label)
        centre = even[members].mean(axis=0)
        near = members[np.argsort(np.linalg.norm(even[members] - centre, axis=1), kind="stable")]
        rows.append(
            {
                "id": label,
                "size": len(members),
                "centre": _known(found.table.iloc[members].median().round(DIGITS).to_dict()),
                "typical": [str(found.table.index[row]) for row in near[:TYPICAL]],
            }
        )
    return rows


def _table(answer: pd.DataFrame, found: Features) -> pa.Table:
    """The oddest runes first: a reader of the first rows sees those that matter."""
    flat = answer.assign(
        cluster=answer["cluster"].where(answer["cluster"] >= 0).astype("Int64"),
        drivers=answer["drivers"].map(json.dumps),
    )
    ordered = flat.sort_values("anomaly_score", ascending=False, kind="stable")
    return pa.Table.from_pandas(
        ordered.join(found.table.round(DIGITS)).reset_index(), preserve_index=False
    )


def _cluster_table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.table(
        {
            "cluster": pa.array([row["id"] for row in rows], pa.int64()),
            "size": pa.array([row["size"] for row in rows], pa.int64()),
            "typical": pa.array([row["typical"] for row in rows], pa.list_(pa.string())),
            "centre": pa.array([json.dumps(row["centre"]) for row in rows], pa.string()),
        }
    )
