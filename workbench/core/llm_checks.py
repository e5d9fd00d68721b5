"""What an answer has to be, as whoever asks for it says."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

_Piece = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
_Pieces = Annotated[tuple[_Piece, ...], msgspec.Meta(max_length=64)]
_Chars = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]


class Checks(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """What an answer has to be. None and empty check nothing."""

    non_empty: bool = True
    min_chars: _Chars | None = None
    max_chars: _Chars | None = None
    pattern: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    """RE2; found anywhere, so anchor it with ^ and $ where the whole is meant."""
    json: bool = False
    json_schema: dict[str, Any] | None = None
    """Draft 2020-12. References to elsewhere are not fetched."""
    contains: _Pieces = ()
    """All of these, whatever their case."""
    excludes: _Pieces = ()
    """None of these, whatever their case."""
