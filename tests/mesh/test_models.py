"""Models are found through their entry points; a broken one costs only itself."""

from __future__ import annotations

import logging
import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tests.mesh.doubles import MODELS, steady
from workbench.errors import InputError
from workbench.mesh.models import GROUP, Models, UnknownModel, discover, validated
from workbench.mesh.own import OwnModel
from workbench.mesh.schema import Schema


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, GROUP)


def test_a_broken_model_is_reported_and_the_others_work(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL):
        models = discover(
            [
                entry("steady", "tests.mesh.doubles:steady"),
                entry("gone", "no_such_module:model"),
                entry("plain", "tests.mesh.doubles:done"),
            ]
        )
    assert list(models) == ["steady"]
    assert [(each["name"], each["error"]) for each in models.complaints()] == [
        (
            "gone",
            "model gone could not be loaded: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        (
            "plain",
            "model plain could not be loaded: its entry point tests.mesh.doubles:done "
            "is no function made with @model",
        ),
    ]
    with pytest.raises(UnknownModel, match="could not be loaded"):
        models.named("gone")


def test_an_unknown_model_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(UnknownModel) as refused:
        Models(MODELS).named("tea")
    assert str(refused.value) == "there is no model tea; known: once, steady"
    assert refused.value.code == "unknown-model"


def test_parameters_get_their_defaults_or_a_sentence() -> None:
    assert validated(steady, {}) == {"units": 3}
    with pytest.raises(InputError) as refused:
        validated(steady, {"units": 0, "x": 1})
    assert str(refused.value).startswith("2 faults: ")


def test_a_page_offers_the_newest_own_functions_and_all_can_be_named() -> None:
    models = Models(MODELS)
    for number in [*range(30), 3]:
        models.add(own(f"f{number:02}"))
    offered = {each["name"] for each in models.listing() if each["listed"]}
    assert offered == {"once", "steady", "f03", *(f"f{n}" for n in range(11, 30))}
    assert models.named("f00").name == "f00"


def own(name: str) -> OwnModel:
    return OwnModel(
        name=name,
        version="1",
        title=name,
        description="",
        pure=True,
        gpu_memory_mb=None,
        schema=Schema({"type": "object", "properties": {}}),
        batch=None,
        needs_batch=False,
        sha256="",
        path=Path(),
    )


def test_our_own_models_are_installed() -> None:
    ours = {"block-import", "cypher-v1", "neuro-embed", "rune-classifier", "runegpt-v2"}
    assert ours <= set(discover())


def test_a_model_without_a_version_gets_one_that_follows_its_text() -> None:
    entries = [entry(name, f"tests.mesh.own_cells:{name}") for name in ("fails", "anything")]
    found = discover(entries)
    assert all(re.fullmatch(r"own-[0-9a-f]{12}", each.version) for each in found.values())
    assert found["fails"].version != found["anything"].version
    assert found["fails"].version == discover(entries)["fails"].version
