"""Every number of a report is held against the figures that its sentence rests on."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from workbench.runes.models.report_numbers import (
    NUMBER,
    Language,
    Sentence,
    Value,
    check_numbers,
    numbers_in,
    written,
)
from workbench.runes.models.runegpt_words import SENTENCES, TERMS
from workbench.runes.models.runegpt_writer import PLACE, from_model, from_templates

LANGUAGES = get_args(Language)
FIGURES: dict[str, Value] = {
    "blocks": 144,
    "first_height": 840_000,
    "last_height": 840_143,
    "runes": 1,
    "etchings": 0,
    "mints": 12_345_678,
    "transfers": 99,
    "top_rune": "840000:3",
    "top_rune_pct": 17.59,
    "receivers": 1234,
    "top_receiver_pct": 100.0,
    "median_fee_sat": 1516.5,
    "cenotaph_pct": 0.07,
    "change_pct": -47.1,
    "horizon_days": 14,
    "events_expected": 5_000,
    "confidence_pct": 95.0,
    "last_low": 99,
    "last_high": 400,
    "mase": 0.71,
    "skill_pct": 22.5,
    "events_scenario": 5_001,
}


def report(language: Language) -> list[Sentence]:
    terms = TERMS[language]
    words = {"method": terms["season"], "scenario": terms["bull"], "step": terms["day"]}
    return from_templates(FIGURES, words, language, list(SENTENCES[language])).sentences


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_template_is_true_and_speaks_of_every_figure(language: Language) -> None:
    sentences = report(language)
    assert len(sentences) == len(SENTENCES[language])
    assert check_numbers(sentences, FIGURES, language) == []
    assert {name for one in sentences for name in one.figures} == set(FIGURES)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("change", ["last-digit", "digit-more", "digit-less", "mark", "sign"])
def test_every_altered_number_is_caught(language: Language, change: str) -> None:
    caught = altered = 0
    for sentence in report(language):
        for match in NUMBER.finditer(sentence.text):
            other = ALTERED[change](match[0])
            if other == match[0]:
                continue
            text = sentence.text[: match.start()] + other + sentence.text[match.end() :]
            altered += 1
            caught += bool(check_numbers([Sentence(text, sentence.figures)], FIGURES, language))
    assert caught == altered > 5


ALTERED = {
    "last-digit": lambda number: number[:-1] + str((int(number[-1]) + 1) % 10),
    "digit-more": lambda number: number + "0",
    "digit-less": lambda number: number[:-1],
    "mark": lambda number: number.translate(str.maketrans(",.", ".,")),
    "sign": lambda number: number[1:] if number[0] == "-" else "-" + number,
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_number_that_is_another_figure_is_caught_too(language: Language) -> None:
    """Each number in turn becomes each other number of the whole report."""
    sentences = report(language)
    every = {number for one in sentences for number in numbers_in(one.text)}
    for sentence in sentences:
        for match in NUMBER.finditer(sentence.text):
            for other in every - {match[0]}:
                text = sentence.text[: match.start()] + other + sentence.text[match.end() :]
                assert check_numbers([Sentence(text, sentence.figures)], FIGURES, language), text


@pytest.mark.parametrize(
    ("language", "expected"),
    [("en_US", "-1,234,567.89"), ("pt_BR", "-1.234.567,89"), ("es_ES", "-1.234.567,89")],
)
def test_a_language_has_its_marks(language: Language, expected: str) -> None:
    assert written(-1234567.891, language) == expected
    assert written(-0.001, language) == "0" and written(2**127, language)[:3] in ("170",)
    assert written("840000:3", language) == "840000:3"


def test_numbers_in_words_fractions_and_foreign_digits_are_caught() -> None:
    for text in ("There were two of 99.", "About ½ of 99.", "٣ of 99.", "99 and a dozen."):
        assert check_numbers([Sentence(text, ("transfers",))], FIGURES, "en_US"), text
    name = {"top_rune": "TWO•THIRD•HALF"}
    assert check_numbers([Sentence("It is TWO•THIRD•HALF.", ("top_rune",))], name, "en_US") == []


def test_a_figure_that_is_unknown_or_not_said_is_a_fault() -> None:
    assert check_numbers([Sentence("All is well.", ("nothing",))], FIGURES, "en_US") == [
        (0, "nothing")
    ]
    assert check_numbers([Sentence("All is well.", ("mints",))], FIGURES, "en_US")


def test_templates_of_all_languages_use_the_same_figures() -> None:
    def places(language: str) -> dict[str, set[str]]:
        return {
            name: {match[1] for match in PLACE.finditer(text)}
            for name, text in SENTENCES[language].items()
        }

    assert places("en_US") == places("pt_BR") == places("es_ES")
    assert TERMS["en_US"].keys() == TERMS["pt_BR"].keys() == TERMS["es_ES"].keys()
    for texts in SENTENCES.values():
        assert not any(re.search(r"\d", PLACE.sub("", text)) for text in texts.values())


class Talker:
    """A language model that says what it was told to, and keeps what it was asked."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = list(answers), [""]

    def __call__(self, prompt: str, /) -> str:
        self.asked.append(prompt)
        return self.answers.pop(0)


def model_report(talker: Talker) -> tuple[list[str], str, int]:
    plain = from_templates(FIGURES, {}, "en_US", ["events", "extent"])
    found = from_model(talker, plain, FIGURES, "en_US")
    return [one.text for one in found.sentences], found.generator, found.dropped


def test_a_true_sentence_of_a_language_model_stays() -> None:
    talker = Talker("[mints, transfers] 12,345,678 mints came with 99 transfers.\n\nA busy day.")
    assert model_report(talker) == (
        ["12,345,678 mints came with 99 transfers.", "A busy day."],
        "language-model",
        0,
    )
    assert "mints = 12,345,678" in talker.asked[1]


def test_a_wrong_number_is_written_again_once() -> None:
    talker = Talker("[mints] There were 12 million mints.", "[mints] There were 12,345,678 mints.")
    assert model_report(talker) == (["There were 12,345,678 mints."], "language-model", 0)
    assert "million" in talker.asked[2]


def test_templates_say_what_a_dropped_sentence_was_about() -> None:
    talker = Talker("[mints] 7 mints.\n[transfers] 99 moved.", "[mints] 8 mints.")
    instead = "It holds 0 etchings, 12,345,678 mints and 99 transfers."
    assert model_report(talker) == ([instead, "99 moved."], "language-model", 1)


def test_with_nothing_true_left_templates_write() -> None:
    texts, generator, dropped = model_report(Talker("[mints] 7 mints.", ""))
    assert generator == "templates" and dropped == 1 and "12,345,678 mints" in texts[0]
