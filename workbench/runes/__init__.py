"""Bitcoin Runes: the exact codec, raw blocks, and batches of what they say.

from workbench import runes
runes.decipher(scripts)  # -> Runestone, Cenotaph or None
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.core.bitcoin import Block, Transaction, check_block, parse_block
    from workbench.core.rune import (
        RuneId,
        SpacedRune,
        format_amount,
        format_pile,
        minimum_rune,
        parse_amount,
        rune_name,
        rune_number,
        unlock_height,
    )
    from workbench.core.runestone import (
        Cenotaph,
        Edict,
        Etching,
        Runestone,
        Terms,
        decipher,
        encipher,
    )
    from workbench.core.spent import SpentOutput, read_spent
    from workbench.runes.batch import Batch, load_batch, save_batch
    from workbench.runes.fetch import fetch_block

__all__ = [
    "Batch",
    "Block",
    "Cenotaph",
    "Edict",
    "Etching",
    "RuneId",
    "Runestone",
    "SpacedRune",
    "SpentOutput",
    "Terms",
    "Transaction",
    "check_block",
    "decipher",
    "encipher",
    "fetch_block",
    "format_amount",
    "format_pile",
    "load_batch",
    "minimum_rune",
    "parse_amount",
    "parse_block",
    "read_spent",
    "rune_name",
    "rune_number",
    "save_batch",
    "unlock_height",
]

_HOMES = {
    "workbench.core.bitcoin": ("Block", "Transaction", "check_block", "parse_block"),
    "workbench.core.rune": (
        "RuneId",
        "SpacedRune",
        "format_amount",
        "format_pile",
        "minimum_rune",
        "parse_amount",
        "rune_name",
        "rune_number",
        "unlock_height",
    ),
    "workbench.core.runestone": (
        "Cenotaph",
        "Edict",
        "Etching",
        "Runestone",
        "Terms",
        "decipher",
        "encipher",
    ),
    "workbench.core.spent": ("SpentOutput", "read_spent"),
    "workbench.runes.batch": ("Batch", "load_batch", "save_batch"),
    "workbench.runes.fetch": ("fetch_block",),
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for (PEP 562)."""
    for home, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            value = globals()[name] = getattr(import_module(home), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
