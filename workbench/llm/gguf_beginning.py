"""What a model file says of itself in its first bytes, read where it lies: nothing else is fetched.

Converters write a model's shape before its vocabulary, so these bytes tell how much memory its
context takes. What they do not tell is not guessed here.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import msgspec

from workbench.byte_ranges import Cut, Ranges
from workbench.errors import InputError
from workbench.llm.gguf_header import Header, HeaderReader

BEGINNING_BYTES = 256 << 10


def fetch_beginning(
    ranges: Ranges,
    url: str,
    file: str,
    size_bytes: int,
    *,
    parameters: int | None = None,
    headers: Mapping[str, str] | None = None,
    cut: Cut | None = None,
) -> Header | None:
    """The header of a remote file, as far as its beginning has it; None where it has not enough.

    Blocking: for a thread; `cut` ends it from another. Raises what `ranges` raises, and
    InputError for what is no model.
    """
    view = memoryview(bytearray(min(size_bytes, BEGINNING_BYTES)))
    filled = 0
    with ranges.open(url, start=0, end=len(view), headers=headers, cut=cut) as body:
        while filled < len(view) and (count := body.readinto(view[filled:])):
            filled += count
    header = beginning(file, bytes(view[:filled]), size_bytes)
    if header is None:
        return None
    return msgspec.structs.replace(header, parameters=parameters or header.parameters)


def beginning(file: str, content: bytes, size_bytes: int) -> Header | None:
    """What `content`, the first bytes of a file of `size_bytes`, says. Its parameters are those
    of the tensors that are listed in it, perhaps of none."""
    reader = HeaderReader(file, io.BytesIO(content))
    try:
        header = reader.header()
    except InputError:
        header = None
        if not content.startswith(b"GGUF"):
            raise
    told = Header(
        metadata=reader.metadata,
        parameters=header.parameters if header else 0,
        file_bytes=size_bytes,
        needed_bytes=size_bytes,
        vocabulary=reader.vocabulary,
        complete=header is not None,
    )
    return told if told.number("block_count") and told.number("embedding_length") else None
