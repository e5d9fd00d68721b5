"""Producers of Runes data, each as pure functions from its documents to rows of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.errors import InputError
from workbench.runes.sources import bestinslot, hiro, opi, ord, others, xverse
from workbench.runes.sources.shapes import Shape, WithKeys

SHAPES: tuple[Shape, ...] = (
    *ord.SHAPES,
    *hiro.SHAPES,
    *xverse.SHAPES,
    *bestinslot.SHAPES,
    *opi.SHAPES,
    *others.SHAPES,
)
PRODUCERS = tuple(dict.fromkeys(shape.producer for shape in SHAPES))


def shape_of(document: Mapping[str, Any], producer: str | None) -> Shape | None:
    """The shape that the document has; None where it has none of `producer`'s.

    Raises InputError where several producers write such a document.
    """
    fitting = [shape for shape in SHAPES if shape.tells(document)]
    if producer is not None:
        fitting = [shape for shape in fitting if shape.producer == producer]
    if len(fitting) > 1:
        raise InputError(
            "the document could be from {producers}: say which with producer=",
            producers=", ".join(f"{shape.producer} ({shape.says})" for shape in fitting),
        )
    return fitting[0] if fitting else None


def nearly(document: Mapping[str, Any], producer: str | None) -> tuple[Shape, list[str]] | None:
    """The shape of `producer` that the document would have but for one or two of several keys, and
    those; None where there is none."""
    found = []
    for shape in SHAPES:
        if isinstance(shape.tells, WithKeys) and producer in (None, shape.producer):
            absent = sorted(shape.tells.wanted - document.keys())
            if 0 < len(absent) < len(shape.tells.wanted) / 2:
                found.append((len(absent) / len(shape.tells.wanted), shape, absent))
    return min(found, key=lambda each: each[0])[1:] if found else None


def check_producer(producer: str | None) -> None:
    """Raises InputError for a producer that nobody knows."""
    if producer is not None and producer not in PRODUCERS:
        raise InputError.field("producer", producer, ", ".join(PRODUCERS))
