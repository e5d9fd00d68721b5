"""The batch reader and writer: exact amounts through every way, faults with their paths."""

from __future__ import annotations

import copy
import gzip
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.work import work
from workbench.errors import InputError
from workbench.runes import packing, schema
from workbench.runes.batch import (
    MAX_AMOUNT,
    Batch,
    Source,
    amount_columns,
    amount_ints,
    batch_document,
    format_amounts,
    load_batch,
    parse_amounts,
    save_batch,
    sum_amounts,
    table_amounts,
)
from workbench.runes.tables import ARROW, TABLES

TXID = "ab" * 32
BIG = [0, 1, 2**64 - 1, 2**64, 2**64 + 1, 2**100 + 7, 2**127, 2**127 + 1, MAX_AMOUNT]
amounts = st.one_of(st.sampled_from(BIG), st.integers(0, MAX_AMOUNT))
WAYS = ("b.json", "b.json.gz", "b.ndjson", "b.ndjson.gz", "folder")


def document(**tables: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schema": "runes-batch/1",
        "id": "b840000_0123abcd",
        "network": "regtest",
        "source": {"producer": "a test"},
        "units": "atomic",
        "completeness": "state",
        "first_height": 840_000,
        "last_height": 840_010,
        "tables": tables,
    }


def edict(amount: Any = "5", **other: Any) -> dict[str, Any]:
    place = {"height": 840_001, "tx_index": 1, "txid": TXID}
    return {
        **place,
        "edict_index": 0,
        "rune_id": "840000:3",
        "amount": amount,
        "output": 1,
        **other,
    }


def etching(**other: Any) -> dict[str, Any]:
    row = {"rune_id": "840000:3", "name": "AB", "spaced_name": "A•B", "divisibility": 0}
    row |= {"spacers": 1, "premine": "0", "turbo": False, "terms": False, "cenotaph": False}
    place = {"height": 840_000, "tx_index": 3, "txid": TXID}
    return {**row, "commitment": "unknown", **place, **other}


def balance(amount: str | None = "7", **other: Any) -> dict[str, Any]:
    return {"rune_id": "840000:3", "outpoint": f"{TXID}:0", "amount": amount, **other}


