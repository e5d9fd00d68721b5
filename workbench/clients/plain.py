"""A person's values as JSON says them: numpy's numbers and arrays become Python's."""

from __future__ import annotations

from typing import Any

import msgspec

from workbench.core.wire import encode
from workbench.errors import InputError

ALLOWED = "numbers, texts, true or false, None, and lists and dictionaries of these"


def plain(name: str, value: Any) -> Any:
    """The value, as it may travel. Raises InputError with `name` for what JSON cannot say."""
    try:
        encode([value])
    except (TypeError, ValueError, RecursionError):
        try:
            return msgspec.to_builtins(value, enc_hook=_from_numpy, str_keys=True)
        except (TypeError, ValueError, RecursionError):
            raise InputError.field(name, value, ALLOWED) from None
    return value


def _from_numpy(value: Any) -> Any:
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return value.tolist()
    raise TypeError(type(value).__name__)
