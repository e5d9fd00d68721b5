"""A mesh's own tokens stay out of what is sent to it: what is sent is kept, and shown around."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workbench.core.wire import encode
from workbench.errors import InputError

SHORTEST = 8
"""Of the tokens that a hub takes."""
HOLDS_ONE = "{field} holds a token of this mesh, and is not taken: let the task do without it"


def worth_hiding(tokens: Iterable[str]) -> list[str]:
    """Those that are long enough not to stand in a text by chance."""
    return [each for each in tokens if len(each) >= SHORTEST]


def refuse_tokens(given: Mapping[str, Any], tokens: Iterable[str]) -> None:
    """Raises InputError naming the first field of `given` whose JSON holds one of them."""
    spelt = [encode([each])[2:-2] for each in worth_hiding(tokens)]
    for field, value in given.items() if spelt else ():
        text = encode([value])
        if any(each in text for each in spelt):
            raise InputError(HOLDS_ONE, field=field)