def refusal(source: Any, **options: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        load_batch(source, **options)
    return caught.value


@settings(deadline=None)
@given(st.lists(st.none() | amounts))
def test_columns_hold_every_128_bit_integer(values: list[int | None]) -> None:
    high, low = amount_columns(values)
    assert amount_ints(high, low) == values
    texts = [None if value is None else str(value) for value in values]
    assert format_amounts(high, low).to_pylist() == texts
    assert amount_ints(*parse_amounts(texts)) == values
    assert sum_amounts(high, low) == sum(value or 0 for value in values)


def test_chunks_and_slices_of_columns_count_as_what_they_show() -> None:
    texts = pa.array(["1", None, str(MAX_AMOUNT), "4"])
    high, low = parse_amounts(texts.slice(1, 2))
    assert amount_ints(high, low) == [None, MAX_AMOUNT]
    twice = pa.chunked_array([high, high]), pa.chunked_array([low, low])
    assert sum_amounts(*twice) == 2 * MAX_AMOUNT


@settings(max_examples=25, deadline=None)
@given(asked=st.lists(amounts, min_size=1), caps=st.lists(st.none() | amounts, min_size=1))
@pytest.mark.parametrize("way", WAYS)
def test_amounts_survive_every_way_out_and_in(
    way: str, asked: list[int], caps: list[int | None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    edicts = [edict(str(amount), edict_index=place) for place, amount in enumerate(asked)]
    etchings = [
        etching(
            rune_id=f"840000:{place}",
            premine=str(cap or 0),
            **({} if cap is None else {"cap": str(cap)}),
        )
        for place, cap in enumerate(caps, 1)
    ]
    batch = load_batch(document(edicts=edicts, etchings=etchings))
    path = tmp_path_factory.mktemp("batch") / way
    again = load_batch(save_batch(batch, path))
    assert table_amounts(again.tables["edicts"], "amount") == asked
    assert table_amounts(again.tables["etchings"], "cap") == caps
    assert all(again.tables[name].equals(batch.tables[name]) for name in TABLES)
    assert batch_document(again) == batch_document(batch)


def test_duckdb_sums_saved_amounts_exactly(tmp_path: Path) -> None:
    rows = [edict(str(MAX_AMOUNT - place), edict_index=place) for place in range(1000)]
    folder = save_batch(load_batch(document(edicts=rows)), tmp_path / "folder")
    high, low = duckdb.sql(
        f"SELECT sum(amount_high), sum(amount_low) FROM '{folder}/edicts.parquet'"
    ).fetchall()[0]
    assert (high << 64) + low == sum(MAX_AMOUNT - place for place in range(1000))


def test_a_file_without_a_name_is_told_by_its_content(tmp_path: Path) -> None:
    batch = load_batch(document(edicts=[edict()]))
    for way in WAYS[:-1]:
        nameless = tmp_path / "0f3a"
        nameless.write_bytes(save_batch(batch, tmp_path / way).read_bytes())
        assert load_batch(nameless).rows() == batch.rows()
        assert load_batch(nameless.read_bytes()).rows() == batch.rows()


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    batch = load_batch(document(edicts=[edict()]))
    first = save_batch(batch, tmp_path / "a.json.gz").read_bytes()
    assert save_batch(batch, tmp_path / "b.json.gz").read_bytes() == first


def test_instants_keep_their_second_and_nulls_stay_null(tmp_path: Path) -> None:
    block = {"height": 840_001, "hash": TXID, "mined_at": "2024-04-20T00:09:27Z", "weight": 4}
    block |= {"transactions": 1, "size_bytes": 1, "subsidy_sat": 312_500_000, "coinbase_sat": 7}
    batch = load_batch(document(blocks=[block]))
    row = batch.tables["blocks"].to_pylist()[0]
    assert (row["mined_at"].isoformat(), row["fees_sat"]) == ("2024-04-20T00:09:27", None)
    assert batch_document(batch)["tables"]["blocks"] == [block]


def test_an_amount_above_128_bits_is_refused_with_its_path() -> None:
    error = refusal(document(edicts=[edict(), edict(str(2**128))]))
    assert str(error) == (
        "tables.edicts[1].amount is '340282366920938463463374607431768211456'; "
        "allowed: decimal string from 0 to 2^128 - 1"
    )


def test_an_amount_above_128_bits_in_an_optional_column_is_refused_too() -> None:
    (fault,) = refusal(document(etchings=[etching(cap=str(2**128))])).faults
    assert fault.field == "tables.etchings[0].cap"
    assert fault.allowed == "decimal string from 0 to 2^128 - 1, or null"


@pytest.mark.parametrize("amount", [5, 5.0, "", "-1", "01", "1.5", "1e3", " 1", "1\n", "٣", None])
def test_only_canonical_decimal_strings_are_amounts(amount: Any) -> None:
    (fault,) = refusal(document(balances=[balance(amount)])).faults
    assert fault.field == "tables.balances[0].amount"
    assert fault.allowed == "decimal string from 0 to 2^128 - 1"


def test_every_fault_is_listed_with_its_path() -> None:
    bad = document(
        edicts=[edict(), edict(5, txid="AB" * 32), edict(extra=1)],
        etchings=[etching(symbol="two"), etching(height_end=2**64), {"rune_id": "1:2:3"}],
        balances=[balance(outpoint="no")],
        nonsense=[],
    )
    del bad["source"]
    bad["network"] = "mars"
    fields = {fault.field for fault in refusal(bad).faults}
    assert fields >= {
        "source",
        "network",
        "tables.nonsense",
        "tables.edicts[1].amount",
        "tables.edicts[1].txid",
        "tables.edicts[2].extra",
        "tables.etchings[0].symbol",
        "tables.etchings[1].height_end",
        "tables.etchings[2].name",
        "tables.etchings[2].rune_id",
        "tables.balances[0].outpoint",
    }
    assert "tables.edicts[0].amount" not in fields


def test_the_fast_reader_alone_refusing_still_names_the_place() -> None:
    (fault,) = refusal(document(etchings=[etching(), etching(height_end=2**70)])).faults
    assert (fault.field, fault.allowed) == (
        "tables.etchings[1].height_end",
        "integer from 0 to 2^64 - 1, or null",
    )


def test_a_day_that_no_calendar_has_is_refused_with_its_path() -> None:
    price = {"rune_id": "840000:3", "taken_at": "2024-02-30T00:00:00Z", "price": 1.5, "unit": "sat"}
    (fault,) = refusal(document(prices=[price])).faults
    assert fault.field == "tables.prices[0].taken_at"


def test_faults_are_bounded() -> None:
    assert len(refusal(document(edicts=[edict(5)] * 500)).faults) == 100


@pytest.mark.parametrize(
    ("change", "field", "allowed"),
    [
        ({"height": 840_011}, "height", "a height from 840000 to 840010, the batch's range"),
        ({"height": 839_999}, "height", "a height from 840000 to 840010, the batch's range"),
        ({"rune_id": "0:7"}, "rune_id", "rune id BLOCK:TX with a block from 1"),
        ({"rune_id": "18446744073709551616:1"}, "rune_id", "rune id BLOCK:TX, such as 840000:3"),
        ({"rune_id": "840000:4294967296"}, "rune_id", "rune id BLOCK:TX, such as 840000:3"),
    ],
)
def test_heights_and_rune_ids_that_cannot_be_are_refused(
    change: dict[str, Any], field: str, allowed: str
) -> None:
    (fault,) = refusal(document(edicts=[edict(), edict(**change)])).faults
    assert (fault.field, fault.allowed) == (f"tables.edicts[1].{field}", allowed)


def test_a_rune_etched_before_the_range_may_be_described() -> None:
    batch = load_batch(document(etchings=[etching(height=830_000, rune_id="830000:1")]))
    assert batch.rune_ids() == {"830000:1"}


def test_a_message_may_speak_of_the_rune_etched_beside_it() -> None:
    assert load_batch(document(edicts=[edict(rune_id="0:0")])).rune_ids() == set()
    (fault,) = refusal(document(balances=[balance(rune_id="0:0")])).faults
    assert fault.field == "tables.balances[0].rune_id"


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    error = refusal({**document(), "first_height": 840_011})
    assert str(error) == "first_height is 840011; allowed: integer from 0 to last_height 840010"


def test_the_rune_limit_counts_runes_over_all_tables() -> None:
    good = document(edicts=[edict()], balances=[balance(rune_id="840000:4")])
    assert load_batch(good, rune_limit=2).rune_ids() == {"840000:3", "840000:4"}
    assert str(refusal(good, rune_limit=1)) == "the batch holds 2 runes; allowed: up to 1"
    one = "the batch holds {count} {count:rune|runes}; allowed: up to {limit}"
    assert str(InputError(one, count=1, limit=0)) == "the batch holds 1 rune; allowed: up to 0"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "the batch is not valid JSON: "),
        (b"{", "the batch is not valid JSON: "),
        (b'{"schema": "\xff"}', "the batch is not valid JSON: "),
        (b"[]", "the batch is []; allowed: a runes-batch/1 document"),
        (b"\x1f\x8b\x08\x00broken", "the batch is not valid gzip: "),
        (b'{"runes": {"DOG": {"id": "840000:3"}}}', "this is no batch: "),
        (b'{"code": 0, "data": {"detail": []}}', "this is no batch: "),
        (b'[{"rune": "DOG"}]', "this is no batch: "),
        (b"[" * 100_000, "the batch is not valid JSON: "),
    ],
)
def test_what_is_no_batch_at_all_says_so(body: bytes, sentence: str) -> None:
    assert str(refusal(body)).startswith(sentence)


