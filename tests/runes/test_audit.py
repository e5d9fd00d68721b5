"""An audit names where a producer is wrong, with exact values and the transactions."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.runes.dumps import computed, history, write_dump
from tests.runes.sources import documents as made
from workbench import cli, runes
from workbench.core.sentence import Speech
from workbench.errors import InputError
from workbench.runes.audit import Audit, Finding, audit
from workbench.runes.audit_page import audit_page
from workbench.runes.batch import Source, batch_document
from workbench.runes.block import PRODUCER
from workbench.runes.state import index_batch, state_batch
from workbench.widgets.bundle import catalogue

LAST = history()[-1].height


@cache
def ours() -> runes.Batch:
    blocks = [(block.raw, block.spent) for block in history()]
    return state_batch(blocks, id="ours", source=Source(producer="us"), network="regtest")


def proved() -> runes.Batch:
    """The same as this project says it of blocks that it read."""
    return dataclasses.replace(ours(), source=Source(producer=PRODUCER))


@cache
def rune() -> str:
    """One of which something was burned, and which was minted and moved."""
    return next(entry["id"] for entry in computed(LAST).entries() if int(entry["burned"]))


def told(change: Callable[[dict[str, Any]], None]) -> Audit:
    """The audit of a producer whose batch is ours with a change of its tables."""
    document = copy.deepcopy(batch_document(ours()))
    document["source"] = {"producer": "them", "sha256": "0" * 64}
    document["id"] = "theirs"
    change(document["tables"])
    return audit(proved(), runes.load_batch(document), rune())


def of_rune(rows: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    wanted["rune_id"] = rune()
    return next(row for row in rows if all(row.get(key) == each for key, each in wanted.items()))


def page(found: Audit) -> str:
    return audit_page(found, version="1")


def test_a_producer_that_says_the_same_is_not_blamed() -> None:
    found = told(lambda tables: None)
    assert found.agrees
    assert str(found.sentence).startswith("them is right about ")
    assert 'class="verdict right"' in page(found)
    assert "Values that are wrong" not in page(found)


EVIL = "<script>alert(1)</script><img src=http://x.example/>\"'&"
MOST = 2**127 + 3


def spent() -> dict[str, Any]:
    """What a transaction spent of the rune."""
    rows = ours().tables["inputs"].to_pylist()
    return next(each for each in rows if each["rune_id"] == rune())


def minted() -> dict[str, Any]:
    rows = batch_document(ours())["tables"]["events"]
    return of_rune(rows, kind="minted")


@cache
def blamed() -> Audit:
    """A producer that forgets a burn, doubles a mint, mistakes a cap, lists a spent output."""
    document = copy.deepcopy(batch_document(ours()))
    document["source"] = {"producer": EVIL}
    tables = document["tables"]
    of_rune(tables["entries"])["burned"] = "0"
    tables["events"].append(dict(of_rune(tables["events"], kind="minted")))
    of_rune(tables["etchings"])["cap"] = str(MOST)
    of_rune(tables["etchings"])["symbol"] = "<"
    row = dict(of_rune(tables["balances"]))
    tables["balances"].append({**row, "outpoint": spent()["outpoint"], "amount": "5"})
    return audit(ours(), runes.load_batch(document), rune())


def test_of_two_that_nobody_proved_neither_is_called_wrong() -> None:
    document = copy.deepcopy(batch_document(ours()))
    document["source"] = {"producer": "them"}
    agreeing = audit(ours(), runes.load_batch(document), rune())
    assert str(agreeing.sentence).startswith("them and us agree about ")
    entry = of_rune(document["tables"]["entries"])
    entry["burned"] = str(int(entry["burned"]) + 1)
    differing = audit(ours(), runes.load_batch(document), rune())
    assert str(differing.sentence).startswith("them and us differ about ")
    text = page(differing)
    assert "Differs:" in text
    assert "Wrong:" not in text
    assert "is wrong" not in text
    trusted = Source(producer=PRODUCER, trusted="0" * 64)
    taken_over = audit(
        dataclasses.replace(ours(), source=trusted), runes.load_batch(document), rune()
    )
    assert " differ about " in str(taken_over.sentence)


def test_each_wrong_value_is_found_once() -> None:
    found = {(each.table, each.field) for each in blamed().findings}
    assert found == {
        ("entries", "burned"), ("etchings", "cap"), ("etchings", "symbol"), ("balances", "amount"),
    }  # fmt: skip
    assert len(blamed().findings) == 4
    assert not blamed().agrees


def finding(field: str) -> Finding:
    return next(each for each in blamed().findings if each.field == field)


def test_a_burn_that_is_not_counted_is_named_with_its_transactions() -> None:
    one = finding("burned")
    burned = next(each for each in computed(LAST).entries() if each["id"] == rune())["burned"]
    assert (one.ours, one.theirs, one.difference) == (burned, "0", -int(burned))
    events = ours().tables["events"].to_pylist()
    burns = {each["txid"] for each in events if each["kind"] == "burned"
             and each["rune_id"] == rune()}  # fmt: skip
    assert set(one.txids) == burns
    shown = page(blamed())
    assert all(txid in shown for txid in burns)
    assert f"-{int(burned):,}" in shown


def test_a_duplicated_event_is_named_by_its_transaction_and_contradicts_itself() -> None:
    (moved,) = blamed().moved
    twice = minted()
    amount = int(twice["amount"])
    assert (moved.txid, moved.kind) == (twice["txid"], "minted")
    assert (moved.ours, moved.theirs, moved.difference) == (amount, 2 * amount, amount)
    (wrong,) = blamed().contradictions
    assert (wrong.txid, wrong.came - wrong.went) == (twice["txid"], amount)
    assert twice["txid"] in page(blamed())


def test_an_amount_beyond_2_to_the_127_is_exact() -> None:
    one = finding("cap")
    assert one.theirs == str(MOST)
    assert one.difference == MOST - int(one.ours or 0)
    assert f"{MOST:,}" in page(blamed())
    txid = next(each["etching"] for each in computed(LAST).entries() if each["id"] == rune())
    assert one.txids == (txid,)


def test_an_output_that_was_spent_but_is_still_listed_names_who_spent_it() -> None:
    one = finding("amount")
    assert (one.what, one.ours, one.theirs) == (spent()["outpoint"], None, "5")
    assert one.txids == (spent()["outpoint"].partition(":")[0], spent()["txid"])


def test_places_in_blocks_need_not_be_told(tmp_path: Path) -> None:
    def forget(tables: dict[str, Any]) -> None:
        for row in tables["events"] + tables["inputs"]:
            row.pop("tx_index")

    assert told(forget).agrees


def test_a_producer_of_states_alone_is_held_against_a_state() -> None:
    state = index_batch(computed(LAST))
    document = batch_document(state)
    of_rune(document["tables"]["entries"])["burned"] = "0"
    found = audit(state, runes.load_batch(document), rune())
    assert [each.field for each in found.findings] == ["burned"]
    assert not found.agrees
    assert found.moved == ()
    assert found.missing == (
        "events in i1211",
        "events in i1211",
        "we tell of no events: transactions could not be compared one by one",
    )
    assert "What could not be compared" in page(found)


def test_states_of_different_blocks_are_not_held_against_each_other() -> None:
    """The one would be blamed for what happened between them."""
    said = f"ours is of block {LAST} and the one of .* of block {LAST - 1}. Bring ours to block"
    with pytest.raises(InputError, match=said):
        audit(index_batch(computed(LAST)), index_batch(computed(LAST - 1)), rune())


def test_events_are_compared_in_the_blocks_that_both_cover() -> None:
    def shorter(document: dict[str, Any]) -> None:
        tables = document["tables"]
        document["last_height"] = LAST - 1
        del tables["balances"], tables["entries"]
        for name, rows in tables.items():
            tables[name] = [row for row in rows if row["height"] < LAST]

    document = copy.deepcopy(batch_document(ours()))
    shorter(document)
    found = audit(ours(), runes.load_batch(document), rune())
    assert (found.findings, found.moved, found.agrees) == ((), (), True)


class Page(HTMLParser):
    """What a browser would fetch or run, and whether the elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_loads_nothing_runs_nothing_and_escapes_what_it_shows() -> None:
    text = page(blamed())
    assert EVIL not in text
    assert "&lt;script&gt;alert(1)" in text
    read = Page()
    read.feed(text)
    read.close()
    assert read.open == []
    tags = {tag for tag, _ in read.seen}
    assert not tags & {"script", "img", "link", "iframe", "object", "form", "a"}
    assert not [each for _, each in read.seen if {"src", "href", "onclick"} & set(each)]
    assert "url(" not in text and "@import" not in text
    assert ("html", {"lang": "en"}) in read.seen
    assert {"caption", "th", "main", "h1", "h2"} <= tags
    assert "prefers-color-scheme:dark" in text
    assert page(blamed()) == text


