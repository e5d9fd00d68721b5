"""Who writes the report of `runegpt-v2`: templates, or a language model that is checked.

Numbers are computed, words are generated. A sentence of a language model that is not true to
its figures is written again once, then dropped: the templates' sentences about these figures
stand in its place. With nothing of its own left, templates write.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from workbench.core.llm import ModelError
from workbench.runes.models.report_numbers import (
    Language,
    Sentence,
    Value,
    check_numbers,
    said,
)
from workbench.runes.models.runegpt_words import LANGUAGES, SENTENCES

PLACE = re.compile(r"\{(\w+)(?::([^|}]*)\|([^}]*))?\}")
LINE = re.compile(r"^\W*\[([\w, ]*)\]\s*(.+)$")
MOST_LINES = 40
LONGEST_LINE = 600

RULES = """You write a short report in {language} about a batch of Bitcoin Runes data.
Use only the figures below. Write each number exactly as it stands there, and no other number,
neither in digits nor in words. Write one sentence a line. Begin each line with the ids of the
figures that stand in it, in brackets, such as: [mints, receivers] The sentence.
"""
PROMPT = """{rules}
Figures (id = how to write it):
{figures}

What they mean, as plain sentences:
{plain}
"""
AGAIN = """{rules}
This line of yours is wrong: {line}
Not among its figures, missing, or hidden in words: {faults}
Write that one line again, and nothing else. The figures:
{figures}
"""


class Generate(Protocol):
    """A language model that is at hand: a prompt in, a text out."""

    def __call__(self, prompt: str, /) -> str: ...


@dataclass(frozen=True, slots=True)
class Report:
    """The sentences, who wrote them, and how many were dropped as untrue."""

    sentences: list[Sentence]
    generator: str
    dropped: int = 0


def from_templates(
    figures: Mapping[str, Value],
    words: Mapping[str, str],
    language: Language,
    chosen: Sequence[str | tuple[str, ...]],
) -> Report:
    """The sentences named in `chosen` whose figures are all known; of several the first such."""
    known = figures.keys() | words.keys()
    sentences = []
    for names in chosen:
        for name in (names,) if isinstance(names, str) else names:
            template = SENTENCES[language][name]
            if {match[1] for match in PLACE.finditer(template)} <= known:
                sentences.append(_filled(template, figures, words, language))
                break
    return Report(sentences, "templates")


def _filled(
    template: str, figures: Mapping[str, Value], words: Mapping[str, str], language: Language
) -> Sentence:
    used: list[str] = []

    def fill(match: re.Match[str]) -> str:
        name, one, many = match.groups()
        if one is not None:
            return one if figures[name] == 1 else str(many)
        if name in words:
            return words[name]
        used.append(name)
        return said(name, figures, language)

    return Sentence(PLACE.sub(fill, template), tuple(used))


def from_model(
    generate: Generate, plain: Report, figures: Mapping[str, Value], language: Language
) -> Report:
    """The same facts in a language model's words, as far as they stay true. Raises ModelError for
    an empty answer."""
    used = dict.fromkeys(name for one in plain.sentences for name in one.figures)
    told = "\n".join(f"{name} = {said(name, figures, language)}" for name in used)
    rules = RULES.format(language=LANGUAGES[language])
    prompt = PROMPT.format(
        rules=rules,
        figures=told,
        plain="\n".join(one.text for one in plain.sentences),
    )
    sentences: list[Sentence] = []
    own, dropped = 0, 0
    for line in generate(prompt).splitlines()[:MOST_LINES]:
        if not line.strip():
            continue
        first = sentence = _read(line)
        faults = [fault for _, fault in check_numbers([first], figures, language)]
        if faults:
            prompt = AGAIN.format(
                rules=rules, line=line[:LONGEST_LINE], faults=", ".join(faults), figures=told
            )
            sentence = _again(generate, prompt)
        if check_numbers([sentence], figures, language) or not sentence.text:
            dropped += 1
            sentences += _instead(first, plain, sentences)
        else:
            own += 1
            sentences.append(sentence)
    if not own and not dropped:
        raise ModelError("its answer holds no sentence")
    if not own:
        return Report(plain.sentences, "templates", dropped)
    return Report(sentences, "language-model", dropped)


def without_model(plain: Report, language: Language) -> Report:
    """The templates' report, and in its last sentence why they wrote it."""
    why = Sentence(SENTENCES[language]["no_model"], ())
    return Report([*plain.sentences, why], plain.generator)


def _instead(dropped: Sentence, plain: Report, before: list[Sentence]) -> list[Sentence]:
    """The templates' sentences about the figures of one that was dropped."""
    about = set(dropped.figures)
    return [one for one in plain.sentences if about & set(one.figures) and one not in before]


def _again(generate: Generate, prompt: str) -> Sentence:
    answer = generate(prompt)
    lines = [one for one in answer.splitlines() if one.strip()]
    return _read(lines[0]) if lines else Sentence("", ())


def _read(line: str) -> Sentence:
    """A line `[ids] sentence`; without ids it rests on no figure, and may hold no number."""
    match = LINE.match(line[:LONGEST_LINE])
    if match is None:
        return Sentence(line[:LONGEST_LINE].strip(), ())
    names = tuple(name.strip() for name in match[1].split(",") if name.strip())
    return Sentence(match[2].strip(), names)
