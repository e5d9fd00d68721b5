"""A machine without models and without sources: the library's place in the hub's tests."""

from __future__ import annotations

import msgspec

from workbench.core.downloads import Wanted
from workbench.errors import InputError


class NoCards(msgspec.Struct):
    cards: tuple[str, ...] = ()


class EmptyLibrary:
    async def cards(self, *, refresh: bool, context_size: int | None) -> NoCards:
        return NoCards()

    async def find(self, source: str) -> NoCards:
        raise InputError.field("source", source, "none")

    async def wanted(
        self, source: str, choice: str | None, into: str | None = None, path: str | None = None
    ) -> Wanted:
        raise InputError.field("source", source, "none")

    async def delete(self, model: str) -> None:
        raise InputError.field("model", model, "none")
