"""What was asked for in vain: five cases by hand, and against a plain reckoning."""

from __future__ import annotations

from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runes.questions.hand import ASH, OAK, txid
from tests.runes.questions.rows import table
from workbench.errors import InputError
from workbench.runes.batch import Batch
from workbench.runes.questions.wasted import wasted

FLAWS = ("opcode", "varint", "edict-output")


def asked(*messages: dict[str, Any]) -> dict[str, pa.Table]:
    """One message a row: `mints` with `credited`, `etches` with `honoured`, `flaw`, `fee_sat`."""
    rows: dict[str, list[dict[str, Any]]] = {
        "runestones": [], "mints": [], "etchings": [], "entries": [{"mints": 0}]
    }  # fmt: skip
    for index, message in enumerate(messages):
        place = {"height": 900, "tx_index": index, "txid": txid(900, index)}
        kind = "cenotaph" if "flaw" in message else "runestone"
        rows["runestones"].append({"kind": kind, **place, **message})
        if "mints" in message:
            rows["mints"].append({**place, "rune_id": message["mints"], **message})
        if message.get("honoured"):
            rune = {"rune_id": f"900:{index}", "commitment": message["honoured"]}
            rows["etchings"].append({**place, **rune})
    return {name: table(name, *some) for name, some in rows.items() if some}


CREDITED = {"mints": ASH, "credited": True, "fee_sat": 30}
CLOSED = {"mints": ASH, "credited": False, "fee_sat": 10}


def facts(*messages: dict[str, Any], **more: Any) -> tuple[Any, ...]:
    found = wasted(asked(*messages), **more).facts
    names = ("messages", "wasted", "mints", "etchings", "cenotaphs", "fee_sat")
    return tuple(found[name] for name in names)


def test_a_closed_mint_costs_its_fee() -> None:
    answer = wasted(asked(CREDITED, CLOSED))
    assert facts(CREDITED, CLOSED) == (2, 1, 1, 0, 0, 10)
    assert str(answer.sentence) == (
        "1 of 2 messages was in vain: 1 mint not credited, 0 etchings ignored, 0 cenotaphs; "
        "they cost 10 sat, 25.0 % of all their fees"
    )
    rows = [tuple(row.values()) for row in answer.table.to_pylist()]
    assert rows == [
        ("mint not credited", None, 1, 10, 0, 0.5, 0.25),
        ("etching ignored", None, 0, 0, 0, 0.0, 0.0),
    ]
    [listed] = answer.more["transactions"].to_pylist()
    assert listed == {
        "height": 900, "tx_index": 1, "txid": txid(900, 1), "rune_id": ASH,
        "mint_not_credited": True, "etching_ignored": False, "flaw": None, "fee_sat": 10,
    }  # fmt: skip
    assert answer.explain().missing == ()
    assert answer.table.schema == wasted(asked({"flaw": "varint"})).table.schema


def test_what_cost_the_same_is_listed_in_the_order_of_the_chain() -> None:
    dear, unknown = {**CLOSED, "fee_sat": 11}, {**CLOSED, "fee_sat": None}
    listed = wasted(asked(CLOSED, unknown, CLOSED, dear)).more["transactions"]
    assert listed["tx_index"].to_pylist() == [3, 0, 2, 1]


def test_an_etching_that_is_not_honoured_is_ignored() -> None:
    etched = [
        {"etches": True, "honoured": "valid", "fee_sat": 5},
        {"etches": True, "honoured": "unknown", "fee_sat": 6},
        {"etches": True, "honoured": "missing", "fee_sat": 7},
        {"etches": True, "fee_sat": 8},
        {"etches": False, "fee_sat": 9},
    ]
    assert facts(*etched) == (5, 2, 0, 2, 0, 15)


