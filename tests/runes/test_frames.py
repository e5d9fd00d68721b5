"""Amounts of 128 bits through every way out and in: no way rounds, no way makes a 0 of nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runes.sources import documents as made
from workbench import runes
from workbench.errors import InputError
from workbench.runes.batch import Batch, batch_header, batch_of, table_amounts

MOST = 2**128 - 1
EDGES = [0, 1, 2**53 + 1, 2**64 - 1, 2**64, 2**64 + 1, 2**100 + 7, 2**127, 2**127 + 1, MOST]
amounts = st.sampled_from(EDGES) | st.integers(0, MOST)
FILES = ("b.json", "b.json.gz", "b.ndjson", "b.ndjson.gz", "parquet", "csv")


def batch_with(held: list[int], caps: list[int | None], scripts: list[str | None]) -> Batch:
    """Balances and etchings with these amounts; scripts may be empty, or missing."""
    balances = [
        {"rune_id": "840000:3", "outpoint": f"{made.OTHER}:{place}", "amount": str(amount)}
        | (
            {}
            if scripts[place % len(scripts)] is None
            else {"script": scripts[place % len(scripts)]}
        )
        for place, amount in enumerate(held)
    ]
    etchings = [
        {"rune_id": f"840000:{place}", "name": "AB", "spaced_name": "A•B", "symbol": '"',
         "divisibility": 0, "spacers": 1, "commitment": "valid", "height": 840_000,
         "tx_index": place, "height_end": 2**64 - 1 - place}
        | ({} if cap is None else {"cap": str(cap), "premine": str(cap), "turbo": True})
        for place, cap in enumerate(caps)
    ]  # fmt: skip
    prices = [{"rune_id": "1:0", "taken_at": "2024-10-19T10:51:00Z", "price": 0.5, "unit": "sat"}]
    return runes.load_batch(
        {
            "schema": "runes-batch/1", "network": "mainnet", "source": {"producer": "a test"},
            "units": "atomic", "completeness": "state", "first_height": 840_000,
            "last_height": 840_000, "covers": ["etchings", "balances", "prices"],
            "tables": {"balances": balances, "etchings": etchings, "prices": prices},
        }
    )  # fmt: skip


batches = st.builds(
    batch_with,
    st.lists(amounts, min_size=1, max_size=8),
    st.lists(st.none() | amounts, min_size=1, max_size=5),
    st.just([None]) | st.just(["", None, "51"]),
)


def save(batch: Batch, path: Path) -> Path:
    return runes.save_batch(batch, path, tables="csv" if path.name == "csv" else "parquet")


def assert_same(left: Batch, right: Batch) -> None:
    assert batch_header(left) == batch_header(right)
    for name, table in left.tables.items():
        assert table.to_pylist() == right.tables[name].to_pylist(), name


@settings(max_examples=6, deadline=None)
@given(batch=batches)
@pytest.mark.parametrize("way", FILES)
def test_a_batch_comes_back_from_every_kind_of_file(
    way: str, batch: Batch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = save(batch, tmp_path_factory.mktemp("ways") / way)
    assert_same(batch, runes.load_batch(path))
    assert_same(batch, runes.read(path))


@settings(max_examples=12, deadline=None)
@given(batch=batches)
def test_a_batch_comes_back_from_pandas_and_arrow(batch: Batch) -> None:
    frames = {name: batch.frame(name) for name, table in batch.tables.items() if table.num_rows}
    assert frames["balances"]["amount"].tolist() == table_amounts(
        batch.tables["balances"], "amount"
    )
    from_pandas = {name: runes.from_frame(name, frame) for name, frame in frames.items()}
    assert_same(batch, batch_of(batch_header(batch), from_pandas))
    streamed = {}
    for name, table in batch.tables.items():
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        streamed[name] = pa.ipc.open_stream(sink.getvalue()).read_all()
    assert_same(batch, batch_of(batch_header(batch), streamed))


@settings(max_examples=12, deadline=None)
@given(amount=amounts, divisibility=st.integers(0, 38))
def test_amounts_of_documents_are_exact_whichever_way_they_are_written(
    amount: int, divisibility: int
) -> None:
    entry = made.ord_entry(premine=amount, divisibility=divisibility)
    shown = runes.format_amount(amount, divisibility)
    held = {**made.ORD_ADDRESS, "runes_balances": [[made.DOG, shown, None]]}
    bare = json.dumps(held, ensure_ascii=False).replace(f'"{shown}"', shown)
    rune = json.dumps({**made.ORD_RUNE, "entry": entry}, ensure_ascii=False)
    for address in (json.dumps(held, ensure_ascii=False), bare):
        batch = runes.read(f"{rune}\n{address}\n".encode())
        assert table_amounts(batch.tables["etchings"], "premine") == [amount]
        assert table_amounts(batch.tables["balances"], "amount") == [amount]
    events = runes.read(made.opi_csv(made.opi(3, amount)))
    assert table_amounts(events.tables["events"], "amount") == [amount]


@settings(max_examples=6, deadline=None)
@given(amount=amounts)
def test_amounts_of_a_parquet_export_are_exact(
    amount: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("ways") / "events.parquet"
    row = dict(zip(made.OPI_COLUMNS, made.opi(3, 0), strict=True))
    wide = pa.array([Decimal(amount)], pa.decimal256(40, 0))
    table = pa.table({name: [value] for name, value in row.items()})
    place = table.column_names.index("amount")
    pq.write_table(table.set_column(place, "amount", wide), path)
    assert table_amounts(runes.read(path).tables["events"], "amount") == [amount]


def test_an_empty_text_and_nothing_stay_apart_in_csv(tmp_path: Path) -> None:
    batch = batch_with([1, 2, 3], [None, MOST], ["", None, "51"])
    folder = save(batch, tmp_path / "csv")
    again = runes.load_batch(folder)
    assert again.tables["balances"]["script"].to_pylist() == ["", None, "51"]
    assert again.tables["etchings"]["turbo"].to_pylist() == [None, True]
    lines = (folder / "balances.csv").read_text().splitlines()
    assert lines[0] == '"rune_id","outpoint","script","address","amount"'
    assert lines[2] == f'"840000:3","{made.OTHER}:1",,,"2"'


def test_a_frame_keeps_what_pandas_would_round() -> None:
    batch = batch_with([MOST], [None, 5], [None])
    frame = batch.frame("etchings")
    assert frame["cap"].tolist() == [None, 5]
    assert frame["height_end"].tolist() == [2**64 - 1, 2**64 - 2]
    assert frame["height_start"].isna().all()
    assert int(batch.frame("balances")["amount"].sum()) == MOST
    with pytest.raises(InputError, match="name is 'cats'; allowed: blocks, "):
        batch.frame("cats")


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [
        ([1.0, 2.0], "tables.balances.amount is 'float64'; allowed: integers or decimal texts"),
        ([2**70, 1.5], r"tables.balances\[1\].amount is 1.5; allowed: an integer or a decimal"),
        (
            [0, 2**128],
            rf"tables.balances\[1\].amount is '{2**128}'; allowed: decimal string from 0",
        ),
        ([-1, 0], r"tables.balances\[0\].amount is '-1'"),
        (["0", "1e5"], r"tables.balances\[1\].amount is '1e5'"),
        ([5, True], r"tables.balances\[1\].amount is 'True'"),
        ([Decimal("0.5"), 1], r"tables.balances\[0\].amount is '0.5'"),
        ([1, None], r"tables.balances\[1\].amount is None; allowed: decimal string from 0"),
    ],
    ids=["floats", "one-float", "too-large", "negative", "text", "flag", "half", "missing"],
)
def test_a_frame_that_is_not_exact_is_refused(amount: list[Any], sentence: str) -> None:
    frame = batch_with([1, 2], [None], [None]).frame("balances")
    exact = any(isinstance(each, int) for each in amount)
    frame["amount"] = pandas.Series(amount, dtype=object if exact else None)
    with pytest.raises(InputError, match=sentence):
        runes.from_frame("balances", frame)


HOLDERS = {"rune_id": ["840000:3"] * 2, "script": ["51", "52"], "amount": [str(MOST), "3"]}


def test_frames_of_other_kinds_are_taken_whole() -> None:
    frame = pandas.DataFrame(HOLDERS)
    for each in (
        frame,
        frame.assign(amount=[MOST, Decimal("3.000")]),
        frame.assign(amount=frame["amount"].astype("category")),
        polars.DataFrame(HOLDERS),
        polars.DataFrame(HOLDERS).cast(
            {"amount": polars.Categorical, "script": polars.Categorical}
        ),
        pa.table(HOLDERS),
        duckdb.sql("SELECT * FROM frame"),
    ):
        table = runes.from_frame("balances", each)
        assert table_amounts(table, "amount") == [MOST, 3]
        assert table["script"].to_pylist() == ["51", "52"]
    assert runes.from_frame("balances", frame[:0]).num_rows == 0
    assert runes.from_frame("balances", pandas.DataFrame(columns=list(HOLDERS))).num_rows == 0


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        ([{"amount": 1}], r"frame is 'list'; .*pandas.DataFrame\(rows\)"),
        (polars.LazyFrame(HOLDERS), "frame is 'LazyFrame'"),
        (pandas.Series([1]), "allowed: a frame of pandas or Polars"),
        (
            pandas.DataFrame([["1:0", "51", "1", "2"]], columns=[*HOLDERS, "amount"]),
            r"frame is \['rune_id', 'script', 'amount', 'amount'\]; .* each once",
        ),
        (pa.table({**HOLDERS, "amount": [1.0, 2.0]}), r"balances\[0\].amount is 1.0"),
        (pandas.DataFrame({"script": ["51"], "amount": [1]}), "a column rune_id"),
    ],
    ids=["rows", "lazy", "series", "twice", "floats", "lacking"],
)
def test_what_is_no_frame_of_a_table_is_refused_with_what_is(frame: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        runes.from_frame("balances", frame)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"2"', '"2.5"', "amount is '2.5'; allowed: decimal string from 0 to 2\\^128 - 1"),
        ('"2"', f'"{2**128}"', f"amount is '{2**128}'; allowed: decimal string from 0"),
        ('"2"', "", r"tables.balances\[1\].amount"),
        (made.OTHER + ":1", "xyz", r"tables.balances\[1\].outpoint is 'xyz'"),
        ('"amount"', '"cats"', "balances.csv cannot be read"),
        ('"amount"', '"amount","cats"', "balances.csv cannot be read"),
    ],
    ids=["fraction", "too-large", "missing", "outpoint", "renamed", "ragged"],
)
def test_a_faulty_csv_is_refused(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    folder = save(batch_with([1, 2], [None], [None]), tmp_path / "csv")
    path = folder / "balances.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=sentence):
        runes.load_batch(folder)


def test_a_table_may_stand_in_a_folder_once(tmp_path: Path) -> None:
    batch = batch_with([1], [None], [None])
    folder = save(batch, tmp_path / "csv")
    save(batch, tmp_path / "parquet")
    (tmp_path / "parquet" / "balances.parquet").rename(folder / "balances.parquet")
    with pytest.raises(InputError, match="once each"):
        runes.load_batch(folder)
    assert (folder / "balances.csv").exists()
    runes.save_batch(batch, folder)  # what another form left behind is gone
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", *[".parquet"] * 3]
    with pytest.raises(InputError, match="tables is 'xlsx'; allowed: parquet, csv"):
        runes.save_batch(batch, folder, tables="xlsx")


def test_a_faulty_reading_changes_no_file(tmp_path: Path) -> None:
    batch = runes.read(json.dumps(made.ORD_RUNE).encode())
    kept = runes.save_batch(batch, tmp_path / "kept")
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({**made.ORD_RUNE, "entry": made.ord_entry(premine=-1)}))
    with pytest.raises(InputError):
        runes.save_batch(runes.read(bad, onto=runes.read(kept)), kept)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
