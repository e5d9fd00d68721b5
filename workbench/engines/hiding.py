"""What a task says of itself, without the secrets that it was given and what looks like one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from workbench.core.job import Event, Log, Progress
from workbench.core.masking import Mask, says_secret, secrets_in
from workbench.engines.frames import Raised
from workbench.errors import HIDDEN, KEY_BEGINS, KEY_ENDS

KEY_LINES = 400
"""No private key has more; whatever follows one that never ends is shown again."""


class Hiding:
    """`event` and `raised` give the same thing without secrets; events come in their order."""

    def __init__(self, parameters: bytes, environment: Mapping[str, str]) -> None:
        given = msgspec.json.decode(parameters) if parameters else {}
        self._mask = Mask([*secrets_in(given), *secrets_in(dict(environment))])
        self._in_key: dict[str, int] = {}
        """By level, how many lines of a key may follow: what is printed as errors and what is
        printed otherwise arrive in each other's midst."""

    def event(self, event: Event) -> Event:
        """A line or a word on progress. A private key is hidden over all of its lines."""
        if not isinstance(event, Log | Progress):
            return event
        template, values = self._mask(event.template), self._values(event.values)
        if isinstance(event, Log) and self._of_key(
            event.level, (event.template, *event.values.values())
        ):
            template, values = HIDDEN, {}
        if template == event.template and values == event.values:
            return event
        return msgspec.structs.replace(event, template=template, values=values)

    def raised(self, end: Raised) -> Raised:
        """Why it failed, and where."""
        return msgspec.structs.replace(
            end,
            template=self._mask(end.template),
            values=self._values(end.values),
            traceback=self._mask(end.traceback),
        )

    def _values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._value(name, value) for name, value in values.items()}

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            return HIDDEN if value and says_secret(name) else self._mask(value)
        if isinstance(value, dict):
            return self._values(value)
        return [self._value(name, each) for each in value] if isinstance(value, list) else value

    def _of_key(self, level: str, parts: Iterable[Any]) -> bool:
        """Whether a line is the beginning, the middle or the end of a private key."""
        left = self._in_key.get(level, 0)
        texts = [each for each in parts if isinstance(each, str) and (left or "-----" in each)]
        inside = left > 0
        left = max(0, left - 1)
        for text in texts:
            begins, ends = KEY_BEGINS.search(text), KEY_ENDS.search(text)
            if ends is not None:
                left = 0
            elif begins is not None:
                left, inside = KEY_LINES, False  # the mask has hidden it in its own line
        self._in_key[level] = left
        return inside
