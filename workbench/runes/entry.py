"""One rune as it stands: what was etched, and how much of it was minted and burned so far.

Source: ord 0.27.1, `RuneEntry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from workbench.core.rune import MAX_U64, MAX_U128, RuneId, SpacedRune
from workbench.core.runestone import Etching, Terms


@dataclass
class Entry:
    """`number` is that of its name, `place` counts the runes of the network from 0 on.

    `mints` counts, `time` is its block's in seconds since the epoch, None where a state that was
    taken over does not say it; everything else is in atomic units. `void` says that a cenotaph
    etched it.
    """

    id: RuneId
    number: int
    txid: str
    etching: Etching
    place: int = 0
    time: int | None = 0
    void: bool = False
    mints: int = 0
    burned: int = 0

    @property
    def premine(self) -> int:
        return 0 if self.void else self.etching.premine or 0

    @property
    def supply(self) -> int:
        """Everything ever made of it, burned or not."""
        terms = self.etching.terms or Terms()
        return self.premine + self.mints * (terms.amount or 0)

    def mintable(self, height: int) -> int | None:
        """What a mint in the block at `height` gives; None where the mint is not open."""
        terms = self.etching.terms
        if terms is None or self.mints >= (terms.cap or 0):
            return None
        start, end = self._bound(terms, 0), self._bound(terms, 1)
        late = bool(start) and height < max(start)
        over = bool(end) and height >= min(end)
        return None if late or over else terms.amount or 0

    def _bound(self, terms: Terms, end: int) -> Sequence[int]:
        """The absolute bound and the one that counts from the etching, where there are such."""
        offset = terms.offset[end]
        relative = None if offset is None else min(self.id.block + offset, MAX_U64)
        return [bound for bound in (terms.height[end], relative) if bound is not None]

    def document(self, next_height: int) -> dict[str, Any]:
        """The entry as plain values; amounts are decimal strings, for many exceed 2^53."""
        etching, terms = self.etching, self.etching.terms
        open_amount = self.mintable(next_height)
        return {
            "id": str(self.id),
            "number": self.place,
            "spaced_rune": str(SpacedRune(self.number, etching.spacers or 0)),
            "symbol": etching.symbol,
            "divisibility": etching.divisibility or 0,
            "etching": self.txid,
            "block": self.id.block,
            "timestamp": self.time,
            "turbo": etching.turbo,
            "premine": str(self.premine),
            "mints": str(self.mints),
            "burned": str(self.burned),
            "supply": str(self.supply),
            "mintable_next_block": None if open_amount is None else str(open_amount),
            "terms": None if terms is None else _terms_document(terms),
        }


def _terms_document(terms: Terms) -> dict[str, Any]:
    return {
        "amount": None if terms.amount is None else str(terms.amount),
        "cap": None if terms.cap is None else str(terms.cap),
        "height": list(terms.height),
        "offset": list(terms.offset),
    }


_UNCOMMON_GOODS = Entry(
    id=RuneId(1, 0),
    number=2055900680524219742,
    txid="0" * 64,
    etching=Etching(
        rune=2055900680524219742,
        spacers=128,
        symbol="\u29c9",
        terms=Terms(amount=1, cap=MAX_U128, height=(840_000, 1_050_000)),
        turbo=True,
    ),
)


def uncommon_goods() -> Entry:
    """Rune 1:0, which is built into mainnet and etched by nobody."""
    return replace(_UNCOMMON_GOODS)
