"""How an answer looks: words for columns, amounts as read and exact, nothing unescaped."""

from __future__ import annotations

import re

import pyarrow as pa

from tests.runes.questions.conftest import SAMPLES
from workbench.core.figure import Figure
from workbench.core.sentence import Sentence
from workbench.runes.answer import Answer, Explanation
from workbench.runes.batch import load_batch
from workbench.runes.questions.holders import holders
from workbench.runes.questions.reconcile import reconcile
from workbench.runes.questions.supply import supply

EVIL = "<img src=x onerror=alert(1)>"


def answer(table: pa.Table, **given: object) -> Answer:
    usual = {
        "question": "asked",
        "sentence": Sentence("all is told"),
        "table": table,
        "figure": Figure(),
        "explanation": Explanation(question="What?", formulas=("a = b",), missing=("the rest",)),
    }
    return Answer(**{**usual, **given})  # type: ignore[arg-type]


def cells(drawn: str) -> list[str]:
    """The words of each cell of the first table."""
    body = drawn.split("<tbody>")[1].split("</tbody>")[0]
    return [re.sub("<[^>]+>", " ", cell).strip() for cell in body.split("</td>")[:-1]]


def test_columns_are_headed_in_words_with_their_unit() -> None:
    drawn = answer(pa.table({"fees_sat": [1], "rune_id": ["1:0"], "txid": [None]}))._repr_html_()
    assert re.findall(r"<th [^>]*>(.*?)</th>", drawn) == ["fees (sat)", "rune id", "transaction"]


def test_an_amount_is_read_with_its_decimal_places_above_its_exact_digits() -> None:
    table = pa.table({"rune_id": ["1:1", "1:2", "1:3"], "held": [str(2**127), "7", None]})
    drawn = answer(table, amounts=("held",), divisibility={"1:1": 38})._repr_html_()
    assert cells(drawn)[1::2] == [
        f"1.70141183460469231731687303715884105728  {2**127}",
        "7",
        "–",
    ]


def test_counts_are_not_divided() -> None:
    table = pa.table({"mints": ["12345"], "minted": ["12345"]})
    given = {"amounts": ("mints", "minted"), "counts": ("mints",), "divisibility": 2}
    assert cells(answer(table, **given)._repr_html_()) == ["12,345", "123.45  12345"]


def test_shares_are_percent_and_blocks_keep_their_digits_together() -> None:
    table = pa.table({"top_share": [0.12345], "height": [840000], "lots": [1234], "later": [True]})
    assert cells(answer(table)._repr_html_()) == ["12.3 %", "840000", "1,234", "yes"]


def test_a_long_address_is_told_by_its_ends_and_whole_on_pointing_at_it() -> None:
    address = "bc1p" + "q" * 54 + "xyz"
    drawn = answer(pa.table({"address": [address]}))._repr_html_()
    assert cells(drawn) == ["bc1pqqqqq…qqqqqqxyz"]
    assert f'title="{address}"' in drawn


def test_the_first_rows_stand_there_and_the_rest_is_said_to_be_in_the_frame() -> None:
    drawn = answer(pa.table({"n": list(range(1000))}))._repr_html_()
    assert len(cells(drawn)) == 10
    assert "The first 10 of 1,000 rows; .frame has all" in drawn


def test_what_is_missing_is_seen_at_once_and_the_formulas_are_folded_away() -> None:
    drawn = answer(pa.table({"n": [1]}))._repr_html_()
    seen, folded = drawn.split("<details>")
    assert "Missing: the rest" in seen
    assert "a = b" in folded


def test_a_further_table_is_folded_and_one_without_rows_is_not_drawn() -> None:
    more = {"by_cause": pa.table({"n": [1, 2]}), "none": pa.table({"n": pa.array([], pa.int64())})}
    drawn = answer(pa.table({"n": [1]}), more=more)._repr_html_()
    assert "<summary>by cause · 2 rows</summary>" in drawn
    assert "<summary>none" not in drawn


def test_a_state_that_was_taken_over_is_said_beside_the_answer() -> None:
    drawn = answer(pa.table({"n": [1]})).trusting("state trusted from sha256:ab")._repr_html_()
    assert "state trusted from sha256:ab" in drawn.split("<details>")[0]


def test_nothing_of_a_source_is_taken_for_markup() -> None:
    table = pa.table({"name": [EVIL], EVIL: [f"{EVIL}{'x' * 300}"]})
    drawn = answer(table, sentence=Sentence(EVIL), more={EVIL: table})._repr_html_()
    assert "<img" not in drawn


def test_a_sentence_begins_large_but_a_name_stays_as_it_is() -> None:
    table = pa.table({"n": [1]})
    assert ">All is told.<" in answer(table)._repr_html_()
    assert (
        ">b866342_ab agrees.<"
        in answer(table, sentence=Sentence("b866342_ab agrees"))._repr_html_()
    )


def test_questions_read_amounts_with_the_divisibility_of_their_rune() -> None:
    small = load_batch(SAMPLES / "small.json")
    held = holders(small, rune="HOLLOW•LEGEND•FOSSIL")
    assert cells(held._repr_html_())[2] == "4.59  459"
    assert supply(small).divisibility["1206:7"] == 5  # type: ignore[index]
    row = reconcile(small, rune="1207:2")
    assert "22  2200" in cells(row._repr_html_())


def test_the_figure_paints_no_ground_and_keeps_what_it_states_itself() -> None:
    layout = Figure(data=[], layout={"title": {"text": "t"}})._repr_mimebundle_()
    drawn = layout["application/vnd.plotly.v1+json"]["layout"]
    assert drawn["template"]["layout"]["paper_bgcolor"] == "rgba(0,0,0,0)"
    assert drawn["title"] == {"text": "t"}


def test_the_figure_offers_no_upload_of_what_it_shows() -> None:
    drawn = Figure(data=[])._repr_mimebundle_()["application/vnd.plotly.v1+json"]
    assert drawn["config"]["showSendToCloud"] is False


def test_a_long_title_has_lines_that_a_phone_has_room_for() -> None:
    text = "What became of the holders of OASIS•RIVER•PEBBLE"
    figure = Figure(data=[], layout={"title": {"text": text, "x": 0.5}})
    drawn = figure._repr_mimebundle_()["application/vnd.plotly.v1+json"]["layout"]["title"]
    assert drawn["x"] == 0.5
    lines = drawn["text"].split("<br>")
    assert len(lines) == 2 and max(map(len, lines)) <= 40
    assert " ".join(lines) == text == figure.title
    below = Figure(
        data=[], layout={"xaxis": {"title": {"text": "share of what was made, percent"}}}
    )
    axis = below._repr_mimebundle_()["application/vnd.plotly.v1+json"]["layout"]["xaxis"]
    assert axis["title"]["text"] == "share of what was made,<br>percent"
