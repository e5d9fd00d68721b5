"""The published JSON Schema of `runes-batch/1`, made from the tables' definition.

`python -m workbench.runes.schema` writes it anew; a test holds the file and the tables
together.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workbench.runes.kinds import HASH, HEIGHT, INSTANT
from workbench.runes.repeats import ONE_EACH, one_each
from workbench.runes.tables import COMPLETENESS, NETWORKS, SCHEMA_NAME, TABLES, Column

SCHEMA_FILE = Path(__file__).with_name("runes-batch-1.schema.json")
BATCH_ID = r"^[a-z][a-z0-9_]{0,62}$(?!\n)"
LONGEST_TEXT = 2000
MOST_PARTS = 100_000
OPTIONAL = ("id", "covers")

TABLE_SAYS = {
    "blocks": "One row for each block of the range.",
    "runestones": "One row for each transaction with a Runes message.",
    "etchings": "One row for each etching; at the state level older ones too, where referred to.",
    "mints": "One row for each message that mints.",
    "edicts": "One row for each edict, as the message has it.",
    "allocations": "What outputs receive: edicts expanded, premines and mints placed.",
    "events": "What happened to runes, in order.",
    "inputs": "What the spent outputs of a transaction carried; only at the state level.",
    "balances": "What is held after the last block, by output or address; only at the state level.",
    "entries": "Each rune as it stands after the last block; only at the state level.",
    "prices": "Optional market prices.",
}


def _text(title: str, says: str, *, optional: bool = False) -> dict[str, Any]:
    kind: Any = ["string", "null"] if optional else "string"
    return {"title": title, "type": kind, "maxLength": LONGEST_TEXT, "description": says}


def _reference(column: Column) -> dict[str, Any]:
    target: dict[str, Any] = {"$ref": f"#/$defs/{column.kind.name}"}
    rule = {"anyOf": [target, {"type": "null"}]} if column.optional else target
    title = column.kind.rule + (", or null" if column.optional else "")
    return {**rule, "title": title, "description": column.says}


def row_schema(name: str) -> dict[str, Any]:
    """The schema of one row of the table `name`; its references lead to `$defs`."""
    columns = TABLES[name]
    return {
        "title": "an object with the columns of " + name,
        "type": "object",
        "properties": {column.name: _reference(column) for column in columns},
        "required": [column.name for column in columns if not column.optional],
        "additionalProperties": False,
    }


def definitions() -> dict[str, Any]:
    """Every kind of value, by name; `title` says in words what is allowed."""
    kinds = {column.kind.name: column.kind for columns in TABLES.values() for column in columns}
    return {name: kinds[name].schema for name in sorted(kinds)}


def header_properties() -> dict[str, Any]:
    """Everything of a document but its tables."""
    return {
        "schema": {"title": SCHEMA_NAME, "const": SCHEMA_NAME},
        "id": {
            "title": "a name of 1 to 63 letters a to z, digits and _, a letter first",
            "type": "string",
            "pattern": BATCH_ID,
            "description": "The batch's name in SQL. Absent: made from the content.",
        },
        "network": {"title": "one of " + ", ".join(NETWORKS), "enum": list(NETWORKS)},
        "source": {
            "title": "an object with producer and, where known, address, fetched_at, sha256",
            "type": "object",
            "properties": {
                "producer": _text(
                    "text", "What made it; a simulation says so here, with its seed."
                ),
                "address": _text("text or null", "Where it came from.", optional=True),
                "fetched_at": {
                    "title": INSTANT.rule + ", or null",
                    "anyOf": [INSTANT.schema, {"type": "null"}],
                },
                "sha256": {
                    "title": HASH.rule + ", or null",
                    "anyOf": [HASH.schema, {"type": "null"}],
                    "description": "Of the bytes it was made from, such as the raw block.",
                },
                "parts": {
                    "title": "a list of sha256 or null",
                    "anyOf": [
                        {"type": "array", "items": HASH.schema, "maxItems": MOST_PARTS},
                        {"type": "null"},
                    ],
                    "description": "Of each file that it was made from, where they were several.",
                },
                "trusted": {
                    "title": HASH.rule + ", or null",
                    "anyOf": [HASH.schema, {"type": "null"}],
                    "description": "Of the file whose state was taken over, not computed.",
                },
            },
            "required": ["producer"],
            "additionalProperties": False,
        },
        "units": {"title": "atomic", "const": "atomic", "description": "Amounts are atomic units."},
        "completeness": {
            "title": "one of " + ", ".join(COMPLETENESS),
            "enum": list(COMPLETENESS),
            "description": "runestone: what messages asked for; state: what was honoured.",
        },
        "first_height": {**HEIGHT.schema, "description": "Height of the first block covered."},
        "last_height": {**HEIGHT.schema, "description": "Height of the last block covered."},
        "covers": {
            "title": "a list of tables or null",
            "anyOf": [
                {"type": "array", "items": {"enum": list(TABLES)}, "uniqueItems": True},
                {"type": "null"},
            ],
            "description": (
                "The tables that the source speaks of. Absent: all of its level where blocks has "
                "rows, else those with rows."
            ),
        },
    }


def schema_document() -> dict[str, Any]:
    """The whole schema (JSON Schema, draft 2020-12)."""
    header = header_properties()
    tables = {
        name: {
            "title": "a list of rows",
            "type": "array",
            "items": row_schema(name),
            "description": TABLE_SAYS[name] + unique_words(name),
        }
        for name in TABLES
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "runes-batch-1.schema.json",
        "title": "a runes-batch/1 document",
        "description": "Bitcoin Runes activity of a range of blocks. Amounts are decimal strings "
        "in atomic units; integers beyond 2^53 occur only in the heights and offsets of terms.",
        "type": "object",
        "properties": {
            **header,
            "tables": {
                "title": "an object of tables",
                "type": "object",
                "properties": tables,
                "additionalProperties": False,
                "description": "An absent table is an empty one.",
            },
        },
        "required": [*(name for name in header if name not in OPTIONAL), "tables"],
        "additionalProperties": False,
        "$defs": definitions(),
    }


def unique_words(name: str) -> str:
    """A sentence on what no two rows of a table share, after a space; empty where they may."""
    by = "; where one is null, by ".join(", ".join(keys) for keys in one_each(name, "state"))
    level = "" if name in ONE_EACH else ", at the state level"
    return f" Unique by {by}{level}." if by else ""


def main() -> None:
    """Write the file anew."""
    text = json.dumps(schema_document(), indent=2, ensure_ascii=False) + "\n"
    SCHEMA_FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
