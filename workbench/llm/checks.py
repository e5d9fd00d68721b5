"""Whether an answer is what was asked for: length, words, a pattern, JSON, a JSON Schema.

Patterns run on RE2, in time linear in the text: a pattern that Python's own engine would
never finish must not stop the process for everybody.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, cast

import msgspec

from workbench.core.llm_checks import Checks
from workbench.core.sentence import Sentence
from workbench.errors import InputError, shown

FAULTS_SHOWN = 3


def validate(text: str, checks: Checks) -> tuple[Sentence, ...]:
    """A sentence for each check that the text fails. Raises InputError for a faulty check."""
    return tuple(_failures(text, checks))


def _failures(text: str, checks: Checks) -> Iterator[Sentence]:
    if checks.non_empty and not text.strip():
        yield Sentence("the answer is empty")
    yield from _lengths(text, checks)
    folded = text.casefold()
    for piece in checks.contains:
        if piece.casefold() not in folded:
            yield Sentence("the answer lacks {piece}", {"piece": shown(piece)})
    for piece in checks.excludes:
        if piece.casefold() in folded:
            yield Sentence("the answer holds {piece}, which it must not", {"piece": shown(piece)})
    if checks.pattern is not None and not matches(checks.pattern, text):
        yield Sentence(
            "the answer does not match the pattern {pattern}", {"pattern": checks.pattern}
        )
    if checks.json or checks.json_schema is not None:
        yield from _json(text, checks.json_schema)


def _lengths(text: str, checks: Checks) -> Iterator[Sentence]:
    chars = len(text)
    if checks.min_chars is not None and chars < checks.min_chars:
        yield Sentence(
            "the answer has {chars} characters; allowed: at least {limit}",
            {"chars": chars, "limit": checks.min_chars},
        )
    if checks.max_chars is not None and chars > checks.max_chars:
        yield Sentence(
            "the answer has {chars} characters; allowed: at most {limit}",
            {"chars": chars, "limit": checks.max_chars},
        )


def _json(text: str, schema: dict[str, Any] | None) -> Iterator[Sentence]:
    try:
        value = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        yield Sentence("the answer is not JSON and nothing else: {reason}", {"reason": str(error)})
        return
    if schema is not None:
        yield from _schema_faults(value, schema)


def _schema_faults(value: Any, schema: dict[str, Any]) -> Iterator[Sentence]:
    if _holds(schema, "patternProperties"):
        raise InputError("the JSON Schema has patternProperties; allowed: properties by name")
    jsonschema = _jsonschema()
    import referencing.exceptions
    import referencing.jsonschema

    draft = jsonschema.Draft202012Validator
    registry = referencing.jsonschema.EMPTY_REGISTRY  # it fetches nothing
    validator = jsonschema.validators.extend(draft, {"pattern": _pattern_keyword})
    try:
        draft.check_schema(schema)
        faults = validator(schema, registry=registry).iter_errors(value)
        for _, fault in zip(range(FAULTS_SHOWN), faults, strict=False):
            yield Sentence(
                "the answer is JSON, but {field} is wrong: {reason}",
                {"field": fault.json_path, "reason": shown(fault.message)},
            )
    except jsonschema.SchemaError as error:
        raise InputError(
            "the JSON Schema is faulty: {reason}", reason=shown(error.message)
        ) from None
    except (referencing.exceptions.Unresolvable, RecursionError) as error:
        raise InputError(
            "the JSON Schema refers to what is not in it: {reason}", reason=shown(str(error))
        ) from None


def _holds(schema: Any, keyword: str) -> bool:
    if isinstance(schema, dict):
        return keyword in schema or any(_holds(part, keyword) for part in schema.values())
    return isinstance(schema, list) and any(_holds(part, keyword) for part in schema)


def _pattern_keyword(_: Any, pattern: str, value: Any, __: Any) -> Iterator[Exception]:
    """JSON Schema's `pattern`, on the linear engine."""
    if isinstance(value, str) and not matches(pattern, value):
        yield _jsonschema().ValidationError(f"{shown(value)} does not match {shown(pattern)}")


def _jsonschema() -> ModuleType:
    """Its check of IRIs, which is not used here, would take 2 s to import."""
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    import jsonschema

    return cast(ModuleType, jsonschema)


def matches(pattern: str, text: str) -> bool:
    """Whether RE2 finds the pattern in the text. Raises InputError for a faulty pattern."""
    import pyarrow
    import pyarrow.compute

    try:
        found = pyarrow.compute.match_substring_regex(pyarrow.scalar(text), pattern)
    except pyarrow.ArrowInvalid as error:
        raise InputError(
            "the pattern {pattern} cannot be used: {reason}; allowed: RE2, "
            "which has no look-around and no back references",
            pattern=shown(pattern),
            reason=str(error),
        ) from None
    return bool(found.as_py())
