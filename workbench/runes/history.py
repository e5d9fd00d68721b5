"""What a block did to the runes, as lines of text: hashed, kept, and read back as events.

docs/reference/runes-index.md states the lines exactly: whoever writes them again must get
the same state hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

import msgspec

from workbench.core.rune import Network, rune_name
from workbench.core.runestone import Terms
from workbench.core.sentence import Told, told
from workbench.runes.entry import Entry
from workbench.runes.ledger import Applied

_KINDS = {"mint": "mint", "etch": "etch", "put": "transfer", "burn": "burn"}


def first_hash(network: Network) -> bytes:
    """The state hash before the first block."""
    return sha256(f"runes-state/1 {network}\n".encode()).digest()


def trusted_hash(network: Network, trust: str, height: int) -> bytes:
    """The state hash at the block `height` whose state was taken over from a file: no index that
    computed its state has it, nor any that follows from it."""
    text = f"runes-state/1 {network} trusted sha256:{trust} at {height}\n"
    return sha256(text.encode()).digest()


def trust_sentence(trust: str) -> str:
    """What stands with whatever was built on a state that was taken over, of a file's sha256."""
    return f"state trusted from sha256:{trust}"


def trust_line(trust: str) -> Told:
    """A `trust_sentence` as the line of an answer, which a page says in its reader's language."""
    return told("state trusted from {source}", source=trust.removeprefix("state trusted from "))


def trust_notes(trust: str | None) -> list[dict[str, Any]]:
    """The same among the `notes` of a result, which every page shows; none for a computed state."""
    return [] if trust is None else [msgspec.to_builtins(trust_line(trust).sentence)]


def next_hash(before: bytes, text: str) -> bytes:
    """The state hash after the block that `text` tells of."""
    return sha256(before + text.encode()).digest()


def block_text(height: int, time: int, applied: Iterable[Applied]) -> str:
    """The lines of one block, each ended by a line feed."""
    lines = [f"block {height} {time}"]
    for one in applied:
        told = list(_told(one))
        if told:
            lines.append(f"tx {one.index} {one.transaction.txid}")
            lines += told
    return "\n".join(lines) + "\n"


def _told(one: Applied) -> Iterator[str]:
    if one.minted:
        yield f"mint {one.minted[0]} {one.minted[1]}"
    if one.etched:
        yield etch_line(one.etched)
    for output, held in sorted(one.moves.outputs.items()):
        for rune, amount in sorted(held.items()):
            yield f"put {rune} {amount} {output}"
    burned: dict[Any, int] = {}
    for (rune, _), amount in one.moves.burned.items():
        burned[rune] = burned.get(rune, 0) + amount
    for rune, amount in sorted(burned.items()):
        yield f"burn {rune} {amount}"


def etch_line(entry: Entry) -> str:
    """The line of a rune that is etched."""
    etching, terms = entry.etching, entry.etching.terms or Terms()
    flags = 1 | (etching.terms is not None) << 1 | etching.turbo << 2
    symbol = None if etching.symbol is None else ord(etching.symbol)
    bounds = (*terms.height, *terms.offset)
    values = (symbol, entry.premine, terms.amount, terms.cap, *bounds)
    given = " ".join("-" if value is None else str(value) for value in values)
    name, spacers = rune_name(entry.number), etching.spacers or 0
    return f"etch {entry.id} {name} {spacers} {etching.divisibility or 0} {flags} {given}"


def etchings_of(text: str) -> Iterator[tuple[str, int, str]]:
    """What the block's lines say of each rune etched in it: txid, time, and its line."""
    time, txid = 0, ""
    for line in text.splitlines():
        word, *rest = line.split(" ")
        if word == "block":
            time = int(rest[1])
        elif word == "tx":
            txid = rest[1]
        elif word == "etch":
            yield txid, time, line


def events_of(text: str) -> list[dict[str, Any]]:
    """The block's lines as events: `type`, `block`, `tx`, `txid`, `rune_id`, and what applies of
    `amount` (a decimal string) and `vout`."""
    block, place, txid = 0, 0, ""
    events: list[dict[str, Any]] = []
    for line in text.splitlines():
        word, first, *rest = line.split(" ")
        if word == "block":
            block = int(first)
            continue
        if word == "tx":
            place, txid = int(first), rest[0]
            continue
        event = {"type": _KINDS[word], "block": block, "tx": place, "txid": txid, "rune_id": first}
        if word != "etch":
            event["amount"] = rest[0]
        if word == "put":
            event["vout"] = int(rest[1])
        events.append(event)
    return events
