"""What a person gives a language model, by name: sampling, options, data frames, pictures."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from workbench.core.chat import Attachment
from workbench.core.llm import Image, Sampling
from workbench.core.wire import convert
from workbench.errors import InputError

S = TypeVar("S", bound=msgspec.Struct)

_MAGIC = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
    b"GIF8": "image/gif",
}


def checked(given: Mapping[str, Any], struct: type[S]) -> S:
    """Keyword arguments as `struct`. Raises InputError that names what is wrong or misspelt."""
    fields = dict(zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True))
    for name in given:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            allowed = f"{near[0]}, or another of {', '.join(fields)}" if near else ", ".join(fields)
            raise InputError.field("argument", name, allowed)
    return convert({fields[name]: value for name, value in given.items()}, struct)


def sampling_of(given: Mapping[str, Any]) -> Sampling | None:
    """How tokens are chosen; None where nothing is said of it."""
    return checked(given, Sampling) if given else None


def attachments_of(given: Mapping[str, Any]) -> list[Attachment]:
    """Texts as they are; of a data frame its schema and a bounded sample."""
    return [Attachment(name=name, text=_text_of(name, each)) for name, each in given.items()]


def image_of(given: str | Path | bytes) -> Image:
    """A picture from a file or from bytes; its kind is told by its first bytes."""
    data = given if isinstance(given, bytes) else Path(given).expanduser().read_bytes()
    for magic, media_type in _MAGIC.items():
        if data.startswith(magic):
            return Image(media_type=media_type, data=data)  # type: ignore[arg-type]
    raise InputError.field("image", data[:8], "a PNG, JPEG, WebP or GIF file")


def _text_of(name: str, given: Any) -> str:
    from workbench.boards.frames import described  # pandas comes with it

    return given if isinstance(given, str) else described(name, given).text
