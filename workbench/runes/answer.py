"""An answer to a question: a sentence, exact rows, a figure, and how they came about."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from workbench.core import markup
from workbench.core.figure import Figure
from workbench.core.model import Result
from workbench.core.sentence import Sentence, Told, spoken, told
from workbench.errors import InputError
from workbench.runes import drawing
from workbench.runes.history import trust_line, trust_notes

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """How an answer came about: `formulas`, what was assumed, and what the batch does not say."""

    question: str
    formulas: tuple[str, ...]
    assumptions: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What there is to say, under its heading."""
        named = (
            ("Formulas", self.formulas),
            ("Assumptions", self.assumptions),
            ("What is missing", self.missing),
            ("From", self.sources),
        )
        return tuple((heading, lines) for heading, lines in named if lines)

    def document(self) -> dict[str, Any]:
        """It as JSON carries it; a line with values in it as template and values, which a page
        says in its reader's language."""
        told: dict[str, Any] = {"question": self.question}
        for name in ("formulas", "assumptions", "missing", "sources"):
            told[name] = [_line(each) for each in getattr(self, name)]
        return told

    def __repr__(self) -> str:
        lines = [self.question]
        for heading, part in self.parts:
            lines += [heading, *(f"  {line}" for line in part)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return drawing.listed([(self.question, ()), *self.parts])


@dataclass(frozen=True, eq=False, repr=False)
class Rows:
    """Rows of an answer, exact in `table`, drawn as the answer draws its own."""

    table: pa.Table
    reading: drawing.Reading

    def __repr__(self) -> str:
        return _counted(self.table)

    def _repr_html_(self) -> str:
        return drawing.rows(self.table, self.reading, ".table")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Answer:
    """What a question gave. As the last line of a cell it is drawn.

    `table` and those of `more` hold the rows exactly: 128-bit amounts are decimal strings in
    atomic units there (the columns that `amounts` names), Python integers in `frame`.
    """

    question: str
    sentence: Sentence
    table: pa.Table
    figure: Figure
    explanation: Explanation
    amounts: tuple[str, ...] = ()
    more: Mapping[str, pa.Table] = field(default_factory=dict)
    """Further tables by name, such as the transactions behind a row; exact as `table` is."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The figures that the sentence rests on, by name; amounts are integers in atomic units."""
    counts: tuple[str, ...] = ()
    """Those of `amounts` that count mints or names, and are not atomic units."""
    divisibility: Mapping[str, int] | int | None = None
    """What the drawn amounts are read with: that of the one rune that all are of, or by the rune
    id of a row, which `Question` fills in."""
    trust: str | None = None
    """`state trusted from sha256:...` where it rests on a state that was taken over."""

    def trusting(self, trust: str) -> Answer:
        """The same, marked as resting on a state that was taken over."""
        known = (said for said in self.explanation.sources if said != trust)
        sources = (*known, trust_line(trust))
        explanation = dataclasses.replace(self.explanation, sources=sources)
        return dataclasses.replace(self, explanation=explanation, trust=trust)

    @property
    def frame(self) -> pandas.DataFrame:
        """The rows; an amount is a Python integer. What is not known is None there, <NA> among
        other integers, NaN among fractions."""
        frame: pandas.DataFrame = self.table.to_pandas()
        for name in self.table.column_names:
            column = self.table[name]
            if column.null_count and pa.types.is_integer(column.type):  # as floats they would be
                frame[name] = column.to_pandas(types_mapper=_nullable)  # 840000.0
            elif column.null_count and pa.types.is_string(column.type):  # as NaN they would be
                frame[name] = frame[name].astype(object).where(column.is_valid(), None)
        for name in filter(frame.__contains__, self.amounts):
            whole = [None if text is None else int(text) for text in self.table[name].to_pylist()]
            frame[name] = whole
            frame[name] = frame[name].astype(object).where(self.table[name].is_valid(), None)
        return frame

    def rows(self, where: str = "", *, of: str = "") -> Rows:
        """Its rows alone, drawn as it draws them: those that `where` says, as pandas' `query` reads
        it; `of` is one of `more`. Raises InputError for a table that it does not have."""
        if of and of not in self.more:
            raise InputError.field("of", of, ", ".join(self.more) or "none: it has one table")
        table = self.more[of] if of else self.table
        if where:
            frame = table.to_pandas() if of else self.frame
            table = table.take(frame.query(where).index.tolist())
        return Rows(table, drawing.Reading(self.amounts, self.counts, self.divisibility))

    def explain(self) -> Explanation:
        """The formulas, the assumptions, what is missing, and whose data it is."""
        return self.explanation

    def result(self, batch: str) -> Result:
        """It as what a mesh model gives back."""
        data = {
            "answer": _document(self.sentence),
            "facts": {name: _plain(value) for name, value in self.facts.items()},
            "explanation": self.explanation.document(),
            "amounts": list(self.amounts),
            **({"notes": trust_notes(self.trust)} if self.trust else {}),
        }
        figures = [dict(self.figure)] if self.figure else []
        return Result(
            data=data, batch=batch, tables={"answer": self.table, **self.more}, figures=figures
        )

    def __repr__(self) -> str:
        said = f"{self.question}: {self.sentence}"
        return "\n".join([said, _counted(self.table), *filter(None, [self.trust])])

    def _repr_html_(self) -> str:
        say = spoken().say
        reading = drawing.Reading(self.amounts, self.counts, self.divisibility)
        parts = [
            drawing.lead(self.sentence),
            drawing.rows(self.table, reading, ".frame"),
            *(drawing.further(name, table, reading) for name, table in self.more.items()),
            *(drawing.noted(trust_line(trust)) for trust in filter(None, [self.trust])),
            *(drawing.noted(told("Missing: {line}", line=one)) for one in self.explanation.missing),
            drawing.folded(say("How this came about"), drawing.listed(self.explanation.parts)),
        ]
        return "".join(parts)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return markup.bundle(self)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]
        if self.figure:
            display(self.figure)  # type: ignore[no-untyped-call]


def _nullable(kind: pa.DataType) -> Any:
    """pandas' type for integers some of which are missing."""
    import pandas

    return pandas.api.types.pandas_dtype(str(kind).replace("int", "Int").replace("u", "U"))


def _line(line: str) -> Any:
    return _document(line.sentence) if isinstance(line, Told) else line


def _document(sentence: Sentence) -> Any:
    """It as JSON carries it; a line that is `told` among its values as its text, which is a key."""
    return msgspec.to_builtins(sentence, enc_hook=str)


def _plain(value: Any) -> Any:
    """What JSON carries: an integer beyond 64 bits as its digits."""
    return str(value) if isinstance(value, int) and abs(value) >= 2**63 else value


def _counted(table: pa.Table) -> str:
    count = table.num_rows
    return f"{count:,} row{'' if count == 1 else 's'} of {', '.join(table.column_names)}"
