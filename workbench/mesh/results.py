"""A model's result on its way to the journal and the wire, and from there to the next task.

A small result is kept in its terminal entry. Tables, and a document of more than 64 KiB, go to
a side file, which is written before the entry that refers to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from workbench.core.job import Done, TableBytes
from workbench.core.task_nouns import Saved, Task
from workbench.core.wire import encode
from workbench.engines.columns import TYPES, types_in
from workbench.mesh.rows import Journal, SideFile

DOCUMENT_BYTES = 64 << 10
CACHE_S = 24 * 3600
CACHED_RESULTS = 10_000
AT_HAND_S, AT_HAND_CHARS = 600, 1 << 20
LANGUAGE_MODEL = "languageModel"
"""In a terminal entry: who answered what the task asked a language model; empty where none was
loaded. Absent where it asked nothing."""
BATCH_TABLE = "runestones"
"""A result with this table and a batch id is a batch; its side file is named after it."""


class Document(msgspec.Struct):
    """What a side file keeps beside its tables, as it stands in the result."""

    data: msgspec.Raw
    figures: msgspec.Raw


async def save(
    journal: Journal, task: Task, done: Done, key: str, *, gpu_id: str | None = None
) -> Saved:
    """Write what belongs into a side file; give the entries for journal and wire.

    `gpu_id` is the GPU that it ran on. What an impure model made is kept for no other task, nor
    what misses an answer of a language model.
    """
    kept: dict[str, Any] = {"cacheKey": key if task.pure and done.repeatable else None}
    if done.language_model is not None:
        kept[LANGUAGE_MODEL] = done.language_model
    result: dict[str, Any] = {
        "model": task.model,
        "version": task.model_version,
        "batch": done.batch,
        "elapsedMs": done.elapsed_ms,
        "device": done.device,
        "gpu": gpu_id,
        "tables": {},
        "alias": None,
        "file": None,
    }
    whole = Document(msgspec.Raw(done.document), msgspec.Raw(done.figures))
    if not done.tables and len(done.document) + len(done.figures) <= DOCUMENT_BYTES:
        return Saved(body={"result": _with(result, whole), **kept, "kept": False})
    folder, alias = _place(task, done)
    document = msgspec.json.encode(whole)
    side = await journal.write_side_file(folder, alias, done.tables, document)
    result |= {"alias": side.alias, "file": side.path, "tables": _tables(side, done.tables)}
    return Saved(
        body={"result": result, **kept, "kept": True},
        shown={"result": _with(result, whole)},
        side=_side_row(folder, side, task, done.batch),
    )


async def whole_body(journal: Journal, body: dict[str, Any]) -> dict[str, Any]:
    """A terminal entry as the wire shows it: with what its side file keeps."""
    if not body.get("kept"):
        return body
    result = body["result"]
    document = await journal.read_document(result["file"])
    return {**body, "result": _with(result, msgspec.json.decode(document, type=Document))}


def _with(result: dict[str, Any], document: Document) -> dict[str, Any]:
    return {**result, "data": document.data, "figures": document.figures}


def _place(task: Task, done: Done) -> tuple[str, str]:
    if done.batch is not None and BATCH_TABLE in done.tables:
        return "batches", done.batch
    return "results", "t_" + hashlib.sha256(task.task_id.encode()).hexdigest()[:12]


def _tables(side: SideFile, tables: Mapping[str, TableBytes]) -> dict[str, Any]:
    return {name: {"rows": side.rows[name], **head_of(stream)} for name, stream in tables.items()}


def head_of(stream: TableBytes) -> dict[str, Any]:
    """The column names of an Arrow IPC stream, and the types of theirs that the store lacks; only
    its head is read."""
    import pyarrow.ipc  # heavy; a node whose models make no tables never needs it

    with pyarrow.ipc.open_stream(pyarrow.py_buffer(stream)) as reader:
        types = types_in(reader.schema)
        return {"columns": list(reader.schema.names), **({TYPES: types} if types else {})}


def _side_row(folder: str, side: SideFile, task: Task, batch: str | None) -> dict[str, Any]:
    return {
        "alias": side.alias,
        "folder": folder,
        "path": side.path,
        "sha256": side.sha256,
        "bytes": side.bytes,
        "tables": dict(side.rows),
        "model": task.model,
        "batch": batch,
    }


class _End(msgspec.Struct, frozen=True, gc=False):
    """Which task ended with a result, and when (ms since the epoch)."""

    task_id: str
    at_ms: int


class Cache:
    """Where the result for a content lies: 24 hours, the newest 10,000. What was answered with
    lately is at hand: to ask the journal costs a hundred times as much as all else of a repeat."""

    def __init__(self) -> None:
        self._known: dict[str, _End] = {}
        self._bodies: dict[str, str] = {}
        """Both with the newest last."""
        self._chars = 0

    def add(self, key: str, task_id: str, at_ms: int, body: dict[str, Any]) -> None:
        """Task `task_id` ended with this content's result, and its end is durable."""
        self._forget(key)
        self._known[key] = _End(task_id, at_ms)
        self._bodies[key] = text = encode(body)
        self._chars += len(text)
        while self._chars > AT_HAND_CHARS:
            self._put_away(next(iter(self._bodies)))
        while len(self._known) > CACHED_RESULTS:
            self._forget(next(iter(self._known)))

    def find(self, key: str, now_ms: int) -> str | None:
        """Which task's end holds the result for this content."""
        end = self._known.get(key)
        if end is None or not 0 <= now_ms - end.at_ms < CACHE_S * 1000:
            return None
        return end.task_id

    def at_hand(self, key: str, now_ms: int) -> dict[str, Any] | None:
        """That end itself, as the journal has it; None: ask the journal. Only for a while, since
        what is kept no longer goes from the journal first."""
        text = self._bodies.get(key)
        if text is None or not 0 <= now_ms - self._known[key].at_ms < AT_HAND_S * 1000:
            return None
        return dict(msgspec.json.decode(text))

    def _forget(self, key: str) -> None:
        self._known.pop(key, None)
        self._put_away(key)

    def _put_away(self, key: str) -> None:
        self._chars -= len(self._bodies.pop(key, ""))
