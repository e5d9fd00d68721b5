"""Two producers of the same runes: every difference with both values, by hand and naively."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runes.questions.drawn import titles
from tests.runes.questions.hand import ASH, OAK, tables, txid
from tests.runes.questions.laid import batch, laid
from tests.runes.questions.named import named
from workbench.errors import InputError
from workbench.runes.batch import Batch, Source, amount_ints
from workbench.runes.building import Rows
from workbench.runes.evidence import evidence_of
from workbench.runes.questions.compare_sources import WHAT, compare_sources
from workbench.runes.records import RECORDS

BIG = 2**128 - 1


def state(name: str, span: tuple[int, int] = (900, 999), **parts: Any) -> Batch:
    """Tables of `hand` as a batch at the state level."""
    source = Source(producer=f"producer {name}")
    head = {"id": name, "network": "mainnet", "source": source, "completeness": "state"}
    return Batch(**head, first_height=span[0], last_height=span[1], tables=tables(**parts))


def rows(answer: Any) -> list[tuple[Any, ...]]:
    names = ("table", "rune_id", "field", "a", "b", "what")
    return [tuple(row[name] for name in names) for row in answer.table.to_pylist()]


def test_a_cap_that_was_divided_is_shown_with_both_values() -> None:
    one, two = (state(name, amount=100, cap=cap) for name, cap in (("one", BIG), ("two", 21)))
    answer = compare_sources(one, two)
    assert rows(answer) == [("etchings", ASH, "cap", str(BIG), "21", "differs")]
    assert str(answer.sentence) == (
        "producer one and producer two differ 1 time: in 1 value of etchings, 0 of entries, "
        "0 of balances, 0 of events and 0 of the batch; 15 values are the same"
    )
    assert (answer.facts["compared"], answer.facts["same"]) == (16, 15)
    RECORDS.forget()
    compare_sources(one, two, rune=ASH)
    [given] = RECORDS.results()
    assert (given.of, given.parameters) == ("one and two", {"rune": ASH})
    RECORDS.forget()
    assert answer.explain().missing[:2] == ("entries in producer one", "entries in producer two")
    assert [line[:8] for line in answer.explain().sources] == ["a: one: ", "b: two: "]
    assert answer.explain().sources[1].startswith("b: two: mainnet, blocks 900 to 999, state level")
    assert (answer.question, answer.explain().question) == (
        "compare_sources",
        "Where do two sources differ?",
    )
    assert [heading for heading, _ in answer.explain().parts] == [
        *("Formulas", "Assumptions", "What is missing", "From")
    ]


def test_terms_that_one_has_and_the_other_lacks_are_a_difference() -> None:
    answer = compare_sources(state("one", amount=0), state("two"))
    assert rows(answer) == [
        ("etchings", ASH, "amount", "0", "none", "differs"),
        ("etchings", ASH, "terms", "true", "false", "differs"),
    ]


def test_events_of_a_source_that_names_no_place_in_the_block_are_the_same_as_themselves() -> None:
    moved = {"rune_id": ASH, "kind": "minted", "height": 905, "tx_index": None, "amount": 7}
    events = laid(events=[{**moved, "txid": txid(905, at)} for at in (1, 2)])
    sides = [batch(events, 900, 999) for _ in range(2)]
    answer = compare_sources(*sides)
    assert rows(answer) == []
    assert answer.facts["compared"] == 2  # transactions


def test_the_network_that_bare_tables_do_not_state_is_no_difference() -> None:
    whole = dataclasses.replace(state("one", balances=[(ASH, "a", 7)]), network="signet")
    bare = {name: kept for name, kept in whole.tables.items() if kept.num_rows}
    assert rows(compare_sources(whole, bare)) == rows(compare_sources(bare, whole)) == []
    other = dataclasses.replace(whole, network="testnet4")
    assert rows(compare_sources(whole, other))[0][2:5] == ("network", "signet", "testnet4")


def test_runes_that_only_one_knows_are_one_difference_each() -> None:
    answer = compare_sources(state("one", etched=[ASH]), state("two", etched=[OAK]))
    assert [(row[1], row[5]) for row in rows(answer)] == [(ASH, "only in a"), (OAK, "only in b")]
    assert [row["field"] for row in answer.table.to_pylist()] == ["name", "name"]
    assert rows(answer)[0][4] is rows(answer)[1][3] is None
    assert (answer.facts["only_in_a"], answer.facts["only_in_b"], answer.facts["compared"]) == (
        1,
        1,
        0,
    )
    void = compare_sources(
        named((ASH, "CAT"), (OAK, "DOG", "missing")), named((ASH, "CAT"), (OAK, "DOG", "valid"))
    )
    assert [(row[1], row[5]) for row in rows(void)] == [(OAK, "only in b")]


def test_entries_differ_to_the_unit_and_what_is_not_said_is_no_difference() -> None:
    one = state("one", entries=[(ASH, 3, BIG, BIG), (OAK, 0, None, 5)])  # type: ignore[list-item]
    two = state("two", entries=[(ASH, 3, BIG - 1, BIG), (OAK, 0, 1, 5)])
    answer = compare_sources(one, two)
    assert rows(answer) == [("entries", ASH, "burned", str(BIG), str(BIG - 1), "differs")]
    assert answer.facts["not_said"] == 1
    assert answer.explain().missing[-1] == (
        "1 value burned of entries that one of both does not say"
    )


def test_balances_are_compared_by_outpoint_and_nothing_is_none() -> None:
    one = state("one", balances=[(ASH, "a", 7), (ASH, "b", 0), (ASH, "c", 2)])
    two = state("two", balances=[(ASH, "a", 8)])
    answer = compare_sources(one, two)
    keys = [(row["key"], row["a"], row["b"], row["what"]) for row in answer.table.to_pylist()]
    assert keys == [
        (f"{txid(1, 0)}:0", "7", "8", "differs"),
        (f"{txid(1, 2)}:0", "2", None, "only in a"),
    ]


def holders(held: list[tuple[str | None, str | None, str | None, int]]) -> dict[str, pa.Table]:
    whole = Rows()
    for outpoint, script, address, amount in held:
        whole.add("balances", ASH, outpoint, script, address, amount)
    return {"balances": whole.tables()["balances"]}


def test_without_outpoints_it_goes_by_script_then_by_address_then_in_sum() -> None:
    outs = [(f"{txid(1, n)}:0", "aa", "bc1a", 2**127) for n in range(1)]
    outs += [(f"{txid(2, n)}:0", "bb", "bc1b", 1) for n in range(2)]
    by_script = compare_sources(
        holders(outs), holders([(None, "aa", None, 2**127), (None, "bb", None, 3)])
    )
    assert [row["key"] for row in by_script.table.to_pylist()] == ["bb"]
    assert rows(by_script) == [("balances", ASH, "amount", "2", "3", "differs")]
    by_address = compare_sources(holders([(None, None, "bc1b", 2)]), holders(outs))
    assert [(row["key"], row["what"]) for row in by_address.table.to_pylist()] == [
        ("bc1a", "only in b")
    ]
    in_sum = compare_sources(holders([(None, None, "bc1b", 2)]), holders([(None, "bb", None, 2)]))
    assert (in_sum.table.num_rows, in_sum.facts["same"]) == (0, 1)
    assert in_sum.explain().missing[-1] == (
        "one way to name holders that both have: balances are compared in sum"
    )
    more = compare_sources(holders([(None, None, "bc1b", 2)]), holders([(None, "bb", None, 3)]))
    assert [row["key"] for row in more.table.to_pylist()] == ["all balances"]


def test_an_event_told_twice_is_seen_and_order_is_not() -> None:
    twice = [
        (900, 1, "transferred", ASH, 5),
        (900, 1, "transferred", ASH, 5),
        (901, 2, "burned", ASH, 1),
    ]
    answer = compare_sources(state("one", events=twice), state("two", events=twice[:0:-1]))
    [row] = answer.table.to_pylist()
    assert (row["key"], row["a"], row["b"]) == ("900:1 transferred to output 0", "5, 5", "5")
    again = compare_sources(state("one", events=twice), state("two", events=twice[::-1]))
    assert again.table.num_rows == 0
    assert (
        str(again.sentence) == "producer one and producer two agree in all 18 values that both say"
    )


def test_events_count_where_both_have_blocks() -> None:
    events = [(height, 1, "burned", ASH, 1) for height in (900, 910, 920)]
    one = state("one", (900, 920), events=events)
    two = state("two", (901, 930), events=[*events[1:2], (930, 1, "burned", ASH, 1)])
    answer = compare_sources(one, two)
    assert [(row["table"], row["key"]) for row in answer.table.to_pylist()] == [
        ("batch", ""),
        ("events", "920:1 burned"),
    ]
    assert rows(answer)[0][2:5] == ("last_height", "920", "930")
    assert (
        answer.explain().assumptions[0] == "events count in the blocks that both cover, 901 to 920"
    )


def test_a_table_that_one_lacks_is_said_of_that_one() -> None:
    one, two = state("one", entries=[(ASH, 0, 0, 0)]), state("two")
    missing = compare_sources(one, two).explain().missing
    assert "entries in producer two" in missing and "entries in producer one" not in missing


def test_an_answer_on_a_state_that_was_taken_over_says_so() -> None:
    one, two = state("one"), state("two")
    taken = dataclasses.replace(two, source=Source(producer="two", trusted="ab" * 32))
    assert compare_sources(one, two).trust is None
    assert (compare_sources(one, taken).trust or "").startswith("state trusted from sha256:abab")


def test_of_one_rune_its_own_outputs_decide_how_transfers_are_compared() -> None:
    whole = Rows()
    for index, (rune, output) in enumerate(((ASH, 0), (OAK, None))):
        whole.add("events", 900, index, txid(900, index), "transferred", rune, 1, output, None)
    told = {"events": whole.tables()["events"]}
    by_output = compare_sources(told, told, rune=ASH).explain().missing
    by_transaction = compare_sources(told, told, rune=OAK).explain().missing
    said = "the outputs of some transfers: they are compared by transaction"
    assert said not in by_output and said in by_transaction


def test_transfers_without_outputs_are_compared_by_transaction() -> None:
    def told(outputs: list[int | None], amounts: list[int | None]) -> dict[str, pa.Table]:
        whole = Rows()
        for output, amount in zip(outputs, amounts, strict=True):
            here = (900, 1, txid(900, 1))
            whole.add("events", *here, "transferred", ASH, amount, output, None)
        return {"events": whole.tables()["events"]}

    answer = compare_sources(told([1, 0], [2, 10]), told([None, None], [10, 2]))
    assert (answer.table.num_rows, answer.facts["same"]) == (0, 1)
    assert "they are compared by transaction" in answer.explain().missing[-1]
    differs = compare_sources(told([1, 0], [2, 10]), told([None, None], [10, 3]))
    assert rows(differs) == [("events", ASH, "amount", "2, 10", "3, 10", "differs")]
    both = {**told([0], [2]), "balances": holders([("a" * 64 + ":0", "aa", None, 1)])["balances"]}
    silent = {**told([0], [None]), "balances": both["balances"]}
    unsaid = compare_sources(both, silent)
    assert (unsaid.table.num_rows, unsaid.facts["not_said"]) == (0, 1)


def test_of_one_rune_only_its_own_rows_are_compared_wherever_the_tables_lie() -> None:
    sides = []
    for more in (0, 1):
        held = [(ASH, "a", 5), (OAK, "b", 5 + more), (OAK, "c", 5 + more)]
        entries = [(ASH, 1, 0, 5), (OAK, 2, more, 5)]
        events = [(900, 0, "burned", ASH, 7)]
        events += [(900, at, "burned", OAK, at + more) for at in (1, 2)]
        parts = {"balances": held, "entries": entries, "events": events}
        sides.append(state("two" if more else "one", **parts))
    whole = [dataclasses.replace(evidence_of(side), local=None) for side in sides]
    for pair in (sides, whole):
        same = compare_sources(*pair, rune=ASH)
        assert (same.table.num_rows, same.facts["compared"]) == (0, 16 + 3 + 1 + 1)
        other = compare_sources(*pair, rune=OAK)
        assert [row[:3] for row in rows(other)] == [
            ("entries", OAK, "burned"),
            *[("balances", OAK, "amount")] * 2,
            *[("events", OAK, "amount")] * 2,
        ]


def test_of_one_rune_its_own_balances_decide_by_what_they_are_compared() -> None:
    whole = Rows()
    whole.add("balances", ASH, f"{txid(1, 1)}:0", "aa", None, 5)
    for script in ("bb", "cc"):
        whole.add("balances", OAK, None, script, None, 5)
    told = {"balances": whole.tables()["balances"]}
    more = dataclasses.replace(evidence_of(told), local=None)
    other = holders([(f"{txid(1, 1)}:0", "aa", None, 6)])
    [row] = compare_sources(more, other, rune=ASH).table.to_pylist()
    assert row["key"] == f"{txid(1, 1)}:0"


def test_each_of_several_events_is_told_once() -> None:
    twice = [(900, 1, "transferred", ASH, 5)] * 2
    beside = [
        (900, 2, "transferred", ASH, 6),
        (900, 3, "burned", ASH, 7),
        (901, 1, "burned", ASH, 8),
    ]
    beside += [
        (900, 1, "burned", ASH, 9),
        (900, 1, "burned", OAK, 4),
        (901, 1, "transferred", OAK, 3),
    ]
    one, two = (state(name, events=[*twice, *beside]) for name in ("one", "two"))
    answer = compare_sources(one, two)
    assert (answer.table.num_rows, answer.facts["compared"]) == (0, 16 + 1 + len(beside))
    nothing = compare_sources(one, state("none", etched=[OAK], events=[(950, 1, "burned", OAK, 1)]))
    told = [row["key"] for row in nothing.table.to_pylist() if row["table"] == "events"]
    assert len(told) == 2 + len(beside) and len(set(told)) == len(told) - 1


def test_an_amount_of_2_to_the_64_is_no_balance_of_nothing() -> None:
    one, two = (
        state(name, balances=[(ASH, "a", 2**64 + more)]) for name, more in (("a", 0), ("b", 1))
    )
    assert [row[2:5] for row in rows(compare_sources(one, two))] == [
        ("amount", str(2**64), str(2**64 + 1))
    ]


def test_a_rune_that_a_source_has_twice_is_told_with_both_values() -> None:
    answer = compare_sources(named((ASH, "CAT"), (ASH, "DOG")), named((ASH, "CAT")))
    assert ("etchings", ASH, "name", "CAT / DOG", "CAT", "differs") in rows(answer)


def test_the_level_of_bare_tables_is_told_where_it_differs() -> None:
    knows, asks = ({"etchings": state("one").tables["etchings"]} for _ in range(2))
    knows["balances"] = holders([(None, "aa", None, 1)])["balances"]
    [row] = rows(compare_sources(knows, asks))
    assert row == ("batch", "", "completeness", "state", "runestone", "differs")
    assert compare_sources(knows, asks).explain().missing == tuple(
        f"the state: of {table} one of both says only what was asked for"
        for table in ("entries", "balances", "events")
    )


def test_one_rune_alone_by_a_name_that_either_knows() -> None:
    one = state("one", etched=[ASH], balances=[(ASH, "a", 1), (OAK, "b", 1)])
    two = state("two", etched=[OAK], balances=[(ASH, "a", 1), (OAK, "b", 2)])
    name = two.tables["etchings"]["name"][0].as_py()
    answer = compare_sources(one, two, rune=name)
    assert [row[:3] for row in rows(answer)] == [
        ("etchings", OAK, "name"),
        ("balances", OAK, "amount"),
    ]
    first = one.tables["etchings"]["name"][0].as_py()
    assert [row[:3] for row in rows(compare_sources(one, two, rune=first))] == [
        ("etchings", ASH, "name")
    ]
    with pytest.raises(InputError, match="rune is 'NOBODY'"):
        compare_sources(one, two, rune="NOBODY")
    with pytest.raises(InputError, match="rune is 5; allowed: text"):
        compare_sources(one, two, rune=5)  # type: ignore[arg-type]


def test_what_messages_asked_for_is_held_against_a_state_in_etchings_alone(
    block_batch: Batch,
) -> None:
    ids = {row["rune_id"]: row["spaced_name"] for row in block_batch.tables["etchings"].to_pylist()}
    answer = compare_sources(block_batch, named(*ids.items(), network="regtest"))
    assert {row["table"] for row in answer.table.to_pylist()} == {"batch", "etchings"}
    assert answer.facts["only_in_a"] == answer.facts["only_in_b"] == 0
    assert sum(line.startswith("the state: of ") for line in answer.explain().missing) == 3


def test_without_a_table_in_common_it_refuses() -> None:
    with pytest.raises(InputError, match=r"no table in common .*; a has etchings, b has entries"):
        compare_sources(state("one"), state("two", etched=[], entries=[(ASH, 0, 0, 0)]))
    with pytest.raises(InputError, match=r"^one and two have no table .*, b has no rows$"):
        compare_sources(state("one"), state("two", etched=[]))
    with pytest.raises(InputError, match=r"; a has events, balances, b has etchings, entries$"):
        more = {"balances": [(ASH, "a", 1)], "events": [(900, 1, "burned", ASH, 1)]}
        compare_sources(state("one", etched=[], **more), state("two", entries=[(ASH, 0, 0, 0)]))
    with pytest.raises(InputError, match="; a has no rows, b has etchings"):
        compare_sources(state("one", etched=[]), state("two"))
    with pytest.raises(InputError, match="batch is 'int'"):
        compare_sources(state("one"), 5)  # type: ignore[arg-type]


def test_the_figure_counts_by_table_and_kind() -> None:
    one = state("one", premine=1, balances=[(ASH, "a", 7)])
    figure = compare_sources(one, state("two", premine=2, balances=[(OAK, "a", 7)])).figure
    assert titles(figure) == ("Where two sources differ", "table", "differences", *WHAT)
    assert figure["layout"]["barmode"] == "stack"
    assert figure["layout"]["meta"] == {"words": "x"}
    assert len({trace["marker"]["pattern"]["shape"] for trace in figure["data"]}) == 3
    assert figure["data"][0]["x"] == ["batch", "etchings", "entries", "balances", "events"]
    assert {trace["name"]: trace["y"] for trace in figure["data"]} == {
        "differs": [0, 1, 0, 0, 0],
        "only in a": [0, 0, 0, 1, 0],
        "only in b": [0, 0, 0, 1, 0],
    }


Told = list[tuple[str, str, int]]


def naive(one: Told, two: Told) -> set[tuple[Any, ...]]:
    """Balances by script, side by side."""
    sides = (defaultdict(int), defaultdict(int))
    for side, held in zip(sides, (one, two), strict=True):
        for rune, whose, amount in held:
            side[rune, whose] += amount
    found = set()
    for key in {*sides[0], *sides[1]}:
        a, b = (side.get(key) or None for side in sides)
        if a != b:
            what = "only in b" if a is None else "only in a" if b is None else "differs"
            found.add((*key, a and str(a), b and str(b), what))
    return found


_HELD = st.lists(
    st.tuples(
        st.sampled_from((ASH, OAK)), st.sampled_from("ab"), st.integers(0, 3) | st.just(2**124)
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=6)
@given(_HELD, _HELD)
def test_any_balances_agree_with_a_naive_comparison(one: Told, two: Told) -> None:
    def by_script(held: Told) -> dict[str, pa.Table]:
        whole = Rows()
        for place, (rune, whose, amount) in enumerate(held):
            whole.add("balances", rune, None, whose.encode().hex(), f"a{place}", amount)
        return {"balances": whole.tables()["balances"]}

    answer = compare_sources(by_script(one), by_script(two))
    names = ("a", "b", "what")
    got = {
        (row["rune_id"], bytes.fromhex(row["key"]).decode(), *(row[name] for name in names))
        for row in answer.table.to_pylist()
    }
    assert got == naive(one, two)


def test_the_sample_is_the_same_as_itself_in_any_order(small: Batch) -> None:
    turned = {
        name: table.take(list(range(table.num_rows))[::-1])
        for name, table in small.tables.items()
        if table.num_rows
    }
    answer = compare_sources(small, turned)
    assert rows(answer) == []  # of tables no network is known
    table = small.tables["balances"]
    held = sum(amount > 0 for amount in amount_ints(table["amount_high"], table["amount_low"]))
    keys = {(*(row[n] for n in ("height", "tx_index", "kind", "rune_id")),
             row["output"] if row["kind"] == "transferred" else None)
            for row in small.tables["events"].to_pylist()}  # fmt: skip
    runes, terms, entries = small.tables["etchings"].num_rows, 16, 3
    assert answer.facts["same"] == held + len(keys) + runes * (terms + entries)


def test_batches_of_one_producer_are_called_by_their_ids() -> None:
    one, two = state("one"), state("two")
    alike = dataclasses.replace(two, source=one.source)
    assert str(compare_sources(one, two).sentence).startswith("producer one and producer two ")
    assert str(compare_sources(one, alike).sentence).startswith("one and two ")
    bare = compare_sources(one, dict(two.tables))
    assert str(bare.sentence).startswith("one and this set of tables ")
