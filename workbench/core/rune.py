"""Runes by number, name and id: names, spacers, unlock heights and amounts, exact to the unit.

Amounts and rune numbers are plain integers up to 2^128 - 1. Source of every rule here:
ord 0.27.1, crate `ordinals` 0.0.15.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Literal, get_args

import msgspec

from workbench.errors import InputError, shown

Network = Literal["mainnet", "testnet3", "testnet4", "signet", "regtest"]
NETWORKS: tuple[Network, ...] = get_args(Network)

MAX_U32 = 2**32 - 1
MAX_U64 = 2**64 - 1
MAX_U128 = 2**128 - 1
MAX_DIVISIBILITY = 38
MAX_SPACERS = 0x7FFFFFF
RESERVED = 6402364363415443603228541259936211926
"""The first reserved rune number: names of 27 letters from AAA...A on."""
UNLOCK_INTERVAL = 17_500
"""Blocks after which names one letter shorter are free."""

SPACER = "•"
_UNLOCK_SPAN = 12 * UNLOCK_INTERVAL
_FIRST_HEIGHTS: dict[Network, int] = {"mainnet": 840_000, "testnet3": 2_520_000}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_STEPS: tuple[int, ...] = tuple(
    sum(26**power for power in range(1, length + 1)) for length in range(13)
)
"""_STEPS[n] is the first number whose name has n + 1 letters."""


class RuneId(msgspec.Struct, frozen=True, order=True):
    """Where a rune was etched: its block's height and its transaction's place in it."""

    block: int
    tx: int

    def __str__(self) -> str:
        return f"{self.block}:{self.tx}"

    @classmethod
    def parse(cls, text: str) -> RuneId:
        """`BLOCK:TX` as an id. Raises InputError."""
        block, colon, tx = text.partition(":")
        if colon and _is_number(block) and _is_number(tx):
            found = cls(int(block), int(tx))
            if found.block <= MAX_U64 and found.tx <= MAX_U32:
                return found
        raise InputError.field("rune id", text, "BLOCK:TX, such as 840000:3")

    @classmethod
    def checked(cls, block: int, tx: int) -> RuneId | None:
        """The id, or None where no rune can have it: out of range, or in block 0 but not 0:0."""
        if block > MAX_U64 or tx > MAX_U32 or (tx and not block):
            return None
        return cls(block, tx)

    def next(self, block: int, tx: int) -> RuneId | None:
        """The id that lies `block` and `tx` further on, as edicts count; None out of range."""
        return RuneId.checked(self.block + block, tx if block else self.tx + tx)

    def delta(self, following: RuneId) -> tuple[int, int] | None:
        """What `next` takes to reach `following`; None where that lies before this id."""
        if following < self:
            return None
        block = following.block - self.block
        return block, following.tx if block else following.tx - self.tx


def _is_number(text: str) -> bool:
    """An unsigned number as Rust's parser takes it: ASCII digits, perhaps after one plus."""
    digits = text.removeprefix("+")
    return digits.isascii() and digits.isdigit() and len(digits) <= 40


def rune_name(number: int) -> str:
    """The name of a rune number: 0 is A, 25 Z, 26 AA."""
    if not 0 <= number <= MAX_U128:
        raise InputError.field("rune number", number, "integer from 0 to 2^128 - 1")
    letters = []
    left = number + 1
    while left:
        left, letter = divmod(left - 1, 26)
        letters.append(_LETTERS[letter])
    return "".join(reversed(letters))


def rune_number(name: str) -> int:
    """The number of a rune name. Raises InputError naming the first wrong character."""
    number = 0
    for character in name:
        letter = _LETTERS.find(character)
        if letter < 0:
            raise InputError(
                "the rune name {name} has the invalid character {character}; allowed: A to Z",
                name=shown(name),
                character=shown(character),
            )
        number = number * 26 + letter + 1
        if number > MAX_U128 + 1:
            raise InputError(
                "the rune name {name} is out of range; allowed: up to {last}",
                name=shown(name),
                last=rune_name(MAX_U128),
            )
    return max(number - 1, 0)  # ord reads the empty name as rune 0 too


