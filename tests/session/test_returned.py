"""What a function returned is what its run gives back: through JSON, and through a side file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy
import pandas
import pyarrow
import pytest

from workbench.clients.answer import QueryResult, read_stream
from workbench.clients.plain import plain
from workbench.engines.frames import to_json
from workbench.engines.perform import arrow_stream
from workbench.engines.returned import result_of
from workbench.mesh.results import head_of
from workbench.session.returned import returned
from workbench.session.run import RunResult
from workbench.store.side_files import read_table, write_side_file


def through_json(value: Any) -> Any:
    return returned({"data": json.loads(to_json(result_of(value).data))}, None)


@pytest.mark.parametrize(
    "value",
    [
        {"worst": math.inf, "best": [-math.inf, 1.5]},
        {840_000: 12, 840_001: 3},
        {"marks": [1], "value": {"a": None}},
        [1, {"a": 2**90, 3: "b"}],
        math.inf,
        None,
    ],
)
def test_a_plain_value_comes_back_as_it_was(value: Any) -> None:
    assert through_json(value) == value


def test_nan_is_not_none() -> None:
    assert math.isnan(through_json({"mean": math.nan})["mean"])


def test_a_result_of_an_earlier_version_still_reads() -> None:
    assert returned({"data": {"value": {"mean": None}}}, None) == {"mean": None}


def through_a_file(value: Any, folder: Path) -> RunResult:
    """As a hub keeps it and a notebook asks for it."""
    result = result_of(value)
    streams = {name: b"".join(arrow_stream(name, table)) for name, table in result.tables.items()}
    path = folder / write_side_file(folder, "results", "t_1", streams, b"{}").path

    def query(sql: str) -> QueryResult:
        name = sql.rpartition(".")[2].strip('"')
        return answer(read_stream(read_table(path, name)))

    tables = {name: head_of(stream) for name, stream in streams.items()}
    data = json.loads(to_json(result.data))
    return RunResult({"data": data, "tables": tables, "alias": "t_1"}, query)


def answer(table: pyarrow.Table) -> QueryResult:
    return QueryResult(table, truncated=False, elapsed_ms=0, as_of=None)


INTERVAL = pyarrow.month_day_nano_interval()
TYPED = pandas.DataFrame(
    {
        "zone": pandas.to_datetime(["2024-01-01", None]).tz_localize("Europe/Berlin"),
        "order": pandas.Categorical(["b", None], ["b", "a", "c"], ordered=True),
        "group": pandas.Categorical([2, None], [2, 1]),
        "known": pandas.array([True, None], "boolean"),
        "count": pandas.array([1, 2], "Int64"),
        "month": pandas.PeriodIndex(["2024-01", None], freq="M"),
        "took": [pandas.Timedelta("90min"), pandas.NaT],
        "range": pandas.arrays.IntervalArray.from_tuples([(0.5, 1.0), numpy.nan]),
        "half": numpy.array([0.5, 1], "float16"),
    }
)


def test_the_types_of_columns_come_back(tmp_path: Path) -> None:
    pandas.testing.assert_frame_equal(through_a_file(TYPED, tmp_path).value, TYPED)


@pytest.mark.parametrize(
    "frame",
    [
        pandas.DataFrame({"": [1, 2], "t": [pandas.Timestamp("2024-01-01"), pandas.NaT]}),
        pandas.DataFrame({"V0": [1], "": pandas.Categorical(["b"], ["b", "a"])}),
    ],
)
def test_a_column_without_a_name_comes_back_without_one(
    frame: pandas.DataFrame, tmp_path: Path
) -> None:
    pandas.testing.assert_frame_equal(
        through_a_file(frame, tmp_path).value, frame, check_dtype=False
    )
    assert list(through_a_file(pyarrow.table({"": [1]}), tmp_path / "arrow").frame) == [""]


def test_no_time_at_all_is_null_and_no_text() -> None:
    value = {"at": pandas.NaT, "all": [pandas.NaT], pandas.NaT: 1}
    assert through_json(value) == {"at": None, "all": [None], None: 1}
    assert plain("x", value["all"]) == [None]


def test_sql_sees_a_month_as_its_text_and_a_cut_as_its_bounds(tmp_path: Path) -> None:
    frame = TYPED[["month"]].assign(cut=pandas.cut([1, 5], [0, 3, 9]))
    found = through_a_file({"t": frame, "n": 1}, tmp_path)
    stored = read_table(tmp_path / "results" / "t_1.duckdb", "t")
    assert read_stream(stored).to_pylist()[0] == {"month": "2024-01", "cut": "(0, 3]"}
    assert found.value["n"] == 1
    assert list(found.value["t"]["cut"]) == ["(0, 3]", "(3, 9]"]


def test_too_many_categories_to_tell_come_back_as_texts(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"id": pandas.Categorical([f"rune {n}" for n in range(5000)])})
    assert list(through_a_file(frame, tmp_path).frame["id"]) == list(frame["id"])


@pytest.mark.parametrize(
    "types", [{"zone": "no such type"}, {"zone": {"new": 1}}, {"gone": "Int8"}]
)
def test_a_type_that_nobody_here_knows_changes_nothing(
    tmp_path: Path, types: dict[str, Any]
) -> None:
    found = through_a_file(TYPED[["zone"]], tmp_path)
    found["tables"]["value"]["types"] = types
    assert str(found.frame["zone"].dtype) == "datetime64[us, Etc/UTC]"


def test_a_table_without_columns_is_an_answer_too(tmp_path: Path) -> None:
    assert through_a_file(pandas.DataFrame(), tmp_path).frame.shape == (0, 0)
    found = through_a_file({"none": TYPED[[]], "n": 1, "t": TYPED}, tmp_path / "mixed").value
    assert (found["none"].shape, found["n"], len(found["t"])) == ((2, 0), 1, 2)
    first, second = through_a_file((TYPED[[]], math.inf), tmp_path / "tuple").value
    assert (first.shape, second) == ((2, 0), math.inf)


def durations(*values: Any) -> pandas.Series:
    return answer(pyarrow.table({"i": pyarrow.array(values, INTERVAL)})).df()["i"]


def test_a_duration_is_one_and_a_month_stays_an_offset() -> None:
    day = pyarrow.MonthDayNano([0, 1, 90 * 10**9])
    month = pyarrow.MonthDayNano([1, 0, 0])
    took = durations(day, None)
    assert took[0] == pandas.Timedelta("1 day 00:01:30")
    assert took.isna().tolist() == [False, True]
    assert durations(day, month)[1] == pandas.DateOffset(months=1, days=0, nanoseconds=0)
    assert durations().empty