def test_an_unknown_rune_is_a_sentence() -> None:
    with pytest.raises(InputError, match="allowed: the id"):
        audit(ours(), ours(), "NO•SUCH")


def run(*arguments: Any) -> int:
    """The producer's files are held to be of our network."""
    return cli.main(["runes", "audit", *map(str, (*arguments, "--height", LAST))])


def test_the_command_writes_the_page_and_says_by_its_code_what_came_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, report = tmp_path / "own.snapshot", tmp_path / "out" / "report.html"
    own.write_bytes(computed(LAST).snapshot())
    whole = tmp_path / "own.json.gz"
    runes.save_batch(ours(), whole)
    dump = write_dump(tmp_path)  # as of an earlier block: no height is right for it
    data = ("--data", tmp_path / "data")
    assert run(rune(), "--against", whole, "--ours", own, "-o", report, *data) == 0
    assert "us is right about" in capsys.readouterr().out
    assert run(rune(), "--against", *dump, "--ours", own, "-o", report, *data) == 1
    said = capsys.readouterr().out
    assert "ord is wrong about" in said
    assert f"the report is at {report}" in said
    assert re.search(r"<title>Audit of .* against ord</title>", report.read_text())


def test_the_page_and_the_command_speak_portuguese(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, whole = tmp_path / "report.html", tmp_path / "own.json.gz"
    own = runes.save_batch(proved(), tmp_path / "proved.json.gz")
    runes.save_batch(ours(), whole)
    asked = ("--against", whole, "--ours", own, "-o", report, "--data", tmp_path / "data")
    assert run(rune(), *asked, "--language", "pt-BR") == 0
    said = capsys.readouterr().out
    assert "us está certo sobre" in said
    assert f"o relatório está em {report}" in said
    text = report.read_text()
    assert '<html lang="pt-BR">' in text
    assert re.search(r"<title>Auditoria de .* contra us</title>", text)
    read = audit_page(blamed(), version="1", speech=Speech("pt-BR", catalogue("pt-BR")))
    for english in ("Wrong", "producer", "differ", "blocks", "level", "Assumptions", "row"):
        assert not re.search(
            rf"\b{english}\b", re.sub(r"<style>.*?</style>|<code>.*?</code>|<[^>]*>", " ", read)
        ), english


def test_what_the_command_cannot_read_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    against, data = write_dump(tmp_path), ("--data", tmp_path / "data")
    report = tmp_path / "r.html"
    assert run("1:0", "--against", *against, "--ours", "No/such", "-o", report, *data) == 2
    assert "is neither a file nor the alias of a batch" in capsys.readouterr().err
    gone = tmp_path / "gone"
    assert run("1:0", "--against", gone, "--ours", against[0], "-o", report, *data) == 2
    assert capsys.readouterr().err.startswith("workbench: ")


def test_lists_that_do_not_say_their_rune_are_of_the_one_that_is_asked_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other, report = (tmp_path / name for name in ("one.json", "other.json", "r.html"))
    one.write_text(json.dumps(made.XVERSE_HOLDERS))
    fewer = copy.deepcopy(made.XVERSE_HOLDERS)
    fewer["items"][0]["amount"] = str(int(fewer["items"][0]["amount"]) - 1)
    other.write_text(json.dumps(fewer))
    data = tmp_path / "data"
    asked = ["runes", "audit", "840000:3", "--ours", one, "-o", report, "--data", data, "--against"]
    assert cli.main([*map(str, asked), str(one)]) == 0
    assert cli.main([*map(str, asked), str(other)]) == 1
    assert "xverse" in capsys.readouterr().out


@pytest.mark.shared
def test_the_tracer_that_dropped_inputs_contradicts_itself(shared: Path) -> None:
    path = shared / "data" / "runes" / "dog" / "dog_transactions_backup.json"
    found = runes.read(path, producer="dogdata")
    dog = audit(found, found, "840000:3")
    plain = {
        each["txid"]: [
            sum(one["amount"] for one in each[side]) for side in ("senders", "receivers")
        ]
        for each in json.loads(path.read_text())["transactions"]
    }
    unequal = {txid: sums for txid, sums in plain.items() if sums[0] != sums[1]}
    assert {one.txid: [one.came, one.went] for one in dog.contradictions} == unequal
    assert len(unequal) == 4
    assert not dog.agrees
