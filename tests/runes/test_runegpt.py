"""`runegpt-v2` tells what a batch shows, forecasts it, and says where it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runes.intents import FIRST
from tests.runes.series import WEEK, batch_of
from tests.runes.test_cypher import Bench
from workbench.errors import InputError
from workbench.runes.models.report_numbers import Sentence, check_numbers
from workbench.runes.models.runegpt import runegpt_v2

DAYS = 56


@pytest.fixture(scope="module")
def daily(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(9)
    mean = 40 + 20 * np.sin(np.arange(DAYS) * 2 * np.pi / WEEK)
    return batch_of(tmp_path_factory.mktemp("daily"), random.poisson(mean))


@pytest.fixture(scope="module")
def data(daily: Path) -> dict[str, Any]:
    return runegpt_v2(Bench(daily), scenarioAnalysis="bull").data


def sentences(data: dict[str, Any]) -> list[Sentence]:
    return [Sentence(one["text"], tuple(one["figures"])) for one in data["sentences"]]


def test_the_report_rests_on_figures_that_the_batch_holds(
    daily: Path, data: dict[str, Any]
) -> None:
    document = json.loads(daily.read_text())
    assert data["figures"]["mints"] == len(document["tables"]["mints"])
    assert data["figures"]["receivers"] == 9 and data["figures"]["runes"] == 1
    assert data["figures"]["top_rune"] == "840000:3" and data["figures"]["top_rune_pct"] == 100
    assert data["generator"] == "templates"
    assert check_numbers(sentences(data), data["figures"], "en_US") == []
    assert data["report"] == " ".join(one["text"] for one in data["sentences"])


def test_a_season_is_forecast_with_an_interval_and_its_backtest(data: dict[str, Any]) -> None:
    ahead = data["forecast"]
    one = ahead["series"][0]
    assert (ahead["step"], ahead["season"], one["name"]) == ("day", 7, "events")
    assert 0 < one["mase"] <= one["maseOfSimple"] and one["origins"] == 12
    points = one["points"]
    assert len(points) == 14 and points[0]["at"] == "2024-08-29T00:00:00Z"
    assert all(0 <= point["low"] < point["mean"] < point["high"] for point in points)
    true = 40 + 20 * np.sin(np.arange(DAYS, DAYS + 14) * 2 * np.pi / WEEK)
    assert np.corrcoef(true, [point["mean"] for point in points])[0, 1] > 0.8


def test_bull_lies_above_bear_and_sideways_is_the_last_season(
    daily: Path, data: dict[str, Any]
) -> None:
    bear, sideways = (
        runegpt_v2(Bench(daily), scenarioAnalysis=name).data["forecast"]["series"][0]["points"]
        for name in ("bear", "sideways")
    )
    for high, low in zip(data["forecast"]["series"][0]["points"], bear, strict=True):
        assert low["scenario"] < low["mean"] == high["mean"] < high["scenario"] < high["high"]
    last = [row["events"] for row in runegpt_v2(Bench(daily), outputFormat="data").data["history"]]
    assert {point["scenario"] for point in sideways} == {round(sum(last[-7:]) / 7, 9)}


def test_a_wider_confidence_is_a_wider_interval(daily: Path, data: dict[str, Any]) -> None:
    narrow = runegpt_v2(Bench(daily), confidenceInterval=0.5).data["forecast"]["series"][0]
    for less, more in zip(narrow["points"], data["forecast"]["series"][0]["points"], strict=True):
        assert more["low"] < less["low"] < less["high"] < more["high"]


@pytest.mark.parametrize("language", ["pt_BR", "es_ES"])
def test_a_report_in_another_language_says_the_same_figures(
    daily: Path, data: dict[str, Any], language: str
) -> None:
    other = runegpt_v2(Bench(daily), scenarioAnalysis="bull", language=language).data
    assert other["figures"] == data["figures"] and other["report"] != data["report"]
    assert check_numbers(sentences(other), other["figures"], other["language"]) == []


def test_too_little_history_is_said_and_not_guessed(tmp_path: Path) -> None:
    short = batch_of(tmp_path, np.full(20, 5))
    data = runegpt_v2(Bench(short)).data
    assert data["forecast"]["series"] == []
    reason = data["forecast"]["reason"]
    assert reason["template"].format(**reason["values"]) == (
        "the batch covers 20 whole days; a forecast over 14 days needs at least 28: "
        "choose a shorter horizon or a longer batch"
    )
    assert "There is no forecast" in data["report"]


def test_few_days_are_forecast_by_the_hour(tmp_path: Path) -> None:
    short = batch_of(tmp_path, np.array([60, 70, 50, 65]))
    ahead = runegpt_v2(Bench(short), predictionHorizon=1).data["forecast"]
    assert (ahead["step"], ahead["season"]) == ("hour", 24)
    assert len(ahead["series"][0]["points"]) == 24


def test_missing_blocks_are_no_quiet_days(tmp_path: Path) -> None:
    path = batch_of(tmp_path, np.full(30, 5))
    document = json.loads(path.read_text())
    del document["tables"]["blocks"][10:20]
    path.write_text(json.dumps(document))
    reason = runegpt_v2(Bench(path)).data["forecast"]["reason"]
    assert reason["values"] == {"count": 30 * 24 + 1 - 10, "total": 30 * 24 + 1}


def test_the_tables_hold_history_forecast_figures_and_sentences(daily: Path) -> None:
    result = runegpt_v2(Bench(daily), outputFormat="visualization")
    assert list(result.data) == ["forecast"] and len(result.figures) == 2
    assert {name: table.num_rows for name, table in result.tables.items()}["history"] == DAYS
    assert result.tables["forecast"].schema.names == ["starts_at", "mean", "low", "high", "series"]
    assert result.tables["figures"]["figure"][0].as_py() == "blocks"
    json.dumps([result.data, result.figures], allow_nan=False)


def test_the_same_batch_gives_the_same_answer(daily: Path, data: dict[str, Any]) -> None:
    assert runegpt_v2(Bench(daily), scenarioAnalysis="bull").data == data


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en_US", "Templates wrote this report: no language model was loaded."),
        ("pt_BR", "Frases prontas formam este relatório: nenhum modelo de linguagem estava "),
        ("es_ES", "Este informe está hecho de frases fijas: no había ningún modelo de lenguaje "),
    ],
)
def test_a_report_without_a_language_model_says_so(
    daily: Path, language: str, sentence: str
) -> None:
    data = runegpt_v2(Bench(daily), language=language).data
    assert data["generator"] == "templates"
    assert data["sentences"][-1]["text"].startswith(sentence)


class Talking(Bench):
    """A context whose hub has a language model."""

    def __init__(self, batch: Path) -> None:
        super().__init__(batch)
        self.prompts: list[str] = []

    def generate(self, prompt: str, /) -> str:
        self.prompts.append(prompt)
        if "This line of yours is wrong" in prompt:
            return ""
        return f"[first_height] It begins at {FIRST}.\n[mints] It has 3 mints."


def test_a_language_model_that_is_at_hand_writes_and_is_checked(daily: Path) -> None:
    bench = Talking(daily)
    data = runegpt_v2(bench).data
    assert data["generator"] == "language-model" and data["dropped"] == 1
    first, second = data["sentences"]
    assert first["text"] == "It begins at 850000."
    assert second["figures"] == ["etchings", "mints", "transfers"]
    assert second["text"] == sentences(runegpt_v2(Bench(daily)).data)[1].text
    assert any("1 sentences of the language model were dropped" in line for line in bench.lines)


@pytest.mark.parametrize(
    ("language", "named"), [("pt_BR", "Brazilian Portuguese"), ("es_ES", "Spanish")]
)
def test_each_question_asks_for_the_language_of_the_report(
    daily: Path, language: str, named: str
) -> None:
    bench = Talking(daily)
    runegpt_v2(bench, language=language)
    assert len(bench.prompts) == 2  # the line about mints is wrong
    assert all(f"You write a short report in {named} about" in each for each in bench.prompts)
    assert "first_height = 850000" in bench.prompts[0]


@pytest.mark.parametrize("output_format", ["data", "visualization"])
def test_a_language_model_is_asked_for_reports_only(daily: Path, output_format: str) -> None:
    bench = Talking(daily)
    runegpt_v2(bench, outputFormat=output_format)
    assert bench.prompts == []


def test_a_language_model_that_fails_costs_no_answer(daily: Path) -> None:
    class Broken(Bench):
        def generate(self, prompt: str, /) -> str:
            raise TimeoutError("no answer in 60 s")

    bench = Broken(daily)
    assert runegpt_v2(bench).data["generator"] == "templates"
    assert "TimeoutError: no answer in 60 s" in " ".join(bench.lines)


def test_an_empty_answer_is_said_in_the_log(daily: Path) -> None:
    class Mute(Bench):
        def generate(self, prompt: str, /) -> str:
            return " \n"

    bench = Mute(daily)
    assert runegpt_v2(bench).data["generator"] == "templates"
    assert bench.lines[-1].endswith("the language model failed: its answer holds no sentence")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"predictionHorizon": 31}, "parameters.predictionHorizon is 31; allowed: integer from 1"),
        ({"confidenceInterval": 1}, "parameters.confidenceInterval is 1; allowed: number above 0"),
        ({"scenarioAnalysis": "moon"}, "parameters.scenarioAnalysis is 'moon'; allowed: bear,"),
        ({"language": "de_DE"}, "parameters.language is 'de_DE'; allowed: en_US, es_ES, pt_BR"),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        runegpt_v2.validate(given)
    assert str(refused.value).startswith(sentence)


def told(tmp_path: Path, daily: Path, covers: list[str], language: str = "en_US") -> dict[str, Any]:
    """The answer to a batch of a source that speaks of some tables only, and of no blocks."""
    document = json.loads(daily.read_text())
    document["covers"] = covers
    document["tables"] = {name: rows for name, rows in document["tables"].items() if name in covers}
    path = tmp_path / f"{language}.json"
    path.write_text(json.dumps(document))
    return runegpt_v2(Bench(path), language=language).data


def test_of_what_a_source_does_not_speak_of_nothing_is_counted(tmp_path: Path, daily: Path) -> None:
    data = told(tmp_path, daily, ["etchings", "entries", "balances"])
    assert data["report"].startswith("The batch reaches from height 850000 to 851344, and speaks")
    assert "holds" not in data["report"]
    assert not {"blocks", "etchings", "mints", "transfers"} & data["figures"].keys()


@pytest.mark.parametrize("language", ["en_US", "pt_BR", "es_ES"])
def test_events_of_a_source_without_etchings_are_told_without_them(
    tmp_path: Path, daily: Path, language: str
) -> None:
    data = told(tmp_path, daily, ["events", "mints", "inputs"], language)
    assert data["sentences"][0]["figures"] == ["first_height", "last_height", "runes"]
    assert data["sentences"][1]["figures"] == ["mints", "transfers"]
    assert check_numbers(sentences(data), data["figures"], data["language"]) == []
