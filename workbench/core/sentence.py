"""A sentence that is shown in the reader's language: an English template and its values."""

from __future__ import annotations

from typing import Any

import msgspec


class Sentence(msgspec.Struct, frozen=True, rename="camel"):
    """The catalogues are keyed by `template`; `{names}` in it are filled from `values`."""

    template: str
    values: dict[str, Any] = {}

    def __str__(self) -> str:
        return self.template.format(**self.values)
