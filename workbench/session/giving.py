"""What a person gives a language model, by name: sampling, options, data frames, pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.core.chat import Attachment
from workbench.core.llm import Image, Sampling
from workbench.core.wire import checked
from workbench.errors import InputError

_MAGIC = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
    b"GIF8": "image/gif",
}


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
