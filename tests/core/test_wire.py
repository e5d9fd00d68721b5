"""Bad input gets the sentence that helps: field, value, what is allowed."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.wire import decode, encode, error_message
from workbench.errors import InputError


class Order(msgspec.Struct):
    taskId: Annotated[str, msgspec.Meta(min_length=1)]
    count: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    options: dict[str, Any] = {}


KINDS: dict[str, type[Order]] = {"order": Order}


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        ("{", "the message is not valid JSON: Input data was truncated"),
        ("[1]", "the message is [1]; allowed: a JSON object"),
        ('{"type": "ordre"}', "type is 'ordre'; allowed: order"),
        ('{"type": 7}', "type is 7; allowed: order"),
        ('{"type": "order"}', "taskId is missing; allowed: a value, it is required"),
        ('{"type": "order", "taskId": 4}', "taskId is 4; allowed: str"),
        ('{"type": "order", "taskId": ""}', "taskId is ''; allowed: str of length >= 1"),
        ('{"type": "order", "taskId": "a", "count": 10}', "count is 10; allowed: int <= 9"),
        ('{"type": "order", "taskId": "a", "options": 1}', "options is 1; allowed: object"),
    ],
)
def test_a_bad_message_is_refused_with_its_sentence(frame: str, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        decode(frame, KINDS)
    assert str(refused.value) == sentence


@given(st.text() | st.binary())
def test_any_frame_is_decoded_or_refused(frame: str | bytes) -> None:
    try:
        decode(frame, KINDS)
    except InputError as refused:
        assert str(refused)


def test_deep_nesting_is_refused_not_a_crash() -> None:
    with pytest.raises(InputError):
        decode("[" * 100_000, KINDS)


def test_unknown_fields_are_ignored() -> None:
    assert decode('{"type": "order", "taskId": "a", "novelty": 1}', KINDS) == Order("a")


@given(st.integers(min_value=0, max_value=2**128 - 1))
def test_amounts_beyond_64_bits_stay_exact(amount: int) -> None:
    assert json.loads(encode({"amount": amount})) == {"amount": amount}


def test_an_error_travels_with_its_template_and_values() -> None:
    message = error_message(InputError.field("count", 10, "int <= 9"), taskId="t", requestId=None)
    assert message == {
        "error": "count is 10; allowed: int <= 9",
        "code": "invalid",
        "template": "{field} is {value}; allowed: {allowed}",
        "values": {"field": "count", "value": "10", "allowed": "int <= 9"},
        "taskId": "t",
    }
