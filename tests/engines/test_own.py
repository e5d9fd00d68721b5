"""In its task's process a function gets its batch as it wants it, and may return plain values."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pandas
import plotly.graph_objects
import polars
import pyarrow
import pytest
from pyarrow import parquet

from workbench.core.model import Result
from workbench.engines.batch import read
from workbench.engines.perform import arrow_stream
from workbench.engines.returned import result_of
from workbench.errors import InputError, WorkbenchError

ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
FRAME = pandas.DataFrame(ROWS)
ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)
DEEP: list[Any] = []
for _ in range(3000):
    DEEP = [DEEP]


def written(folder: Path, what: str) -> Path:
    """The same table in each format."""
    path, table = folder / "batch", pyarrow.Table.from_pylist(ROWS)
    if what == "parquet":
        parquet.write_table(table, path)
    elif what in ("file", "stream"):
        make = pyarrow.ipc.new_file if what == "file" else pyarrow.ipc.new_stream
        with path.open("wb") as sink, make(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        texts = {
            "csv": "a,b\n1,x\n2,y\n",
            "lines": "\n".join(map(json.dumps, ROWS)),
            "rows": json.dumps(ROWS, indent=1),
            "columns": json.dumps({"a": [1, 2], "b": ["x", "y"]}),
        }
        path.write_text(texts[what])
    return path


@pytest.mark.parametrize("what", ["parquet", "file", "stream", "csv", "lines", "rows", "columns"])
def test_a_table_is_read_whatever_its_format(tmp_path: Path, what: str) -> None:
    path = written(tmp_path, what)
    pandas.testing.assert_frame_equal(read(path, "pandas"), FRAME, check_dtype=False)
    assert read(path, "arrow").to_pylist() == ROWS
    assert read(path, "polars").to_dicts() == ROWS
    if what != "columns":
        assert read(path, "list") == ROWS
    if what != "rows":
        assert read(path, "dict") == {"a": [1, 2], "b": ["x", "y"]}
    assert read(path, "path") == path
    assert read(path, "bytes") == path.read_bytes()
    assert isinstance(read(path, "any"), pandas.DataFrame) == (what not in ("rows", "columns"))


@pytest.mark.parametrize(
    ("content", "kind", "sentence"),
    [
        (b"\x00\x01\x02", "any", "the batch is neither text nor a table: annotate the parameter"),
        (b"{", "any", "the batch cannot be read as JSON: "),
        (b"[1, 2]", "dict", "the batch is a list; the function takes it as a dict"),
        (b"[1, 2]", "pandas", "the batch holds no table; allowed: Arrow IPC, Parquet, CSV"),
        (b"PAR1 and then nothing", "pandas", "the batch cannot be read as Parquet: "),
        (b"\xff\xff\xff\xff", "any", "the batch cannot be read as an Arrow stream: "),
        (b"a,b\n1\n", "arrow", "the batch cannot be read as CSV: "),
        (b'{"a": [1]}{', "pandas", "the batch cannot be read as JSON: "),
        (b"", "pandas", "the batch cannot be read as CSV: "),
    ],
)
def test_a_batch_of_another_kind_is_refused(
    tmp_path: Path, content: bytes, kind: Any, sentence: str
) -> None:
    path = tmp_path / "batch"
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read(path, kind)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (2**90, 2**90),
        ([1, {"a": (2,)}], [1, {"a": (2,)}]),
        ({"a": 1}, {"a": 1}),
        (numpy.float32(2.5), 2.5),
        (datetime.date(2026, 1, 2), datetime.date(2026, 1, 2)),
    ],
)
def test_what_json_holds_is_the_value(value: Any, shown: Any) -> None:
    assert result_of(value).data == {"value": shown}


@pytest.mark.parametrize(
    ("value", "columns"),
    [
        (FRAME, {"value": ["a", "b"]}),
        (FRAME.set_index("b"), {"value": ["b", "a"]}),
        (FRAME.groupby("b").agg({"a": ["min", "max"]}), {"value": ["b", "a_min", "a_max"]}),
        (FRAME["a"], {"value": ["a"]}),
        (pandas.Series([1, 2]), {"value": ["value"]}),
        (numpy.arange(3), {"value": ["value"]}),
        (numpy.eye(2), {"value": ["0", "1"]}),
        (pyarrow.table({"x": [1]}), {"value": ["x"]}),
        (polars.DataFrame({"x": [1]}), {"value": ["x"]}),
        (polars.Series("x", [1]), {"value": ["x"]}),
        (polars.Series([1]), {"value": ["value"]}),
        ({"one": FRAME, "n": 1}, {"one": ["a", "b"]}),
        ((FRAME, 1, FRAME["a"]), {"value_0": ["a", "b"], "value_2": ["a"]}),
    ],
)
def test_what_is_a_table_becomes_one(value: Any, columns: dict[str, list[str]]) -> None:
    result = result_of(value)
    assert {name: table.column_names for name, table in result.tables.items()} == columns
    assert all(arrow_stream(name, table) for name, table in result.tables.items())


def test_what_is_masked_is_null() -> None:
    one = numpy.ma.array([1, 2], mask=[False, True])
    two = numpy.ma.array([[1.5, 2.5]], mask=[[True, False]])
    found = result_of({"one": one, "two": two}).tables
    assert found["one"].to_pydict() == {"value": [1, None]}
    assert found["two"].to_pydict() == {"0": [None], "1": [2.5]}
    with pytest.raises(WorkbenchError, match="an array of 3 dimensions"):
        result_of(numpy.ma.zeros((1, 1, 1)))


def test_a_table_of_arrow_waits_for_no_pandas() -> None:
    """Its import takes longer than all else that a small task does."""
    code = (
        "import io, sys; from pyarrow import csv; "
        "from workbench.engines.perform import arrow_stream; "
        "from workbench.engines.returned import result_of; "
        "alone = csv.ReadOptions(use_threads=False); "
        "read = result_of(csv.read_csv(io.BytesIO(b'x\\n1'), read_options=alone)); "
        "arrow_stream('value', read.tables['value']); sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_what_is_mixed_is_put_where_it_belongs() -> None:
    figure = plotly.graph_objects.Figure(plotly.graph_objects.Scatter(y=[1, 2]))
    result = result_of({"frame": FRAME, "figure": figure, "count": 2, "note": "x"})
    assert result.data == {"value": {"count": 2, "note": "x"}}
    assert list(result.tables) == ["frame"]
    assert [each["data"][0]["type"] for each in result.figures] == ["scatter"]
    assert result_of(figure).figures == result.figures
    whole = Result(data={"x": 1})
    assert result_of(whole) is whole


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "the model returned something of the type object as value; allowed: None"),
        ({"a": [b"x"]}, "the model returned something of the type bytes as value.a.0; allowed"),
        (b"x", "the model returned something of the type bytes as value; allowed"),
        (
            {"k": [1, {"s": object()}]},
            "the model returned something of the type object as value.k.1.s;",
        ),
        ([FRAME], "the model returned a DataFrame as value.0: a table or figure is returned by"),
        (
            {"a": {(1, 2): 3}},
            "the model returned a dictionary as value.a with the key (1, 2), of the type tuple; ",
        ),
        (
            {1: "a", "1": "b"},
            "the model returned a dictionary as value with the keys 1 and '1', which are the same",
        ),
        (["x", "\ud800"], "the model returned a text as value.1 that holds half a character"),
        ({"\ud800": 1}, "the model returned a text as a key of value that holds half a character"),
        (ENDLESS, "the model returned something as value.0 that contains itself"),
        (DEEP, "the model returned something as value that is nested too deeply"),
        (({"t": FRAME, "o": object()}), "the model returned something of the type object as o;"),
        (
            numpy.zeros((2, 2, 2)),
            "the model returned an array of 3 dimensions as value; allowed: 1 or",
        ),
        (
            pandas.DataFrame({"amount": [1, 2**64]}),
            "column 'amount' holds integers beyond 64 bits, and the columns of a table end there: "
            "hand them over as text, frame['amount'] = frame['amount'].astype(str)",
        ),
        (
            pandas.DataFrame({"a": [1], "A": [2]}),
            "the table value that the model returned has the columns a and A, which SQL does not",
        ),
        ({"t": pandas.DataFrame({"a": [1, "x"]})}, "the table t that the model returned cannot"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_its_name(value: Any, words: str) -> None:
    with pytest.raises(WorkbenchError) as refused:
        result_of(value)
    assert str(refused.value).startswith(words)
