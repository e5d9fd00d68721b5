"""One question in three ways: a call, a form, a task of the mesh; and an answer as it is kept."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import numpy as np
import pandas
import pyarrow as pa
import pytest

from tests.runes.fakes import RecordingContext
from tests.runes.questions.conftest import SAMPLES
from workbench.core.figure import Figure
from workbench.core.sentence import Sentence
from workbench.errors import InputError
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import Question, question, read_by
from workbench.runes.batch import load_batch
from workbench.runes.evidence import Evidence, evidence_of
from workbench.runes.records import RECORDS
from workbench.runes.saying import said_amount, said_share

SMALL = SAMPLES / "small.json"
FOSSIL = "1207:2"


def answer(**given: Any) -> Answer:
    usual: dict[str, Any] = {
        "question": "held",
        "sentence": Sentence("{n} hold it", {"n": 2}),
        "table": pa.table({"rune_id": ["1207:2", "1:0"], "held": [str(2**127), None]}),
        "figure": Figure(),
        "explanation": Explanation(question="Who?", formulas=("a = b",), sources=("a block",)),
        "amounts": ("held",),
    }
    return Answer(**{**usual, **given})


def who_holds(batch: Evidence, *, least: int = 1) -> Answer:
    """Counts them."""
    return answer(facts={"least": least, "blocks": batch.last_height})


def asked() -> Question:
    return question("Who holds?", version="7")(who_holds)


def test_a_question_is_a_model_of_the_mesh_with_the_same_parameters() -> None:
    model = asked().model
    assert (asked().name, asked().title) == ("who_holds", "Who holds?")
    assert (asked().__name__, asked().__doc__) == ("who_holds", "Counts them.")
    assert (model.name, model.version, model.title) == ("runes-who-holds", "7", "Who holds?")
    assert (model.description, model.pure, model.batch) == ("Counts them.", True, "path")
    assert (model.needs_batch, model.context) == (True, "context")
    assert model.validate({}) == {"least": 1}
    assert repr(asked()) == (
        "who_holds(batch, /, *, least: int = 1) -> workbench.runes.answer.Answer: Counts them."
    )
    assert [*inspect.signature(model.function).parameters] == ["context", "batch", "least"]
    assert model.function.__qualname__ == "who_holds.model"
    assert question("Who?")(who_holds).model.version == "1"


def test_the_mesh_gives_what_a_call_gives() -> None:
    context = RecordingContext({"batch": SMALL})
    result = asked().model.function(context, batch=SMALL, least=4)
    called = asked()(load_batch(SMALL), least=4)
    assert context.steps == [(0, 2), (1, 2)]
    assert result.batch == "sample_small"
    assert result.data["answer"]["template"] == called.sentence.template
    assert result.data["facts"] == dict(called.facts) == {"least": 4, "blocks": 1215}
    assert result.tables["answer"].equals(called.table)


def test_a_batch_of_too_many_runes_is_refused_by_the_node() -> None:
    context = RecordingContext({"batch": SMALL})
    context.rune_limit = 3
    with pytest.raises(InputError, match="holds 30 runes; allowed: up to 3"):
        asked().model.function(context, batch=SMALL)


def test_a_faulty_parameter_is_named_as_in_the_call() -> None:
    with pytest.raises(InputError) as refused:
        asked()(load_batch(SMALL), least="many")
    assert str(refused.value).startswith("least is 'many'; allowed: ")


def test_an_answer_is_noted_for_a_snapshot() -> None:
    RECORDS.forget()
    asked()(load_batch(SMALL), least=3)
    [given] = RECORDS.results()
    assert (given.question, given.of, given.parameters) == ("held", "sample_small", {"least": 3})
    assert (given.said, given.rows, given.facts) == ("2 hold it", 2, {"least": 3, "blocks": 1215})
    assert given.table.startswith('"rune_id","held"')
    RECORDS.forget()


def test_amounts_are_read_with_the_divisibility_of_the_runes_in_their_rows() -> None:
    read = evidence_of(load_batch(SMALL))
    assert asked()(read).divisibility == {FOSSIL: 2}
    for known in (
        answer(divisibility=7),
        answer(counts=("held",)),
        answer(table=pa.table({"held": ["1"]})),
    ):
        assert read_by(read, known) is known
    many = pa.table({"rune_id": ["1:0"] * 10 + [FOSSIL], "held": ["1"] * 11})
    assert read_by(read, answer(table=many)).divisibility == {}, "it is not drawn"


def test_a_result_is_ready_for_json() -> None:
    facts = {"small": 2**63 - 1, "large": 2**63, "deep": -(2**63), "share": 0.5}
    result = answer(facts=facts, more={"rest": pa.table({"n": [1]})}).result("b1")
    assert result.data == {
        "answer": {"template": "{n} hold it", "values": {"n": 2}},
        "facts": {"small": 2**63 - 1, "large": str(2**63), "deep": str(-(2**63)), "share": 0.5},
        "explanation": {
            "question": "Who?",
            "formulas": ["a = b"],
            "assumptions": [],
            "missing": [],
            "sources": ["a block"],
        },
        "amounts": ["held"],
    }
    assert (result.batch, result.figures, [*result.tables]) == ("b1", [], ["answer", "rest"])
    assert answer(figure=Figure(data=[])).result("b1").figures == [{"data": []}]


def test_a_frame_has_none_for_a_text_that_is_missing() -> None:
    frame = answer(table=pa.table({"address": ["bc1q", None], "held": ["1", "2"]})).frame
    assert frame["address"].tolist() == ["bc1q", None]


def test_a_parameter_may_be_a_number_out_of_a_frame() -> None:
    small = load_batch(SMALL)
    least = pandas.Series([3, 7]).max()
    assert asked()(small, least=least).facts["least"] == 7
    with pytest.raises(InputError, match=r"least is 2\.5"):
        asked()(small, least=np.float64(2.5))


def test_a_frame_has_amounts_as_integers_and_nothing_where_none_is_known() -> None:
    frame = answer().frame
    assert frame["held"].tolist() == [2**127, None]
    assert frame["rune_id"].tolist() == ["1207:2", "1:0"]


def test_a_text_says_the_sentence_the_rows_and_the_mark_and_why() -> None:
    marked = answer().trusting("state trusted from sha256:ab").trusting("state trusted from x")
    assert repr(marked) == "held: 2 hold it\n2 rows of rune_id, held\nstate trusted from x"
    assert marked.explain().sources[-1] == "state trusted from x"
    again = marked.trusting("state trusted from x")
    assert again.explain().sources.count("state trusted from x") == 1
    assert repr(answer().explain()) == "Who?\nFormulas\n  a = b\nFrom\n  a block"
    assert "<strong>Formulas</strong>" in answer().explain()._repr_html_()
    everything = answer().explanation
    for name in ("assumptions", "missing"):
        everything = dataclasses.replace(everything, **{name: ("x",)})
    headings = ["Formulas", "Assumptions", "What is missing", "From"]
    assert [heading for heading, _ in everything.parts] == headings
    drawn = answer()._repr_mimebundle_()
    assert (drawn["text/plain"], set(drawn)) == (repr(answer()), {"text/html", "text/plain"})


def test_at_the_end_of_a_cell_it_draws_itself_and_its_figure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer()._ipython_display_()
    alone = capsys.readouterr().out
    assert "held: 2 hold it" in alone and "text/html" in alone
    answer(figure=Figure(data=[{"name": "drawn"}]))._ipython_display_()
    assert capsys.readouterr().out.endswith("Figure('', 1 traces)\n")


@pytest.mark.parametrize(
    ("amount", "divisibility", "symbol", "said"),
    [
        (1_234_567, None, "¤", "1,234,567 atomic units"),
        (1_234_567, 2, "¤", "12,345.67 ¤"),
        (-1_234_500, 2, None, "-12,345"),
        (0, 2, "", "0"),
    ],
)
def test_an_amount_is_said_as_a_person_reads_it(
    amount: int, divisibility: int | None, symbol: str | None, said: str
) -> None:
    assert said_amount(amount, divisibility, symbol) == said


def test_a_share_is_said_in_percent() -> None:
    assert (said_share(0.1234), said_share(0), said_share(None)) == ("12.3 %", "0.0 %", "–")
    assert (said_share(5e-25), said_share(0.0005)) == ("less than 0.1 %", "0.1 %")
