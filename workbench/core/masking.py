"""Keeps secrets out of kept and shown text: those that are known, and what looks like one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from workbench.errors import HIDDEN, SECRET_NAME, holds_secret, without_secrets

SHORTEST = 6
"""Anything shorter is no secret, and hiding it would eat words."""
SHORT_NAME = 100
_SAYS = re.compile(rf"(?i){SECRET_NAME}")


class Mask:
    """`mask(text)` is the text without them. Its repr shows none."""

    def __init__(self, secrets: Iterable[str] = (), *, home: str | None = None) -> None:
        known = {each for each in secrets if len(each) >= SHORTEST}
        spelt = known | {quote(each, safe="") for each in known}
        longest = sorted(spelt, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest))) if longest else None
        self._home = home.rstrip("/") if home else None

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        text = without_secrets(text)
        return text.replace(self._home, "~") if self._home else text


def secret_values(environment: Mapping[str, str]) -> list[str]:
    """What stands in variables whose names say that it is a secret."""
    says = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|CREDENTIAL|_KEYS?$")
    return [value for name, value in environment.items() if says.search(name.upper())]


def says_secret(name: str) -> bool:
    """Whether a field's name says that its value is a secret: `password`, `hf_token`, `apiKey`."""
    return _short_says(name) if len(name) <= SHORT_NAME else _SAYS.search(name) is not None


@lru_cache(1024)
def _short_says(name: str) -> bool:
    """Each task asks about each variable of the environment: 0.4 ms without a memory."""
    return _SAYS.search(name) is not None


def as_kept(value: Any, *, secret: bool = False) -> Any:
    """JSON-like data as a record keeps it: without the secrets of its addresses, without what
    its name (`secret`: a name around it) says is one, and what is one by its form."""
    if isinstance(value, dict):
        return {
            name: as_kept(each, secret=secret or says_secret(str(name)))
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [as_kept(each, secret=secret) for each in value]
    if secret:
        return HIDDEN if _hideable(value) else value
    if not isinstance(value, str):
        return value
    if "://" in value:
        return without_secrets(value)
    return HIDDEN if holds_secret(value) else value


def secrets_in(value: Any, *, secret: bool = False) -> Iterator[str]:
    """Those values of JSON-like data whose names say that they are secrets, as texts."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from secrets_in(each, secret=secret or says_secret(str(name)))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from secrets_in(each, secret=secret)
    elif secret and _hideable(value):
        yield str(value)


def masked_at(value: Any) -> str | None:
    """Where in JSON-like data a mask stands in the place of what it hides; None: nowhere."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, each in pairs:
            found = masked_at(each)
            if found is not None:
                return f"{name}.{found}" if found else str(name)
        return None
    if not isinstance(value, str) or HIDDEN not in value:
        return None
    return "" if value == HIDDEN or "://" in value else None


def _hideable(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
