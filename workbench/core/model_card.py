"""A mesh model as a notebook and a terminal show it: what it is, what it takes, how to send it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.core import markup
from workbench.core.sentence import Sentence, Speech, spoken

if TYPE_CHECKING:
    from workbench.core.model import MeshModel

_ENGLISH = Speech()


def text(model: MeshModel) -> str:
    """One line, with every parameter and its default."""
    return f"MeshModel({model.name!r}: {', '.join(_arguments(model)) or 'no parameters'})"


def html(model: MeshModel) -> str:
    """Title, description, parameters, and the lines that run it."""
    speech = spoken()
    kind = speech.say(Sentence("mesh model {name}", {"name": model.name}))
    parts = [markup.heading(speech.say(model.title), kind)]
    if model.description:
        parts.append(markup.note(speech.say(model.description)))
    rows = _rows(model, speech)
    if rows:
        parts.append(markup.table(speech.each("parameter", "type", "default", "about"), rows))
    parts.append(markup.block("\n".join(how(model))))
    return "".join(parts)


def how(model: MeshModel) -> list[str]:
    """The calls that run it."""
    called = model.function.__name__
    batch = ["batch"] if model.batch is not None else []
    lines = [f"workbench.submit({', '.join([called, *batch, *_arguments(model)])})"]
    if batch:
        lines.append(f"workbench.map({called}, batches)")
    return [*lines, f"workbench.show_mesh(model={called})"]


def _arguments(model: MeshModel) -> list[str]:
    return [
        f"{name}={default if default is not None else '...'}"
        for name, _, default, _ in _rows(model)
    ]


def _rows(model: MeshModel, speech: Speech = _ENGLISH) -> list[tuple[str, str, str | None, str]]:
    """Each parameter: its name, type, default as it is written in Python, and what it is."""
    schema = model.parameters_schema()
    needed = schema.get("required") or ()
    return [
        (
            name,
            _kind(each),
            None if name in needed else repr(each.get("default")),
            ". ".join(map(speech.say, filter(None, map(each.get, ("title", "description"))))),
        )
        for name, each in schema["properties"].items()
    ]


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(repr, schema["enum"]))
    options = schema.get("anyOf") or [schema]
    return " | ".join(str(each.get("type") or "reference") for each in options)
