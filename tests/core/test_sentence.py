"""A sentence with its values: what one thing is called, and what several are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import workbench
from workbench.core.sentence import NAMING, Sentence, Speech, told

STATIC = Path(workbench.__file__).parent / "widgets" / "static"

TEMPLATE = "{count} {count:holder has|holders have} {amount} of {rune}"


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "1 holder has"),
        ("1", "1 holder has"),
        (0, "0 holders have"),
        ("1,001", "1,001 holders have"),
    ],
)
def test_one_thing_is_not_called_as_several_are(count: object, said: str) -> None:
    sentence = Sentence(TEMPLATE, {"count": count, "amount": "5", "rune": "A|B"})
    assert str(sentence) == f"{said} 5 of A|B"


def test_a_line_is_text_and_keeps_what_says_it_in_another_language() -> None:
    line = told("in {count} {count:block|blocks}", count=1)
    assert line == "in 1 block"
    assert line.sentence == Sentence("in {count} {count:block|blocks}", {"count": 1})


def test_a_count_is_grouped_and_a_block_is_not() -> None:
    said = Sentence(
        "{count} {count:rune|runes} at block {height}", {"count": 2456, "height": 840000}
    )
    assert str(said) == "2,456 runes at block 840000"
    assert told("{count} of {flag}", count=1234, flag=True) == "1,234 of True"
    portuguese = Speech("pt-BR", {said.template: "{count} {count:runa|runas} no bloco {height}"})
    assert portuguese.say(said) == "2.456 runas no bloco 840000"


def test_a_page_names_the_same_numbers() -> None:
    page = (STATIC / "language.js").read_text(encoding="utf-8")
    [pattern] = re.findall(r"^const NAMING = /(.*)/i;$", page, re.MULTILINE)
    assert pattern == NAMING.pattern
