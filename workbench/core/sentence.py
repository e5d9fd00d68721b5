"""A sentence that is shown in the reader's language: an English template and its values."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from workbench.errors import counted

LANGUAGES = ("en", "pt-BR")
"""What people are spoken to in; the first is that of the templates."""


class Sentence(msgspec.Struct, frozen=True, rename="camel"):
    """The catalogues are keyed by `template`; `{names}` in it are filled from `values`, and
    `{name:one|many}` says the one word of a single thing, the other of several."""

    template: str
    values: dict[str, Any] = {}

    def __str__(self) -> str:
        return filled(self.template, self.values)


class Told(str):
    """A line that is text in Python, and keeps what says it in another language."""

    sentence: Sentence


_PLAIN = re.compile(r"(?:[^{}]|\{\{|\}\}|\{[A-Za-z_]\w*(?:!r|:[^|{}]*\|[^{}]*)?\})*")

_PLACES = re.compile(r"\{([A-Za-z_]\w*)[!:}]")


def is_plain(template: str) -> bool:
    """Whether a template has nothing but the places that every reader fills, a page as well. A
    format may name attributes, or a width that fills the memory: what comes from elsewhere is
    filled only where it has none."""
    return _PLAIN.fullmatch(template) is not None


def is_fillable(template: str, values: Container[str]) -> bool:
    """Whether it is plain, and each of its places has a value."""
    return is_plain(template) and all(name in values for name in _PLACES.findall(template))


def of_document(said: Any) -> Sentence | None:
    """The sentence in a document, which may be anybody's; None where it is none. One that cannot
    be filled is said as it stands."""
    template = said.get("template") if isinstance(said, Mapping) else None
    if not isinstance(template, str):
        return None
    values = said.get("values")
    values = values if isinstance(values, Mapping) else {}
    if is_fillable(template, values):
        return Sentence(template, dict(values))
    return Sentence("{line}", {"line": template})


def told(template: str, **values: Any) -> Told:
    """The template filled with its values."""
    line = Told(filled(template, values))
    line.sentence = Sentence(template, values)
    return line


def filled(template: str, values: Mapping[str, Any], single: Container[str] = ("1",)) -> str:
    """A template as a sentence of a language that says the counts `single` of one thing."""
    shown = {name: grouped(name, value) for name, value in values.items()}
    return counted(template, values, single).format(**shown)


NAMING = re.compile(
    r"height|block(?!s)|index|time|bits|nonce|pointer|output$|cluster$|version|code|port$|id$|seed$"
    r"|^since$|^until$",
    re.IGNORECASE,
)
"""Whole numbers that are names rather than amounts are not grouped: as in language.js."""


def grouped(name: str, value: Any) -> Any:
    """A whole number of people's texts with commas, as a page groups it; else the value itself."""
    return f"{value:,}" if type(value) is int and not NAMING.search(name) else value


_NUMBER = r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?"
_NUMBERS = re.compile(_NUMBER)
_WRITTEN = re.compile(rf"(?P<number>{_NUMBER})( (?P<unit>\S+|atomic units))?")
"""A number as Python writes it for people: 1,234.5, 76.2 %, 12.5 ⧉."""
_SWAPPED = str.maketrans(",.", ".,")


class Speech:
    """Says sentences in a language of the catalogues, for what is written without the page.

    `catalogue` has the sentence of each English template; one that it lacks stays English.
    """

    def __init__(
        self, language: str = "en", catalogue: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.language, self._catalogue = language, catalogue

    def say(self, line: str | Sentence) -> str:
        """A sentence, or a line that may be `told`; texts among the values are said, too."""
        said = line.sentence if isinstance(line, Told) else line
        if not isinstance(said, Sentence):
            return self._catalogue.get(said, said)
        values = {name: self._value(grouped(name, value)) for name, value in said.values.items()}
        template = self._catalogue.get(said.template, said.template)
        return filled(template, values, ("1",) if self.language == "en" else ("0", "1"))

    def each(self, *lines: str | Sentence) -> tuple[str, ...]:
        """Several, such as the headings of a table."""
        return tuple(map(self.say, lines))

    def digits(self, text: str) -> str:
        """Numbers that Python wrote with commas, with this language's signs."""
        if self.language == "en":
            return text
        return _NUMBERS.sub(lambda at: at[0].translate(_SWAPPED), text)

    def text(self, text: str) -> str:
        """A text of data: a number as Python writes it, or words that the catalogue may know."""
        written = None if isinstance(text, Told) else _WRITTEN.fullmatch(text)
        if written is None:
            return self.say(text)
        unit = written["unit"] or ""
        said = self.say(unit) if " " in unit else unit  # a lone word may be the symbol of a rune
        return " ".join(filter(None, (self.digits(written["number"]), said)))

    def _value(self, value: Any) -> Any:
        if isinstance(value, float):
            return self.digits(str(value))
        return self.text(value) if isinstance(value, str) else value


class _Current:
    speech = Speech()


def spoken() -> Speech:
    """What this process draws is said in: English, until a face chooses another language."""
    return _Current.speech


def speak(speech: Speech) -> None:
    """From now on whatever draws itself in this process is said in `speech`."""
    _Current.speech = speech
