"""Whatever a chain holds: nothing is made and nothing lost, and the state hash says so."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from itertools import groupby
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runes.small_chain import BURN, PAY, TIME, apply, coin, output, send
from workbench.core.bitcoin import Transaction, parse_block
from workbench.core.rune import RuneId, SpacedRune
from workbench.core.runestone import MAGIC, Edict, Etching, Runestone, Terms
from workbench.runes import Index
from workbench.runes.simulate import Scale, simulate

FIRST = 1_000
amounts = st.integers(0, 9) | st.sampled_from([2**64, 2**100, 2**126])
terms = st.builds(
    Terms,
    amount=amounts,
    cap=st.integers(0, 3),
    height=st.tuples(st.none() | st.integers(FIRST, FIRST + 3), st.none()),
    offset=st.tuples(st.none() | st.integers(0, 2), st.none() | st.integers(0, 3)),
)
etchings = st.builds(Etching, premine=st.none() | amounts, terms=st.none() | terms)
runes = st.tuples(st.integers(0, 4), st.integers(0, 4))
messages = st.none() | st.fixed_dictionaries(
    {
        "edicts": st.lists(st.tuples(runes, amounts, st.integers(0, 4)), max_size=3),
        "etching": st.none() | etchings,
        "mint": st.none() | runes,
        "pointer": st.none() | st.integers(0, 3),
        "broken": st.integers(0, 9).map(lambda chance: chance == 0),
    }
)
spends = st.tuples(
    messages,
    st.lists(st.integers(0, 30), max_size=3),
    st.lists(st.booleans(), min_size=1, max_size=3),
)
chains = st.lists(st.lists(spends, max_size=4), min_size=1, max_size=5)


def transaction(spend: Any, made: Sequence[Transaction], spent: set[str]) -> Transaction:
    """What was drawn as a transaction: its inputs are outputs that are there."""
    drawn, picks, kinds = spend
    scripts = [BURN if kind else PAY for kind in kinds]
    coins = []
    for pick in picks:
        if made:
            put = output(made[-1 - pick % len(made)], pick % 2)
            if put.outpoint not in spent:
                spent.add(put.outpoint)
                coins.append(put)
    return send(
        None if drawn is None else message(drawn, len(scripts) + 1), coins or [coin()], scripts
    )


def message(drawn: dict[str, Any], outputs: int) -> Runestone | bytes:
    if drawn["broken"]:
        return MAGIC + b"\x01\x80"
    ids = {pair: RuneId(FIRST + pair[0], pair[1]) for pair in [*(e[0] for e in drawn["edicts"])]}
    pointer = drawn["pointer"]
    return Runestone(
        edicts=tuple(Edict(ids[p], amount, min(to, outputs)) for p, amount, to in drawn["edicts"]),
        etching=drawn["etching"],
        mint=None if drawn["mint"] is None else RuneId(FIRST + drawn["mint"][0], drawn["mint"][1]),
        pointer=None if pointer is None or pointer >= outputs else pointer,
    )


def reconciles(index: Index) -> None:
    """Supply = balances + burned for every rune, and no mint beyond its cap."""
    held: dict[str, int] = {}
    for pairs in index.balances().values():
        assert pairs == sorted(pairs, key=lambda pair: RuneId.parse(pair[0]))
        for rune, amount in pairs:
            assert int(amount) > 0
            held[rune] = held.get(rune, 0) + int(amount)
    for place, entry in enumerate(index.entries()):
        assert entry["number"] == place
        assert int(entry["supply"]) == held.pop(entry["id"], 0) + int(entry["burned"])
        if entry["terms"]:
            assert int(entry["mints"]) <= int(entry["terms"]["cap"] or 0)
        minted = int(entry["mints"]) * int((entry["terms"] or {}).get("amount") or 0)
        assert int(entry["supply"]) == int(entry["premine"]) + minted
    assert held == {}


def hashed(
    before: bytes, height: int, time: int, events: list[dict[str, Any]], index: Index
) -> bytes:
    """The state hash by another way: from the events and the entries, as the page says it."""
    entries = {entry["id"]: entry for entry in index.entries()}
    lines = [f"block {height} {time}"]
    for (place, txid), told in groupby(events, key=lambda event: (event["tx"], event["txid"])):
        lines.append(f"tx {place} {txid}")
        lines += [_line(event, entries[event["rune_id"]]) for event in told]
    return sha256(before + "".join(line + "\n" for line in lines).encode()).digest()


def _line(event: dict[str, Any], entry: dict[str, Any]) -> str:
    word = {"transfer": "put"}.get(event["type"], event["type"])
    if word != "etch":
        parts = [word, event["rune_id"], event["amount"], event.get("vout")]
        return " ".join(str(part) for part in parts if part is not None)
    spaced = SpacedRune.parse(entry["spaced_rune"])
    open_mint = entry["terms"] or {
        "amount": None,
        "cap": None,
        "height": [None] * 2,
        "offset": [None] * 2,
    }
    flags = 1 + 2 * (entry["terms"] is not None) + 4 * entry["turbo"]
    symbol = entry["symbol"] and ord(entry["symbol"])
    parts = [symbol, entry["premine"], open_mint["amount"], open_mint["cap"]]
    parts += [*open_mint["height"], *open_mint["offset"]]
    shown = ["-" if part is None else str(part) for part in parts]
    head = ["etch", entry["id"], spaced.name, spaced.spacers, entry["divisibility"], flags]
    return " ".join(map(str, [*head, *shown]))


@settings(max_examples=50)
@given(chains)
def test_supply_is_held_or_burned_after_every_block(blocks: list[list[Any]]) -> None:
    index, made, spent = Index("regtest"), list[Transaction](), set[str]()
    state = sha256(b"runes-state/1 regtest\n").digest()
    kept = [index.snapshot()]
    for place, block in enumerate(blocks):
        here: list[Transaction] = []
        for spend in block:
            here.append(transaction(spend, made + here, spent))
        made += here
        events = apply(index, FIRST + place, *here)
        reconciles(index)
        state = hashed(state, FIRST + place, TIME + FIRST + place, events, index)
        assert index.state_hash() == state.hex()
        kept.append(index.snapshot())
    for place in range(len(blocks), 0, -1):
        assert index.snapshot() == kept[place]
        index.rewind(FIRST + place - 2)
    assert index.snapshot() == kept[0]


def test_a_simulated_history_reconciles_at_every_block() -> None:
    index = Index("regtest")
    state = sha256(b"runes-state/1 regtest\n").digest()
    etched = 0
    for block in simulate(11, Scale(runes=12, blocks=14, wallets=8, payments=2, activity=0.3)):
        events = index.apply_block(block.raw)
        etched += sum(event["type"] == "etch" for event in events)
        reconciles(index)
        state = hashed(state, block.height, parse_block(block.raw).time, events, index)
        assert index.state_hash() == state.hex()
    assert etched > 3
    assert index.doubts == []
