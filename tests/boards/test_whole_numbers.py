"""Digits that a page sent are whole numbers again where the model wants such, else texts."""

from __future__ import annotations

from workbench.boards.whole_numbers import whole_numbers
from workbench.core.model import model
from workbench.widgets.tables import nested

BIG = 2**100


@model
def f(  # type: ignore[no-untyped-def]
    big: int = BIG,
    maybe: int | None = None,
    several: list[int] = [],  # noqa: B006
    named: dict[str, int] = {},  # noqa: B006
    text: str = "",
    either: int | str = 0,
):
    return big


def test_what_a_page_holds_as_digits_comes_back_exact() -> None:
    given = {
        "big": -BIG,
        "maybe": BIG,
        "several": [1, BIG],
        "named": {"a": BIG},
        "text": str(BIG),
        "either": str(BIG),
    }
    schema = f.parameters_schema()
    held = nested(given)
    assert held["big"] == str(-BIG)
    assert whole_numbers(held, schema) == given
    assert nested(schema)["properties"]["big"]["default"] == str(BIG)


def test_what_is_no_digits_or_no_parameter_stays_as_it_came() -> None:
    given = {"big": "1e5", "maybe": None, "unheard": "12", "several": "12", "named": ["1"]}
    assert whole_numbers(given, f.parameters_schema()) == given
    assert whole_numbers({"big": "12"}, {}) == {"big": "12"}
