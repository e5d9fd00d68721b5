"""The line of Python that asks in a notebook what was asked on a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from workbench.core.model import DATA_URL_FORMAT

QUESTION = "runes-"
"""The questions of `workbench.runes` are mesh models of this name."""
KEPT = "batch:"
"""What the address of a batch that a hub keeps begins with."""


def asked_line(model: str, alias: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """Complete, with its import. `known` is the model's JSON Schema: what is given as it stands
    there by default is left out."""
    properties = known.get("properties") or {}
    own = {
        name: value
        for name, value in given.items()
        if "default" not in (properties.get(name) or {}) or properties[name]["default"] != value
    }
    if model.startswith(QUESTION):
        name = model.removeprefix(QUESTION).replace("-", "_")
        others = [key for key, value in own.items() if _is_batch(properties.get(key), value)]
        batches = [alias, *(own.pop(key).removeprefix(KEPT) for key in others)]
        asked = ", ".join([*(f"connect().batch({_literal(one)})" for one in batches), *_told(own)])
        return f"from workbench import connect, runes; runes.{name}({asked})"
    asked = ", ".join([_literal(model), _literal(f"{KEPT}{alias}"), *_told(own)])
    return f"import workbench; workbench.submit({asked})"


def _told(given: Mapping[str, Any]) -> list[str]:
    return [f"{name}={_literal(value)}" for name, value in given.items()]


def _is_batch(schema: Mapping[str, Any] | None, value: Any) -> bool:
    """A second batch that the hub keeps, such as the one that is compared with."""
    named = (schema or {}).get("format") == DATA_URL_FORMAT
    return named and isinstance(value, str) and value.startswith(KEPT)


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
