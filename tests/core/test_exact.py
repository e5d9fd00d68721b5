"""Plain values travel as JSON; what JSON has no word for stands beside them, and comes back."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
from enum import Enum
from typing import Any

import numpy
import pytest

from workbench.core.exact import KeyFault, marked, restored
from workbench.engines.frames import to_json


class Colour(Enum):
    RED = "red"


@dataclasses.dataclass
class Share:
    part: float


def back(value: Any) -> Any:
    return restored(*json.loads(to_json(marked(value))))


@pytest.mark.parametrize(
    "value",
    [
        math.inf,
        [1.5, -math.inf, [math.inf]],
        {1: "a", 2: "b"},
        {"a": {1.5: "x", True: "y", None: "z", "t": [math.inf]}},
        {datetime.date(2024, 1, 2): {datetime.datetime(2024, 1, 2, 3): 1}},
        {2: {3: {"4": 5}}},
    ],
)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    assert back(value) == value


def test_nan_comes_back_wherever_it_stood() -> None:
    found = back({"mean": math.nan, "all": [1, numpy.float32("nan")], 3: Share(math.nan)})
    assert math.isnan(found["mean"])
    assert math.isnan(found["all"][1])
    assert math.isnan(found[3]["part"])
    assert math.isnan(back(numpy.array([1.0, math.nan]))[1])


def test_numbers_of_numpy_and_members_of_enums_are_keys_by_what_they_hold() -> None:
    assert back({numpy.int64(840_000): 1}) == {840_000: 1}
    assert back({Colour.RED: 1}) == {"red": 1}


@pytest.mark.parametrize("value", [{"a": [1, {"b": None}]}, [1, "x", 2.5], (1, 2), {"s": {1}}])
def test_what_json_holds_has_no_marks(value: Any) -> None:
    plain, marks = marked(value)
    assert (plain, marks) == (value, [])


@pytest.mark.parametrize("value", [{1: "a", "1": "b"}, {"x": [{(1, 2): 3}]}, {b"k": 1}])
def test_a_key_that_would_get_lost_is_refused(value: Any) -> None:
    with pytest.raises(KeyFault):
        marked(value)
