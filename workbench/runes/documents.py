"""The documents in files: JSON, NDJSON, CSV and Parquet, plain or gzipped, one by one.

Numbers stay exact: integers of any size as int, fractions as Decimal, never a float. Each
document comes with its place, such as `page.json[3]` or `events.csv line 7`.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import InputError
from workbench.runes.packing import MAX_DOCUMENT_BYTES
from workbench.runes.raw import UTF_16

MAX_LINE_BYTES = 64 * 1024 * 1024
STEP_BYTES = 1 << 20
"""Bytes between two reports of progress."""

Progress = Callable[[int, int], None]
"""Told bytes done and bytes in all, packed as they lie."""

_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_HEAD = 1 << 16


class Document(NamedTuple):
    place: str
    value: Any


class Part(NamedTuple):
    """One file, or bytes at hand, by its name; `size` in bytes."""

    name: str
    size: int
    open: Callable[[], io.BufferedIOBase]

    def sha256(self) -> str:
        with self.open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def parts_of(source: str | Path | bytes | Iterable[str | Path]) -> list[Part]:
    """The files of a path, of paths, or of a folder (by name, folders below included)."""
    if isinstance(source, bytes):
        return [Part("bytes", len(source), lambda: io.BytesIO(source))]
    given = [source] if isinstance(source, str | Path) else list(source)
    return [part for each in given for part in _files(Path(each))]


def _files(path: Path) -> Iterator[Part]:
    if path.is_dir():
        found = sorted(one for one in path.rglob("*") if one.is_file())
        visible = [one for one in found if not one.name.startswith(".")]
        if not visible:
            raise InputError("{path} holds no file to read", path=str(path))
        for one in visible:
            yield _part(one, str(one.relative_to(path)))
        return
    if not path.is_file():
        raise InputError("{path} is not there: give an existing file", path=str(path))
    yield _part(path, path.name)


def _part(path: Path, name: str) -> Part:
    return Part(name, path.stat().st_size, lambda: path.open("rb"))


def head_of(part: Part) -> bytes:
    """The first bytes of a file, unpacked; what cannot be unpacked has none."""
    with part.open() as raw:
        head = raw.read(_HEAD)
    if not head.startswith(_GZIP):
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head, _HEAD)
    except zlib.error:
        return b""


@contextmanager
def opened(part: Part) -> Iterator[io.BufferedIOBase]:
    """The file to be read, gunzipped where it is gzip."""
    with part.open() as raw:
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        yield gzip.GzipFile(fileobj=raw) if packed else raw


def read_documents(part: Part, tell: Callable[[int], None]) -> Iterator[Document]:
    """The documents of one file. `tell` is told how many of its bytes are read."""
    with part.open() as raw:
        try:
            yield from _documents(part.name, raw, tell)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(
                "{path} is not valid gzip: {reason}", path=part.name, reason=str(error)
            ) from None
        except OSError as error:
            raise InputError(
                "{path} cannot be read: {reason}", path=part.name, reason=str(error)
            ) from None


def _documents(
    name: str, raw: io.BufferedIOBase, tell: Callable[[int], None]
) -> Iterator[Document]:
    head = raw.read(4)
    raw.seek(0)
    if head == _PARQUET:
        yield from _parquet(name, raw)
        return
    file: Any = gzip.GzipFile(fileobj=raw) if head.startswith(_GZIP) else raw
    with io.BufferedReader(file, _HEAD) as buffered:
        start = buffered.peek(_HEAD)[:_HEAD].removeprefix(b"\xef\xbb\xbf").lstrip()
        if start.startswith(UTF_16):
            raise InputError("{path} is text in UTF-16: save it as UTF-8", path=name)
        if start.startswith(_GZIP):
            raise InputError("{path} is gzipped twice: unpack it once", path=name)
        if start[:1] not in (b"{", b"["):
            yield from _csv(name, buffered, raw, tell)
        elif _is_ndjson(start):
            yield from _ndjson(name, buffered, raw, tell)
        else:
            yield from _json(name, buffered)


def _decoder() -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(float_hook=Decimal)


def _is_ndjson(start: bytes) -> bool:
    """Whether the first line is a whole object and another follows."""
    line, end, rest = start.partition(b"\n")
    if not end or not rest.strip() or not line.startswith(b"{"):
        return False
    try:
        _decoder().decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _json(name: str, file: io.BufferedIOBase) -> Iterator[Document]:
    """One document; of a list each element, decoded when its turn comes."""
    body = file.read(MAX_DOCUMENT_BYTES + 1).removeprefix(b"\xef\xbb\xbf")
    if len(body) > MAX_DOCUMENT_BYTES:
        raise InputError(
            "{path} is one JSON document of more than {limit_mb} MB: give it as NDJSON, one "
            "document a line",
            path=name,
            limit_mb=MAX_DOCUMENT_BYTES >> 20,
        )
    if not body.lstrip().startswith(b"["):
        yield Document(name, _decoded(name, body))
        return
    try:
        elements = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(name, error) from None
    for place, element in enumerate(elements):
        yield Document(f"{name}[{place}]", _decoded(f"{name}[{place}]", element))


def _ndjson(
    name: str, file: io.BufferedReader[Any], raw: io.BufferedIOBase, tell: Callable[[int], None]
) -> Iterator[Document]:
    decoder, told = _decoder(), 0
    for number, line in enumerate(_lines(name, file), start=1):
        if line.strip():
            try:
                value = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise _not_json(f"{name} line {number}", error) from None
            yield Document(f"{name} line {number}", value)
        if raw.tell() - told >= STEP_BYTES:
            told = raw.tell()
            tell(told)


def _lines(name: str, file: io.BufferedReader[Any]) -> Iterator[bytes]:
    while line := file.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            raise InputError(
                "{path} has a line of more than {limit_mb} MB; allowed: one document a line",
                path=name,
                limit_mb=MAX_LINE_BYTES >> 20,
            )
        yield line


def _csv(
    name: str, file: io.BufferedReader[Any], raw: io.BufferedIOBase, tell: Callable[[int], None]
) -> Iterator[Document]:
    """Rows under a line of names; an empty value, and PostgreSQL's \\N, is null."""
    told = 0
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        head = text.readline(_HEAD)
        names = next(csv.reader([head], delimiter=_delimiter(head)), [])
        if len(names) < 2:
            raise InputError(
                "{path} is neither JSON nor NDJSON nor a table with a line of names, which commas, "
                "semicolons or tabs divide",
                path=name,
            )
        rows = csv.reader(text, delimiter=_delimiter(head), strict=True)
        for number, row in enumerate(rows, start=2):
            if len(row) != len(names):
                raise InputError(
                    "{place} has {count} values; allowed: {wanted}, one for each name",
                    place=f"{name} line {number}",
                    count=len(row),
                    wanted=len(names),
                )
            values = (None if value in ("", "\\N") else value for value in row)
            yield Document(f"{name} line {number}", dict(zip(names, values, strict=True)))
            if raw.tell() - told >= STEP_BYTES:
                told = raw.tell()
                tell(told)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(
            "{path} is no table of text: {reason}", path=name, reason=str(error)
        ) from None
    finally:
        text.detach()  # who opened the file closes it