def test_a_raw_block_is_sent_to_the_model_that_reads_it() -> None:
    block = bytes.fromhex("00e0ff27") + bytes(range(256))
    assert "; a raw block becomes a batch with block-import" in str(refusal(block))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    assert str(refusal(path)) == f"{path} is not there: give an existing file"


def test_a_faulty_ndjson_line_is_named(tmp_path: Path) -> None:
    path = save_batch(load_batch(document(edicts=[edict()])), tmp_path / "b.ndjson")
    error = refusal(path.read_bytes() + b'{"table": 5}\n')
    assert str(error).startswith("line 3 of the batch is no row: ")


def test_parquet_is_checked_as_json_is(tmp_path: Path) -> None:
    batch = load_batch(document(edicts=[edict(), edict()], etchings=[etching(cap="5")]))
    folder = save_batch(batch, tmp_path / "folder")
    edicts = batch.tables["edicts"].to_pylist()
    bad = {**edicts[0], "txid": "xyz", "height": 5, "amount_high": None}
    pq.write_table(pa.Table.from_pylist([edicts[0], bad]), folder / "edicts.parquet")
    half = {**batch.tables["etchings"].to_pylist()[0], "cap_low": None}
    loose = pa.schema([field.with_nullable(True) for field in ARROW["etchings"]])
    pq.write_table(pa.Table.from_pylist([half], loose), folder / "etchings.parquet")
    faults = {fault.field for fault in refusal(folder).faults}
    assert faults == {
        "tables.edicts[1].amount_high",
        "tables.edicts[1].amount",
        "tables.edicts[1].txid",
        "tables.etchings[0].cap",
    }


