"""What the four models tell has a word in each language: their facts and their columns."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.runes.fakes import RecordingContext
from workbench.core.model import MeshModel, Result
from workbench.runes import load_batch, save_batch
from workbench.runes.batch import batch_document
from workbench.runes.models.classify import rune_classifier
from workbench.runes.models.cypher import cypher_v1
from workbench.runes.models.cypher_figures import words
from workbench.runes.models.embed import neuro_embed
from workbench.runes.models.runegpt import runegpt_v2
from workbench.widgets.bundle import catalogue

TRUSTED = "ab" * 32
SMALL = Path(__file__).parents[2] / "data" / "samples" / "small.json"
MODELS = (cypher_v1, rune_classifier, neuro_embed, runegpt_v2)
DRAWN = (int, float, str, bool, type(None))


def told(data: dict[str, Any]) -> set[str]:
    """The facts that a page draws."""
    named = (name for name, value in data.items() if isinstance(value, DRAWN))
    return {words(re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)).lower() for name in named}


@cache
def run(model: MeshModel) -> Result:
    """Over a batch whose state was taken over."""
    document = batch_document(load_batch(SMALL))
    document["source"]["trusted"] = TRUSTED
    with TemporaryDirectory() as folder:
        path = save_batch(load_batch(document), Path(folder) / "batch.json")
        result: Result = model.function(RecordingContext({"batch": path}))
    return result


def test_each_model_says_that_the_state_was_taken_over() -> None:
    mark = {"template": "state trusted from {source}", "values": {"source": f"sha256:{TRUSTED}"}}
    assert [run(model).data["notes"][0] for model in MODELS] == [mark] * len(MODELS)


@pytest.mark.parametrize("model", MODELS, ids=lambda one: one.name)
def test_facts_and_columns_of_a_model_have_their_words(model: MeshModel) -> None:
    found = run(model)
    columns = {name for table in found.tables.values() for name in table.column_names}
    said = told(found.data) | {words(name) for name in columns}
    assert sorted(said - catalogue("pt-BR").keys()) == []
