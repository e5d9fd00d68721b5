"""The answer to a query: an Arrow table that draws itself and says as of when it holds."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from workbench.core import markup
from workbench.core.sentence import Sentence, Speech, spoken

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

SHOWN_ROWS = 20
SHOWN_COLUMNS = 40
TEXT_ROWS, TEXT_COLUMNS, TEXT_CHARS = 10, 8, 24
DIGITS = 40
"""Of integers of 128 bits, and their sign."""
"""What a terminal shows of it."""
_NULLABLE = {
    f"{arrows}{bits}": f"{pandas_}{bits}"
    for arrows, pandas_ in (("int", "Int"), ("uint", "UInt"))
    for bits in (8, 16, 32, 64)
}
"""Arrow's integers as pandas names those that may be missing."""


DAY_NS, LONGEST_DAYS = 86_400 * 10**9, 100_000
"""Nanoseconds in 64 bits end at 292 years: what is longer stays an offset."""


class QueryResult:
    """Arrow-backed. `as_of` (UTC) is the moment of the data; `truncated` that rows are left out."""

    def __init__(
        self, table: pyarrow.Table, *, truncated: bool, elapsed_ms: float, as_of: datetime | None
    ) -> None:
        self._table = table
        self.truncated = truncated
        self.elapsed_ms = elapsed_ms
        self.as_of = as_of

    @classmethod
    def of(cls, parts: Sequence[bytes], done: Mapping[str, Any]) -> QueryResult:
        """From the frames of one Arrow IPC stream and the `query:done` after them."""
        return cls(
            read_stream(b"".join(parts)),
            truncated=bool(done.get("truncated")),
            elapsed_ms=float(done.get("elapsedMs") or 0),
            as_of=_instant(done.get("asOf")),
        )

    def arrow(self) -> pyarrow.Table:
        return self._table

    def df(self) -> pandas.DataFrame:
        """As pandas. Sums of integers, which SQL makes 128 bits wide, are int64 where they fit;
        integers some of which are missing are pandas' nullable ones (Int64), so exact. Intervals
        are timedelta64 where none of a column has months, which are no fixed time."""
        table = _narrowed(self._table)
        frame: pandas.DataFrame = table.to_pandas()
        return _with_times(_with_exact_integers(frame, table), table)

    def pl(self) -> polars.DataFrame:
        import polars

        frame = polars.from_arrow(self._table)
        return frame if isinstance(frame, polars.DataFrame) else frame.to_frame()

    def rows(self) -> list[dict[str, Any]]:
        """The rows as dictionaries."""
        return list(self._table.to_pylist())

    @property
    def columns(self) -> list[str]:
        return list(self._table.column_names)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        return (
            f"QueryResult: {self._caption(TEXT_ROWS, TEXT_COLUMNS, Speech())}{self._first_rows()}"
        )

    def _first_rows(self) -> str:
        names = self.columns[:TEXT_COLUMNS]
        head = self._table.slice(0, TEXT_ROWS).select(range(len(names)))
        cells = [
            [name, *map(_text, each.to_pylist())]
            for name, each in zip(names, head.columns, strict=True)
        ]
        widths = [max(map(len, column)) for column in cells]
        rows = zip(*cells, strict=True)
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
        return "".join(f"\n  {line}" for line in lines)

    def _repr_html_(self) -> str:
        names = self.columns[:SHOWN_COLUMNS]
        head = self._table.slice(0, SHOWN_ROWS).select(range(len(names)))
        cells = [column.to_pylist() for column in head.columns]
        return markup.table(
            names, zip(*cells, strict=True), self._caption(SHOWN_ROWS, SHOWN_COLUMNS, spoken())
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return markup.bundle(self, lasting=f"{len(self):,} rows{self._first_rows()}")

    def _caption(self, rows: int, columns: int, speech: Speech) -> str:
        count, wide = len(self), len(self.columns)
        parts = [Sentence("{rows} {rows:row|rows}", {"rows": f"{count:,}"})]
        if count > rows:
            parts.append(Sentence("the first {shown} shown", {"shown": rows}))
        if wide > columns:
            part = {"shown": columns, "total": wide}
            parts.append(Sentence("{shown} of {total} columns shown", part))
        if self.truncated:
            parts.append(Sentence("cut off at the limit: more rows exist"))
        if self.as_of is not None:
            parts.append(Sentence("as of {time} UTC", {"time": f"{self.as_of:%Y-%m-%d %H:%M:%S}"}))
        took = speech.digits(f"{self.elapsed_ms:,.0f} ms")
        return ", ".join((*map(speech.say, parts), took))


def _text(value: Any) -> str:
    """A cell of a terminal: one line, cut short; but no amount is."""
    text = "–" if value is None else " ".join(str(value).split())
    whole = text.lstrip("-").isdecimal() and len(text) <= DIGITS
    return text if whole or len(text) <= TEXT_CHARS else text[: TEXT_CHARS - 1] + "…"


def _narrowed(table: pyarrow.Table) -> pyarrow.Table:
    """Whole decimals as int64 where all of a column's values are there and fit."""
    import pyarrow

    for index, field in enumerate(table.schema):
        column = table.column(index)
        if pyarrow.types.is_decimal(field.type) and field.type.scale == 0 and not column.null_count:
            with contextlib.suppress(pyarrow.ArrowInvalid):  # a value beyond 64 bits stays exact
                table = table.set_column(index, field.name, column.cast(pyarrow.int64()))
    return table


def _with_exact_integers(frame: pandas.DataFrame, table: pyarrow.Table) -> pandas.DataFrame:
    """Integers with gaps as pandas' nullable ones: as floats they would end at 2**53."""
    import pandas
    import pyarrow

    for index, field in enumerate(table.schema):
        column = table.column(index)
        if pyarrow.types.is_integer(field.type) and column.null_count:
            kind = pandas.api.types.pandas_dtype(_NULLABLE[str(field.type)])
            frame.isetitem(index, column.to_pandas(types_mapper=lambda _, kind=kind: kind))
    return frame


def _with_times(frame: pandas.DataFrame, table: pyarrow.Table) -> pandas.DataFrame:
    """Intervals of days and shorter as pandas' durations, not as its offsets of a calendar."""
    import numpy
    import pyarrow

    fields = numpy.dtype([("months", "i4"), ("days", "i4"), ("nanoseconds", "i8")])
    for index, field in enumerate(table.schema):
        if field.type != pyarrow.month_day_nano_interval():
            continue
        column = table.column(index)
        told = [
            numpy.frombuffer(each.buffers()[1] or b"", fields)[each.offset :][: len(each)]
            for each in column.chunks
        ]
        parts = numpy.concatenate([numpy.empty(0, fields), *told])
        missing = column.is_null().to_numpy()
        days, rest = parts["days"], parts["nanoseconds"]
        if (
            parts["months"][~missing].any()
            or (abs(days[~missing].astype("i8")) > LONGEST_DAYS).any()
        ):
            continue
        whole = (days * numpy.int64(DAY_NS) + rest).astype("timedelta64[ns]")
        whole[missing] = numpy.timedelta64("NaT")
        frame.isetitem(index, whole)
    return frame


def read_stream(content: bytes) -> pyarrow.Table:
    """One Arrow IPC stream as a table; no bytes are a table without columns."""
    import pyarrow

    if not content:
        return pyarrow.table({})
    return pyarrow.ipc.open_stream(content).read_all()


def _instant(given: Any) -> datetime | None:
    """Milliseconds since the Unix epoch, in UTC."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    return datetime.fromtimestamp(given / 1000, UTC)
