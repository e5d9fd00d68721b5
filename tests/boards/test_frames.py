"""What a model gets to see of a data frame: bounded, the same for pandas and polars, no secrets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy
import pandas
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.boards.frames import TEXT_CHARS, described, frames_of, listed, pick
from workbench.errors import InputError

DATA: dict[str, list[Any]] = {
    "height": [840_000, 840_001, None],
    "fee": [1.5, 2.25, 0.5],
    "kind": ["mint", "etch", "mint"],
    "at": [datetime(2024, 4, 20), datetime(2024, 4, 21), datetime(2024, 4, 22)],
}


def test_frames_are_found_by_their_class_alone() -> None:
    class Explosive:
        @property
        def shape(self) -> None:
            raise AssertionError("nothing may be read of other variables")

    names = {"df": pandas.DataFrame(DATA), "pl": polars.DataFrame(DATA), "_hidden": DATA}
    space = {**names, "x": Explosive(), "_df": names["df"], "cls": pandas.DataFrame}
    assert set(frames_of(space)) == {"df", "pl"}
    assert listed(space)[0] == {"name": "df", "rows": 3, "columns": 4}
    assert pick(space, "pl") is names["pl"]
    with pytest.raises(InputError, match="@ is 'x'; allowed: df, pl"):
        pick(space, "x")
    with pytest.raises(InputError, match="this notebook has no data frame"):
        pick({}, "df")


@pytest.mark.parametrize("kind", [pandas.DataFrame, polars.DataFrame])
def test_a_column_is_told_by_type_count_extent_and_values(kind: Any) -> None:
    text = described("runes", kind(DATA)).text
    assert "DataFrame `runes`: 3 rows, 4 columns" in text
    assert "2 non-null, 840000" in text
    assert "3 non-null, 0.5 to 2.25" in text
    assert "3 non-null, values: mint, etch" in text
    assert "2024-04-20 00:00:00 to 2024-04-22 00:00:00" in text
    assert "height | fee | kind | at" in text
    assert text.splitlines()[-3].endswith("1.5 | mint | 2024-04-20 00:00:00")


@pytest.mark.parametrize("kind", [pandas.DataFrame, polars.DataFrame])
def test_what_looks_like_a_secret_is_left_out_and_said(kind: Any) -> None:
    secret = "sk-canary-1234567890"
    frame = kind({"api_key": ["canary-a", "b"], "note": [secret, "x"], "n": [1, 2]})
    found = described("df", frame)
    assert found.hidden == ("api_key", "note")
    assert "canary" not in found.text
    assert "values hidden, for they look like secrets: api_key, note" in found.text
    assert "(hidden) | (hidden) | 1" in found.text


def test_a_secret_below_the_first_rows_is_no_category_either() -> None:
    values = ["a"] * 50 + ["ghp_canary1234567890"]
    text = described("df", pandas.DataFrame({"note": values})).text
    assert "canary" not in text


def test_a_wide_frame_of_long_texts_stays_bounded() -> None:
    frame = pandas.DataFrame({f"column {n}" * 9: ["x" * 10_000] * 9 for n in range(300)})
    found = described("df", frame)
    assert len(found.text) <= TEXT_CHARS
    assert found.columns == 300
    assert "(cut off here)" in found.text


def test_a_huge_frame_says_that_its_extent_is_of_its_first_rows() -> None:
    text = described("df", pandas.DataFrame({"n": numpy.arange(200_000)})).text
    assert "200,000 non-null, 0 to 99999 (of the first 100,000 rows)" in text


@pytest.mark.parametrize(
    "frame",
    [
        pandas.DataFrame(),
        pandas.DataFrame({"a": []}),
        polars.DataFrame(),
        polars.DataFrame({"a": [[1], [2]], "b": [{"x": 1}, {"x": 2}]}),
        pandas.DataFrame([[1, 2]], columns=["a", "a"]),
        pandas.DataFrame({("a", "b"): [1]}, index=pandas.Index([1], name="i")),
        pandas.DataFrame({"c": pandas.Categorical(["x", "y"]), "o": [object(), {1, 2}]}),
        pandas.DataFrame({"z": [1 + 2j, 2j], "t": pandas.to_timedelta([1, 2], unit="s")}),
    ],
)
def test_odd_frames_are_described_too(frame: Any) -> None:
    assert "columns:" in described("df", frame).text


@given(
    st.dictionaries(
        st.text(max_size=30), st.lists(st.text(max_size=300), min_size=3, max_size=3), max_size=70
    )
)
@settings(max_examples=40, deadline=None)
def test_no_frame_makes_more_than_the_limit(data: dict[str, list[str]]) -> None:
    for kind in (pandas.DataFrame, polars.DataFrame):
        assert len(described("df", kind(data)).text) <= TEXT_CHARS
