"""Pages of a list that grows while it is read: what stands on two of them is one row.

A service that counts from the newest moves everything on when something new comes, so that a page
begins with what the page before it ended with.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from workbench.errors import InputError
from workbench.runes.documents import Document

_PLACED = re.compile(r"^(?P<page>.*?)(?:\[(?P<index>\d+)\]| (?:line |row )?\d+)$", re.DOTALL)
_BYTES = 12


class _At(NamedTuple):
    """Where a document stands: on which page, and where in the whole list, if that is said."""

    page: str
    position: tuple[int, int] | None
    """The number of rows of the whole list at that time, and the row's place among them."""


class Pages:
    """The documents of lists so far. Two alike on one page are two: an address may send the same
    amount several times. On two pages they are the same one, unless the pages say otherwise."""

    def __init__(self) -> None:
        self._alike: dict[bytes, _At | list[_At]] = {}
        self._once: dict[tuple[str, ...], tuple[str, bytes]] = {}

    def is_new(
        self,
        document: Document,
        around: Mapping[str, Any],
        rune_id: str | None,
        once: tuple[str, ...] | None,
    ) -> bool:
        """Whether no other page had it. Raises InputError, with both places, where `once` of it
        was said with other words."""
        body = repr((rune_id, document.value)).encode(errors="surrogatepass")
        digest = hashlib.blake2b(body, digest_size=_BYTES).digest()
        if once is not None:
            place, known = self._once.setdefault((rune_id or "", *once), (document.place, digest))
            if known != digest:
                raise InputError(
                    "{place} and {other} contradict each other about {what}: read one of them",
                    place=document.place,
                    other=place,
                    what=" ".join(once),
                )
            return place == document.place
        return self._is_another(digest, _at(document.place, around))

    def _is_another(self, digest: bytes, at: _At) -> bool:
        before = self._alike.get(digest)
        if before is None:
            self._alike[digest] = at
            return True
        known = before if isinstance(before, list) else [before]
        known.append(at)
        self._alike[digest] = known
        others = [each for each in known if each.page != at.page]
        if any(each.position == at.position is not None for each in others):
            return False
        counts: dict[str, int] = {}
        for each in others:
            if not _are_apart(each, at):
                counts[each.page] = counts.get(each.page, 0) + 1
        return len(known) - len(others) > max(counts.values(), default=0)


def _at(place: str, around: Mapping[str, Any]) -> _At:
    """A page is a list in a document, or a file of lone documents."""
    found = _PLACED.match(place)
    page, index = (found["page"], found["index"]) if found else (place, None)
    offset, total = around.get("offset"), around.get("total")
    if index is None or type(offset) is not int or type(total) is not int:
        return _At(page, None)
    return _At(page, (total, offset + int(index)))


def _are_apart(a: _At, b: _At) -> bool:
    """Whether the list had not grown between them: then other places are other rows."""
    if a.position is None or b.position is None:
        return False
    return a.position[0] == b.position[0] and a.position != b.position