def test_cenotaphs_are_told_apart_by_their_flaw() -> None:
    flawed = [
        {"flaw": "varint", "fee_sat": 5},
        {"flaw": "opcode", "fee_sat": 2},
        {"flaw": "varint", "fee_sat": 1},
        {"flaw": None, "fee_sat": 3},
    ]
    answer = wasted(asked(*flawed))
    rows = [
        (r["reason"], r["flaw"], r["transactions"], r["fee_sat"]) for r in answer.table.to_pylist()
    ]
    assert rows == [
        ("cenotaph", "varint", 2, 6),
        ("cenotaph", None, 1, 3),
        ("cenotaph", "opcode", 1, 2),
        ("mint not credited", None, 0, 0),
        ("etching ignored", None, 0, 0),
    ]
    assert answer.facts["cenotaphs"] == answer.facts["wasted"] == 4
    [bars] = answer.figure["data"]
    assert bars["x"] == [
        "cenotaph: varint", "cenotaph", "cenotaph: opcode", "mint not credited", "etching ignored"
    ]  # fmt: skip
    assert bars["y"] == [6, 3, 2, 0, 0]
    assert answer.figure["layout"]["yaxis"]["title"]["text"] == "fees, sat"


def test_a_transaction_with_two_reasons_is_lost_once() -> None:
    both = {**CLOSED, "etches": True, "flaw": "opcode"}
    answer = wasted(asked(both, CREDITED))
    assert facts(both, CREDITED) == (2, 1, 1, 1, 1, 10)
    assert [row["fee_sat"] for row in answer.table.to_pylist()] == [10, 10, 10]
    assert answer.facts["share_of_fees"] == 0.25


def test_a_fee_or_a_mint_that_is_not_known_is_counted_never_zero() -> None:
    unknown = [{**CLOSED, "fee_sat": None}, {**CREDITED, "credited": None}]
    answer = wasted(asked(*unknown))
    assert answer.facts["fee_sat"] is None and answer.facts["share_of_fees"] is None
    assert str(answer.sentence).endswith("0 cenotaphs; what they cost is not known")
    assert answer.explain().missing == (
        "whether 1 mint was credited",
        "the fees of 1 of these transactions",
    )
    partly = wasted(asked({**CLOSED, "fee_sat": None}, CLOSED, CREDITED))
    assert (partly.facts["fee_sat"], partly.facts["share_of_fees"]) == (10, 0.25)
    assert partly.facts["unknown_fees"] == 1
    listed = partly.more["transactions"]["fee_sat"].to_pylist()
    assert listed == [10, None]
    without = {**asked(CREDITED)}
    del without["mints"]
    assert wasted(without).facts["unknown_mints"] == 1
    assert str(wasted(without).sentence) == "none of 1 message is known to have been in vain"


def test_messages_in_vain_that_paid_nothing_cost_no_share() -> None:
    """Neither 0 sat of all fees, where there are none, nor of fees that others paid."""
    free = {**CLOSED, "fee_sat": 0}
    for others in ((), (CREDITED,)):
        assert str(wasted(asked(free, *others)).sentence).endswith("; they paid no fees")
    unknown = {**CLOSED, "fee_sat": None}
    assert str(wasted(asked(free, unknown)).sentence).endswith("; what they cost is not known")


def test_a_mint_whose_row_names_another_rune_than_its_message_counts_alike_however_asked() -> None:
    tables = asked(CLOSED)
    place = {"height": 900, "tx_index": 0, "txid": txid(900, 0)}
    tables["mints"] = table("mints", {**place, "rune_id": OAK, "credited": False})
    for rune in (None, ASH):
        answer = wasted(tables, rune=rune)
        assert (answer.facts["messages"], answer.facts["mints"]) == (1, 0)
        assert answer.explain().missing == ("whether 1 mint was credited",)


def test_of_one_rune_only_messages_that_mint_it_count() -> None:
    messages = (CLOSED, {**CLOSED, "mints": OAK, "fee_sat": 4}, {"flaw": "opcode", "fee_sat": 1})
    assert facts(*messages, rune=OAK) == (1, 1, 1, 0, 0, 4)
    assert facts(*messages, rune=ASH) == (1, 1, 1, 0, 0, 10)
    [listed] = wasted(asked(*messages), rune=OAK).more["transactions"].to_pylist()
    assert listed["rune_id"] == OAK


