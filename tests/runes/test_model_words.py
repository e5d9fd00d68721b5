"""What the four models tell has a word in each language: their facts and their columns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.runes.fakes import RecordingContext
from workbench.core.model import MeshModel
from workbench.runes.models.classify import rune_classifier
from workbench.runes.models.cypher import cypher_v1
from workbench.runes.models.cypher_figures import words
from workbench.runes.models.embed import neuro_embed
from workbench.runes.models.runegpt import runegpt_v2
from workbench.widgets.bundle import catalogue

SMALL = Path(__file__).parents[2] / "data" / "samples" / "small.json"
DRAWN = (int, float, str, bool, type(None))


def told(data: dict[str, Any]) -> set[str]:
    """The facts that a page draws."""
    named = (name for name, value in data.items() if isinstance(value, DRAWN))
    return {words(re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)).lower() for name in named}


@pytest.mark.parametrize(
    "model", [cypher_v1, rune_classifier, neuro_embed, runegpt_v2], ids=lambda one: one.name
)
def test_facts_and_columns_of_a_model_have_their_words(model: MeshModel) -> None:
    found = model.function(RecordingContext({"batch": SMALL}))
    columns = {name for table in found.tables.values() for name in table.column_names}
    said = told(found.data) | {words(name) for name in columns}
    assert sorted(said - catalogue("pt-BR").keys()) == []
