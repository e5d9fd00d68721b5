"""A model's signature is its form, its schema and its validation."""

from __future__ import annotations

import datetime
import enum
import json
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy
import pandas
import pyarrow
import pytest

from workbench.core.model import Context, DataURL, MeshModel, Result, model
from workbench.core.wire import convert, encode
from workbench.errors import InputError, WorkbenchError
from workbench.mesh.schema import Schema


@model(name="count-things", version="1.2", title="Count things")
def count(
    context: Context,
    *,
    depth: Annotated[int, msgspec.Meta(ge=1, le=5, title="Depth")] = 3,
    method: Literal["fast", "exact"] = "fast",
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5,
    extraURL: DataURL = None,
) -> Result:
    """Counts things.

    At length.
    """
    return Result(data={"depth": depth})


def test_the_schema_says_what_the_signature_says() -> None:
    schema = count.parameters_schema()
    assert schema["properties"]["depth"] == {
        "title": "Depth",
        "type": "integer",
        "minimum": 1,
        "maximum": 5,
        "default": 3,
    }
    assert schema["properties"]["method"]["enum"] == ["exact", "fast"]
    assert schema["additionalProperties"] is False
    assert count.extra_inputs == ("extraURL",)
    assert (count.title, count.description, count.pure) == ("Count things", "Counts things.", True)


def test_defaults_are_filled_in() -> None:
    assert count.validate({"depth": 5}) == {
        "depth": 5,
        "method": "fast",
        "share": 0.5,
        "extraURL": None,
    }


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"depth": 9}, "parameters.depth is 9; allowed: integer from 1 to 5"),
        ({"depth": "3"}, "parameters.depth is '3'; allowed: integer from 1 to 5"),
        ({"method": "slow"}, "parameters.method is 'slow'; allowed: exact, fast"),
        (
            {"deepness": 1},
            "parameters.deepness is 1; allowed: one of depth, method, share, extraURL",
        ),
        (
            {"depth": 0, "share": 2},
            "2 faults: parameters.depth is 0; allowed: integer from 1 to 5; "
            "parameters.share is 2; allowed: number from 0 to 1",
        ),
    ],
)
def test_a_bad_parameter_is_named_with_what_is_allowed(
    given: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InputError) as refused:
        count.validate(given)
    assert str(refused.value) == sentence


def test_a_parameter_without_a_type_is_refused_when_the_model_is_made() -> None:
    def untyped(context: Context, *, depth):  # type: ignore[no-untyped-def]
        return Result(data={})

    with pytest.raises(WorkbenchError, match="parameter depth has no type: annotate it"):
        model(name="m", version="1")(untyped)


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ({"name": "my model!"}, "name is 'my model!'; allowed: letters, digits, _ . and -, 1 to "),
        ({"name": "-x"}, "name is '-x'; allowed: letters"),
        ({"name": "x\n"}, "name is 'x\\n'; allowed: letters"),
        ({"name": 5}, "name is 5; allowed: letters"),
        ({"version": "1 2"}, "version is '1 2'; allowed: letters, digits, _ . + and -, 1 to 40"),
        ({"title": "x" * 201}, "title is 'xxx"),
    ],
)
def test_a_bad_name_is_refused_where_the_model_is_defined(
    named: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError) as refused:
        model(**{"name": "one", **named})(lambda: 1)
    assert str(refused.value).startswith(sentence)


def test_a_function_without_a_name_needs_one_given() -> None:
    with pytest.raises(InputError, match=r"name is '<lambda>'; allowed: letters, .*@model\(name="):
        model(lambda: 1)
    assert model(name="one")(lambda: 1).name == "one"


def test_a_default_that_json_has_not_is_refused_where_the_model_is_defined() -> None:
    def f(x: float = float("inf")) -> float:
        return x

    def g(shares: list[float] = [1.0, float("nan")]) -> float:  # noqa: B006
        return sum(shares)

    with pytest.raises(WorkbenchError, match="f: parameter x has the default inf; allowed: a fin"):
        model(f)
    with pytest.raises(
        WorkbenchError, match=r"g: parameter shares has the default \[1\.0, nan\]; "
    ):
        model(g)


def test_what_a_model_needs_of_a_gpu_is_above_zero() -> None:
    def large(context: Context) -> Result:
        return Result(data={})

    assert model(name="large", version="1", gpu_memory_mb=6000)(large).gpu_memory_mb == 6000
    assert model(name="small", version="1")(large).gpu_memory_mb is None
    wishing = model(name="modest", version="1", gpu_wish_mb=2000)(large)
    assert (wishing.gpu_memory_mb, wishing.gpu_wish_mb) == (None, 2000)
    with pytest.raises(WorkbenchError) as refused:
        model(name="none", version="1", gpu_memory_mb=0)
    assert str(refused.value) == "none: gpu_memory_mb is 0; allowed: above 0, or None for the CPU"


