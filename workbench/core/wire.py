"""Decoding what a socket says: typed, bounded, and refused with a sentence that helps."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import msgspec.inspect

from workbench.errors import Fault, InputError, shown

WIRE_VERSION = 1
WHOLE = "the message"

M = TypeVar("M", bound=msgspec.Struct)

_PATH = re.compile(r"^(?P<what>.*?)(?: - at (?:`key` in )?`(?P<path>\$[^`]*)`)?$", re.DOTALL)
_EXPECTED = re.compile(r"^Expected `(?P<allowed>[^`]*)`(?P<rest>.*)$", re.DOTALL)

FORMS = {
    "date": "a date as YYYY-MM-DD",
    "date-time": "a date and time as YYYY-MM-DDTHH:MM:SS, with Z or +HH:MM where its zone matters",
    "time": "a time as HH:MM:SS",
    "duration": "a duration as P1DT2H30M",
    "decimal": "a number, as a text where each digit matters",
    "uuid": "a UUID",
}
"""What texts of a form look like, by the name of the form in a JSON Schema."""
_SAID = {
    "Invalid RFC3339 encoded date": "date",
    "Invalid RFC3339 encoded datetime": "date-time",
    "Invalid RFC3339 encoded time": "time",
    "Invalid ISO8601 duration": "duration",
    "Invalid decimal string": "decimal",
    "Invalid UUID": "uuid",
}
"""msgspec's own sentences about them, which name only what is wrong."""


def decode(frame: str | bytes, kinds: dict[str, type[M]]) -> M:
    """One JSON text frame as the message that its `type` names.

    `kinds` maps a `type` to its struct. Raises InputError naming field, value and what
    is allowed; nothing else.
    """
    try:
        document = msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError("the message is not valid JSON: {reason}", reason=str(error)) from None
    except RecursionError:
        raise InputError("the message is nested too deeply; allowed: 500 levels") from None
    if not isinstance(document, dict):
        raise InputError.field("the message", document, "a JSON object")
    kind = document.get("type")
    struct = kinds.get(kind) if isinstance(kind, str) else None
    if struct is None:
        raise InputError.field("type", kind, ", ".join(kinds))
    return convert(document, struct)


def convert(document: Any, struct: type[M]) -> M:
    """A decoded JSON value as `struct`, or InputError for the first faulty field."""
    try:
        return msgspec.convert(document, struct, str_keys=True)
    except msgspec.ValidationError as error:
        raise InputError.of([choices(fault_of(str(error), document), struct)]) from None
    except RecursionError:
        raise InputError("the message is nested too deeply; allowed: 500 levels") from None


def choices(fault: Fault, kind: Any) -> Fault:
    """Of a value that is none of a few, msgspec does not say which few: the type does."""
    if not fault.allowed.startswith("Invalid enum value"):
        return fault
    found: list[msgspec.inspect.Type] = [msgspec.inspect.type_info(kind)]
    for name in [] if fault.field == WHOLE else re.findall(r"[^.\[\]]+", fault.field):
        found = [inner for each in found for inner in _inside(each, name)]
    allowed = [value for each in found for value in _values(each)]
    return Fault(fault.field, fault.value, ", ".join(map(str, allowed))) if allowed else fault


def _inside(kind: msgspec.inspect.Type, name: str) -> list[msgspec.inspect.Type]:
    """The type of one field of a struct, or of the items of a list; of each part of a union."""
    if isinstance(kind, msgspec.inspect.Metadata):
        return _inside(kind.type, name)
    if isinstance(kind, msgspec.inspect.UnionType):
        return [inner for each in kind.types for inner in _inside(each, name)]
    if isinstance(kind, msgspec.inspect.StructType):
        return [field.type for field in kind.fields if field.encode_name == name]
    if isinstance(kind, msgspec.inspect.DictType):
        return [kind.key_type, kind.value_type]  # a key's fault is told at its dictionary
    item = getattr(kind, "item_type", None)
    return [] if item is None else [item]


def _values(kind: msgspec.inspect.Type) -> list[Any]:
    if isinstance(kind, msgspec.inspect.Metadata):
        return _values(kind.type)
    if isinstance(kind, msgspec.inspect.UnionType):
        return [value for each in kind.types for value in _values(each)]
    if isinstance(kind, msgspec.inspect.EnumType):
        return [each.value for each in kind.cls]
    return list(kind.values) if isinstance(kind, msgspec.inspect.LiteralType) else []


def fault_of(sentence: str, document: Any) -> Fault:
    """msgspec's sentence about `document` as a fault with the field, its value, the rule."""
    match = _PATH.match(sentence)
    what, path = (match["what"], match["path"] or "$") if match else (sentence, "$")
    missing = re.match(r"Object missing required field `([^`]*)`", what)
    if missing:
        return Fault(_join(path, missing[1]), "missing", "a value, it is required")
    unknown = re.match(r"Object contains unknown field `([^`]*)`", what)
    if unknown:
        return Fault(
            _join(path, unknown[1]),
            shown(_at(document, _join(path, unknown[1]))),
            "no field of this name",
        )
    expected = _EXPECTED.match(what)
    if expected:
        allowed = (expected["allowed"] + re.sub(r", got `[^`]*`", "", expected["rest"])).strip()
    else:
        allowed = FORMS[_SAID[what]] if what in _SAID else what
    field = _join(path, "")
    return Fault(field, shown(_at(document, field)), allowed)


def not_finite(value: Any) -> float | None:
    """The first number in a value that JSON has not, which would arrive as null."""
    parts = [value]
    while parts:
        part = parts.pop()
        if isinstance(part, float) and not math.isfinite(part):
            return part
        if isinstance(part, Mapping):
            parts.extend(part.values())
        elif isinstance(part, list | tuple | set | frozenset):
            parts.extend(part)
    return None


def _join(path: str, name: str) -> str:
    whole = path.removeprefix("$").removeprefix(".")
    return ".".join(part for part in (whole, name) if part) or WHOLE


def _at(document: Any, field: str) -> Any:
    for part in re.findall(r"[^.\[\]]+", field):
        if isinstance(document, dict):
            document = document.get(part)
        elif isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            break
    return document


def encode(message: dict[str, Any] | list[Any] | msgspec.Struct) -> str:
    """A message as one JSON text frame. Integers beyond 64 bits stay exact."""
    try:
        return msgspec.json.encode(message).decode()
    except OverflowError:  # msgspec has no integers beyond 64 bits
        return json.dumps(msgspec.to_builtins(message), ensure_ascii=False, separators=(",", ":"))


def error_message(error: Exception, *, key: str = "error", **extra: Any) -> dict[str, Any]:
    """The one error envelope: its sentence under `key`, its template and values beside it."""
    template = getattr(error, "template", None)
    message: dict[str, Any] = {key: str(error), "code": getattr(error, "code", "failed")}
    if template is not None:
        message["template"] = template
        message["values"] = msgspec.to_builtins(getattr(error, "values", {}), enc_hook=str)
    return {**message, **{name: value for name, value in extra.items() if value is not None}}


def checked(given: Mapping[str, Any], struct: type[M]) -> M:
    """Keyword arguments as `struct`. Raises InputError that names what is wrong or misspelt."""
    fields = dict(zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True))
    for name in given:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            allowed = f"{near[0]}, or another of {', '.join(fields)}" if near else ", ".join(fields)
            raise InputError.field("argument", name, allowed)
    return convert({fields[name]: value for name, value in given.items()}, struct)
