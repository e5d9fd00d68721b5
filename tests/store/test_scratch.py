"""SQL over Arrow tables in this process: what it may take, and what it says exactly."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psutil
import pyarrow as pa

from workbench.runes.amounts import amount_columns
from workbench.store.exact import as_text
from workbench.store.scratch import PIECE, Scratch

_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def test_a_query_takes_no_more_than_the_memory_that_is_free() -> None:
    free = psutil.virtual_memory().available
    said = Scratch({}).query("SELECT current_setting('memory_limit') AS most")["most"][0].as_py()
    number, unit = said.split()
    assert 0 < float(number) * _UNITS[unit] < max(0.9 * free, 2**29)


def test_amounts_of_any_size_are_summed_and_written_to_the_unit() -> None:
    values = [0, 1, 2**64 - 1, 2**64, 2**127 - 1, 2**127, 2**128 - 1]
    high, low = amount_columns(values)
    scratch = Scratch({"amounts": pa.table({"high": high, "low": low})})
    sql = f"SELECT {as_text('amount(high, low)')} AS text FROM amounts"
    assert scratch.query(sql)["text"].to_pylist() == [str(value) for value in values]
    sql = "SELECT amount_sum(high, low) AS whole FROM amounts WHERE high < 9223372036854775808"
    assert scratch.query(sql)["whole"].to_pylist() == [str(sum(values[:5]))]


def test_a_long_table_is_read_whole() -> None:
    numbers = pa.table({"n": pa.array(range(2 * PIECE + 1)), "text": pa.repeat("a", 2 * PIECE + 1)})
    found = Scratch({"numbers": numbers}).query("SELECT n FROM numbers WHERE text = 'a'")
    assert sorted(found["n"].to_pylist()) == numbers["n"].to_pylist()


def test_a_table_without_rows_has_its_columns() -> None:
    nothing = pa.schema([("n", pa.int64())]).empty_table()
    assert Scratch({"nothing": nothing}).query("SELECT n FROM nothing").num_rows == 0


def _own(value: int) -> list[int]:
    scratch = Scratch({"same": pa.table({"n": pa.repeat(value, 20 * PIECE)})})
    return scratch.query("SELECT n FROM same GROUP BY n ORDER BY n")["n"].to_pylist()


def test_tables_of_one_name_are_told_apart_in_any_thread() -> None:
    one, other = (Scratch({"same": pa.table({"n": [value]})}) for value in (1, 2))
    assert one.query("SELECT n FROM same")["n"].to_pylist() == [1]
    assert other.query("SELECT n FROM same")["n"].to_pylist() == [2]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(_own, range(64))) == [[value] for value in range(64)]