def test_parquet_with_other_columns_is_refused(tmp_path: Path) -> None:
    folder = save_batch(load_batch(document()), tmp_path / "folder")
    pq.write_table(pa.table({"height": [1]}), folder / "edicts.parquet")
    assert refusal(folder).faults[0].field == "tables.edicts"


def test_parquet_without_an_optional_column_has_null_there(tmp_path: Path) -> None:
    block = {"height": 840_001, "hash": TXID, "mined_at": "2024-04-20T00:09:27Z", "weight": 4}
    block |= {"transactions": 1, "size_bytes": 1, "subsidy_sat": 312_500_000, "coinbase_sat": 7}
    folder = save_batch(load_batch(document(blocks=[{**block, "vsize": 9}])), tmp_path / "folder")
    written = pq.read_table(folder / "blocks.parquet")
    assert written["vsize"].to_pylist() == [9]
    pq.write_table(written.drop_columns("vsize"), folder / "blocks.parquet")
    assert load_batch(folder).tables["blocks"]["vsize"].to_pylist() == [None]


def test_a_folder_with_other_files_is_never_written_into(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        save_batch(load_batch(document()), tmp_path)


def test_a_suffix_that_says_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"path is 'b\.csv'; allowed: a name ending in \.json"):
        save_batch(load_batch(document()), tmp_path / "b.csv")


def test_a_rune_is_etched_in_the_block_of_its_id() -> None:
    whole = {**etching(), "rune_id": "840000:3", "height": 840_000}
    assert load_batch(document(etchings=[whole])).rows()["etchings"] == 1
    with pytest.raises(InputError) as refused:
        load_batch(document(etchings=[{**whole, "height": 1}]))
    assert str(refused.value) == (
        "tables.etchings[0].rune_id is '840000:3'; allowed: an id of block 1, in which it was "
        "etched"
    )


def test_unpacking_stops_at_its_bound() -> None:
    bomb = io.BytesIO(gzip.compress(b" " * (8 << 20)))
    with pytest.raises(InputError) as caught:
        packing.unpacked(bomb, limit=1 << 20)
    assert str(caught.value) == "the batch unpacks to more than 1 MB; allowed: up to 1 MB"


def test_a_batch_without_an_id_gets_one_from_its_content() -> None:
    good = document(edicts=[edict()])
    del good["id"]
    assert load_batch(good).id == load_batch(copy.deepcopy(good)).id
    assert load_batch(good).id.startswith("b840000_")


def test_the_published_schema_is_the_one_that_is_used() -> None:
    published = json.loads(schema.SCHEMA_FILE.read_text(encoding="utf-8"))
    assert published == schema.schema_document()
    jsonschema.Draft202012Validator.check_schema(published)
    validator = jsonschema.Draft202012Validator(published)
    validator.validate(document(edicts=[edict()], etchings=[etching()], balances=[balance()]))
    assert not validator.is_valid(document(edicts=[edict(str(2**128))]))
    for properties in published["properties"]["tables"]["properties"].values():
        assert all(column["description"] for column in properties["items"]["properties"].values())


def test_it_draws_itself_with_foreign_text_escaped() -> None:
    nasty = "<script>alert(1)</script>"
    batch = Batch(
        id="b1", network="regtest", source=Source(nasty), completeness="runestone",
        first_height=1, last_height=2,
    )  # fmt: skip
    assert "<script>" not in batch._repr_html_()
    assert "&lt;script&gt;" in batch._repr_html_()
    assert repr(batch) == "<Batch b1: regtest, blocks 1 to 2, runestone level; empty>"


def test_a_table_that_no_batch_has_is_refused() -> None:
    with pytest.raises(InputError, match="allowed: tables named blocks, runestones"):
        Batch(
            id="b1", network="regtest", source=Source("x"), completeness="state",
            first_height=1, last_height=2, tables={"cats": pa.table({})},
        )  # fmt: skip


def test_a_document_of_50_mb_costs_a_few_calls_for_each_row() -> None:
    """About seven; a slow path, with an object for each row, would make many more."""
    rows = [edict(str(2**100 + place), edict_index=place) for place in range(240_000)]
    body = json.dumps(document(edicts=rows)).encode()
    assert len(body) > 45_000_000
    batches: list[Batch] = []
    assert work(lambda: batches.append(load_batch(body))) < 12 * 240_000
    assert batches[0].rows()["edicts"] == 240_000
