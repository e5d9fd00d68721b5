"""The codec: our own vectors, and the laws that hold for all bytes and all runestones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.core import vectors_make
from workbench.core.rune import MAX_U32, MAX_U64, MAX_U128, RuneId
from workbench.core.runestone import (
    MAGIC,
    Cenotaph,
    Edict,
    Etching,
    Runestone,
    Terms,
    VarintError,
    decipher,
    decode_varint,
    encipher,
    encode_varint,
)
from workbench.errors import InputError

VECTORS = Path(__file__).parent / "vectors"
HAND: list[dict[str, Any]] = json.loads((VECTORS / "hand.json").read_text())["cases"]
GENERATED: list[dict[str, Any]] = json.loads((VECTORS / "generated.json").read_text())["cases"]
HUGE = [2**64, 2**64 + 1, 2**100, 2**127 - 1, 2**127, 2**127 + 1, MAX_U128]

amounts = st.one_of(st.integers(0, MAX_U128), st.sampled_from(HUGE))
rune_ids = st.builds(RuneId, st.integers(1, MAX_U64), st.integers(0, MAX_U32))
heights = st.tuples(*[st.none() | st.integers(0, MAX_U64)] * 2)
small = st.none() | st.integers(0, 2**63)
terms = st.builds(Terms, amount=small, cap=small, height=heights, offset=heights)
etchings = st.builds(
    Etching,
    divisibility=st.none() | st.integers(0, 38),
    premine=small,
    rune=st.none() | amounts,
    spacers=st.none() | st.integers(0, 0x7FFFFFF),
    symbol=st.none() | st.characters(exclude_categories=["Cs"]),
    terms=st.none() | terms,
    turbo=st.booleans(),
)
edicts = st.lists(st.builds(Edict, rune_ids, amounts, st.integers(0, 4)), max_size=30).map(
    lambda listed: tuple(sorted(listed, key=lambda edict: edict.id))
)
runestones = st.builds(
    Runestone,
    edicts=edicts,
    etching=st.none() | etchings,
    mint=st.none() | rune_ids,
    pointer=st.none() | st.integers(0, 3),
)


@pytest.mark.parametrize("case", HAND, ids=[case["comment"][:60] for case in HAND])
def test_a_script_written_by_hand_says_what_it_should(case: dict[str, Any]) -> None:
    artifact = decipher([bytes.fromhex(script) for script in case["outputs"]])
    assert (artifact and vectors_make.texts(artifact.to_json())) == case["artifact"]


def test_the_generated_vectors_are_the_ones_of_their_seed() -> None:
    assert vectors_make.cases() == GENERATED


@pytest.mark.parametrize("place", range(len(GENERATED)))
def test_a_generated_script_says_what_it_was_made_from(place: int) -> None:
    case = GENERATED[place]
    artifact = decipher([bytes.fromhex(case["script"]), *[b""] * (case["outputs"] - 1)])
    assert artifact
    assert vectors_make.texts(artifact.to_json()) == case["artifact"]


@given(st.lists(st.binary(max_size=80), max_size=5), st.binary(max_size=200))
def test_no_bytes_make_decipher_raise(scripts: list[bytes], payload: bytes) -> None:
    assert isinstance(decipher([*scripts, MAGIC + payload]), Runestone | Cenotaph)


@given(st.lists(st.one_of(st.integers(0, 130), amounts), max_size=40))
def test_no_integers_make_decipher_raise(integers: list[int]) -> None:
    payload = b"".join(map(encode_varint, integers))[:255]
    script = MAGIC + b"\x4c" + bytes([len(payload)]) + payload
    artifact = decipher([script, b""])
    assert artifact
    json.dumps(artifact.to_json())


@given(runestones)
def test_what_is_enciphered_is_deciphered_again(runestone: Runestone) -> None:
    assert decipher([encipher(runestone), b"", b"", b""]) == runestone


@given(runestones)
def test_a_push_is_never_longer_than_consensus_allows(runestone: Runestone) -> None:
    script = encipher(runestone)
    position = 2
    while position < len(script):
        form = script[position]
        width = {0x4C: 1, 0x4D: 2}.get(form, 0)
        length = int.from_bytes(script[position + 1 :][:width], "little") if width else form
        assert 0 < length <= 520
        position += 1 + width + length


@pytest.mark.parametrize("amount", HUGE)
def test_an_amount_beyond_64_bits_stays_exact(amount: int) -> None:
    stone = Runestone(
        edicts=(Edict(RuneId(840_000, 1), amount, 0),), etching=Etching(premine=amount)
    )
    read = decipher([encipher(stone)])
    assert read == stone
    printed = json.loads(json.dumps(read.to_json()))["Runestone"]
    assert printed["edicts"][0]["amount"] == amount == printed["etching"]["premine"]


@given(amounts)
@example(0)
@example(MAX_U128)
def test_a_varint_is_read_back(number: int) -> None:
    encoded = encode_varint(number)
    assert decode_varint(b"\xff" + encoded + b"\x7f", 1) == (number, len(encoded) + 1)
    assert len(encoded) == max(1, -(-number.bit_length() // 7))


@given(amounts, st.integers(0, 18))
def test_a_zero_padded_varint_of_up_to_19_bytes_is_valid(number: int, padding: int) -> None:
    encoded = encode_varint(number)
    padding = min(padding, 19 - len(encoded))
    if padding:
        encoded = encoded[:-1] + bytes([encoded[-1] | 0x80]) + b"\x80" * (padding - 1) + b"\0"
    assert decode_varint(encoded) == (number, len(encoded))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "unterminated"),
        (b"\x80", "unterminated"),
        (b"\x80" * 19 + b"\0", "overlong"),
        (b"\x80" * 18 + b"\4", "overflow"),
    ],
)
def test_a_bad_varint_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(VarintError, match=reason):
        decode_varint(data)


@pytest.mark.parametrize("number", [-1, 2**128])
def test_what_no_varint_holds_is_refused(number: int) -> None:
    with pytest.raises(InputError) as caught:
        encode_varint(number)
    assert str(caught.value) == f"integer is {number}; allowed: from 0 to 2^128 - 1"


def test_edicts_are_written_in_order_of_their_ids() -> None:
    late, early = Edict(RuneId(2, 0), 5, 0), Edict(RuneId(1, 7), 6, 0)
    read = decipher([encipher(Runestone(edicts=(late, early)))])
    assert isinstance(read, Runestone)
    assert read.edicts == (early, late)


def test_edicts_of_one_rune_keep_their_order() -> None:
    pair = (Edict(RuneId(1, 1), 5, 0), Edict(RuneId(1, 1), 3, 0))
    read = decipher([encipher(Runestone(edicts=pair))])
    assert isinstance(read, Runestone)
    assert read.edicts == pair


def test_a_flaw_late_in_the_edicts_burns_the_early_ones_too() -> None:
    good = Runestone(edicts=(Edict(RuneId(1, 1), 5, 0), Edict(RuneId(1, 1), 5, 9)))
    assert decipher([encipher(good)]) == Cenotaph(flaw="edict-output")


@pytest.mark.parametrize("outputs", [[], [b""], [b"\x6a"], [b"\x5d\x6a"], [b"\x6a\x5c\x5d"]])
def test_scripts_without_the_magic_are_no_message(outputs: list[bytes]) -> None:
    assert decipher(outputs) is None


def scripted(*integers: int) -> bytes:
    """A message of these integers in one push."""
    payload = b"".join(map(encode_varint, integers))
    return MAGIC + bytes([len(payload)]) + payload


def flaw_of(*integers: int) -> str | None:
    artifact = decipher([scripted(*integers)])
    return artifact.flaw if isinstance(artifact, Cenotaph) else None


@pytest.mark.parametrize(
    "push",
    ["4c", "4d", "4d01", "4e", "4e010000", "05aabbccdd", "4c02aa", "4d0200aa", "4e02000000aa"],
)
def test_a_push_that_ends_with_its_script_is_an_invalid_script(push: str) -> None:
    artifact = decipher([MAGIC + bytes.fromhex(push)])
    assert isinstance(artifact, Cenotaph)
    assert artifact.flaw == "invalid-script"


@pytest.mark.parametrize("head", ["03", "4c03", "4d0300", "4e03000000"])
def test_every_length_of_a_push_says_the_same(head: str) -> None:
    payload = b"".join(map(encode_varint, (22, 0, 127)))  # a pointer, and a Nop without a value
    whole = decipher([MAGIC + bytes.fromhex(head) + payload])
    assert isinstance(whole, Cenotaph)
    assert whole.flaw == "truncated-field"
    assert decipher([MAGIC + bytes.fromhex(head) + bytes([22, 0, 0])]) == Runestone(pointer=0)


@pytest.mark.parametrize(
    ("size", "head"), [(75, "4b"), (76, "4c4c"), (255, "4cff"), (256, "4d0001"), (520, "4d0802")]
)
def test_a_payload_is_pushed_with_the_shortest_length(size: int, head: str) -> None:
    four, longer = divmod(size - 1, 4)  # a tag, and edicts of four bytes each
    made = [Edict(RuneId(1, 0), 128 if n < longer else 1, 0) for n in range(four)]
    script = encipher(Runestone(edicts=tuple(made)))
    assert script[len(MAGIC) :].hex().startswith(head)
    assert len(script) == len(MAGIC) + len(head) // 2 + size
    assert decipher([script]) == Runestone(edicts=tuple(made))


def test_an_etching_beside_a_mint_loses_nothing() -> None:
    both = Runestone(etching=Etching(rune=7, premine=3), mint=RuneId(5, 6), pointer=0)
    assert decipher([encipher(both)]) == both


def test_flags_say_only_what_the_etching_says() -> None:
    payload = encipher(Runestone(etching=Etching(rune=7)))[len(MAGIC) + 1 :]
    assert payload[:2] == bytes([2, 1])


def test_a_third_value_of_a_mint_is_a_surplus() -> None:
    assert flaw_of(20, 5, 20, 6) is None
    assert flaw_of(20, 5, 20, 6, 20, 7) == "unrecognized-even-tag"


@pytest.mark.parametrize(
    ("value", "symbol"), [(0xD7FF, "\ud7ff"), (0xD800, None), (0xDFFF, None), (0xE000, "\ue000"),
                          (0x10FFFF, "\U0010ffff"), (0x110000, None)]
)  # fmt: skip
def test_a_symbol_is_a_scalar_or_none(value: int, symbol: str | None) -> None:
    artifact = decipher([scripted(2, 1, 5, value)])
    assert isinstance(artifact, Runestone)
    assert artifact.etching is not None
    assert artifact.etching.symbol == symbol
