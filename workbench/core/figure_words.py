"""A figure in the reader's language: titles, the names of traces, notes; never its data.

The page's figure.js does the same with the same marks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.core.sentence import Sentence, Speech

_TITLED = frozenset(("title", "name", "hovertemplate", "text", "label"))
_LISTED = ("annotations", "data")
SEPARATORS = ",."
"""Of numbers in Portuguese, as Plotly takes them: the decimal sign, then that of thousands."""


def in_language(figure: Mapping[str, Any], speech: Speech) -> dict[str, Any]:
    """The figure as `speech` says it; in English as it is."""
    if speech.language == "en":
        return dict(figure)
    layout = dict(figure.get("layout") or {})
    meta = layout.pop("meta", None) or {}
    words, title = meta.get("words"), meta.get("title")
    data = [_named(trace, words, speech) for trace in figure.get("data") or ()]
    said = _said(layout, "", speech)
    if title:
        text = speech.say(Sentence(title["template"], title.get("values") or {}))
        said["title"] = {**said.get("title", {}), "text": text}
    layout = {"separators": SEPARATORS, **said, **({"meta": meta} if meta else {})}
    return {**figure, "data": _said(data, "data", speech), "layout": layout}


def _named(trace: Mapping[str, Any], axis: str | None, speech: Speech) -> dict[str, Any]:
    """A trace whose names along `axis` are words of ours."""
    names = trace.get(axis) if axis else None
    if axis is None or not isinstance(names, list):
        return dict(trace)
    return {**trace, axis: [_each(one, speech) for one in names]}


def _each(name: Any, speech: Speech) -> Any:
    """A name, part by part: `cenotaph: no-output` is two words; an address stays."""
    return ": ".join(map(speech.say, name.split(": "))) if isinstance(name, str) else name


def _said(part: Any, key: str, speech: Speech) -> Any:
    if isinstance(part, str):
        return speech.say(part) if key in _TITLED else part
    if isinstance(part, list):
        if key == "text":
            return [speech.text(one) if isinstance(one, str) else one for one in part]
        return [_said(one, "", speech) for one in part] if key in _LISTED else part
    if not isinstance(part, Mapping):
        return part
    return {name: _said(one, name, speech) for name, one in part.items()}
