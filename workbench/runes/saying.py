"""Amounts, shares and counts as a sentence says them."""

from __future__ import annotations

from workbench.core.rune import format_amount
from workbench.core.sentence import Told, told

SHOWN_SHARE = 0.0005
"""Below it one decimal place says nothing."""


def said_amount(amount: int, divisibility: int | None, symbol: str | None = None) -> str:
    """An amount as a person reads it, with commas; in atomic units where the divisibility of its
    rune is not known."""
    if divisibility is None:
        return f"{amount:,} atomic units"
    sign, amount = ("-" if amount < 0 else ""), abs(amount)
    whole, _, fraction = format_amount(amount, divisibility).partition(".")
    text = f"{sign}{int(whole):,}" + (f".{fraction}" if fraction else "")
    return f"{text} {symbol}" if symbol else text


def said_share(share: float | None) -> str:
    """A share in percent with one decimal place; a dash where there is none."""
    if share is None:
        return "–"
    return "less than 0.1 %" if 0 < share < SHOWN_SHARE else f"{share * 100:.1f} %"


def said_counts(*counts: tuple[str, int]) -> tuple[str, ...]:
    """Of each template with a `{count}` the sentence, where there are any."""
    return tuple(told(template, count=f"{count:,}") for template, count in counts if count)


def said_span(first: int | None, last: int | None) -> Told:
    """From one block to another."""
    return told("{first} to {last}", first=str(first), last=str(last))
