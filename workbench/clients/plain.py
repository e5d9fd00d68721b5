"""A person's values as JSON says them: numpy's numbers and arrays become Python's."""

from __future__ import annotations

from typing import Any

import msgspec

from workbench.core.wire import encode
from workbench.errors import InputError

ALLOWED = "numbers, texts, true or false, None, and lists and dictionaries of these"
HALVES = "text of whole characters, and a lone surrogate is half of one"


def plain(name: str, value: Any) -> Any:
    """The value, as it may travel. Raises InputError with `name` for what JSON cannot say."""
    try:
        encode([value]).encode()
    except UnicodeEncodeError:
        raise InputError.field(name, value, HALVES) from None
    except (TypeError, ValueError, RecursionError):
        try:
            return msgspec.to_builtins(value, enc_hook=_told, str_keys=True)
        except (TypeError, ValueError, RecursionError):
            raise InputError.field(name, value, ALLOWED) from None
    return value


def _told(value: Any) -> Any:
    if hasattr(value, "isoformat"):  # pandas' moments and durations; NaT is not even itself
        return value.isoformat() if value == value else None
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return value.tolist()
    raise TypeError(type(value).__name__)
