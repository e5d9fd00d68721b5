"""Models, measurements and comparisons of language models, as a notebook draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from workbench.core import markup
from workbench.core.figure import Figure
from workbench.core.llm_results import Benchmark, Comparison, Generated, Recommendation
from workbench.core.sentence import Sentence, Speech, Told, spoken, told
from workbench.session.answers import Answer

MIB = 1 << 20
NO_MODEL = "no model fits"


class LanguageModels(dict[str, Any]):
    """`models`, `backends`, `current`, `ageS`, as on the wire; drawn as two tables."""

    @property
    def ids(self) -> list[str]:
        """Those that can be used."""
        return [str(e.get("id")) for e in self.get("models") or () if not e.get("problem")]

    def __repr__(self) -> str:
        loaded = [str(each["id"]) for each in self.get("models") or () if each.get("loaded")]
        return f"LanguageModels({len(self.ids)} models, loaded: {', '.join(loaded) or 'none'})"

    def _repr_html_(self) -> str:
        speech = spoken()
        models = [_model_row(each, speech) for each in self.get("models") or ()]
        backends = [_backend_row(each, speech) for each in self.get("backends") or ()]
        names = ("model", "back end", "loaded", "size MiB", "context", "quantization")
        count = speech.say(Sentence("{count} models", {"count": len(models)}))
        drawn = markup.table(speech.each(*names), models, count)
        return drawn + markup.table(speech.each("back end", "kind", "state", "note"), backends)


class Drawn:
    """A result as the hub gave it (`value`), drawn as its table and its figure."""

    title: ClassVar[str] = ""

    def __init__(self, value: Benchmark | Comparison) -> None:
        self.value = value

    @property
    def table(self) -> list[dict[str, Any]]:
        """Its rows, as plain data."""
        return [dict(row) for row in self.value.table]

    @property
    def figure(self) -> Figure:
        return Figure(self.value.figure)

    def __repr__(self) -> str:
        rows = [
            "  ".join(f"{name} {_told(cell)}" for name, cell in row.items()) for row in self.table
        ]
        return "\n".join([self.title, *(f"  {row}" for row in rows)])

    def _repr_html_(self) -> str:
        return rows_html(self.table, spoken().say(self.title))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return markup.bundle(self, lasting="")

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]
        if self.value.figure:
            display(self.figure)  # type: ignore[no-untyped-call]


class Measured(Drawn):
    """How fast a model is here."""

    title = "benchmark: medians over its runs"


class Compared(Drawn):
    """The same question answered by several models."""

    title = "comparison"

    @property
    def answers(self) -> dict[str, Answer | str]:
        """Each model's answer, or why it has none."""
        value = self.value
        assert isinstance(value, Comparison)  # noqa: S101  # what this class is made with
        return {
            each.model: Answer.of(each.answer)
            if each.answer is not None
            else (each.error.message if each.error else "no answer")
            for each in value.answers
        }

    def _repr_html_(self) -> str:
        said = [(model, str(answer)) for model, answer in self.answers.items()]
        return super()._repr_html_() + markup.table(spoken().each("model", "answer"), said)


class Advised:
    """Models for a kind of task, best first."""

    def __init__(self, value: Recommendation) -> None:
        self.value = value
        self.model = value.model

    def __repr__(self) -> str:
        return str(self._about)

    @property
    def _about(self) -> Told:
        return told("for {kind}: {model}", kind=self.value.kind, model=self.model or NO_MODEL)

    def _repr_html_(self) -> str:
        speech = spoken()
        rows = [
            (
                each.model,
                _fits(each.fits, speech),
                "; ".join(speech.each(*each.measured)),
                "; ".join(speech.each(*each.assumed)),
            )
            for each in self.value.advice
        ]
        names = ("model", "fits in memory", "measured", "assumed")
        return markup.table(speech.each(*names), rows, speech.say(self._about))


class Attempts:
    """An answer that passed its checks, and what it took."""

    def __init__(self, value: Generated) -> None:
        self.value = value
        self.answer = Answer.of(value.answer)

    def __str__(self) -> str:
        return self.answer.text

    def __repr__(self) -> str:
        return f"{self.answer!r}\n[{len(self.value.attempts)} attempts]"

    def _repr_html_(self) -> str:
        speech = spoken()
        rows = [
            (each.number, each.model, speech.say("passed") if each.ok else _why(each, speech))
            for each in self.value.attempts
        ]
        names = speech.each("attempt", "model", "outcome")
        return markup.block(self.answer.text) + markup.table(names, rows)


def rows_html(rows: Sequence[Mapping[str, Any]], caption: str) -> str:
    """Rows of the same keys as a table."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[row.get(name) for name in names] for row in rows]
    return markup.table(spoken().each(*names), cells, caption)


def _model_row(model: Mapping[str, Any], speech: Speech) -> Sequence[Any]:
    size = model.get("sizeBytes")
    return (
        model.get("id"),
        model.get("backend"),
        speech.say("yes" if model.get("loaded") else "no"),
        None if size is None else speech.digits(f"{size / MIB:,.0f}"),
        model.get("contextSize"),
        model.get("quantization"),
    )


def _backend_row(backend: Mapping[str, Any], speech: Speech) -> Sequence[Any]:
    note = " ".join(speech.each(*filter(None, (backend.get("note"), backend.get("remedy")))))
    state = speech.say("answers" if backend.get("ok") else "does not answer")
    return backend.get("name"), backend.get("kind"), state, note


def _fits(fits: bool | None, speech: Speech) -> str | None:
    return None if fits is None else speech.say("yes" if fits else "no")


def _why(attempt: Any, speech: Speech) -> str:
    if attempt.error is not None:
        return speech.say(str(attempt.error.message))
    return "; ".join(speech.each(*attempt.failures)) or speech.say("failed its checks")


def _told(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,.4g}" if isinstance(value, float) else str(msgspec.to_builtins(value))
