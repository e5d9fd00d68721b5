"""What makes two tasks the same: hashes of their content, and the seed that follows from it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec


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


def seed_of(key: str) -> int:
    """A seed of 32 bits from a result key: the same content gives identical output."""
    return int(key[:8], 16)
