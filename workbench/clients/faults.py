"""An error that a hub or node sent, as one of ours: same sentence, same catcher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.core.llm import BackendBroken, ContextOverflow, ModelError
from workbench.core.sentence import is_fillable
from workbench.errors import (
    Fault,
    InputError,
    LinkError,
    ProtocolError,
    SettingsError,
    StoreError,
    WorkbenchError,
)


class NotUploaded(InputError):
    """The node lacks the bytes that a message names: upload them and say it again."""

    code = "unknown-upload"


_BY_CODE: dict[str, type[WorkbenchError]] = {
    "invalid": InputError,
    "conflict": InputError,
    "unknown-model": InputError,
    "unknown-task": InputError,
    "unknown-upload": NotUploaded,
    "busy": LinkError,
    "link": LinkError,
    "forbidden": ProtocolError,
    "unavailable": ProtocolError,
    "protocol": ProtocolError,
    "settings": SettingsError,
    "store": StoreError,
    "model": ModelError,
    "context": ContextOverflow,
    "backend": BackendBroken,
}


def fault(message: Mapping[str, Any], key: str = "error") -> WorkbenchError:
    """The error of an error message; its sentence stands under `key`."""
    template, values = sentence(message, key)
    code = "store" if message.get("cause") == "store" else str(message.get("code"))
    kind = _BY_CODE.get(code, WorkbenchError)
    if issubclass(kind, InputError):
        return kind(template, faults=_faults(values), **values)
    return kind(template, **values)


def _faults(values: Mapping[str, Any]) -> list[Fault]:
    """The first fault: of several a wire carries the others only in its sentence."""
    if not {"field", "value", "allowed"} <= values.keys():
        return []
    return [Fault(*(str(values[name]) for name in ("field", "value", "allowed")))]


def sentence(message: Mapping[str, Any], key: str = "error") -> tuple[str, dict[str, Any]]:
    """Template and values of a message, safe to format.

    A template comes from the other side: one that is not plain, or with a name that has no
    value, is not used.
    """
    template, values = message.get("template"), message.get("values")
    values = values if isinstance(values, dict) else {}
    safe = isinstance(template, str) and is_fillable(template, values)
    if safe and not values.keys() & {"faults", "outcome"}:
        return str(template), values
    reason = message.get(key)
    return ("{reason}", {"reason": str(reason)}) if reason else ("no reason was given", {})
