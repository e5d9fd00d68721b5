"""The tables of a `runes-batch/1`: every column's meaning, type and rule, stated once.

The Arrow schemas, the typed rows of the fast reader and the published JSON Schema are
all made from `TABLES`, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any, get_args

import pyarrow as pa

from workbench.core.rune import Network
from workbench.core.runestone import Flaw
from workbench.runes.kinds import (
    ADDRESS,
    AMOUNT,
    COUNT,
    DIVISIBILITY,
    FLAG,
    HASH,
    HEIGHT,
    INSTANT,
    NAME,
    OUTPOINT,
    PRICE,
    RUNE_ID,
    SATOSHI,
    SCRIPT,
    SPACED_NAME,
    SPACERS,
    SYMBOL,
    U64,
    UNIT,
    Kind,
    one_of,
)

SCHEMA_NAME = "runes-batch/1"
NETWORKS = get_args(Network)
COMPLETENESS = ("runestone", "state")
FLAWS = get_args(Flaw)
BURN_CAUSES = ("cenotaph", "op-return", "no-output")


@dataclass(frozen=True)
class Column:
    """One column. `says` gives its meaning and unit; `optional` means that null is allowed."""

    name: str
    kind: Kind
    says: str
    optional: bool = False

    @property
    def fields(self) -> list[Any]:
        """Its Arrow fields: one, or high and low for an amount."""
        if self.kind.is_amount:
            return [
                pa.field(f"{self.name}_{half}", pa.uint64(), nullable=self.optional)
                for half in ("high", "low")
            ]
        return [pa.field(self.name, self.kind.arrow, nullable=self.optional)]


def _maybe(name: str, kind: Kind, says: str) -> Column:
    return Column(name, kind, says, optional=True)


_HEIGHT = Column("height", HEIGHT, "Height of the block.")
_INDEX = Column("tx_index", COUNT, "Place of the transaction in its block; 0 is the coinbase.")
_TXID = Column("txid", HASH, "Transaction id, as block explorers print it.")
_PLACE = (_HEIGHT, _INDEX, _TXID)
_TOLD_PLACE = (
    _HEIGHT,
    _maybe(
        "tx_index",
        COUNT,
        "Place of the transaction in its block; null where the source does not say.",
    ),
    _TXID,
)
_WHOSE = (
    _maybe("script", SCRIPT, "Script of the output; null where it is not known."),
    _maybe("address", ADDRESS, "Address of that script; null where it has none."),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "blocks": (
        Column("height", HEIGHT, "Height of the block."),
        Column("hash", HASH, "Block hash, as block explorers print it."),
        Column("mined_at", INSTANT, "The header's time, in UTC, as its miner claimed it."),
        Column("transactions", COUNT, "Number of transactions, the coinbase included."),
        Column("size_bytes", COUNT, "Serialised size with witnesses, in bytes."),
        Column("weight", COUNT, "Weight in weight units (BIP 141)."),
        Column("subsidy_sat", SATOSHI, "New coins allowed at this height, in satoshi."),
        Column("coinbase_sat", SATOSHI, "What the coinbase pays out, in satoshi."),
        _maybe(
            "fees_sat", SATOSHI, "Sum of inputs - outputs, in satoshi; null without spent outputs."
        ),
        _maybe(
            "vsize",
            COUNT,
            "Sum of the virtual sizes of its transactions less the coinbase, in vbytes; null where "
            "the producer does not say it.",
        ),
    ),
    "runestones": (
        *_PLACE,
        Column(
            "kind",
            one_of("artifact", "runestone", "cenotaph"),
            "What the message turned out to be.",
        ),
        _maybe("flaw", one_of("flaw", *FLAWS), "Why it is a cenotaph; null for a runestone."),
        Column("etches", FLAG, "Whether it etches a rune."),
        _maybe("mints", RUNE_ID, "The rune that it mints; null where none."),
        Column("edicts", COUNT, "Number of edicts; a cenotaph has none in force."),
        _maybe("pointer", COUNT, "The default output that it names; null where none."),
        Column("outputs", COUNT, "Number of outputs of the transaction."),
        Column("vsize", COUNT, "Virtual size of the transaction, in vbytes, rounded up."),
        _maybe("fee_sat", SATOSHI, "Inputs - outputs, in satoshi; null without spent outputs."),
    ),
    "etchings": (
        Column("rune_id", RUNE_ID, "Where it was etched; the id if the etching is honoured."),
        Column("name", NAME, "The rune's name without spacers."),
        Column("spaced_name", SPACED_NAME, "The name with its spacers."),
        _maybe("symbol", SYMBOL, "Currency symbol."),
        Column("divisibility", DIVISIBILITY, "Decimal places of the unit that people read."),
        Column("spacers", SPACERS, "Bit i set: a spacer after letter i + 1."),
        _maybe(
            "premine",
            AMOUNT,
            "Given to the etcher, in atomic units; null where the source does not say.",
        ),
        _maybe(
            "amount",
            AMOUNT,
            "What one mint gives, in atomic units; null where the terms name none.",
        ),
        _maybe("cap", AMOUNT, "How many mints are allowed; null where the terms name none."),
        _maybe("height_start", U64, "First height at which it can be minted."),
        _maybe("height_end", U64, "First height at which it cannot be minted any more."),
        _maybe("offset_start", U64, "The same as height_start, counted from the etching's height."),
        _maybe("offset_end", U64, "The same as height_end, counted from the etching's height."),
        _maybe(
            "turbo",
            FLAG,
            "Opted into future protocol changes; null where the source does not say.",
        ),
        _maybe(
            "terms",
            FLAG,
            "Whether it has mint terms at all; null where the source does not say.",
        ),
        _maybe(
            "cenotaph",
            FLAG,
            "Etched by a cenotaph: nothing of it can ever be minted; null where the source does "
            "not say.",
        ),
        Column(
            "commitment",
            one_of("commitment", "valid", "missing", "unknown"),
            "Whether an input's tapscript committed to the name 6 blocks before; "
            "unknown without spent outputs.",
        ),
        _HEIGHT,
        _INDEX,
        _maybe("txid", HASH, "Transaction id, as block explorers print it; null where not known."),
    ),
    "mints": (
        *_TOLD_PLACE,
        Column("rune_id", RUNE_ID, "The rune that the message mints."),
        _maybe(
            "receiver",
            SCRIPT,
            "Script of the output that receives it; null where it is burned or not known.",
        ),
        _maybe("address", ADDRESS, "Address of that script; null where it has none."),
        _maybe(
            "fee_sat", SATOSHI, "The transaction's fee, in satoshi; null without spent outputs."
        ),
        _maybe("credited", FLAG, "Whether the mint was open; null at the runestone level."),
    ),
    "edicts": (
        *_PLACE,
        Column("edict_index", COUNT, "Place of the edict in its message."),
        Column("rune_id", RUNE_ID, "The rune to move; 0:0 without an etching moves nothing."),
        Column("amount", AMOUNT, "As the message asks, in atomic units; 0 means all that is left."),
        Column("output", COUNT, "The output to move it to; the number of outputs means: split."),
    ),
    "allocations": (
        *_TOLD_PLACE,
        Column("rune_id", RUNE_ID, "The rune that the output receives."),
        Column("output", COUNT, "The output."),
        *_WHOSE,
        _maybe("amount", AMOUNT, "In atomic units; null where the batch's level cannot know it."),
        _maybe(
            "cause",
            one_of("cause", "premine", "mint", "edict", "default"),
            "premine: of the rune etched here; mint: of the rune minted here; edict: named by "
            "an edict; default: what was left; null where the source does not say.",
        ),
    ),
    "events": (
        *_TOLD_PLACE,
        Column(
            "kind",
            one_of("event", "etched", "minted", "transferred", "burned"),
            "What happened (or, at the runestone level, what was asked for).",
        ),
        Column("rune_id", RUNE_ID, "The rune that it happened to."),
        _maybe("amount", AMOUNT, "In atomic units; null where the batch's level cannot know it."),
        _maybe("output", COUNT, "The output concerned; null where it is none."),
        _maybe("cause", one_of("burn", *BURN_CAUSES), "Why it was burned; null for other events."),
    ),
    "inputs": (
        *_TOLD_PLACE,
        Column("rune_id", RUNE_ID, "The rune that the input carries."),
        _maybe(
            "outpoint",
            OUTPOINT,
            "The output that the transaction spends; null where the source does not say.",
        ),
        *_WHOSE,
        Column("amount", AMOUNT, "In atomic units."),
        _maybe("created_height", HEIGHT, "Height at which that output was made."),
    ),
    "balances": (
        Column("rune_id", RUNE_ID, "The rune."),
        _maybe(
            "outpoint",
            OUTPOINT,
            "The unspent output that holds it after the last block; null where the producer "
            "lists holders.",
        ),
        *_WHOSE,
        Column("amount", AMOUNT, "In atomic units."),
    ),
    "entries": (
        Column("rune_id", RUNE_ID, "The rune."),
        _maybe("mints", AMOUNT, "Mints credited since the etching, counted."),
        _maybe("burned", AMOUNT, "Burned since the etching, in atomic units."),
        _maybe("supply", AMOUNT, "Premine and mints since the etching, burned or not."),
        _maybe("holders", COUNT, "How many addresses hold it, where the source counts them."),
    ),
    "prices": (
        Column("rune_id", RUNE_ID, "The rune."),
        Column("taken_at", INSTANT, "When the price was read, in UTC."),
        Column("price", PRICE, "Price of one whole unit (10^divisibility atomic units)."),
        Column("unit", UNIT, "What the price counts, such as sat or usd."),
    ),
}

ARROW: dict[str, Any] = {
    name: pa.schema([field for column in columns for field in column.fields])
    for name, columns in TABLES.items()
}


def empty_table(name: str) -> pa.Table:
    """The table `name` without rows."""
    return ARROW[name].empty_table()


SQL_TYPES = {
    pa.int64(): "BIGINT",
    pa.uint64(): "UBIGINT",
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.float64(): "DOUBLE",
    pa.timestamp("s"): "TIMESTAMP_S",
}


def nothing(name: str) -> str:
    """The table without rows, as a part of a SELECT."""
    columns = ", ".join(f"NULL::{SQL_TYPES[one.type]} AS {one.name}" for one in ARROW[name])
    return f"(SELECT {columns} WHERE false)"


def speaks_of(name: str, covers: Container[str] | None, present: Container[str]) -> bool:
    """Whether a batch that states `covers`, with rows in the tables `present`, speaks of a table:
    if so, no rows mean that there was nothing.

    One that states none speaks of all where it has blocks, for then these were read; without
    blocks of what it has rows of.
    """
    return name in present or ("blocks" in present if covers is None else name in covers)
