"""The work of `neuro-embed`, from a batch to its answer, tables and figures."""

from __future__ import annotations

import csv
import io
import uuid
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from workbench.core.model import Context, Result
from workbench.errors import InputError
from workbench.runes.batch import Batch, load_batch
from workbench.runes.features import FAMILIES, Features, extract
from workbench.runes.history import trust_notes
from workbench.runes.models import embed_figures as figures
from workbench.runes.models.cypher_clusters import Matrix, projected
from workbench.runes.models.devices import Device, Lent
from workbench.runes.models.embed_vectors import (
    Normalization,
    Vectors,
    behaviour,
    neighbours,
    normalized,
    reduced,
    spelling,
)
from workbench.runes.models.steps import DIGITS, Steps, rounded

FEWEST_RUNES = 3
UNITS = 4


def embed(
    context: Context,
    *,
    dimension: int,
    metadata: bool,
    normalization: Normalization,
    output_format: str,
    device: Device | None = None,
) -> Result:
    """One run: see `neuro_embed` for the parameters. `device`, where it is not what was lent."""
    steps = Steps(context, UNITS)
    batch = load_batch(context.inputs["batch"], rune_limit=context.rune_limit)
    context.log("the batch holds {runes} runes", runes=len(batch.rune_ids()))
    found = extract(batch, depth=len(FAMILIES))
    _enough(len(found.table))
    numbers, letters = behaviour(found), spelling(found.names)
    if not (numbers.size or letters.nnz):
        raise InputError(
            "neither a feature nor a name tells these runes apart; allowed: a batch with etchings,"
            " mints or edicts"
        )
    steps.finish("features extracted")

    device = device or Lent(context)
    vectors = reduced(numbers, letters, dimension, context.seed, device=device)
    values = normalized(vectors.values, normalization)
    steps.finish("{rank} of {dimension} dimensions filled", rank=vectors.rank, dimension=dimension)
    near, alike = neighbours(values, device=device)
    steps.finish("neighbours found")
    axes = projected(values, context.seed)
    answer = Answer(batch, found, values, near, alike, axes, metadata)
    steps.finish("projected to a map")
    return Result(
        batch=batch.id,
        data={
            **FORMATS[output_format](answer),
            **_facts(vectors, values, found, normalization),
            "seed": context.seed,
            **({"notes": trust_notes(batch.source.trust)} if batch.source.trust else {}),
        },
        tables={"vectors": answer.table(), "neighbours": answer.pairs()},
        figures=[figures.vector_map(answer.labels, axes), figures.kept_share(vectors.kept)],
    )


def _enough(count: int) -> None:
    if count < FEWEST_RUNES:
        raise InputError(
            "the batch holds {count} {count:rune|runes}; allowed: at least {fewest}, fewer have no "
            "neighbours",
            count=count,
            fewest=FEWEST_RUNES,
        )


def _facts(vectors: Vectors, values: Matrix, found: Features, normalization: str) -> dict[str, Any]:
    return {
        "dimension": int(values.shape[1]),
        "rank": vectors.rank,
        "keptShare": rounded(min(1.0, vectors.kept.sum())),
        "normalization": normalization,
        "features": found.table.columns.tolist(),
        "named": int(found.names.notna().sum()),
        "dropped": found.dropped,
    }


class Answer:
    """The vectors and what goes with them, in the order of the batch's rune ids."""

    def __init__(
        self,
        batch: Batch,
        found: Features,
        values: Matrix,
        near: npt.NDArray[np.int64],
        alike: Matrix,
        axes: Matrix,
        metadata: bool,
    ) -> None:
        self.network, self.values, self.near, self.alike = batch.network, values, near, alike
        self.axes, self.metadata, self.features = axes, metadata, found.table
        self.ids: list[str] = found.table.index.tolist()
        self.names = [name if isinstance(name, str) else None for name in found.names]

    @property
    def labels(self) -> list[str]:
        return [name or rune for name, rune in zip(self.names, self.ids, strict=True)]

    def known(self, row: int) -> dict[str, float | None]:
        """A rune's features in natural units; what is unknown is None."""
        values = self.features.iloc[row].round(DIGITS)
        return {str(name): None if pd.isna(one) else float(one) for name, one in values.items()}

    def neighbours_of(self, row: int) -> list[dict[str, Any]]:
        return [
            {"runeId": self.ids[other], "similarity": float(alike)}
            for other, alike in zip(self.near[row].tolist(), self.alike[row], strict=True)
        ]

    def json(self) -> dict[str, Any]:
        rows = range(len(self.ids))
        return {"runes": [self._rune(row) for row in rows]}

    def _rune(self, row: int) -> dict[str, Any]:
        x, y = self.axes[row].tolist()
        return {
            "runeId": self.ids[row],
            "name": self.names[row],
            "vector": self.values[row].tolist(),
            "neighbours": self.neighbours_of(row),
            "x": x,
            "y": y,
            **({"metadata": self.known(row)} if self.metadata else {}),
        }

    def points(self) -> dict[str, Any]:
        """Points as vector databases take them: an id that is a UUID, a vector, a payload."""
        rows = range(len(self.ids))
        return {"distance": "cosine", "points": [self._point(row) for row in rows]}

    def _point(self, row: int) -> dict[str, Any]:
        rune = self._rune(row)
        own = uuid.uuid5(uuid.NAMESPACE_URL, f"rune:{self.network}:{rune['runeId']}")
        payload = {"runeId": rune["runeId"], "name": rune["name"], "network": self.network}
        return {
            "id": str(own),
            "vector": rune["vector"],
            "payload": {**payload, **rune.get("metadata", {})},
        }

    def text(self) -> dict[str, Any]:
        """One text of comma-separated values (RFC 4180), a line a rune, with a head."""
        out = io.StringIO()
        lines = csv.writer(out)
        features = self.features.columns.tolist() if self.metadata else []
        columns = [f"v{place}" for place in range(self.values.shape[1])]
        lines.writerow(["rune_id", "name", "x", "y", *columns, *features])
        for row, rune in enumerate(self.ids):
            known = self.known(row) if self.metadata else {}
            numbers = [*self.axes[row].tolist(), *self.values[row].tolist()]
            lines.writerow([rune, self.names[row], *numbers, *known.values()])
        return {"csv": out.getvalue()}

    def table(self) -> pa.Table:
        """A row a rune; `vector` is a list of 32-bit floats."""
        known = {name: column.round(DIGITS) for name, column in self.features.items()}
        return pa.table(
            {
                "rune_id": pa.array(self.ids, pa.string()),
                "name": pa.array(self.names, pa.string()),
                "vector": pa.array(self.values.astype("float32").tolist(), pa.list_(pa.float32())),
                "x": self.axes[:, 0],
                "y": self.axes[:, 1],
                **(
                    {name: pa.array(one, from_pandas=True) for name, one in known.items()}
                    if self.metadata
                    else {}
                ),
            }
        )

    def pairs(self) -> pa.Table:
        """A row for each rune and each of its neighbours, nearest first."""
        count = self.near.shape[1]
        return pa.table(
            {
                "rune_id": np.repeat(self.ids, count),
                "neighbour": np.array(self.ids)[self.near.ravel()],
                "rank": np.tile(np.arange(1, count + 1), len(self.ids)),
                "similarity": self.alike.ravel(),
            }
        )


FORMATS = {"json": Answer.json, "vector_db": Answer.points, "csv": Answer.text}
