"""What a hub says, as typed values: faults of the other side are its faults."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from workbench.core.wire import convert
from workbench.errors import InputError, ProtocolError

M = TypeVar("M", bound=msgspec.Struct)


def read(document: Any, struct: type[M]) -> M:
    """One object of the wire. Raises ProtocolError that names the faulty field."""
    try:
        return convert(document, struct)
    except InputError as error:
        template = "the hub sent a {what} that this version cannot read: {reason}"
        raise ProtocolError(template, what=struct.__name__, reason=str(error)) from None


def read_list(data: Any, name: str, struct: type[M]) -> list[M]:
    """The list under `name`."""
    found = data.get(name) if isinstance(data, dict) else None
    if not isinstance(found, list):
        raise ProtocolError("the hub's answer has no list of {name}", name=name)
    return [read(each, struct) for each in found]


def given(**fields: Any) -> dict[str, Any]:
    """The fields that have a value, as they travel."""
    return {name: msgspec.to_builtins(value) for name, value in fields.items() if value is not None}
