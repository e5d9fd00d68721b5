"""Numbers in a report's sentences: how three languages write them, and whether each is true.

A sentence names the figures that it rests on. It is true to them where the numbers that stand
in it are exactly theirs, each as often as it is named, and none is hidden in words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Language = Literal["en_US", "pt_BR", "es_ES"]
Value = int | float | str

MARKS: dict[str, tuple[str, str]] = {
    "en_US": (",", "."),
    "pt_BR": (".", ","),
    "es_ES": (".", ","),
}
"""What groups thousands, and what begins the decimals."""

NUMBER = re.compile(r"(?<![^\W\d_])[-−+]?\d+(?:[.,:]\d+)*|[¼-¾⅐-⅞²³¹]")
"""A number as people write it, a rune id, or a fraction; a sign counts."""

_WORDS = {
    "en_US": """
        two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty
        sixty seventy eighty ninety hundred hundreds thousand thousands million millions billion
        dozen dozens half quarter third double twice triple thrice
    """,
    "pt_BR": """
        dois duas três quatro cinco seis sete oito nove dez onze doze vinte trinta quarenta
        cinquenta sessenta setenta oitenta noventa cem cento centenas mil milhares milhão
        milhões bilhão bilhões dúzia dúzias metade terço dobro triplo
    """,
    "es_ES": """
        dos tres cuatro cinco seis siete ocho nueve diez once doce veinte treinta cuarenta
        cincuenta sesenta setenta ochenta noventa cien ciento cientos mil miles millón millones
        docena docenas mitad tercio doble triple
    """,
}
WORDS = {language: frozenset(words.split()) for language, words in _WORDS.items()}
"""Numbers that hide in words; "one" is left out, because it is an article too."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence and the ids of the figures that it rests on, one for each time it is said."""

    text: str
    figures: tuple[str, ...]


def written(value: Value, language: Language) -> str:
    """A figure as the language writes it: whole numbers grouped, others with up to two decimals;
    a text, such as a rune's name, is as it is."""
    if isinstance(value, str):
        return value
    group, point = MARKS[language]
    plain = f"{value:,}"
    if isinstance(value, float):  # adding 0.0 leaves no minus at a zero
        plain = f"{round(value, 2) + 0.0:,.2f}".rstrip("0").rstrip(".")
    return "".join({",": group, ".": point}.get(letter, letter) for letter in plain)


def said(name: str, figures: Mapping[str, Value], language: Language) -> str:
    """A figure by its id as the language writes it: a height names a block and stays ungrouped."""
    value = figures[name]
    return written(str(value) if name.endswith("_height") else value, language)


def numbers_in(text: str) -> list[str]:
    """Every number of a text, as it stands there."""
    return [match[0] for match in NUMBER.finditer(text)]


def check_numbers(
    report: Sequence[Sentence], figures: Mapping[str, Value], language: Language
) -> list[tuple[int, str]]:
    """The place of each sentence that is not true to its figures, and what is wrong: a number
    that is none of them, one that is missing, a number in words, or a figure that is unknown."""
    faults = []
    for place, sentence in enumerate(report):
        faults += [(place, fault) for fault in _faults(sentence, figures, language)]
    return faults


def _faults(sentence: Sentence, figures: Mapping[str, Value], language: Language) -> list[str]:
    unknown = [name for name in sentence.figures if name not in figures]
    if unknown:
        return unknown
    told = [said(name, figures, language) for name in sentence.figures]
    text = sentence.text
    absent = [one for one in told if one not in text]
    expected = Counter(number for one in told for number in numbers_in(one))
    found = Counter(numbers_in(text))
    wrong = [*(found - expected).elements(), *(expected - found).elements()]
    for one in told:  # a rune's name may hold what looks like a word for a number
        text = text.replace(one, " ")
    hidden = [word for word in re.findall(r"\w+", text.lower()) if word in WORDS[language]]
    return [*wrong, *hidden, *absent]
