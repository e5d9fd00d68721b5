"""Prompts with {{variables}}: which there are, and the text with their values."""

from __future__ import annotations

import re
from collections.abc import Mapping

from workbench.errors import Fault, InputError, shown

VARIABLE_LIMIT = 50
_VARIABLE = re.compile(r"\{\{\s*([A-Za-z_]\w{0,63})\s*\}\}")


def variables_of(content: str) -> tuple[str, ...]:
    """The variables of a template, each once, in order. Raises InputError for too many."""
    names = tuple(dict.fromkeys(_VARIABLE.findall(content)))
    if len(names) > VARIABLE_LIMIT:
        raise InputError.field("content", content, f"at most {VARIABLE_LIMIT} variables")
    return names


def filled(content: str, values: Mapping[str, str]) -> str:
    """The text with every variable replaced. Raises InputError for one missing or unknown.

    A value is put in as it is: a variable inside a value is not replaced in its turn.
    """
    names = variables_of(content)
    missing = [Fault(name, "missing", "a text") for name in names if name not in values]
    unknown = [
        Fault(name, shown(values[name]), "one of " + ", ".join(names))
        for name in values
        if name not in names
    ]
    if missing or unknown:
        raise InputError.of([*missing, *unknown])
    return _VARIABLE.sub(lambda match: str(values[match[1]]), content)
