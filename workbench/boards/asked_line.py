"""The line of Python that asks in a notebook what was asked on a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

QUESTION = "runes-"
"""The questions of `workbench.runes` are mesh models of this name."""


def asked_line(model: str, alias: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """Complete, with its import. `known` is the model's JSON Schema: what is given as it stands
    there by default is left out."""
    properties = known.get("properties") or {}
    told = [
        f"{name}={_literal(value)}"
        for name, value in given.items()
        if "default" not in (properties.get(name) or {}) or properties[name]["default"] != value
    ]
    if model.startswith(QUESTION):
        name = model.removeprefix(QUESTION).replace("-", "_")
        asked = ", ".join([f"connect().batch({_literal(alias)})", *told])
        return f"from workbench import connect, runes; runes.{name}({asked})"
    asked = ", ".join([_literal(model), _literal(f"batch:{alias}"), *told])
    return f"import workbench; workbench.submit({asked})"


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
