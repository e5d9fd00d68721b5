"""Calling one model and putting what came of it into frames."""

from __future__ import annotations

import importlib
import inspect
import io
import json
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from workbench.core.model import Context, MeshModel, Result
from workbench.core.signature import BATCH
from workbench.core.wire import convert
from workbench.engines import batch, cell, own
from workbench.engines.frames import Order, Raised, Returned, speakable, to_json, words
from workbench.engines.returned import result_of
from workbench.errors import InputError, WorkbenchError

TRACEBACK_CHARS = 20_000
REASON_CHARS = 2_000
HOME = Path(__file__).parents[1]
OURS = (f"{HOME / 'engines'}{os.sep}", f"{HOME / 'core'}{os.sep}")
DOCUMENT_LIMIT = 60 * 10**6
"""Bytes of JSON, figures included: a client takes no message of more than 64 MiB, and a result that
none can take would be asked for again and again."""

End = Callable[[bool], Returned | Raised]
"""The last frame of a task, once it is known whether its process may be used again."""
SendTable = Callable[[str, list[memoryview]], None]
"""Takes a table's name and the pieces of its Arrow IPC stream."""


def perform(order: Order, context: Context, send_table: SendTable) -> End:
    """Run the order's function, send the tables of its result, and return its last frame.

    Nothing that a model raises gets past here, `SystemExit` and `KeyboardInterrupt` included.
    """
    began = time.perf_counter()
    try:
        result = _call(find(order), context, json.loads(order.parameters))
        document, figures = _json(result.data), _json(result.figures)
        if len(document) + len(figures) > DOCUMENT_LIMIT:
            raise WorkbenchError(
                "the model's result is a document of {size_mb} MB; allowed: {limit_mb} MB, the "
                "rest belongs into tables",
                size_mb=round((len(document) + len(figures)) / 1e6),
                limit_mb=DOCUMENT_LIMIT // 10**6,
            )
        for name, table in result.tables.items():
            send_table(name, arrow_stream(name, table))
    except BaseException as error:
        raised = _raised(error)
        return lambda reusable: msgspec.structs.replace(raised, reusable=reusable)
    elapsed_ms = round((time.perf_counter() - began) * 1000)
    device = order.device if context.device == order.device else "cpu"
    return lambda reusable: Returned(
        document=document,
        figures=figures,
        batch=None if result.batch is None else str(result.batch),
        elapsed_ms=elapsed_ms,
        device=device,
        reusable=reusable,
    )


def find(order: Order) -> Callable[..., Any]:
    """The own function of an order, or what its `module:function` names. Importing is part of the
    task's time."""
    if own.is_own(order.target):
        return own.load(order.target, order.inputs)
    module, _, path = order.target.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    if not callable(found):
        raise WorkbenchError("{target} is no function", target=order.target)
    return found  # type: ignore[no-any-return]


def _call(function: Callable[..., Any], context: Context, parameters: dict[str, Any]) -> Result:
    if not isinstance(function, MeshModel):
        return result_of(function(context, **parameters))
    typed = convert(parameters, function.parameters)
    given = {name: getattr(typed, name) for name in typed.__struct_fields__}
    if function.context is not None:
        given[function.context] = context
    if function.batch is not None and BATCH in context.inputs:
        given[BATCH] = batch.read(context.inputs[BATCH], function.batch)
    called = inspect.BoundArguments(inspect.signature(function.function), given)
    return result_of(function(*called.args, **called.kwargs))


def _json(value: Any) -> bytes:
    try:
        return to_json(value)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise WorkbenchError(
            "the model's result cannot be written as JSON: {reason}", reason=str(error)
        ) from None


class _Pieces(io.RawIOBase):
    """Keeps what is written, where it is: no copy is made of a table's buffers."""

    def __init__(self) -> None:
        self.written: list[memoryview] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.written.append(memoryview(data))
        return len(data)


def arrow_stream(name: str, table: Any) -> list[memoryview]:
    """A table as the pieces of an Arrow IPC stream. Whatever speaks Arrow's C stream is a table."""
    import pyarrow

    if not isinstance(table, pyarrow.Table):
        if not hasattr(table, "__arrow_c_stream__"):
            raise WorkbenchError(
                "the model's table {name} is a {kind}; allowed: a pyarrow.Table",
                name=name,
                kind=type(table).__name__,
            )
        table = pyarrow.table(table)
    sink = _Pieces()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.written


def _raised(error: BaseException) -> Raised:
    if isinstance(error, WorkbenchError):
        template, values = error.template, error.values
    else:
        template = "{kind}: {reason}"
        values = {"kind": type(error).__name__, "reason": _words(error)}
    rejected = isinstance(error, InputError)
    template, values = speakable(template, values)
    return Raised(
        template=template,
        values=values,
        traceback="" if rejected else _trace(error),  # a bad input is no fault of the code
        rejected=rejected,
        reusable=False,
    )


def _words(error: BaseException) -> str:
    try:
        return str(error)[:REASON_CHARS]
    except Exception:  # an exception whose own text fails is still only a failed task
        return "it cannot say why"


def _trace(error: BaseException) -> str:
    """The traceback from the first line of the model, or of the cell, on: our own frames help
    nobody."""
    begin = each = error.__traceback__
    above = True
    while each is not None:
        file = each.tb_frame.f_code.co_filename
        above = above and file.startswith(OURS)
        if above or file == cell.__file__:
            begin = each.tb_next
        each = each.tb_next
    lines = traceback.format_exception(type(error), error, begin)
    return words("".join(lines)[-TRACEBACK_CHARS:])
