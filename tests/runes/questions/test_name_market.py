"""Which names are open, which unlock next, which are taken: by hand and against ord's heights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runes.questions.hand import tables
from tests.runes.questions.named import named
from workbench.core.rune import minimum_rune, rune_name, rune_number, unlock_height
from workbench.errors import InputError
from workbench.runes.batch import Batch
from workbench.runes.questions.name_market import name_market

END = 840_000 + 12 * 17_500


def of_length(answer: Any, letters: int) -> dict[str, Any]:
    frame = answer.frame.astype(object).set_index("letters")
    return dict(frame.loc[letters])


def looked_up(answer: Any) -> list[dict[str, Any]]:
    return list(answer.more["names"].to_pylist())


def test_one_length_unlocks_in_17_500_blocks() -> None:
    """When 12 letters are all open, block 857499, the next 17,500 blocks open those of 11."""
    batch = named(
        ("840000:1", "ABCDEFGHIJKLM"), ("857499:2", "ABCDEFGHIJKL"), span=(840_000, 857_499)
    )
    answer = name_market(batch)
    eleven, twelve, thirteen = (of_length(answer, letters) for letters in (11, 12, 13))
    assert (eleven["names"], eleven["open"], eleven["unlocking"]) == (26**11, 0, 26**11)
    assert (twelve["open"], twelve["free"], twelve["unlocking"]) == (26**12, 26**12 - 1, 0)
    assert (thirteen["taken"], thirteen["taken_share"]) == (1, 1 / 26**13)
    assert (eleven["opens_at"], eleven["all_open_at"]) == (857_500, 874_999)
    assert set(answer.figure["data"][0]["text"]) == {"", "less than 0.01 %"}
    assert answer.figure["data"][0]["textposition"] == "none"  # it would lie across the bars
    assert answer.facts["minimum"] == "AAAAAAAAAAAA"
    assert str(answer.sentence) == (
        "at block 857499 names from AAAAAAAAAAAA on are open, and 3,670,344,486,987,776 more "
        "are at block 874999; 2 are taken"
    )
    assert answer.explain().missing == ()
    assert answer.table["letters"].to_pylist() == list(range(1, 27))


def test_tables_that_name_no_network_are_said_to_be_taken_for_mainnets() -> None:
    batch = named(("3:1", "ABCDEFGHIJKLM"), network="regtest", span=(0, 200))
    line = "the network of these tables: mainnet's heights are assumed; a batch says it"
    bare = name_market(dict(batch.tables), height=200)
    assert line in bare.explain().missing
    assert "mainnet, " not in " ".join(bare.explain().sources)
    assert bare.facts["minimum"] != name_market(batch).facts["minimum"]
    assert line not in name_market(batch).explain().missing


def test_a_batch_is_held_against_its_own_networks_heights() -> None:
    """On regtest names unlock from block 0 on. The last block's own etchings count; that at the
    minimum was not early, the one below it was."""
    lowest = minimum_rune(200, "regtest")
    assert lowest < minimum_rune(200)
    at, below = rune_name(lowest), rune_name(lowest - 1)
    assert len(at) == len(below) == 12
    batch = named(("200:1", at), ("200:2", below), network="regtest", span=(0, 200))
    answer = name_market(batch, blocks=100, names=[at, below])
    assert answer.facts["unlocking"] == lowest - minimum_rune(300, "regtest")
    assert answer.more["early"]["name"].to_pylist() == [below]
    first, second = looked_up(answer)
    assert (first["unlocked"], first["rune_id"]) == (True, "200:1")
    assert (second["unlocked"], second["rune_id"]) == (False, "200:2")
    assert second["unlocks_at"] == unlock_height(lowest - 1, "regtest")
    assert {"number", "names"} <= set(answer.counts)


def test_the_last_names_are_the_single_letters() -> None:
    """One letter needs 17,500 blocks for 26 names: the first, Z, opens 673 blocks in."""
    answer = name_market(named(("840000:1", "ABCDEFGHIJKLM")), height=END - 17_500, blocks=17_499)
    one = of_length(answer, 1)
    assert (one["opens_at"], one["all_open_at"]) == (END - 17_500 + 673, END - 1)
    assert (one["open"], one["unlocking"], answer.facts["unlocking"]) == (0, 26, 26)
    assert answer.facts["shortest"] == 2
    assert (answer.facts["minimum"], answer.facts["minimum_then"]) == ("AA", "A")
    later = name_market(named(("840000:1", "ABCDEFGHIJKLM")), height=END, blocks=1)
    assert later.facts["unlocking"] == 0
    assert of_length(later, 1)["open"] == 26


def test_names_are_looked_up_with_their_taker_and_their_height() -> None:
    batch = named(
        ("840000:3", "ABCDEF•GHIJKLM"),
        ("860000:9", "ABCDEFG•HIJKLM"),
        ("850000:1", "OPQRSTUVWXYZA", "missing"),
    )
    asked = [" abcdefghijklm", "opqrst.uvwxyza", "A", "A" * 27, "ZZZZZ"]
    answer = name_market(batch, names=asked)
    taken, void, locked, reserved, last = looked_up(answer)
    assert (taken["taken"], taken["rune_id"], taken["unlocked"]) == (True, "840000:3", True)
    assert (void["name"], void["taken"], void["rune_id"]) == ("OPQRST•UVWXYZA", False, None)
    assert (locked["unlocked"], locked["unlocks_at"], locked["number"]) == (False, END - 1, "0")
    assert (reserved["reserved"], reserved["unlocked"], reserved["unlocks_at"]) == (
        True,
        False,
        None,
    )
    assert (reserved["letters"], last["reserved"]) == (27, False)
    assert last["unlocks_at"] == unlock_height(rune_number("ZZZZZ"))
    edge = last["unlocks_at"]
    before, at = (
        looked_up(name_market(batch, names=["ZZZZZ"], height=edge - 1 + n))[0] for n in (0, 1)
    )
    assert (before["unlocked"], at["unlocked"]) == (False, True)
    lowest, below = (rune_name(rune_number(answer.facts["minimum"]) - n) for n in (0, 1))
    asked = name_market(batch, names=[lowest, below])
    assert [row["unlocked"] for row in looked_up(asked)] == [True, False]
    assert name_market(batch).more["names"].schema == answer.more["names"].schema


def test_taken_counts_each_name_once_up_to_the_height_and_reserved_apart() -> None:
    batch = named(
        ("840000:1", "ABCDEFGHIJKLM"),
        ("840005:1", "ABCDEFGHIJKL•M"),
        ("840006:1", "BBCDEFGHIJKLM"),
        ("840007:1", "CBCDEFGHIJKLM", "missing"),
        ("840008:1", "A" * 27),
        ("840009:1", "DBCDEFGHIJKLM"),
    )
    answer = name_market(batch, height=840_008)
    assert of_length(answer, 13)["taken"] == 2
    assert (answer.facts["taken"], answer.facts["reserved"], answer.facts["early"]) == (2, 1, 0)
    assert name_market(batch, height=840_009).facts["taken"] == 3


def test_a_name_that_was_still_locked_is_listed() -> None:
    late = [("840000:8", "BITCOIM", "missing"), ("940001:1", "A")]
    honoured = [("840000:7", "BITCOIN"), ("1:0", "UNCOMMON•GOODS"), ("933000:1", "ZZZZZZZ")]
    batch = named(*honoured, *late)
    answer = name_market(batch, height=940_000)
    [early] = answer.more["early"].to_pylist()
    assert (early["rune_id"], early["height"], early["name"]) == ("840000:7", 840_000, "BITCOIN")
    none = name_market(batch, height=839_999)
    assert none.more["early"].schema == answer.more["early"].schema
    assert early["unlocks_at"] == unlock_height(rune_number("BITCOIN"))
    assert answer.explain().missing[-1] == (
        "a reason for 1 etching of a name that was still locked (early)"
    )


def test_what_a_batch_does_not_cover_is_said() -> None:
    answer = name_market(
        named(("840001:1", "ABCDEFGHIJKLM"), span=(840_001, 840_100)), height=840_101
    )
    assert answer.explain().missing == (
        "etchings before block 840001: their names are not among the taken",
        "etchings after block 840100: their names are not among the taken",
    )


def test_messages_alone_do_not_tell_what_is_taken(block_batch: Batch) -> None:
    answer = name_market(block_batch, names=["A"])
    assert {row["taken"] for row in answer.table.to_pylist()} == {None}
    assert {row["free"] for row in answer.table.to_pylist()} == {None}
    assert {row["taken_share"] for row in answer.table.to_pylist()} == {None}
    assert (answer.facts["taken"], answer.facts["reserved"]) == (None, None)
    assert looked_up(answer)[0]["taken"] is None
    assert str(answer.sentence).endswith("which are taken is not known")
    assert answer.explain().missing[0].startswith("which etchings were honoured")
    lone = name_market({"balances": tables(balances=[("840001:1", "a", 1)])["balances"]}, height=9)
    assert lone.facts["taken"] is None
    assert len(answer.figure["data"][0]["x"]) == 26


def test_without_a_height_it_refuses_and_a_faulty_name_is_named() -> None:
    lone = tables(balances=[("840001:1", "a", 1)])
    with pytest.raises(InputError, match="the tables given do not tell one"):
        name_market(lone)
    with pytest.raises(InputError, match="'DOG!' has the invalid character"):
        name_market(lone, height=5, names=["dog!"])
    with pytest.raises(InputError, match=r"blocks is 0; allowed: .* 1"):
        name_market(lone, height=5, blocks=0)
    with pytest.raises(InputError, match="height"):
        name_market(lone, height=-1)


def test_rows_alone_are_drawn_as_the_answer_draws_its_own() -> None:
    market = name_market(named(("840000:1", "ABCDEFGHIJKLM")), names=["OASIS"])
    few = market.rows("taken > 0")
    assert few.table["letters"].to_pylist() == [13]
    drawn = few._repr_html_()
    assert "2,481,152,873,203,736,576" in drawn  # 26 ** 13, which pandas leaves ungrouped
    assert "less than 0.1 %" in drawn
    names = market.rows(of="names")._repr_html_()
    assert "OASIS" in names
    assert "6,885,312" in names
    assert "–" in names
    assert "NaN" not in drawn + names
    with pytest.raises(InputError, match="of is 'nothing'; allowed: names"):
        market.rows(of="nothing")


def test_the_figure_says_lengths_counts_and_heights() -> None:
    figure = name_market(named(("840000:1", "ABCDEFGHIJKLM"))).figure
    bars, line = figure["data"]
    assert (bars["y"][12], bars["text"][12], bars["text"][11]) == (1, "less than 0.01 %", "")
    assert line["y"][0] == END - 1
    assert bars["x"] == line["x"] == [*range(1, 27)]
    assert (line["mode"], line["yaxis"], line["line"]) == ("lines+markers", "y2", {"dash": "dot"})
    right = figure["layout"]["yaxis2"]
    assert (right["overlaying"], right["side"], right["showgrid"]) == ("y", "right", False)
    assert (right["tickformat"], right["rangemode"]) == ("d", "tozero")


@pytest.mark.shared
def test_the_lowest_open_name_is_ords(shared: Path) -> None:
    known = json.loads((shared / "data/runes/vectors/protocol.json").read_bytes())
    rows = {network: named(("1:1", "A"), network=network) for network in ("mainnet", "regtest")}
    for case in known["minimum_at_height"][::40]:
        for network, batch in rows.items():
            answer = name_market(batch, height=case["height"], blocks=1)
            assert answer.facts["minimum"] == case[network][1]


def naive(names: set[str], now: int, then: int) -> dict[str, list[int]]:
    """Open, free and unlocking names of one to three letters by trying each of them."""
    found = {}
    for letters, numbers in {1: range(26), 2: range(26, 702), 3: range(702, 18_278)}.items():
        opened = [number for number in numbers if number >= minimum_rune(now)]
        later = [number for number in numbers if number >= minimum_rune(then)]
        taken = sum(len(name) == letters for name in names)
        found[letters] = [len(opened), len(opened) - taken, len(later) - len(opened), taken]
    return {str(letters): row for letters, row in found.items()}


@settings(max_examples=8)
@given(
    st.integers(END - 60_000, END + 10),
    st.integers(1, 40_000),
    st.sets(st.integers(0, 18_277).map(rune_name), min_size=1, max_size=5),
)
def test_any_height_agrees_with_trying_each_name(now: int, blocks: int, names: set[str]) -> None:
    batch = named(
        *((f"{END}:{n}", name) for n, name in enumerate(sorted(names))), span=(1, END + 99)
    )
    answer = name_market(batch, height=now, blocks=blocks)
    here = names if now >= END else set()
    got = {
        str(letters): [row["open"], row["free"], row["unlocking"], row["taken"]]
        for letters in (1, 2, 3)
        for row in [of_length(answer, letters)]
    }
    assert got == naive(here, now, now + blocks)


def test_the_sample_agrees_with_a_naive_count(small: Batch) -> None:
    names = {row["name"] for row in small.tables["etchings"].to_pylist()}
    answer = name_market(small)
    for row in answer.frame.to_dict("records"):
        assert row["taken"] == sum(len(name) == row["letters"] for name in names)
    assert answer.facts["taken"] == len(names)
    assert answer.facts["early"] == 0
