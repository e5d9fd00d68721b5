"""Names, spacers, ids, unlock heights and amounts: what goes in comes out, exact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.rune import (
    MAX_SPACERS,
    MAX_U32,
    MAX_U64,
    MAX_U128,
    NETWORKS,
    RESERVED,
    Network,
    RuneId,
    SpacedRune,
    commitment,
    first_rune_height,
    format_amount,
    format_pile,
    is_reserved,
    minimum_rune,
    parse_amount,
    reserved_rune,
    rune_name,
    rune_number,
    unlock_height,
)
from workbench.errors import InputError

HUGE = [2**64, 2**64 + 1, 2**100, 2**127 - 1, 2**127, 2**127 + 1, MAX_U128]
numbers = st.one_of(st.integers(0, MAX_U128), st.integers(0, 10**6), st.sampled_from(HUGE))
rune_ids = st.builds(RuneId, st.integers(1, MAX_U64), st.integers(0, MAX_U32))


@pytest.mark.parametrize(
    ("number", "name"),
    [(0, "A"), (25, "Z"), (26, "AA"), (27, "AB"), (701, "ZZ"), (702, "AAA"), (RESERVED, "A" * 27)],
)
def test_a_name_is_its_number_in_letters(number: int, name: str) -> None:
    assert rune_name(number) == name
    assert rune_number(name) == number


@given(numbers)
def test_a_name_is_read_back(number: int) -> None:
    assert rune_number(rune_name(number)) == number


@given(numbers, numbers)
def test_a_longer_name_is_a_greater_number(first: int, second: int) -> None:
    one, two = rune_name(first), rune_name(second)
    assert (first < second) == ((len(one), one) < (len(two), two))


@pytest.mark.parametrize("number", [-1, 2**128])
def test_a_number_that_no_rune_has_is_refused(number: int) -> None:
    with pytest.raises(InputError) as caught:
        rune_name(number)
    assert str(caught.value) == f"rune number is {number}; allowed: integer from 0 to 2^128 - 1"


def test_a_wrong_letter_is_named() -> None:
    with pytest.raises(InputError) as caught:
        rune_number("DOGé")
    assert str(caught.value) == (
        "the rune name 'DOGé' has the invalid character 'é'; allowed: A to Z"
    )


def test_a_name_beyond_the_last_is_refused() -> None:
    last = rune_name(MAX_U128)
    assert rune_number(last) == MAX_U128
    with pytest.raises(InputError) as caught:
        rune_number(last[:-1] + "W")
    assert str(caught.value) == (
        f"the rune name '{last[:-1]}W' is out of range; allowed: up to {last}"
    )


@given(numbers, st.integers(0, MAX_SPACERS))
def test_a_spaced_name_is_read_back(number: int, spacers: int) -> None:
    shown = spacers & ((1 << (len(rune_name(number)) - 1)) - 1)
    text = str(SpacedRune(number, spacers))
    assert SpacedRune.parse(text) == SpacedRune(number, shown)
    assert SpacedRune.parse(text.replace("•", ".")).name == rune_name(number)


@pytest.mark.parametrize("text", ["", "•A", "•AB", "A•", "A••B", "."])
def test_a_misplaced_spacer_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        SpacedRune.parse(text)
    assert str(caught.value) == (
        f"the rune name {text!r} has a misplaced spacer; allowed: one between two letters"
    )


@given(rune_ids)
def test_an_id_is_read_back(rune_id: RuneId) -> None:
    assert RuneId.parse(str(rune_id)) == rune_id


@given(rune_ids, rune_ids)
def test_an_id_is_reached_by_its_delta(first: RuneId, second: RuneId) -> None:
    delta = first.delta(second)
    assert (delta is None) == (second < first)
    if delta:
        assert first.next(*delta) == second


def test_an_id_reaches_to_the_greatest_place_and_no_further() -> None:
    last = RuneId(MAX_U64, MAX_U32)
    assert RuneId.checked(MAX_U64, MAX_U32) == last
    assert RuneId.checked(MAX_U64 + 1, 0) is None
    assert RuneId.checked(1, MAX_U32 + 1) is None
    assert RuneId(1, 0).next(0, MAX_U32) == RuneId(1, MAX_U32)
    assert RuneId(0, 0).next(MAX_U64, MAX_U32) == last
    assert RuneId(0, 5).next(MAX_U64 + 1, 0) is None
    assert RuneId(1, 0).next(1, MAX_U32 + 1) is None


@pytest.mark.parametrize(
    "text", ["", "5", "5:", ":5", "5:6:7", f"{2**64}:0", "1:-1", "0" * 41 + ":1"]
)
def test_an_id_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError) as refused:
        RuneId.parse(text)
    assert str(refused.value) == f"rune id is {text!r}; allowed: BLOCK:TX, such as 840000:3"


def test_zeros_before_an_id_say_nothing() -> None:
    assert RuneId.parse("7".rjust(40, "0") + ":3") == RuneId(7, 3)


def test_a_rune_in_block_0_is_only_0_0() -> None:
    assert RuneId.checked(0, 0) == RuneId(0, 0)
    assert RuneId.checked(0, 1) is None
    assert RuneId.checked(MAX_U64 + 1, 0) is None
    assert RuneId.checked(1, MAX_U32 + 1) is None


def test_ids_are_in_the_order_of_the_chain() -> None:
    ids = [RuneId(2, 0), RuneId(1, 10), RuneId(1, 9)]
    assert sorted(ids) == ids[::-1]


def test_names_unlock_a_letter_shorter_in_17500_blocks() -> None:
    assert rune_name(minimum_rune(0)) == "A" * 13
    assert rune_name(minimum_rune(840_000 - 1)) == "A" * 13
    assert rune_name(minimum_rune(840_000 + 17_500 - 1)) == "A" * 12
    assert minimum_rune(840_000 + 12 * 17_500 - 1) == 0
    assert minimum_rune(10**9) == 0


@given(st.integers(0, RESERVED - 1), st.sampled_from(NETWORKS))
def test_the_unlock_height_is_the_first_at_which_the_name_is_allowed(
    number: int, network: Network
) -> None:
    height = unlock_height(number, network)
    assert height is not None
    assert minimum_rune(height, network) <= number
    assert height == 0 or minimum_rune(height - 1, network) > number


@given(st.integers(0, 3_000_000), st.sampled_from(NETWORKS))
def test_the_minimum_name_never_grows(height: int, network: Network) -> None:
    assert minimum_rune(height + 1, network) <= minimum_rune(height, network)


def test_test_networks_begin_at_their_own_heights() -> None:
    assert [first_rune_height(network) for network in NETWORKS] == [840_000, 2_520_000, 0, 0, 0]
    assert first_rune_height() == 840_000
    four = rune_number("AAAA")
    assert unlock_height(four) == unlock_height(four, "mainnet") != unlock_height(four, "regtest")


def test_a_reserved_name_never_unlocks() -> None:
    assert is_reserved(RESERVED)
    assert not is_reserved(RESERVED - 1)
    assert unlock_height(RESERVED) is None
    assert reserved_rune(RuneId(1, 2)) == RESERVED + 2**32 + 2


@given(numbers)
def test_a_commitment_is_the_trimmed_little_end(number: int) -> None:
    pushed = commitment(number)
    assert int.from_bytes(pushed, "little") == number
    assert not pushed.endswith(b"\0")


def test_the_commitment_to_a_is_the_empty_push() -> None:
    assert commitment(0) == b""


@pytest.mark.parametrize(
    ("amount", "divisibility", "text"),
    [
        (0, 0, "0"),
        (0, 38, "0"),
        (25, 0, "25"),
        (25, 1, "2.5"),
        (20, 1, "2"),
        (250, 2, "2.5"),
        (1, 38, "0." + "0" * 37 + "1"),
        (1_000_001, 6, "1.000001"),
        (MAX_U128, 38, "3.40282366920938463463374607431768211455"),
        (2**64, 5, "184467440737095.51616"),
        (2**100, 18, "1267650600228.229401496703205376"),
        (2**127, 0, "170141183460469231731687303715884105728"),
    ],
)
def test_an_amount_is_printed_exactly(amount: int, divisibility: int, text: str) -> None:
    assert format_amount(amount, divisibility) == text
    assert parse_amount(text, divisibility) == amount


@given(numbers, st.integers(0, 38))
def test_an_amount_is_read_back(amount: int, divisibility: int) -> None:
    assert parse_amount(format_amount(amount, divisibility), divisibility) == amount


@pytest.mark.parametrize(
    "text", ["", ".5", "-1", "+1", "1e3", "1,5", "1.234", " 1", "٣", "1.2.3", "1_000", "9" * 5000]
)
def test_an_amount_that_would_need_guessing_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"cannot be read; allowed: .* at most 2 decimal places"):
        parse_amount(text, 2)


def test_zeros_at_either_end_of_an_amount_say_nothing() -> None:
    assert parse_amount("2.500", 1) == 25
    assert parse_amount("0" * 79 + "1") == 1
    with pytest.raises(InputError, match="cannot be read"):
        parse_amount("0" * 80 + "1")
    with pytest.raises(InputError, match="cannot be read"):
        parse_amount("1X", 1)


def test_an_amount_that_cannot_be_read_is_named() -> None:
    with pytest.raises(InputError) as caught:
        parse_amount("x")
    assert str(caught.value) == (
        "the amount 'x' cannot be read; allowed: from 0 to 2^128 - 1 atomic units, "
        "at most 0 decimal places"
    )


def test_an_amount_without_a_divisibility_is_whole() -> None:
    assert format_amount(25) == "25"


def test_an_amount_above_the_greatest_is_refused() -> None:
    assert parse_amount(str(MAX_U128)) == MAX_U128
    with pytest.raises(InputError, match=r"from 0 to 2\^128 - 1 atomic units"):
        parse_amount(str(MAX_U128 + 1))


@pytest.mark.parametrize("divisibility", [-1, 39])
def test_a_divisibility_that_no_rune_has_is_refused(divisibility: int) -> None:
    with pytest.raises(InputError) as caught:
        format_amount(1, divisibility)
    assert str(caught.value) == f"divisibility is {divisibility}; allowed: integer from 0 to 38"
    with pytest.raises(InputError, match="divisibility is"):
        parse_amount("1", divisibility)


def test_a_pile_has_its_symbol_after_a_no_break_space() -> None:
    assert format_pile(1234, 2, "🐕") == "12.34\N{NO-BREAK SPACE}🐕"
    assert format_pile(25) == "25\N{NO-BREAK SPACE}¤"
