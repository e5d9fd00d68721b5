"""What a function returned is what its run gives back: through JSON, and through a side file."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from workbench.engines.frames import to_json
from workbench.engines.returned import result_of
from workbench.session.returned import returned


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
