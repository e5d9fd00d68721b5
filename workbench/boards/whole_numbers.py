"""Whole numbers beyond 2^53 on their way back from a page: digits there, numbers again here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

DIGITS = re.compile(r"-?[0-9]{1,100}\Z")
PREFIX = "#/$defs/"


def whole_numbers(parameters: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters, with texts of digits as integers where the model's schema wants those."""
    properties, definitions = schema.get("properties") or {}, schema.get("$defs") or {}
    return {
        name: _whole(value, properties.get(name) or {}, definitions)
        for name, value in parameters.items()
    }


def _whole(value: Any, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    options = list(_options(schema, definitions))
    if isinstance(value, str):
        kinds = {kind for option in options for kind in _kinds(option)}
        wanted = "integer" in kinds and "string" not in kinds
        return int(value) if wanted and DIGITS.match(value) else value
    for option in options:
        if isinstance(value, list) and isinstance(option.get("items"), Mapping):
            return [_whole(each, option["items"], definitions) for each in value]
        if isinstance(value, Mapping) and option.get("type") == "object":
            known, more = option.get("properties") or {}, option.get("additionalProperties")
            rest = more if isinstance(more, Mapping) else {}
            return {
                key: _whole(each, known.get(key, rest), definitions) for key, each in value.items()
            }
    return value


def _options(
    schema: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """What a value may be, references of one level replaced."""
    for option in schema.get("anyOf") or [schema]:
        name = str(option.get("$ref") or "").removeprefix(PREFIX)
        yield definitions.get(name) or option


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    """The types that JSON Schema says, or those of the values that it lists."""
    if "enum" in schema:
        return ["integer" if isinstance(each, int) else "string" for each in schema["enum"]]
    kind = schema.get("type")
    return kind if isinstance(kind, list) else [str(kind)]
