"""What makes two tasks the same: hashes of their content, and the seed that follows from it."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from workbench.version import VERSION

PACKAGE = Path(__file__).parents[1]
_ANSWERING = ("chain", "core", "runes", "store")


def canonical(value: Any) -> bytes:
    """JSON in which equal values have equal bytes. Integers of any size stay exact."""
    try:
        return msgspec.json.encode(value, order="deterministic")
    except OverflowError:  # msgspec has no integers beyond 64 bits
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return text.encode()


def digest_of(value: Any) -> str:
    """32 digits that tell one value from another."""
    return hashlib.blake2b(canonical(value), digest_size=16).hexdigest()


def content_hash(
    model: str,
    parameters: dict[str, Any],
    input_url: str | None,
    input_data: Any,
    version: str | None = None,
) -> str:
    """What a client asks for, as it said it: the same `taskId` must always mean the same."""
    asked = [model, parameters, input_url, input_data]
    return digest_of(asked if version is None else [*asked, version])


def result_key(model: str, version: str, parameters: dict[str, Any], inputs: dict[str, str]) -> str:
    """What a result follows from: model, version, parameters, and the content of each input.

    `inputs` maps a name to a SHA-256; a parameter that names an input counts by content.
    """
    own = {name: value for name, value in parameters.items() if name not in inputs}
    return digest_of([model, version, own, inputs])


def kept_under(key: str, code: str) -> str:
    """Where a result is kept for the next who asks: with other code it may be another one."""
    return digest_of([key, code])


@cache
def our_code() -> str:
    """What the answers of this installation follow from: the sources of this package, and their
    release. A question's own version stays while its words change."""
    digest = hashlib.blake2b(digest_size=16)
    for folder in _ANSWERING:
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            digest.update(path.relative_to(PACKAGE).as_posix().encode())
            digest.update(hashlib.blake2b(path.read_bytes()).digest())
    return f"{VERSION} {digest.hexdigest()}"


def seed_of(key: str) -> int:
    """A seed of 32 bits from a result key: the same content gives identical output."""
    return int(key[:8], 16)
