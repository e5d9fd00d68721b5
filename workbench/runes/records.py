"""What this process read and what it answered, for a snapshot of a notebook's results.

Whoever reads or answers notes it here; nothing is hashed twice, and what is kept is bounded.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from workbench.errors import without_secrets

if TYPE_CHECKING:
    import pyarrow

    from workbench.runes.answer import Answer

MOST = 10_000
SHOWN_BYTES = 1 << 16
"""A table of up to so many bytes is kept as text, so that a difference can be named."""
CHANGED = "it changed after it was read"


class Input(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """Something that was read: a file, a batch of a hub, documents."""

    name: str
    sha256: str | None = None
    note: str = ""


class Given(msgspec.Struct, frozen=True, omit_defaults=True):
    """A result: of what, what it said, and the digest of its rows; `table` are small ones as CSV,
    `facts` as JSON carries them."""

    question: str
    of: str
    parameters: dict[str, Any]
    said: str
    rows: int
    sha256: str
    facts: dict[str, Any] = {}
    table: str = ""

    @property
    def key(self) -> str:
        """What the same result of another run has too."""
        return msgspec.json.encode(
            (self.question, self.of, self.parameters), order="sorted"
        ).decode()


class Records:
    """The newest of each, at most `most` of a kind."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._turn = most, threading.Lock()
        self._inputs: dict[tuple[str, str], tuple[str | None, str, Path | None]] = {}
        self._given: dict[str, Given] = {}

    def read(self, name: str, sha256: str | None) -> None:
        """Something of which the digest is known."""
        with self._turn:
            self._inputs[name, sha256 or ""] = (sha256, "", None)
            self._bound(self._inputs)

    def opened(self, paths: Iterable[Path]) -> None:
        """Files of which the digest is taken when somebody asks."""
        with self._turn:
            for path in paths:
                self._inputs[path.name, str(path.absolute())] = (
                    None,
                    _state(path),
                    path.absolute(),
                )
            self._bound(self._inputs)

    def answered(self, answer: Answer, of: str, parameters: Mapping[str, Any]) -> None:
        """An answer, with the digest of everything in it."""
        tables = {"answer": answer.table, **answer.more}
        digests = {name: table_digest(table) for name, table in sorted(tables.items())}
        whole = hashlib.sha256(msgspec.json.encode(digests, order="sorted")).hexdigest()
        self.gave(
            Given(
                question=answer.question,
                of=of,
                parameters=plain(parameters),
                said=without_secrets(str(answer.sentence)),
                rows=answer.table.num_rows,
                sha256=whole,
                facts=plain(answer.facts),
                table=_shown(answer.table),
            )
        )

    def gave(self, given: Given) -> None:
        """Any result. A later one of the same question takes the place of an earlier one."""
        with self._turn:
            self._given.pop(given.key, None)
            self._given[given.key] = given
            self._bound(self._given)

    def inputs(self) -> list[Input]:
        """What was read, by name; each file is hashed now, unless it changed meanwhile."""
        with self._turn:
            known = list(self._inputs.items())
        return sorted({_input(name, *each) for (name, _), each in known}, key=_order)

    def results(self) -> list[Given]:
        """The newest result of each question, in an order that does not depend on the cells'."""
        with self._turn:
            return [self._given[key] for key in sorted(self._given)]

    def forget(self) -> None:
        """Begin anew."""
        with self._turn:
            self._inputs.clear()
            self._given.clear()

    def _bound(self, kept: dict[Any, Any]) -> None:
        while len(kept) > self._most:
            del kept[next(iter(kept))]


RECORDS = Records()
"""Those of this process."""


def _order(one: Input) -> tuple[str, str, str]:
    return one.name, one.sha256 or "", one.note


def _input(name: str, sha256: str | None, before: str, path: Path | None) -> Input:
    name = without_secrets(name)
    if path is None:
        return Input(name, sha256)
    try:
        digest = file_digest(path)
    except OSError as error:
        return Input(name, None, error.strerror or "it cannot be read")
    return Input(name, digest) if before == _state(path) else Input(name, None, CHANGED)


def _state(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "gone"
    return f"{found.st_size} {found.st_mtime_ns}"


def file_digest(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def table_digest(table: pyarrow.Table) -> str:
    """The sha256 of a table's names, types and values, however they lie in memory."""
    import pyarrow.csv

    digest = hashlib.sha256(str(table.schema.remove_metadata()).encode())
    sink = _Digesting(digest)
    try:
        pyarrow.csv.write_csv(table, sink)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError):  # lists and the like
        digest.update(repr(table.to_pylist()).encode())
    return digest.hexdigest()


class _Digesting:
    """A file for writing that keeps only its digest."""

    closed = False

    def __init__(self, digest: Any) -> None:
        self._digest = digest

    def write(self, data: Any) -> int:
        self._digest.update(data)
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def _shown(table: pyarrow.Table) -> str:
    import pyarrow.csv

    if table.nbytes > SHOWN_BYTES:
        return ""
    sink = pyarrow.BufferOutputStream()
    try:
        pyarrow.csv.write_csv(table, sink)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError):
        return ""
    return without_secrets(sink.getvalue().to_pybytes().decode())


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON carries them: a large integer as its digits, anything strange as its text."""

    def told(value: Any) -> Any:
        if isinstance(value, str):
            return without_secrets(value)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
            return str(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {str(name): told(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [told(each) for each in value]
        return without_secrets(str(value))

    return {str(name): told(value) for name, value in values.items()}