class SpacedRune(msgspec.Struct, frozen=True, order=True):
    """A rune with the spacers of its display: bit i set means a spacer after letter i + 1."""

    rune: int
    spacers: int = 0

    def __str__(self) -> str:
        name = rune_name(self.rune)
        last = len(name) - 1
        return "".join(
            letter + SPACER if place < last and self.spacers >> place & 1 else letter
            for place, letter in enumerate(name)
        )

    @property
    def name(self) -> str:
        """The name without its spacers."""
        return rune_name(self.rune)

    @classmethod
    def parse(cls, text: str) -> SpacedRune:
        """A name such as `DOG•GO•TO•THE•MOON`; a full stop counts as a spacer."""
        letters: list[str] = []
        spacers = 0
        for character in text:
            if character not in "•.":
                letters.append(character)
                continue
            bit = 1 << (len(letters) - 1) if letters else 0
            if not bit or spacers & bit:
                raise _misplaced(text)
            spacers |= bit
        number = rune_number("".join(letters))
        if not letters or spacers >> (len(letters) - 1):
            raise _misplaced(text)
        return cls(number, spacers)


def _misplaced(text: str) -> InputError:
    return InputError(
        "the rune name {name} has a misplaced spacer; allowed: one between two letters",
        name=shown(text),
    )


def is_reserved(number: int) -> bool:
    """Whether nobody can etch this name: it is kept for etchings without one."""
    return number >= RESERVED


def reserved_rune(rune_id: RuneId) -> int:
    """The number that an etching without a name gets."""
    return RESERVED + (rune_id.block << 32 | rune_id.tx)


def first_rune_height(network: Network = "mainnet") -> int:
    """The first height at which the network reads runestones."""
    return _FIRST_HEIGHTS.get(network, 0)


def minimum_rune(height: int, network: Network = "mainnet") -> int:
    """The smallest number that an etching in the block at `height` may take.

    It falls through each length in 17,500 blocks, and is taken for `height` + 1.
    """
    passed = height + 1 - first_rune_height(network)
    if passed < 0:
        return _STEPS[12]
    if passed >= _UNLOCK_SPAN:
        return 0
    step, remainder = divmod(passed, UNLOCK_INTERVAL)
    longer, shorter = _STEPS[12 - step], _STEPS[11 - step]
    return longer - (longer - shorter) * remainder // UNLOCK_INTERVAL


def unlock_height(number: int, network: Network = "mainnet") -> int | None:
    """The first height at which the rune may be etched; None for a reserved one."""
    if is_reserved(number):
        return None
    heights = range(first_rune_height(network) + _UNLOCK_SPAN)
    return bisect_left(heights, True, key=lambda height: minimum_rune(height, network) <= number)


def commitment(number: int) -> bytes:
    """The bytes by which an etcher commits to a name: little-endian, zeros trimmed."""
    return number.to_bytes(16, "little").rstrip(b"\0")


def format_amount(amount: int, divisibility: int = 0) -> str:
    """Atomic units as the number that people read: no trailing zeros, never rounded."""
    _check_divisibility(divisibility)
    whole, fraction = divmod(amount, 10**divisibility)
    if not fraction:
        return str(whole)
    return f"{whole}.{fraction:0{divisibility}d}".rstrip("0")


def format_pile(amount: int, divisibility: int = 0, symbol: str | None = None) -> str:
    """The amount with the rune's symbol after a no-break space, as ord prints a pile."""
    return f"{format_amount(amount, divisibility)}\N{NO-BREAK SPACE}{symbol or '¤'}"


def parse_amount(text: str, divisibility: int = 0) -> int:
    """The reverse of `format_amount`, in atomic units. Raises InputError, never rounds."""
    _check_divisibility(divisibility)
    whole, _, fraction = text.partition(".")
    kept = fraction.rstrip("0")
    digits = whole + kept.ljust(divisibility, "0")
    right = digits.isascii() and digits.isdigit() and len(kept) <= divisibility and whole
    amount = int(digits) if right and len(digits) <= 80 else MAX_U128 + 1
    if amount > MAX_U128:
        raise InputError(
            "the amount {amount} cannot be read; allowed: from 0 to 2^128 - 1 atomic units, "
            "at most {divisibility} decimal places",
            amount=shown(text),
            divisibility=divisibility,
        )
    return amount


def _check_divisibility(divisibility: int) -> None:
    if not 0 <= divisibility <= MAX_DIVISIBILITY:
        raise InputError.field("divisibility", divisibility, "integer from 0 to 38")