def test_where_nothing_was_in_vain_the_answer_says_so() -> None:
    answer = wasted(asked({**CREDITED, "fee_sat": 0}))
    assert facts(CREDITED) == (1, 0, 0, 0, 0, 0)
    assert answer.facts["share_of_fees"] is None
    assert str(answer.sentence) == "none of 1 message was in vain"
    assert answer.more["transactions"].num_rows == 0
    nothing = wasted(asked(CREDITED, {"etches": True, "honoured": "valid"}), rune="900:1")
    assert nothing.facts["messages"] == 0
    assert nothing.table["share_of_transactions"].to_pylist() == [None, None]


def test_only_the_dearest_thousand_are_listed() -> None:
    answer = wasted(asked(*({**CLOSED, "fee_sat": n} for n in range(1_001))))
    fees = answer.more["transactions"]["fee_sat"].to_pylist()
    assert fees == list(range(1_000, 0, -1)) and answer.facts["wasted"] == 1_001


def test_a_batch_that_knows_only_what_was_asked_for_is_refused(block_batch: Batch) -> None:
    with pytest.raises(InputError, match=r"wasted needs the state, and .* runestone level"):
        wasted(block_batch)
    with pytest.raises(InputError, match="wasted needs the table runestones"):
        wasted(table("balances", {"script": "aa", "amount": 1}))


def made(seed: int) -> list[dict[str, Any]]:
    random, messages = Random(seed), []
    for _ in range(random.randint(1, 40)):
        message: dict[str, Any] = {"fee_sat": random.choice([None, *range(20)])}
        if random.random() < 0.6:
            message |= {"mints": ASH, "credited": random.choice([True, False, None])}
        if random.random() < 0.4:
            message |= {"etches": True, "honoured": random.choice([None, "valid", "missing"])}
        if random.random() < 0.3:
            message["flaw"] = random.choice(FLAWS)
        messages.append(message)
    return messages


def naive(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """By the definitions, message by message."""
    closed = [m for m in messages if m.get("credited") is False]
    ignored = [m for m in messages if m.get("etches") and m["honoured"] != "valid"]
    cenotaphs = [m for m in messages if "flaw" in m]
    vain = [m for m in messages if m in closed or m in ignored or m in cenotaphs]
    known = [m["fee_sat"] for m in vain if m["fee_sat"] is not None]
    return {
        "messages": len(messages),
        "wasted": len(vain),
        "mints": len(closed),
        "etchings": len(ignored),
        "cenotaphs": len(cenotaphs),
        "fee_sat": sum(known) if known or not vain else None,
        "unknown_fees": len(vain) - len(known),
        "unknown_mints": sum("mints" in m and m["credited"] is None for m in messages),
    }


@settings(max_examples=6)
@given(st.integers(0, 10**6))
def test_it_agrees_with_a_plain_reckoning(seed: int) -> None:
    messages = made(seed)
    found = wasted(asked(*messages)).facts
    wanted = naive(messages)
    assert {name: found[name] for name in wanted} == wanted


def test_it_agrees_with_a_plain_reckoning_of_the_sample(small: Batch) -> None:
    rows = {name: small.tables[name].to_pylist() for name in ("runestones", "mints", "etchings")}
    credited = {(row["height"], row["tx_index"]): row["credited"] for row in rows["mints"]}
    honoured = {(row["height"], row["tx_index"]) for row in rows["etchings"]}
    messages = []
    for row in rows["runestones"]:
        place = (row["height"], row["tx_index"])
        message = {"fee_sat": row["fee_sat"], "etches": row["etches"], "txid": row["txid"]}
        message["honoured"] = "valid" if place in honoured else None
        if row["mints"]:
            message |= {"mints": row["mints"], "credited": credited[place]}
        if row["kind"] == "cenotaph":
            message["flaw"] = row["flaw"]
        messages.append(message)
    found, wanted = wasted(small).facts, naive(messages)
    assert {name: found[name] for name in wanted} == wanted
    assert (wanted["wasted"], wanted["fee_sat"]) == (5, 8_552)