def test_a_model_is_still_its_function() -> None:
    assert isinstance(count, MeshModel)
    assert count(None, depth=2).data == {"depth": 2}


# A plain function ---------------------------------------------------------------------------


def test_a_bare_function_is_a_model_under_its_own_name() -> None:
    @model
    def count_the_runes(depth=3, share=0.5, method="fast", deep=False):  # type: ignore[no-untyped-def]
        """Counts."""
        return depth

    assert (count_the_runes.name, count_the_runes.title) == ("count-the-runes", "count-the-runes")
    assert (count_the_runes.version, count_the_runes.description) == ("own", "Counts.")
    assert count_the_runes.parameters_schema()["properties"] == {
        "depth": {"type": "integer", "default": 3},
        "share": {"type": "number", "default": 0.5},
        "method": {"type": "string", "default": "fast"},
        "deep": {"type": "boolean", "default": False},
    }
    assert (count_the_runes.context, count_the_runes.batch) == (None, None)
    assert count_the_runes(depth=4) == 4


def test_context_and_batch_are_known_by_their_names_and_are_no_parameters() -> None:
    @model(name="named", title="Named")
    def whatever(batch: bytes, n: int, context=None):  # type: ignore[no-untyped-def]
        return n

    assert (whatever.name, whatever.context, whatever.batch) == ("named", "context", "bytes")
    assert whatever.needs_batch
    assert whatever.parameter_names == ("n",)


def test_a_context_is_known_by_its_type_too_and_a_batch_may_have_a_default() -> None:
    @model
    def f(where: Context, batch: dict[str, int] | None = None):  # type: ignore[no-untyped-def]
        return None

    assert (f.context, f.batch, f.needs_batch) == ("where", "dict", False)


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (Path, "path"),
        (bytes, "bytes"),
        (pandas.DataFrame, "pandas"),
        (pyarrow.Table, "arrow"),
        (list[int], "list"),
        (dict, "dict"),
        (pandas.DataFrame | None, "pandas"),
        (Any, "any"),
    ],
)
def test_a_batch_comes_as_it_is_annotated(annotation: Any, kind: str) -> None:
    def f(batch):  # type: ignore[no-untyped-def]
        return None

    f.__annotations__ = {"batch": annotation}
    assert model(f).batch == kind


def _of_values(*values: int) -> None: ...
def _of_names(**names: int) -> None: ...
def _of_a_taken_name(priority: int = 1) -> None: ...
def _of_a_lock(what: threading.Event) -> None: ...
def _of_bytes(what: bytes) -> None: ...
def _of_a_wrong_default(times: int = "x") -> None: ...  # type: ignore[assignment]
def _of_an_unknown_type(what: Unheard) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def _of_a_strange_batch(batch: threading.Event) -> None: ...
async def _later() -> None: ...


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (
            _of_values,
            "of-values: parameter *values takes any number of values: name each one",
        ),
        (
            _of_names,
            "of-names: parameter **names takes any number of values: name each one",
        ),
        (
            _of_a_taken_name,
            "of-a-taken-name: parameter priority has a name that submit and map take themselves: "
            "choose another one",
        ),
        (
            _of_a_lock,
            "of-a-lock: parameter what has the type Event, of which no form can be made (JSON has "
            "nothing like it); allowed: numbers, texts, true or false, and what is made of them",
        ),
        (
            _of_bytes,
            "of-bytes: parameter what has the type bytes, of which no form can be made; name it "
            "batch to get bytes",
        ),
        (
            _of_a_wrong_default,
            "of-a-wrong-default: parameter times has the default 'x', which is not of its own type "
            "(Expected `int`, got `str`)",
        ),
        (
            _of_an_unknown_type,
            "of-an-unknown-type: the types of its parameters cannot be read: name 'Unheard' is "
            "not defined",
        ),
        (
            _of_a_strange_batch,
            "of-a-strange-batch: its batch has the type Event; allowed: pathlib.Path, bytes, "
            "dict, list, pandas.DataFrame, pyarrow.Table, polars.DataFrame, or none. An array or a "
            "Series comes as a pandas.DataFrame",
        ),
    ],
)
def test_a_function_of_which_no_form_can_be_made_is_refused(
    function: Callable[..., Any], sentence: str
) -> None:
    with pytest.raises(WorkbenchError) as refused:
        model(function)
    assert str(refused.value) == sentence


def test_what_is_no_plain_function_is_refused() -> None:
    for wrong in (_later, len, "count"):
        with pytest.raises(WorkbenchError, match="is no plain function: write def above it"):
            model(wrong)  # type: ignore[arg-type, call-overload]


def test_each_call_gets_its_own_default_list() -> None:
    @model
    def f(names: list[str] = ["a"]):  # type: ignore[no-untyped-def]  # noqa: B006
        return names

    first = f.parameters()
    first.names.append("b")  # type: ignore[attr-defined]
    assert f.validate({}) == {"names": ["a"]}


