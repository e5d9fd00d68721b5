"""A model's signature is its form, its schema and its validation."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest

from workbench.core.model import Context, DataURL, MeshModel, Result, model
from workbench.errors import InputError, WorkbenchError


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
    def untyped(context: Context, *, depth=3):  # type: ignore[no-untyped-def]
        return Result(data={})

    with pytest.raises(WorkbenchError, match="parameter depth has no type: annotate it"):
        model(name="m", version="1")(untyped)


def test_what_a_model_needs_of_a_gpu_is_above_zero() -> None:
    def large(context: Context) -> Result:
        return Result(data={})

    assert model(name="large", version="1", gpu_memory_mb=6000)(large).gpu_memory_mb == 6000
    assert model(name="small", version="1")(large).gpu_memory_mb is None
    with pytest.raises(WorkbenchError) as refused:
        model(name="none", version="1", gpu_memory_mb=0)
    assert str(refused.value) == "none: gpu_memory_mb is 0; allowed: above 0, or None for the CPU"


def test_a_model_is_still_its_function() -> None:
    assert isinstance(count, MeshModel)
    assert count(None, depth=2).data == {"depth": 2}
