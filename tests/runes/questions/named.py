"""Batches of etchings with names of their own, written by hand."""

from __future__ import annotations

from collections.abc import Sequence

from tests.runes.questions.hand import txid
from workbench.runes.batch import Batch, Source
from workbench.runes.building import Rows


def named(
    *etched: tuple[str, str] | tuple[str, str, str],
    held: Sequence[tuple[str, str, int]] = (),
    network: str = "mainnet",
    completeness: str = "state",
    span: tuple[int, int] = (840_000, 900_000),
) -> Batch:
    """Etchings are (rune id, spaced name) and perhaps the commitment, `held` (rune id, script in
    letters, amount)."""
    rows = Rows()
    for rune, spaced, *more in etched:
        height, _, index = rune.partition(":")
        name = spaced.replace("•", "")
        terms = (0, None, None, None, None, None, None, False, False, False)
        place = (int(height), int(index), txid(int(height), int(index)))
        commitment = more[0] if more else "valid"
        rows.add("etchings", rune, name, spaced, None, 0, 0, *terms, commitment, *place)
    for number, (rune, whose, amount) in enumerate(held):
        script = whose.encode().hex() if whose else None
        rows.add("balances", rune, f"{txid(1, number)}:0", script, None, amount)
    return Batch(
        id="by_hand",
        network=network,
        source=Source(producer="a test"),
        completeness=completeness,
        first_height=span[0],
        last_height=span[1],
        tables=rows.tables(),
    )
