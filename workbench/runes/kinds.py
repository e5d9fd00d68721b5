"""The types of value of a `runes-batch/1`: how JSON writes each, how Arrow holds it, its rule."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from workbench.runes.amounts import AMOUNT_RULE, MAX_AMOUNT

MAX_U64 = 2**64 - 1
MAX_U32 = 2**32 - 1
MAX_HEIGHT = MAX_U32
OF_INDEX = "runes-workbench index"
"""The producer of an index's state, which names outputs and not whose they are."""

END = r"$(?!\n)"  # in Python a plain $ also matches before a final newline


def _up_to(limit: int) -> str:
    """A pattern for the canonical decimal strings from 0 to `limit`."""
    digits = str(limit)
    shorter = f"[1-9][0-9]{{0,{len(digits) - 2}}}"
    same = [
        digits[:place]
        + f"[{'1' if place == 0 else '0'}-{int(digit) - 1}]"
        + f"[0-9]{{{len(digits) - place - 1}}}"
        for place, digit in enumerate(digits)
        if int(digit) > (place == 0)
    ]
    return "|".join(["0", shorter, *same, digits])


@dataclass(frozen=True)
class Kind:
    """A type of value: how JSON writes it, how Arrow holds it, what it allows in words."""

    name: str
    rule: str
    arrow: Any
    json: dict[str, Any]

    @property
    def is_amount(self) -> bool:
        return self.name == "amount"

    @property
    def is_instant(self) -> bool:
        return self.name == "instant"

    @property
    def schema(self) -> dict[str, Any]:
        """Its JSON Schema; `title` says in words what is allowed."""
        return {"title": self.rule, **self.json}


def _number(name: str, maximum: int, arrow: Any, words: str = "") -> Kind:
    rule = words or f"integer from 0 to {maximum}"
    return Kind(name, rule, arrow, {"type": "integer", "minimum": 0, "maximum": maximum})


def _text(name: str, rule: str, pattern: str, longest: int) -> Kind:
    limits = {"type": "string", "pattern": f"^(?:{pattern}){END}", "maxLength": longest}
    return Kind(name, rule, pa.string(), limits)


def one_of(name: str, *words: str) -> Kind:
    """A kind with a closed list of words."""
    return Kind(name, "one of " + ", ".join(words), pa.string(), {"enum": list(words)})


AMOUNT = _text("amount", AMOUNT_RULE, _up_to(MAX_AMOUNT), 39)
INSTANT = Kind(
    "instant",
    "instant in UTC as ISO 8601 with whole seconds, such as 2024-10-19T10:51:00Z",
    pa.timestamp("s"),
    {
        "type": "string",
        "format": "date-time",
        "pattern": r"^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
        r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ" + END,
    },
)
FLAG = Kind("flag", "true or false", pa.bool_(), {"type": "boolean"})
PRICE = Kind("price", "number from 0", pa.float64(), {"type": "number", "minimum": 0})
HEIGHT = _number("height", MAX_HEIGHT, pa.int64())
COUNT = _number("count", MAX_U32, pa.int64())
SATOSHI = _number("satoshi", 21 * 10**14, pa.int64())
U64 = _number("u64", MAX_U64, pa.uint64(), "integer from 0 to 2^64 - 1")
DIVISIBILITY = _number("divisibility", 38, pa.int64())
SPACERS = _number("spacers", 0x7FFFFFF, pa.int64())
HASH = _text("hash", "64 lower-case hexadecimal digits", "[0-9a-f]{64}", 64)
SCRIPT = _text("script", "lower-case hexadecimal bytes", "(?:[0-9a-f]{2})*", 8_000_000)
ADDRESS = _text(
    "address", "a Bitcoin address of at most 128 letters and digits", "[0-9A-Za-z]+", 128
)
RUNE_ID = _text(
    "rune_id",
    "rune id BLOCK:TX, such as 840000:3",
    rf"(?:{_up_to(MAX_U64)}):(?:{_up_to(MAX_U32)})",
    31,
)
OUTPOINT = _text("outpoint", "TXID:OUTPUT", rf"[0-9a-f]{{64}}:(?:{_up_to(MAX_U32)})", 75)
NAME = _text("name", "rune name of 1 to 28 letters A to Z", "[A-Z]{1,28}", 28)
SPACED_NAME = _text("spaced_name", "rune name with • between letters", "[A-Z](?:•?[A-Z]){0,27}", 55)
SYMBOL = Kind(
    "symbol",
    "one Unicode character",
    pa.string(),
    {"type": "string", "minLength": 1, "maxLength": 1},
)
UNIT = _text("unit", "what one price counts, such as sat or usd", "[A-Za-z][A-Za-z0-9_/-]*", 32)


def rule_pattern(kind: Kind) -> re.Pattern[str]:
    """The compiled pattern of a text kind."""
    return re.compile(kind.json["pattern"])


def arrow_pattern(kind: Kind) -> str:
    """The same for Arrow, which has no look-ahead, but whose `$` means the very end."""
    return str(kind.json["pattern"]).removesuffix(END) + "$"
