"""A sentence with its values: what one thing is called, and what several are."""

from __future__ import annotations

import pytest

from workbench.core.sentence import Sentence, told

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
