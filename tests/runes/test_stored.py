"""A batch that stays in its files: asked as the one in memory is, and checked by the same rules."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runes.questions.hand import ASH, txid
from tests.runes.questions.laid import batch, laid
from workbench import runes
from workbench.errors import InputError
from workbench.runes.asking import Question

BIG = 2**127 + 1
SAMPLE = Path(__file__).parents[2] / "data" / "samples" / "small.json"


def stored(folder: Path, tables: dict[str, pa.Table]) -> Path:
    return runes.save_batch(batch(tables, 900, 999), folder)


def balances(*rows: dict[str, Any]) -> dict[str, pa.Table]:
    return laid(balances=[{"rune_id": ASH, "amount": BIG, **row} for row in rows])


def test_each_question_says_the_same_of_a_batch_in_memory_and_of_one_in_its_files(
    tmp_path: Path,
) -> None:
    whole = runes.load_batch(SAMPLE)
    kept = runes.open_batch(runes.save_batch(whole, tmp_path / "kept"))
    rune = sorted(whole.tables["balances"]["rune_id"].unique().to_pylist())[0]
    for name in runes.__all__:
        asks = getattr(runes, name)
        if not isinstance(asks, Question):
            continue
        needed = {"rune": rune, "since": whole.first_height}
        parameters = inspect.signature(asks).parameters.values()
        given = {
            each.name: needed[each.name]
            for each in parameters
            if each.name in needed and each.default is each.empty
        }
        one, other = asks(whole, **given), asks(kept, **given)
        assert (str(one.sentence), one.facts) == (str(other.sentence), other.facts), name
        assert one.table.equals(other.table), name
    assert str(runes.compare_sources(whole, kept).sentence).split(" agree ")[1:], "they differ"


def test_amounts_above_2_to_the_127_stay_exact(tmp_path: Path) -> None:
    owned = balances({"outpoint": f"{txid(901, 1)}:0", "script": "00"})
    kept = runes.open_batch(stored(tmp_path / "kept", owned))
    assert runes.holders(kept, rune=ASH).facts["held"] == BIG
    assert kept.rows() == {"balances": 1}


def test_rows_that_stand_twice_are_refused_with_what_they_say(tmp_path: Path) -> None:
    owned = balances({"script": "00"}, {"script": "00"}, {"script": "51"})
    folder = stored(tmp_path / "kept", owned)
    with pytest.raises(InputError, match="script 00 twice"):
        runes.open_batch(folder)
    assert runes.open_batch(folder, check=False).rows() == {"balances": 3}


def test_a_height_outside_of_the_blocks_and_a_text_that_is_no_script_are_refused(
    tmp_path: Path,
) -> None:
    minted = laid(mints=[{"rune_id": ASH, "height": 1_000, "tx_index": 1, "receiver": "0"}])
    folder = stored(tmp_path / "kept", minted)
    with pytest.raises(InputError) as raised:
        runes.open_batch(folder)
    assert [fault.field for fault in raised.value.faults] == [
        "tables.mints[0].receiver",
        "tables.mints[0].height",
    ]


def test_a_file_that_is_no_parquet_is_told(tmp_path: Path) -> None:
    folder = stored(tmp_path / "kept", balances({"script": "00"}))
    (folder / "balances.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(InputError, match="cannot be read"):
        runes.open_batch(folder)
    (folder / "balances.parquet").rename(folder / "balances.csv")
    with pytest.raises(InputError, match="load_batch reads CSV"):
        runes.open_batch(folder)


def test_an_optional_column_of_a_later_version_is_null(tmp_path: Path) -> None:
    folder = stored(tmp_path / "kept", balances({"script": "00"}))
    path = folder / "balances.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["address"]), path)
    assert runes.holders(runes.open_batch(folder), rune=ASH).facts["holders"] == 1


@pytest.mark.parametrize("opens", [runes.open_batch, runes.load_batch])
@pytest.mark.parametrize(
    ("name", "column"),
    [("balances", "amount_low"), ("entries", "holders"), ("mints", "height")],
)
def test_whole_numbers_kept_as_floats_are_refused_by_the_column(
    tmp_path: Path, opens: Any, name: str, column: str
) -> None:
    kept = laid(
        balances=[{"rune_id": ASH, "script": "00", "amount": 2**53 + 1}],
        entries=[{"rune_id": ASH, "holders": 1}],
        mints=[{"rune_id": ASH, "height": 901, "tx_index": 1}],
    )
    folder = stored(tmp_path / "kept", kept)
    path = folder / f"{name}.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index(column)
    floats = table[column].cast(pa.float64(), safe=False)
    pq.write_table(table.set_column(place, column, floats), path)
    with pytest.raises(InputError) as raised:
        opens(folder)
    kind = "uint64" if name == "balances" else "int64"
    assert str(raised.value) == (
        f"{name}.parquet.{column} is a column of double; "
        f"allowed: a column of {kind}: a float is not exact, beyond 2^53 digits are gone"
    )


def test_floats_without_a_value_have_lost_no_digit(tmp_path: Path) -> None:
    folder = stored(tmp_path / "kept", laid(entries=[{"rune_id": ASH, "supply": 7}]))
    path = folder / "entries.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index("holders")
    empty = pa.nulls(1, pa.float64())
    pq.write_table(table.set_column(place, "holders", empty), path)
    assert runes.load_batch(folder).frame("entries")["supply"].tolist() == [7]
    assert runes.open_batch(folder).rows() == {"entries": 1}


def test_an_output_that_receives_a_rune_twice_is_refused(tmp_path: Path) -> None:
    row = {"rune_id": ASH, "height": 901, "tx_index": 1, "output": 0, "amount": 5}
    folder = stored(tmp_path / "kept", laid(allocations=[row, {**row, "output": 1}, row]))
    with pytest.raises(InputError, match="output 0 twice"):
        runes.open_batch(folder)


@pytest.mark.parametrize("opens", [runes.open_batch, runes.load_batch])
def test_a_folder_that_lost_a_table_or_some_of_its_rows_is_refused(
    tmp_path: Path, opens: Any
) -> None:
    folder = stored(tmp_path / "kept", balances({"script": "00"}, {"script": "51"}))
    path = folder / "balances.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(InputError, match=r"balances is a table of 1 rows; allowed: 2 rows, as b"):
        opens(folder)
    path.unlink()
    with pytest.raises(InputError, match=r"balances is missing; allowed: 2 rows, as batch.json"):
        opens(folder)
    header = folder / "batch.json"
    older = json.loads(header.read_text())
    del older["rows"]
    header.write_text(json.dumps(older))
    assert opens(folder).network == "mainnet"


def test_rows_of_a_header_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    folder = stored(tmp_path / "kept", balances({"script": "00"}))
    header = folder / "batch.json"
    header.write_text(json.dumps({**json.loads(header.read_text()), "rows": ["balances"]}))
    with pytest.raises(InputError, match=r"batch.json: rows is \['balances'\]; allowed: an object"):
        runes.open_batch(folder)


@pytest.mark.parametrize("given", ["nowhere", "batch.json", None, 5])
def test_what_is_no_folder_is_refused_in_a_sentence(tmp_path: Path, given: Any) -> None:
    (tmp_path / "batch.json").write_text("{}")
    place = str(tmp_path / given) if isinstance(given, str) else given
    with pytest.raises(InputError, match="allowed: a folder of Parquet files"):
        runes.open_batch(place)


def test_a_file_that_went_after_the_folder_was_opened_is_named(tmp_path: Path) -> None:
    kept = runes.open_batch(stored(tmp_path / "kept", balances({"script": "00"})))
    (tmp_path / "kept" / "balances.parquet").unlink()
    with pytest.raises(InputError, match=r"balances\.parquet is not there any more"):
        runes.holders(kept, rune=ASH)
    with pytest.raises(InputError, match="not there any more"):
        kept.rows()
