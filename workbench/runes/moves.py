"""Where runes go inside one transaction: the protocol's allocation, as a pure function.

Source: ord 0.27.1, `RuneUpdater::index_runes`. What lies on the inputs, was minted and was
premined comes in as `unallocated`; what each output holds, and what burns, comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workbench.core.rune import RuneId
from workbench.core.runestone import Cenotaph, Edict, Runestone

OP_RETURN = 0x6A
ETCHED_HERE = RuneId(0, 0)
"""What an edict writes for the rune that its own transaction etches."""


@dataclass(frozen=True)
class Moves:
    """`outputs`: output index to rune to amount, OP_RETURN outputs excluded.

    `burned`: (rune, cause) to amount; causes are `cenotaph`, `op-return`, `no-output`.
    """

    outputs: dict[int, dict[RuneId, int]] = field(default_factory=dict)
    burned: dict[tuple[RuneId, str], int] = field(default_factory=dict)

    def burn(self, rune: RuneId, cause: str, amount: int) -> None:
        if amount:
            self.burned[rune, cause] = self.burned.get((rune, cause), 0) + amount

    def put(self, output: int, rune: RuneId, amount: int) -> None:
        if amount:
            held = self.outputs.setdefault(output, {})
            held[rune] = held.get(rune, 0) + amount


def burns(script: bytes) -> bool:
    """Whether what is sent to this script is burned."""
    return script[:1] == bytes([OP_RETURN])


def destinations(scripts: Sequence[bytes]) -> list[int]:
    """The outputs among which a split divides."""
    return [place for place, script in enumerate(scripts) if not burns(script)]


def default_output(message: Runestone | None, scripts: Sequence[bytes]) -> int | None:
    """Where unallocated runes go: the pointer, else the first output that is not OP_RETURN."""
    if message is not None and message.pointer is not None:
        return message.pointer
    return next((place for place, script in enumerate(scripts) if not burns(script)), None)


def shares(amount: int, balance: int, count: int) -> list[int]:
    """What each of `count` outputs gets of a split: `amount` each while it lasts; 0 divides."""
    if not amount:
        each, rest = divmod(balance, count)
        return [each + (place < rest) for place in range(count)]
    full, rest = divmod(min(balance, amount * count), amount)
    return ([amount] * full + [rest] + [0] * count)[:count]


def allocate(
    unallocated: Mapping[RuneId, int],
    message: Runestone | Cenotaph | None,
    scripts: Sequence[bytes],
    etched: RuneId | None = None,
) -> Moves:
    """Distribute `unallocated` over the outputs as the transaction's message asks.

    `etched` is the id of the rune etched here, if the etching is honoured.
    """
    moves = Moves()
    if isinstance(message, Cenotaph):
        for rune, amount in unallocated.items():
            moves.burn(rune, "cenotaph", amount)
        return moves
    left = dict(unallocated)
    raw = Moves()
    targets = destinations(scripts)
    for edict in message.edicts if message else ():
        _apply(edict, left, raw, targets, len(scripts), etched)
    place = default_output(message, scripts)
    for rune, amount in left.items():
        if place is None:
            moves.burn(rune, "no-output", amount)
        else:
            raw.put(place, rune, amount)
    _settle(raw, moves, scripts)
    return moves


def _apply(
    edict: Edict,
    left: dict[RuneId, int],
    moves: Moves,
    targets: list[int],
    outputs: int,
    etched: RuneId | None,
) -> None:
    rune = etched if edict.id == ETCHED_HERE else edict.id
    balance = left.get(rune, 0) if rune else 0
    if rune is None or not balance:
        return
    if edict.output < outputs:
        parts = {edict.output: min(edict.amount or balance, balance)}
    elif targets:
        split = shares(edict.amount, balance, len(targets))
        parts = dict(zip(targets, split, strict=True))
    else:
        return
    for output, part in parts.items():
        moves.put(output, rune, part)
        left[rune] -= part


def _settle(raw: Moves, moves: Moves, scripts: Sequence[bytes]) -> None:
    """What was sent to OP_RETURN outputs burns; the rest stays."""
    for output in sorted(raw.outputs):
        for rune, amount in raw.outputs[output].items():
            if burns(scripts[output]):
                moves.burn(rune, "op-return", amount)
            else:
                moves.put(output, rune, amount)
