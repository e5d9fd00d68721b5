"""What an answer draws is said in the reader's language; what it is stays as it was, to a byte."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest

from tests.runes.questions.test_every import ASKED
from tests.speaking import speaking
from workbench import InputError, language, runes
from workbench.core.figure import PLOTLY, Figure
from workbench.core.figure_words import in_language
from workbench.core.sentence import Sentence, Speech
from workbench.runes.answer import Answer
from workbench.runes.batch import Batch
from workbench.runes.questions.compare_sources import compare_sources
from workbench.widgets.bundle import catalogue

DATA = {"unrecognized-even-tag", "regtest", "etchings", "entries", "amount"}
"""Codes, and names of tables and fields, by which code asks for them."""
DRAWN = re.compile(r"[a-z]{2}")


def pieces(drawn: str) -> list[str]:
    """Each text between tags, and what is told on pointing at one."""
    texts = [*re.findall(r">([^<]+)<", drawn), *re.findall(r'title="([^"]+)"', drawn)]
    return [html.unescape(text).strip() for text in texts]


def left_in_english(english: str, portuguese: str) -> set[str]:
    """Words that are drawn alike, and not because both languages write them so."""
    one, other = pieces(english), pieces(portuguese)
    assert len(one) == len(other)
    same = {text for text in set(one) & set(other) if DRAWN.search(text)}
    alike = {key for key, text in catalogue("pt-BR").items() if key == text}
    return {text for text in same if not re.search(r"\d|•", text)} - alike - DATA


def drawn(answer: Answer) -> str:
    """All that a cell shows of an answer."""
    figure = Figure(answer.figure)._repr_html_() if answer.figure else ""
    return answer._repr_html_() + figure + answer.explain()._repr_html_()


@pytest.mark.parametrize("name", [*ASKED, "compare_sources"])
def test_an_answer_is_drawn_in_portuguese_without_a_word_of_english(
    name: str, small: Batch
) -> None:
    """And English is drawn as before once it is chosen again."""
    if name == "compare_sources":
        answer = compare_sources(small, {"balances": small.tables["balances"].slice(1)})
    else:
        answer = getattr(runes, name)(small, **ASKED[name][0])
    english, said, facts = drawn(answer), repr(answer), repr(answer.facts)
    frame, result = answer.frame, answer.result("b").data
    with speaking("pt-BR"):
        assert left_in_english(english, drawn(answer)) == set()
        assert (repr(answer), repr(answer.facts)) == (said, facts)
        assert answer.frame.equals(frame)
        assert [*answer.frame.columns] == [*frame.columns]
        assert answer.result("b").data == result
    assert drawn(answer) == english


def test_what_a_question_gives_does_not_depend_on_the_language(small: Batch) -> None:
    english = runes.holders(small, rune="HOLLOW•LEGEND•FOSSIL")
    with speaking("pt-BR"):
        portuguese = runes.holders(small, rune="HOLLOW•LEGEND•FOSSIL")
    assert repr(portuguese) == repr(english)
    assert portuguese.table.equals(english.table)
    assert json.dumps(portuguese.figure) == json.dumps(english.figure)
    assert repr(portuguese.explain()) == repr(english.explain())


def test_numbers_have_the_signs_of_the_language(small: Batch) -> None:
    """Also those in a sentence with a unit, and exact ones stay exact."""
    answer = runes.holders(small, rune="HOLLOW•LEGEND•FOSSIL")
    with speaking("pt-BR"):
        seen = pieces(answer._repr_html_())
        drawn = answer.figure._repr_mimebundle_()
    assert seen[0] == (
        "Após o bloco 1215, 15 detentores de HOLLOW•LEGEND•FOSSIL têm 20,78 ¤; o maior tem 22,1 %."
    )
    assert {"4,59", "459", "22,1 %", "As primeiras 10 de 15 linhas; .frame tem todas"} <= {*seen}
    assert drawn[PLOTLY]["layout"]["separators"] == ",."


def test_a_figure_of_plotly_has_its_titles_axes_legend_and_words_in_portuguese(
    small: Batch,
) -> None:
    figure = runes.cohort(small, rune="HOLLOW•LEGEND•FOSSIL", since=1208).figure
    before = json.dumps(figure)
    with speaking("pt-BR"):
        said: dict[str, Any] = figure._repr_mimebundle_()[PLOTLY]
    title = said["layout"]["title"]["text"].replace("<br>", " ")
    assert title == "O que foi dos detentores de HOLLOW•LEGEND•FOSSIL"
    assert said["layout"]["yaxis"]["title"]["text"] == said["data"][0]["name"] == "detentores"
    assert said["data"][0]["x"] == ["entrou", "saiu", "cresceu", "diminuiu", "ficou"]
    assert json.dumps(figure) == before


def test_names_along_an_axis_that_are_data_stay() -> None:
    """Though a rune may be called what the catalogue knows a word for."""
    speech = Speech("pt-BR", {"open": "aberta", "12.5": "never"})
    figure = {"data": [{"x": ["open"], "text": ["12.5", "open"], "y": [1]}], "layout": {}}
    said = in_language(figure, speech)["data"][0]
    assert said == {"x": ["open"], "text": ["12,5", "aberta"], "y": [1]}


def test_a_batch_is_drawn_in_portuguese(small: Batch) -> None:
    english = small._repr_html_()
    with speaking("pt-BR"):
        portuguese = small._repr_html_()
    data = {small.id, small.source.producer, *small.rows()}
    assert left_in_english(english, portuguese) - data == set()
    assert "1200 to 1215" in pieces(english)
    assert "1200 a 1215" in pieces(portuguese)


def test_an_index_is_drawn_in_portuguese() -> None:
    """What it says in code stays English."""
    index = runes.Index("mainnet")
    before = repr(index)
    with speaking("pt-BR"):
        assert {"rede", "blocos", "nenhum", "saídas em posse"} <= {*pieces(index._repr_html_())}
        assert repr(index) == before


def test_what_is_not_in_the_catalogue_stays_english() -> None:
    speech = Speech("pt-BR", {})
    assert speech.say(Sentence("{n} things", {"n": 1.5})) == "1,5 things"


def test_a_language_that_is_not_spoken_is_refused() -> None:
    with pytest.raises(InputError, match=r"code is 'de'; allowed: en or pt-BR"):
        language("de")
