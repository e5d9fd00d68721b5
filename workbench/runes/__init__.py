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
    from workbench.runes.block_batches import blocks_batch
    from workbench.runes.block_files import BlockChain, open_blocks
    from workbench.runes.fetch import fetch_block
    from workbench.runes.following import follow
    from workbench.runes.frames import from_frame
    from workbench.runes.index import Index
    from workbench.runes.questions.anomalies import anomalies
    from workbench.runes.questions.block_share import block_share
    from workbench.runes.questions.burns import burns
    from workbench.runes.questions.cohort import cohort
    from workbench.runes.questions.compare_sources import compare_sources
    from workbench.runes.questions.concentration import concentration
    from workbench.runes.questions.fragmentation import fragmentation
    from workbench.runes.questions.holders import holders
    from workbench.runes.questions.mint_fairness import mint_fairness
    from workbench.runes.questions.mint_status import mint_status
    from workbench.runes.questions.mint_velocity import mint_velocity
    from workbench.runes.questions.name_market import name_market
    from workbench.runes.questions.reconcile import reconcile
    from workbench.runes.questions.similar_names import similar_names
    from workbench.runes.questions.supply import supply
    from workbench.runes.questions.volume import volume
    from workbench.runes.questions.wasted import wasted
    from workbench.runes.reading import read
    from workbench.runes.stored import StoredBatch, open_batch
    from workbench.runes.trust import state_differences, trusted_index

__all__ = [
    "Batch",
    "Block",
    "BlockChain",
    "Cenotaph",
    "Edict",
    "Etching",
    "Index",
    "RuneId",
    "Runestone",
    "SpacedRune",
    "SpentOutput",
    "StoredBatch",
    "Terms",
    "Transaction",
    "anomalies",
    "block_share",
    "blocks_batch",
    "burns",
    "check_block",
    "cohort",
    "compare_sources",
    "concentration",
    "decipher",
    "encipher",
    "fetch_block",
    "follow",
    "format_amount",
    "format_pile",
    "fragmentation",
    "from_frame",
    "holders",
    "load_batch",
    "minimum_rune",
    "mint_fairness",
    "mint_status",
    "mint_velocity",
    "name_market",
    "open_batch",
    "open_blocks",
    "parse_amount",
    "parse_block",
    "read",
    "read_spent",
    "reconcile",
    "rune_name",
    "rune_number",
    "save_batch",
    "similar_names",
    "state_differences",
    "supply",
    "trusted_index",
    "unlock_height",
    "volume",
    "wasted",
]

_HOMES = {
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
    "workbench.core.bitcoin": ("Block", "Transaction", "check_block", "parse_block"),
    "workbench.core.spent": ("SpentOutput", "read_spent"),
    "workbench.runes.batch": ("Batch", "load_batch", "save_batch"),
    "workbench.runes.block_batches": ("blocks_batch",),
    "workbench.runes.block_files": ("BlockChain", "open_blocks"),
    "workbench.runes.fetch": ("fetch_block",),
    "workbench.runes.following": ("follow",),
    "workbench.runes.frames": ("from_frame",),
    "workbench.runes.index": ("Index",),
    "workbench.runes.questions.anomalies": ("anomalies",),
    "workbench.runes.questions.burns": ("burns",),
    "workbench.runes.questions.mint_fairness": ("mint_fairness",),
    "workbench.runes.questions.block_share": ("block_share",),
    "workbench.runes.questions.compare_sources": ("compare_sources",),
    "workbench.runes.questions.name_market": ("name_market",),
    "workbench.runes.questions.cohort": ("cohort",),
    "workbench.runes.questions.concentration": ("concentration",),
    "workbench.runes.questions.fragmentation": ("fragmentation",),
    "workbench.runes.questions.holders": ("holders",),
    "workbench.runes.questions.mint_status": ("mint_status",),
    "workbench.runes.questions.mint_velocity": ("mint_velocity",),
    "workbench.runes.questions.reconcile": ("reconcile",),
    "workbench.runes.reading": ("read",),
    "workbench.runes.stored": ("StoredBatch", "open_batch"),
    "workbench.runes.trust": ("state_differences", "trusted_index"),
    "workbench.runes.questions.supply": ("supply",),
    "workbench.runes.questions.similar_names": ("similar_names",),
    "workbench.runes.questions.volume": ("volume",),
    "workbench.runes.questions.wasted": ("wasted",),
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