def _delimiter(head: str) -> str:
    return next((sign for sign in "\t," if sign in head), ";")


def _parquet(name: str, file: io.BufferedIOBase) -> Iterator[Document]:
    try:
        number = 0
        for batch in pq.ParquetFile(file).iter_batches(16_384):
            for row in batch.to_pylist():
                yield Document(f"{name} row {number}", row)
                number += 1
    except (pa.ArrowException, OSError) as error:
        raise InputError("{path} cannot be read: {reason}", path=name, reason=str(error)) from None


def _decoded(place: str, body: bytes | msgspec.Raw) -> Any:
    try:
        return _decoder().decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(place, error) from None


def _not_json(place: str, error: Exception) -> InputError:
    return InputError("{place} is not valid JSON: {reason}", place=place, reason=str(error))


def unwrapped(document: Document, is_one: Callable[[Mapping[str, Any]], bool]) -> Any:
    """The documents on a page of an API, each with what the page says around it.

    Gives (Document, mapping of what lies around) pairs; a document that `is_one` comes alone.
    """
    yield from _unwrapped(document, {}, is_one, 0)


_PAGES = ("results", "items", "data", "detail", "result", "transactions", "holders", "list")
_DEEP = 4


def _unwrapped(
    document: Document,
    around: Mapping[str, Any],
    is_one: Callable[[Mapping[str, Any]], bool],
    depth: int,
) -> Iterator[tuple[Document, Mapping[str, Any]]]:
    place, value = document
    if isinstance(value, list) and depth:
        for index, each in enumerate(value):
            yield from _unwrapped(Document(f"{place}[{index}]", each), around, is_one, depth)
        return
    inside = [] if not isinstance(value, dict) or is_one(value) else _inside(value)
    if len(inside) == 1 and depth < _DEEP:
        name = inside[0]
        said = {**around, **{key: each for key, each in value.items() if key != name}}
        yield from _unwrapped(Document(f"{place}.{name}", value[name]), said, is_one, depth + 1)
        return
    yield document, around


def _inside(value: Mapping[str, Any]) -> list[str]:
    return [name for name in _PAGES if isinstance(value.get(name), list | dict)]