def test_a_form_knows_the_default_of_a_list_and_of_a_dictionary() -> None:
    @model
    def f(tags: list[str] = ["b", "a"], more: dict[str, int] = {"x": 1}, of: set[int] = {2, 1}):  # type: ignore[no-untyped-def]  # noqa: B006
        return tags

    schema = f.parameters_schema()
    defaults = {name: each["default"] for name, each in schema["properties"].items()}
    assert defaults == {"tags": ["b", "a"], "more": {"x": 1}, "of": [1, 2]}
    assert "required" not in schema or schema["required"] == []
    assert Schema(schema).validate({}) == defaults


def test_a_default_of_none_or_of_numpy_is_what_it_means() -> None:
    @model
    def f(top: int = None, step: int = numpy.int64(3), share=numpy.float64(0.5)):  # type: ignore[no-untyped-def, assignment]  # noqa: B008, RUF013
        return top

    schema = Schema(f.parameters_schema())
    assert f.validate({}) == schema.validate({}) == {"top": None, "step": 3, "share": 0.5}
    assert f.validate({"top": None}) == f.validate({"top": 4}) | {"top": None}
    assert schema.validate({"top": 4})["top"] == 4


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


def test_a_field_of_an_enum_goes_by_its_parameter_and_offers_its_values() -> None:
    @model
    def f(colour: Colour = Colour.RED):  # type: ignore[no-untyped-def]
        return colour

    schema = f.parameters_schema()
    assert schema["$defs"] == {"Colour": {"enum": ["blue", "red"]}}
    assert schema["properties"]["colour"]["default"] == "red"


def test_keys_of_a_dictionary_are_of_their_type_again() -> None:
    @model
    def f(x: dict[int, str], y: dict[float, list[int]] = {0.5: [1]}):  # type: ignore[no-untyped-def]  # noqa: B006
        return x

    sent = f.validate({"x": {1: "a"}})
    assert sent == {"x": {"1": "a"}, "y": {"0.5": [1]}}
    assert convert(json.loads(encode(sent)), f.parameters) == f.parameters(x={1: "a"})
    with pytest.raises(InputError, match=r"^parameters\.x is \{'n': 'a'\}; allowed: int"):
        f.validate({"x": {"n": "a"}})


@pytest.mark.parametrize("kind", [dict[tuple[int, int], int], list[dict[bool, int]]])
def test_a_dictionary_whose_keys_no_text_stands_for_is_refused(kind: Any) -> None:
    def f(x): ...  # type: ignore[no-untyped-def]

    f.__annotations__ = {"x": kind}
    with pytest.raises(WorkbenchError, match="the keys of a dictionary are texts, numbers or date"):
        model(f)


class Formed(msgspec.Struct):
    colour: Colour | None = None
    day: datetime.date | None = None
    price: Decimal = Decimal(0)
    tags: list[Literal["a", "b"]] = []
    counts: dict[int, int] = {}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"colour": "zz"}, "colour is 'zz'; allowed: red, blue"),
        ({"day": "2024-13-01"}, "day is '2024-13-01'; allowed: a date as YYYY-MM-DD"),
        ({"price": "x"}, "price is 'x'; allowed: a number, as a text where each digit matters"),
        ({"tags": ["a", "c"]}, "tags[1] is 'c'; allowed: a, b"),
        ({"counts": {"x": 1}}, "counts is {'x': 1}; allowed: int"),
    ],
)
def test_what_is_allowed_is_said_and_not_the_fault_once_more(
    given: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError) as refused:
        convert(given, Formed)
    assert str(refused.value) == sentence


def test_a_form_says_what_a_text_of_it_looks_like() -> None:
    @model
    def f(
        colour: Colour, day: datetime.date, price: Decimal, took: datetime.timedelta | None = None
    ):  # type: ignore[no-untyped-def]
        return colour

    good = {"colour": "red", "day": "2024-01-02", "price": 1.1}
    assert f.validate(good) == {**good, "price": "1.1", "took": None}
    for wrong, words in (
        ({"colour": "zz"}, "'zz'; allowed: red, blue"),
        ({"day": "2024-13-01"}, "'2024-13-01'; allowed: a date as YYYY-MM-DD"),
        ({"day": 5}, "5; allowed: a date as YYYY-MM-DD"),
        ({"took": "1h"}, "'1h'; allowed: a duration as P1DT2H30M or null"),
    ):
        with pytest.raises(InputError) as refused:
            f.validate({**good, **wrong})
        assert str(refused.value) == f"parameters.{next(iter(wrong))} is {words}"


def test_a_schema_that_was_given_away_can_be_changed() -> None:
    schema = count.parameters_schema()
    schema["properties"].clear()
    assert count.parameters_schema()["properties"]
