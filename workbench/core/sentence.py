"""A sentence that is shown in the reader's language: an English template and its values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

_COUNTED = re.compile(r"\{(\w+):([^|{}]*)\|([^{}]*)\}")


class Sentence(msgspec.Struct, frozen=True, rename="camel"):
    """The catalogues are keyed by `template`; `{names}` in it are filled from `values`, and
    `{name:one|many}` says the one word of a single thing, the other of several."""

    template: str
    values: dict[str, Any] = {}

    def __str__(self) -> str:
        return filled(self.template, self.values)


class Told(str):
    """A line that is text in Python, and keeps what says it in another language."""

    sentence: Sentence


def told(template: str, **values: Any) -> Told:
    """The template filled with its values."""
    line = Told(filled(template, values))
    line.sentence = Sentence(template, values)
    return line


def filled(template: str, values: Mapping[str, Any]) -> str:
    """A template as an English sentence."""
    counted = _COUNTED.sub(lambda at: at[2] if str(values[at[1]]) == "1" else at[3], template)
    return counted.format(**values)
