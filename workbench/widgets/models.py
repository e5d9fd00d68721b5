"""The models as a widget: cards of what is here, what can be had, and downloads under way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import traitlets

from workbench.widgets.bundle import script, style
from workbench.widgets.link import LinkedWidget

TRAITS = (
    *("connection", "problem", "cards", "machine", "downloads", "found"),
    *("loading", "benchmarks", "options", "listed", "fetchers"),
)
OPTIONS: dict[str, Any] = {"contextSize": None}


class ModelsWidget(LinkedWidget):
    """Draws small traits, the same on every page that shows it.

    A sentence is `{"template", "values"}`; names of fields are those of core/cards.py,
    core/repository.py, core/downloads.py and core/llm_results.py on the wire. A model is named
    by `id@backend`, or by its id where no back end has it.

    Intents: find {source}, closeFound, download {source, choice: name or null, into: back end or
    null}; pause, resume, verify, forget {downloadId}, cancel {downloadId, keep},
    move {downloadId, position}; load {model, options: {contextSize, gpuLayers}}, unload,
    benchmark, stop, chat {model}, delete {model: id}; context {contextSize: tokens or null},
    refresh, seen, startHub, restartHub.

    Replies: chatting {model, title, where: console | list}, once a chat asks that model.
    """

    _esm = script("models.js")
    _css = style("base.css", "models.css")

    connection = traitlets.Dict(
        help="{state, url, attempt, maxAttempts, retryAt, error, hub: absent | starting}"
    ).tag(sync=True)
    problem: Any = traitlets.Dict(allow_none=True, default_value=None, help="a sentence").tag(
        sync=True
    )
    cards: Any = traitlets.List(help="[Card]: every model that there is").tag(sync=True)
    machine: Any = traitlets.Dict(help="Machine: what it has for a model now").tag(sync=True)
    downloads: Any = traitlets.List(help="[Download] in the order of the queue").tag(sync=True)
    found: Any = traitlets.Dict(
        allow_none=True,
        default_value=None,
        help="{text, busy, error, repository, cards, hits} of what was typed in last",
    ).tag(sync=True)
    loading: Any = traitlets.Dict(
        help="model -> {done: 0 to 1 or None, waiting: a sentence or None}"
    ).tag(sync=True)
    benchmarks: Any = traitlets.Dict(
        help="model -> {state: running}, {result: Benchmark} or {error: a sentence}"
    ).tag(sync=True)
    options: Any = traitlets.Dict(help="{contextSize: tokens, or None: each model's own}").tag(
        sync=True
    )
    listed = traitlets.Bool(help="whether the hub has told its models yet").tag(sync=True)

    fetchers: Any = traitlets.List(
        help="[{name, kind}]: back ends that fetch models onto their own disks"
    ).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        given = {"connection": {"state": "connecting", "url": ""}, **traits}
        super().__init__(**{**given, "options": {**OPTIONS, **given.get("options", {})}})

    @classmethod
    def from_file(cls, path: str | Path) -> ModelsWidget:
        """Draw the models from a JSON file: `{"traits": {...}}`."""
        read: Mapping[str, Any] = json.loads(Path(path).read_text("utf-8"))
        known = {name: value for name, value in read.get("traits", {}).items() if name in TRAITS}
        return cls(**known)

    def reply(self, kind: str, **said: Any) -> None:
        """An answer to an intent (see the class)."""
        self.send({"kind": kind, **said})
