"""What an answer has to be, and the sentence for each way in which it is not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from workbench.core.llm_checks import Checks
from workbench.errors import InputError
from workbench.llm.checks import validate

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "name": {"type": "string", "pattern": "^[a-z]+$"}},
    "required": ["n"],
}


@pytest.mark.parametrize(
    ("text", "checks", "sentence"),
    [
        (" \n", {}, "the answer is empty"),
        ("ab", {"min_chars": 3}, "the answer has 2 characters; allowed: at least 3"),
        ("abcd", {"max_chars": 3}, "the answer has 4 characters; allowed: at most 3"),
        ("abc", {"pattern": r"^\d+$"}, r"the answer does not match the pattern ^\d+$"),
        ("a", {"contains": ("Rune",)}, "the answer lacks 'Rune'"),
        ("As an AI", {"excludes": ("as an ai",)}, "the answer holds 'as an ai', which it must not"),
        ('{"n": "x"}', {"json_schema": SCHEMA}, "the answer is JSON, but $.n is wrong"),
        ("{}", {"json_schema": SCHEMA}, "'n' is a required property"),
        ('{"n": 1, "name": "A"}', {"json_schema": SCHEMA}, "$.name is wrong"),
        ("```json\n{}\n```", {"json": True}, "the answer is not JSON and nothing else"),
        ("[" * 100_000, {"json": True}, "the answer is not JSON and nothing else"),
    ],
)
def test_says_what_is_wrong(text: str, checks: dict[str, Any], sentence: str) -> None:
    failures = validate(text, Checks(**checks))
    assert sentence in " | ".join(map(str, failures))


@pytest.mark.parametrize(
    ("text", "checks"),
    [
        ("", {"non_empty": False}),
        ("abc", {"min_chars": 3, "max_chars": 3, "pattern": "b"}),
        ("The RUNE", {"contains": ("rune",), "excludes": ("ordinal",)}),
        ('{"n": 1, "name": "a"}', {"json_schema": SCHEMA}),
        ("[1, 2]", {"json": True}),
    ],
)
def test_passes_what_is_right(text: str, checks: dict[str, Any]) -> None:
    assert validate(text, Checks(**checks)) == ()


def test_a_pattern_that_would_never_end_elsewhere_ends_at_once() -> None:
    schema = {"type": "string", "pattern": "^(a+)+$"}
    text = "a" * 5000 + "!"
    assert validate(text, Checks(pattern="^(a+)+$"))
    assert validate(f'"{text}"', Checks(json_schema=schema))


@pytest.mark.parametrize(
    ("checks", "sentence"),
    [
        ({"pattern": "(?=a)"}, r"the pattern '\(\?=a\)' cannot be used"),
        ({"json_schema": {"type": "nothing"}}, "the JSON Schema is faulty"),
        ({"json_schema": {"$ref": "http://example.com/x"}}, "refers to what is not in it"),
        ({"json_schema": {"$ref": "#/$defs/none"}}, "refers to what is not in it"),
        ({"json_schema": {"patternProperties": {"a": {}}}}, "the JSON Schema has patternProp"),
    ],
)
def test_a_faulty_check_is_an_error_of_whoever_wrote_it(
    checks: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        validate("1", Checks(**checks))


def test_checks_come_from_the_wire_and_a_misspelt_one_is_refused() -> None:
    checks = msgspec.json.decode(b'{"minChars": 2, "contains": ["a"]}', type=Checks)
    assert checks == Checks(min_chars=2, contains=("a",))
    with pytest.raises(msgspec.ValidationError, match="minChar"):
        msgspec.json.decode(b'{"minChar": 2}', type=Checks)
