"""`workbench.snapshot()`: what the results of a notebook were computed from, beside them.

Inputs by sha256, versions, the code, seeds, parameters, and the digest of every answer. There is
no clock and no path of the machine in it: the same run gives the same bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from workbench.core import markup
from workbench.core.sentence import Sentence, filled, spoken
from workbench.errors import InputError
from workbench.runes.records import RECORDS, Given, Input, plain
from workbench.session import surroundings

if TYPE_CHECKING:
    from workbench.core.mesh_record import TaskRecord

SUFFIX = ".snapshot.json"
MOST_BYTES = 64 << 20
SESSION_NAME = "JPY_SESSION_NAME"
"""Where Jupyter tells a kernel the path of its notebook."""


Schema = Literal["workbench-snapshot/1"]


class _Stated(msgspec.Struct):
    """What a file must say of itself to be a record: everything else may be left out."""

    schema: Schema


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The file: what the results rest on, and their digests."""

    schema: Schema = "workbench-snapshot/1"
    notebook: str | None = None
    cells: str | None = None
    parameters: dict[str, Any] = {}
    seeds: dict[str, Any] = {}
    versions: dict[str, str] = {}
    code: dict[str, str] = {}
    inputs: list[Input] = []
    results: list[Given] = []


@dataclass(frozen=True)
class Snapshot:
    """A record, and where it was written; None where nobody said where. As the last line of a
    cell it is drawn."""

    record: Record
    path: Path | None

    def __repr__(self) -> str:
        inputs, results = len(self.record.inputs), len(self.record.results)
        said = filled(
            "{inputs} {inputs:input|inputs}, {results} {results:result|results}",
            {"inputs": inputs, "results": results},
        )
        return f"Snapshot({said}; {self._where})"

    def _repr_html_(self) -> str:
        read = [(each.name, each.sha256 or each.note) for each in self.record.inputs]
        gave = [(each.question, each.of, each.said) for each in self.record.results]
        speech = spoken()
        inputs = speech.say(Sentence("{count} inputs", {"count": len(read)}))
        results = speech.say(Sentence("{count} results", {"count": len(gave)}))
        drawn = markup.table(speech.each("input", "sha256"), read, inputs)
        drawn += markup.table(speech.each("result", "of", "what it said"), gave, results)
        return drawn + markup.note(speech.say(self._where))

    @property
    def _where(self) -> str:
        return "not written: say where, snapshot(path)" if self.path is None else self.path.name


class _Redirected:
    """Where a notebook that is run again writes its record, and which notebook it is."""

    target: Path | None = None
    notebook: Path | None = None


def redirect(target: str, notebook: str) -> None:
    """From here on `snapshot()` writes to `target` alone: a run again changes nothing."""
    _Redirected.target, _Redirected.notebook = Path(target), Path(notebook)


def finish() -> None:
    """Take the record of a run again, unless the notebook did so itself."""
    if _Redirected.target is not None and not _Redirected.target.exists():
        snapshot()


def snapshot(
    path: str | Path | None = None,
    *,
    seeds: Mapping[str, Any] | None = None,
    files: Iterable[str | Path] = (),
) -> Snapshot:
    """Write down what the results so far were computed from: call it in the last cell.

    `path` is the notebook or the file to write; without one it is `<notebook>.snapshot.json`,
    where Jupyter says which notebook this is. `seeds` are those that you set yourself, by name;
    `files` what you read without the workbench, such as with pandas. Raises InputError for a file
    that is not there, and where it cannot be written.
    """
    RECORDS.opened(_there(files))
    notebook = _Redirected.notebook or _notebook(path)
    record = taken(notebook, seeds or {})
    target = _target(path, notebook)
    if target is not None:
        _write(_Redirected.target or target, record)
    return Snapshot(record, target)


def _there(files: Iterable[str | Path]) -> list[Path]:
    if isinstance(files, str | Path):
        files = [files]
    paths = [Path(each) for each in files]
    for path in paths:
        if not path.is_file():
            raise InputError.field("files", str(path), "files that can be read")
    return paths


def taken(notebook: Path | None, seeds: Mapping[str, Any]) -> Record:
    """The record as of now."""
    cells, parameters = None, {}
    if notebook is not None and notebook.is_file():
        found = surroundings.read_notebook(notebook)
        cells = surroundings.cells_digest(found)
        parameters = surroundings.parameters_of(found, _namespace())
    return Record(
        notebook=None if notebook is None else notebook.name,
        cells=cells,
        parameters=plain(parameters),
        seeds=plain({name: surroundings.hidden(name, each) for name, each in seeds.items()}),
        versions=surroundings.versions(),
        code=surroundings.code(),
        inputs=RECORDS.inputs(),
        results=RECORDS.results(),
    )


def note(record: TaskRecord, result: Mapping[str, Any]) -> None:
    """The result of a task, as one of this notebook's."""
    told = {"data": result.get("data"), "tables": result.get("tables")}
    try:
        body = msgspec.json.encode(told, order="sorted", enc_hook=repr)
    except (TypeError, ValueError, RecursionError):
        body = repr(told).encode()
    tables = told["tables"] if isinstance(told["tables"], Mapping) else {}
    RECORDS.gave(
        Given(
            question=record.model or "task",
            of="hub",
            parameters=plain(record.parameters),
            said=record.state,
            rows=sum(each for each in tables.values() if isinstance(each, int)),
            sha256=hashlib.sha256(body).hexdigest(),
        )
    )


def beside(notebook: Path) -> Path:
    """Where the record of a notebook lies."""
    return notebook.with_name(notebook.name.removesuffix(".ipynb") + SUFFIX)


def read_record(path: Path) -> Record:
    """A record from a file that anybody may have written. Raises InputError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError.field(path.name, f"{path.stat().st_size >> 20} MB", "up to 64 MB")
        body = path.read_bytes()
        msgspec.json.decode(body, type=_Stated)
        return msgspec.json.decode(body, type=Record)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError("{path} cannot be read: {reason}", path=str(path), reason=reason) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            "{path} is no snapshot of a notebook ({reason}): run it with workbench.snapshot() in "
            "its last cell",
            path=str(path),
            reason=str(error),
        ) from None


def _notebook(path: str | Path | None) -> Path | None:
    if path is not None:
        return Path(path) if str(path).endswith(".ipynb") else None
    named = os.environ.get(SESSION_NAME) or str(_namespace().get("__vsc_ipynb_file__") or "")
    return Path(named) if named.endswith(".ipynb") and Path(named).is_file() else None


def _target(path: str | Path | None, notebook: Path | None) -> Path | None:
    if notebook is not None:
        return beside(notebook)
    return None if path is None else Path(path)


def _namespace() -> Mapping[str, Any]:
    """The variables of the notebook; none outside of one."""
    from IPython import get_ipython

    shell = get_ipython()
    return {} if shell is None else shell.user_ns


def _write(target: Path, record: Record) -> None:
    from workbench.runes.packing import write_file

    body = msgspec.json.format(msgspec.json.encode(record, order="sorted"), indent=1) + b"\n"
    try:
        write_file(target, body)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            "{path} cannot be written: {reason}", path=str(target), reason=reason
        ) from None
