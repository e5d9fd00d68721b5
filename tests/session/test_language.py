"""Results, runs and queries draw themselves in the reader's language, and are data in neither."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tests.runes.questions.test_language import left_in_english, pieces
from tests.speaking import speaking
from workbench.clients.answer import QueryResult
from workbench.session.answers import Conversations
from workbench.session.drawing import html, summary
from workbench.session.library import AtSource, Cards
from workbench.session.metrics import Alerts, Gpus
from workbench.session.results import LanguageModels
from workbench.session.run_metrics import RunMetrics
from workbench.session.tasks import Models

RESULT = {
    "model": "cypher-v1",
    "batch": "sample",
    "device": "cpu",
    "elapsedMs": 1234,
    "data": {
        "claimedFeesSat": 1234567,
        "openMint": True,
        "mints": [{"runeId": "1:0", "mints": 1000}],
        "entropyBits": 1.5,
        "notes": [
            {"template": "{count} clusters tried", "values": {"count": 3}},
        ],
    },
}
SHOWN = {
    "notes": [{"text": "3 clusters tried", **RESULT["data"]["notes"][0]}],  # type: ignore[index]
    "tables": [
        {
            "name": "runes",
            "columns": [{"name": "rune_id"}],
            "rows": [["1:0"]] * 11,
            "total": 1234,
            "columnsTotal": 9,
        }
    ],
}


def test_a_result_is_drawn_in_portuguese_and_its_summary_stays_english() -> None:
    english, said = html(RESULT, SHOWN), summary(RESULT)
    with speaking("pt-BR"):
        portuguese = html(RESULT, SHOWN)
        assert summary(RESULT) == said
    seen = pieces(portuguese)
    assert {"taxas reivindicadas (sat)", "1.234.567", "sim", "1,5", "3 grupos testados"} <= {
        one.removeprefix("⚠ ") for one in seen
    }
    assert "primeiras 10 de 1.234 linhas, primeiras 1 de 9 colunas" in portuguese
    assert "lote sample, 1,2 s em cpu" in portuguese
    assert {"claimed fees sat", "1,234,567", "yes"} <= {*pieces(english)}
    assert "first 10 of 1,234 rows, first 1 of 9 columns" in english
    assert "<strong>cypher-v1</strong> · batch sample, 1.2 s on cpu" in english
    data = {"cypher-v1", "cpu", "runes", "rune_id"}
    assert left_in_english(english, portuguese) - data == set()


def test_the_caption_of_a_query_is_portuguese_and_its_columns_stay() -> None:
    many = QueryResult(pa.table({"mints": range(1000)}), truncated=True, elapsed_ms=3, as_of=None)
    before = repr(many)
    caption = "1,000 rows, the first 20 shown, cut off at the limit: more rows exist, 3 ms"
    assert caption in pieces(many._repr_html_())
    with speaking("pt-BR"):
        portuguese = many._repr_html_()
        assert repr(many) == before
    said = "1.000 linhas, mostradas as primeiras 20, cortado no limite: há mais linhas, 3 ms"
    assert said in pieces(portuguese)
    assert "mints" in pieces(portuguese)


def test_what_a_run_used_is_drawn_in_portuguese() -> None:
    used = RunMetrics(started_at=0, ended_at=1500, gpus=("0",), shared=True, peak_memory_mb=1234.0)
    english = used._repr_html_()
    with speaking("pt-BR"):
        portuguese = used._repr_html_()
    assert left_in_english(english, portuguese) == set()
    assert {"1,5 s", "1.234 MB", "desconhecido"} <= {*pieces(portuguese)}


GPU = {
    "gpuId": "0",
    "name": "H200",
    "utilization": 12,
    "memoryUsedMB": 1234,
    "memoryTotalMB": 5678,
    "note": {"template": "no news for {seconds} s", "values": {"seconds": 9}},
    "processes": [{"kind": "kernel", "name": None, "memoryMB": None}],
}
CARD = {"id": "m1", "state": "loaded", "fits": "no", "sizeBytes": 2e9}
DRAWN = (
    Gpus({"takenAt": 0, "gpus": [GPU]}),
    Gpus(
        {"takenAt": 0, "gpuNote": {"template": "no news for {seconds} s", "values": {"seconds": 1}}}
    ),
    Alerts(rules=(), active=(), past=()),
    LanguageModels(
        models=[{"id": "m1", "backend": "b1", "loaded": True, "sizeBytes": 2**31}],
        backends=[{"name": "b1", "kind": "k1", "ok": False}],
    ),
    Cards([CARD]),
    AtSource(source="s1", cards=[CARD]),
    AtSource(source="s1", hits=[{"name": "o1/r1"}]),
    Conversations([{"id": 1, "title": "T1", "messages": 2, "updatedAt": "0"}]),
    Models([{"name": "n1", "version": "1", "title": "Which names look alike?"}]),
)


@pytest.mark.parametrize("one", DRAWN, ids=lambda one: type(one).__name__)
def test_lists_of_a_notebook_are_drawn_in_portuguese(one: Any) -> None:
    english, said = one._repr_html_(), repr(one)
    with speaking("pt-BR"):
        assert left_in_english(english, one._repr_html_()) <= {"id"}
        assert repr(one) == said
    assert one._repr_html_() == english
