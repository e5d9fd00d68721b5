"""Allocation inside one transaction: the rules where implementers slip, and conservation."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workbench.core.bitcoin import Transaction
from workbench.core.rune import RuneId, commitment
from workbench.core.runestone import Cenotaph, Edict, Etching, Runestone, Terms, encipher
from workbench.core.spent import SpentOutput
from workbench.runes.commitments import commits, origins
from workbench.runes.ledger import Ledger
from workbench.runes.moves import allocate, shares
from workbench.runes.simulation import chain
from workbench.runes.simulation.taproot import leaf_output

PAY, BURN = b"\x51", b"\x6a"
RUNE, OTHER = RuneId(5, 1), RuneId(5, 2)
NONE = RuneId(0, 0)


def test_without_a_message_the_first_output_that_is_not_op_return_gets_all() -> None:
    assert allocate({RUNE: 7}, None, [BURN, PAY, PAY]).outputs == {1: {RUNE: 7}}


def test_without_such_an_output_all_burns() -> None:
    moves = allocate({RUNE: 7}, None, [BURN])
    assert (moves.outputs, moves.burned) == ({}, {(RUNE, "no-output"): 7})


def test_the_pointer_takes_what_is_left_and_may_burn_it() -> None:
    assert allocate({RUNE: 7}, Runestone(pointer=2), [BURN, PAY, PAY]).outputs == {2: {RUNE: 7}}
    assert allocate({RUNE: 7}, Runestone(pointer=0), [BURN, PAY]).burned == {(RUNE, "op-return"): 7}


def test_a_cenotaph_burns_everything() -> None:
    moves = allocate({RUNE: 7, OTHER: 1}, Cenotaph(flaw="opcode"), [PAY])
    assert moves.burned == {(RUNE, "cenotaph"): 7, (OTHER, "cenotaph"): 1}
    assert moves.outputs == {}


def test_an_edict_takes_no_more_than_there_is_and_zero_means_all() -> None:
    for amount in (0, 7, 100):
        stone = Runestone(edicts=(Edict(RUNE, amount, 2),))
        assert allocate({RUNE: 7}, stone, [BURN, PAY, PAY]).outputs == {2: {RUNE: 7}}


def test_a_split_divides_with_the_remainder_one_each_to_the_first() -> None:
    stone = Runestone(edicts=(Edict(RUNE, 0, 4),))
    outputs = allocate({RUNE: 8}, stone, [BURN, PAY, PAY, PAY]).outputs
    assert outputs == {1: {RUNE: 3}, 2: {RUNE: 3}, 3: {RUNE: 2}}


def test_a_split_of_an_amount_gives_it_to_each_while_it_lasts() -> None:
    assert shares(3, 8, 4) == [3, 3, 2, 0]
    assert shares(3, 100, 2) == [3, 3]
    assert shares(0, 1, 3) == [1, 0, 0]


def test_an_edict_may_name_the_rune_that_is_etched_beside_it() -> None:
    stone = Runestone(edicts=(Edict(NONE, 4, 1),))
    assert allocate({RUNE: 9}, stone, [BURN, PAY, PAY], RUNE).outputs == {1: {RUNE: 9}}
    stone = Runestone(edicts=(Edict(NONE, 4, 2),))
    assert allocate({RUNE: 9}, stone, [BURN, PAY, PAY], RUNE).outputs == {
        1: {RUNE: 5},
        2: {RUNE: 4},
    }
    assert allocate({RUNE: 9}, stone, [BURN, PAY, PAY]).outputs == {1: {RUNE: 9}}


runes = st.sampled_from([RUNE, OTHER, NONE])
big = st.integers(0, 2**128 - 1)


@given(
    held=st.dictionaries(st.sampled_from([RUNE, OTHER]), big),
    scripts=st.lists(st.sampled_from([PAY, BURN]), min_size=1, max_size=5),
    edicts=st.lists(st.tuples(runes, big | st.integers(0, 9), st.integers(0, 5)), max_size=6),
    pointer=st.none() | st.integers(0, 4),
)
def test_nothing_is_made_and_nothing_is_lost(
    held: dict[RuneId, int],
    scripts: list[bytes],
    edicts: list[tuple[RuneId, int, int]],
    pointer: int | None,
) -> None:
    stone = Runestone(
        edicts=tuple(Edict(rune, amount, min(out, len(scripts))) for rune, amount, out in edicts),
        pointer=None if pointer is None or pointer >= len(scripts) else pointer,
    )
    moves = allocate(held, stone, scripts, RUNE)
    for rune, amount in held.items():
        placed = sum(part.get(rune, 0) for part in moves.outputs.values())
        burned = sum(part for (burnt, _), part in moves.burned.items() if burnt == rune)
        assert placed + burned == amount
    assert all(scripts[output] == PAY for output in moves.outputs)


def etching(
    name: int, script: bytes, height: int | None
) -> tuple[Transaction, dict[str, SpentOutput]]:
    """A transaction that etches, its input a leaf with `script` made at `height`."""
    leaf = leaf_output(script)
    lock = chain.Lock(leaf.output, (leaf.script, leaf.control))
    coin = chain.Coin("ab" * 32 + ":0", 9_000, lock, height or 0)
    stone = Runestone(etching=Etching(rune=name, premine=5, terms=Terms(amount=2, cap=1)))
    made = chain.transaction([coin], [(0, encipher(stone)), (546, PAY)])
    return made, {coin.outpoint: SpentOutput(leaf.output, 9_000, height)}


def test_a_commitment_is_any_push_of_the_names_bytes() -> None:
    name = 2**80 + 258
    data = name.to_bytes(16, "little").rstrip(b"\0")
    forms = [
        chain.push(data),
        b"\x4c" + bytes([len(data)]) + data,
        b"\x4d" + len(data).to_bytes(2, "little") + data,
        b"\x51\x75" + chain.push(data),
    ]
    for form in forms:
        made, spent = etching(name, form + b"\x75\x51", 995)
        assert commits(made, name, 1_000, spent) == "valid"
    for form in (chain.push(data + b"\0"), chain.push(data[:-1]), b"\x4e\xff\xff\xff\xff" + data):
        made, spent = etching(name, form + b"\x75\x51", 995)
        assert commits(made, name, 1_000, spent) == "missing"


def test_the_name_a_is_committed_to_by_the_empty_push() -> None:
    made, spent = etching(0, b"\x00\x75\x51", 995)
    assert commits(made, 0, 1_000, spent) == "valid"


def test_a_mint_is_open_until_its_cap_and_not_in_the_etching_itself() -> None:
    name = 26**13
    made, spent = etching(name, chain.dropping(name.to_bytes(16, "little").rstrip(b"\0")), 900)
    ledger = Ledger("regtest")
    rune = RuneId(1_000, 1)
    coin = chain.Coin("cd" * 32 + ":0", 9_000, chain.wallet_lock(1), 900)
    mints = [
        chain.transaction([coin], [(0, encipher(Runestone(mint=rune))), (546 + place, PAY)])
        for place in range(2)
    ]
    first = chain.coinbase(1_000, 0, PAY, b"t", [])
    applied = ledger.apply(1_000, 0, [first, made, *mints], origins(spent))
    assert [one.minted for one in applied] == [None, (rune, 2), None]
    assert applied[1].message == Runestone(mint=rune)
    assert ledger.entries[rune].supply == 7
    assert list(ledger.balances.values()) == [((rune, 5),), ((rune, 2),)]
    moved = chain.transaction([chain.Coin(f"{made.txid}:1", 9_000, coin.lock, 1_000)], [(9, PAY)])
    (last,) = ledger.apply(1_001, 0, [moved], origins({}))
    assert (last.message, last.arrived) == (None, {rune: 5})


def test_a_cenotaphs_etching_is_void() -> None:
    name = 26**13
    made, spent = etching(name, chain.dropping(commitment(name)), 900)
    script = bytearray(made.outputs[0].script)
    script[2] += 2
    lock = chain.Lock(spent[made.inputs[0].outpoint].script, made.inputs[0].witness)
    coin = chain.Coin(made.inputs[0].outpoint, 9_000, lock, 900)
    odd = chain.transaction([coin], [(0, bytes(script) + b"\x7e\x00"), (546, PAY)])
    (applied,) = Ledger("regtest").apply(1_000, 0, [odd], origins(spent))
    assert applied.etched
    assert (applied.etched.void, applied.etched.premine) == (True, 0)
