"""The two catalogues: everything that can be said is in both, and nothing else is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.widgets.catalogue import (
    STATIC,
    literals,
    many,
    names_in,
    needed,
)
from workbench.widgets.bundle import catalogue

UNCOUNTED = {"top", "unlocking"}
"""What Portuguese says alike of one and of many: o top 1 fica, o top 10 fica."""


@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_everything_that_can_be_said_is_in_the_catalogue(language: str) -> None:
    assert sorted(needed() - catalogue(language).keys()) == []


@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_the_catalogue_holds_nothing_that_is_never_said(language: str) -> None:
    assert sorted(catalogue(language).keys() - needed() - literals()) == []


def test_english_is_its_own_catalogue_except_where_it_counts() -> None:
    """A template of Python counts itself; one of the page is the sentence for many."""
    assert [key for key, text in catalogue("en").items() if key not in (text, many(text))] == []


def test_a_translation_uses_exactly_the_values_of_its_template() -> None:
    wrong = [key for key, text in catalogue("pt-BR").items() if names_in(key) != names_in(text)]
    assert wrong == []


def test_a_translation_is_never_empty_nor_the_english_sentence() -> None:
    pairs = catalogue("pt-BR").items()
    same = {key for key, text in pairs if key == text and len(key.split()) > 2}
    assert same == set()
    assert all(text.strip() for _, text in pairs)


def test_the_page_never_translates_what_it_puts_together() -> None:
    """A template with a backtick would be looked up filled in, and never be found."""
    loose = [path.name for path in STATIC.glob("*.js") if re.search(r"\bt\(`", path.read_text())]
    assert loose == []


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_words_of_the_page_come_from_the_catalogue(path: Path) -> None:
    """Text children of h("tag", {}, "Words") would be English on every page."""
    words = re.findall(r'h\("[\w.-]+", \{[^{}]*\}, "([A-Za-z]{2,}[^"]*)"', path.read_text())
    assert [word for word in words if word not in ("CSV", "words")] == []


def test_catalogues_are_tracked_as_text() -> None:
    root = STATIC.parents[2]
    checked = subprocess.run(
        ["git", "check-ignore", "workbench/widgets/i18n/en.json"], cwd=root, capture_output=True
    )
    assert checked.returncode == 1


def test_a_translation_counts_what_its_template_counts() -> None:
    """Else of one it says many: "1 das 30 runas não foram gravadas"."""

    def counted(text: str) -> set[str]:
        return set(re.findall(r"\{(\w+):[^{}|]*\|[^{}]*\}", text))

    pairs = catalogue("pt-BR").items()
    assert [key for key, text in pairs if counted(key) - counted(text) - UNCOUNTED] == []
    nested = re.compile(r"\{\w+:[^{}]*\{")
    assert [text for text in catalogue("pt-BR").values() if nested.search(text)] == []
