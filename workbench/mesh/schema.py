"""Parameters judged by a JSON Schema alone: the hub never loads the function that made it.

What a schema of parameters is made of is checked here, with every reference put in its place;
what else it may hold (patterns, formats, circles) is left to the function's own process.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, cast

from workbench.core.mesh_wire import SCHEMA_BYTES
from workbench.core.model import allowed_words
from workbench.core.wire import encode
from workbench.errors import Fault, InputError, shown

FIELD = "parametersSchema"
PARTS = 2_000
"""Parts of a schema once its references are put in their places."""

_PLAIN = frozenset(
    [
        "type",
        "enum",
        "const",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "required",
    ]
)
_ONE = frozenset(("items", "additionalProperties"))
_MANY = frozenset(("anyOf", "allOf", "oneOf", "prefixItems"))
_NO_PART: dict[str, Any] = {}


class Schema:
    """The parameters of one own function. Raises InputError for what is no such schema."""

    def __init__(self, whole: dict[str, Any]) -> None:
        _check(whole)
        self.whole = whole
        self.properties: dict[str, Any] = whole.get("properties", {})
        self._left = PARTS
        try:
            checked = self._placed(whole, ())
        except RecursionError:
            raise InputError.field(FIELD, "nested too deeply", "fewer levels") from None
        self._validator = _validator(checked)

    def validate(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters with the defaults that the schema names. Raises InputError."""
        faults = [
            fault for error in self._validator.iter_errors(dict(given)) for fault in _of(error)
        ]
        if faults:
            raise InputError.of(faults)
        defaults = {
            name: each["default"]
            for name, each in self.properties.items()
            if isinstance(each, Mapping) and "default" in each
        }
        return {**defaults, **given}

    def _placed(self, part: Any, inside: tuple[str, ...]) -> Any:
        """A copy of what is checked. `inside`: the references that lead here."""
        self._left -= 1
        if self._left < 0:
            raise InputError.field(FIELD, f"more than {PARTS} parts", f"at most {PARTS}")
        if not isinstance(part, Mapping):
            return part  # true or false
        found: dict[str, Any] = {key: part[key] for key in _PLAIN if key in part}
        for key in _ONE & part.keys():
            found[key] = self._placed(part[key], inside)
        for key in _MANY & part.keys():
            found[key] = [self._placed(each, inside) for each in part[key]]
        if "properties" in part:
            properties = part["properties"]
            found["properties"] = {
                name: self._placed(each, inside) for name, each in properties.items()
            }
        if "$ref" in part:
            found["allOf"] = [*found.get("allOf", ()), self._referred(part["$ref"], inside)]
        return found

    def _referred(self, name: str, inside: tuple[str, ...]) -> Any:
        known, prefix = self.whole.get("$defs", _NO_PART), "#/$defs/"
        if not name.startswith(prefix) or name.removeprefix(prefix) not in known:
            raise InputError.field(f"{FIELD}.$ref", name, "a name of the schema's own $defs")
        if name in inside:
            return {}
        return self._placed(known[name.removeprefix(prefix)], (*inside, name))


def _validator(schema: Any) -> Any:
    """For it 2.0 is no integer, though JSON Schema says so: the function would not take it."""
    jsonschema = _jsonschema()
    strict = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    kind = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=strict)
    return kind(schema)


def _check(whole: dict[str, Any]) -> None:
    size = len(encode(whole).encode())
    if size > SCHEMA_BYTES:
        raise InputError.field(FIELD, f"{size} bytes of JSON", f"at most {SCHEMA_BYTES} bytes")
    jsonschema = _jsonschema()
    try:
        jsonschema.Draft202012Validator.check_schema(whole)
    except jsonschema.SchemaError as error:
        path = ".".join([FIELD, *map(str, error.absolute_path)])
        raise InputError.field(path, error.instance, _allowed(error)) from None
    except RecursionError:
        raise InputError.field(FIELD, "nested too deeply", "fewer levels") from None
    if whole.get("type") != "object" or not isinstance(whole.get("properties", {}), Mapping):
        raise InputError.field(f"{FIELD}.type", whole.get("type"), "object")


def _of(error: Any) -> list[Fault]:
    """One complaint of the validator as faults in the house's words."""
    path = ".".join(["parameters", *map(str, error.absolute_path)])
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return [Fault(f"{path}.{name}", "missing", "a value, it is required") for name in missing]
    if error.validator == "additionalProperties" and error.validator_value is False:
        known = error.schema.get("properties", {})
        allowed = "one of " + ", ".join(known) if known else "none"
        return [
            Fault(f"{path}.{name}", shown(value), allowed)
            for name, value in error.instance.items()
            if name not in known
        ]
    nearest = (
        _jsonschema().exceptions.best_match([error])
        if error.context and not _words(error)
        else None
    )
    if nearest is not None and nearest is not error:  # of several choices
        return _of(nearest)
    return [Fault(path, shown(error.instance), _allowed(error))]


def _allowed(error: Any) -> str:
    return _words(error) or f"{error.validator} {shown(error.validator_value)}"


def _words(error: Any) -> str:
    return allowed_words(error.schema) if isinstance(error.schema, Mapping) else ""


def _jsonschema() -> ModuleType:
    """The library, without a grammar of addresses that costs two seconds and that nobody asks."""
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    import jsonschema

    return cast(ModuleType, jsonschema)
