"""What a person gives as a batch (path, URL, bytes, dictionary, table) as a node takes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from workbench.arrays import VALUE, table_of_array
from workbench.clients.plain import plain
from workbench.core.model import DATA_URL_FORMAT
from workbench.core.wide_integers import TOO_WIDE, wide_column
from workbench.core.wire import encode, not_finite
from workbench.errors import InputError, without_secrets

INLINE_LIMIT = 1 << 20
BATCHES = "a path, an address, bytes, a dictionary, a list, an array, or a data frame"
_URL = re.compile(r"^(?:https?|upload|file|batch):", re.IGNORECASE)


class Tabular(Protocol):
    """A table: a pandas or polars DataFrame, a pyarrow.Table, whatever speaks Arrow."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


Batch = str | Path | bytes | Mapping[str, Any] | list[Any] | Tabular


class Carrier(Protocol):
    """The client, as far as inputs need it."""

    async def upload(self, source: Path | str | bytes, *, name: str = "") -> str: ...
    async def models(self) -> list[dict[str, Any]]: ...


class Inputs:
    """Turns inputs into URLs that the node accepts; uploads what it cannot reach."""

    def __init__(self, carrier: Carrier, data: Path) -> None:
        self._carrier, self._data = carrier, data
        self._url_parameters: dict[str, frozenset[str]] = {}

    async def batch(self, given: Batch) -> tuple[str | None, Any]:
        """The URL of a batch, or None and its inline JSON."""
        if isinstance(given, Mapping | list):
            whole = plain("batch", dict(given) if isinstance(given, Mapping) else given)
            document = encode(whole).encode()
            if len(document) <= INLINE_LIMIT:
                return None, whole
            return await self._carrier.upload(document, name="batch.json"), None
        given = _table_of(given)
        if hasattr(given, "__arrow_c_stream__"):
            return await self._carrier.upload(_arrow(given), name="batch.arrow"), None
        if not isinstance(given, str | Path | bytes):
            raise InputError.field("batch", given, BATCHES)
        return await self.url(given), None

    async def url(self, given: str | Path | bytes) -> str:
        """A URL as it is, a file under the data folder by its name there, the rest uploaded."""
        if isinstance(given, bytes):
            return await self._carrier.upload(given)
        if isinstance(given, str) and _URL.match(given):
            return given
        place = self._place(given)
        return place if isinstance(place, str) else await self._carrier.upload(place)

    def _place(self, given: str | Path) -> str | Path:
        """A file's name under the data folder, or its path when it lies elsewhere."""
        path = Path(given).expanduser()
        if not path.is_file():
            if not path.is_absolute() and (self._data / path).is_file():
                return path.as_posix()
            raise InputError(
                "{path} is no file here: give a path, an http(s) address, bytes or a dictionary",
                path=without_secrets(str(given)),
            )
        whole, data = path.resolve(), self._data.resolve()
        return whole.relative_to(data).as_posix() if whole.is_relative_to(data) else path

    async def parameters(self, model: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters, with files in place of second inputs made into URLs.

        Raises InputError with the name of one that cannot travel.
        """
        given = {
            name: value if isinstance(value, Path | bytes) else _finite(name, plain(name, value))
            for name, value in given.items()
        }
        if not any(isinstance(value, str | Path | bytes) for value in given.values()):
            return given
        urls = await self._inputs_of(model)
        return {
            name: await self.url(value)
            if value is not None and (name in urls or isinstance(value, Path | bytes))
            else value
            for name, value in given.items()
        }

    async def _inputs_of(self, model: str) -> frozenset[str]:
        """Names of the model's parameters that are second inputs."""
        if model not in self._url_parameters:
            self._url_parameters = {
                str(each.get("name")): _urls(each.get("parametersSchema") or {})
                for each in await self._carrier.models()
            }
        return self._url_parameters.get(model, frozenset())


def _finite(name: str, value: Any) -> Any:
    """The value. Raises InputError for a number that JSON has not."""
    odd = not_finite(value)
    if odd is not None:
        raise InputError.field(name, odd, "a finite number")
    return value


def _table_of(given: Any) -> Any:
    """A series or an array as a table; anything else as it is."""
    if hasattr(given, "to_frame") and not hasattr(given, "columns"):
        name = getattr(given, "name", None)
        return given.to_frame(str(name) if name not in (None, "") else VALUE)
    is_array = hasattr(given, "__array__") and not hasattr(given, "__arrow_c_stream__")
    return table_of_array(given) if is_array and getattr(given, "ndim", 0) in (1, 2) else given


def _arrow(table: Tabular) -> bytes:
    """A table as a compressed Arrow IPC stream: equal tables give equal bytes."""
    import pyarrow  # heavy; whoever has a table has it in memory already

    try:
        whole = pyarrow.table(table)
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
        wide = wide_column(table.items()) if hasattr(table, "items") else None
        if wide is not None:
            raise InputError(TOO_WIDE, column=wide) from None
        raise InputError(
            "the table cannot be written as Arrow: {reason}", reason=str(error).partition("\n")[0]
        ) from None
    sink = pyarrow.BufferOutputStream()
    options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
    with pyarrow.ipc.new_stream(sink, whole.schema, options=options) as writer:
        writer.write_table(whole)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream


def _urls(schema: Mapping[str, Any]) -> frozenset[str]:
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties") or {}
    return frozenset(
        name for name, each in properties.items() if each.get("format") == DATA_URL_FORMAT
    )
