"""`bench.gpus()`, `bench.metrics(...)`, alerts, the ledger, and what a run used, in a notebook."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from workbench.core.alert_nouns import Alert, Rule
from workbench.core.ledger_nouns import Holding, Room, Waiting
from workbench.core.llm_results import Answer as Given
from workbench.core.metrics_wire import History, Series
from workbench.core.sentence import Sentence
from workbench.errors import InputError
from workbench.session import Workbench
from workbench.session.answers import Answer
from workbench.session.metric_history import MetricHistory
from workbench.session.metrics import Alerts, Gpus, Ledger
from workbench.session.run_metrics import RunMetrics

AT = 1_764_000_000_000
NONE: Sentence = Sentence("no GPU was found: {reason}", {"reason": "no driver"})


def frame(*gpus: dict[str, Any], note: Sentence | None = None) -> dict[str, Any]:
    return {"takenAt": AT, "gpus": list(gpus), "gpuNote": msgspec.to_builtins(note)}


def gpu(**given: Any) -> dict[str, Any]:
    facts = {"gpuId": "0", "name": "H <200>", "state": "ok", "utilization": 41.2}
    numbers = {"memoryUsedMB": 1500.0, "memoryTotalMB": 8000.0, "powerUsageW": None}
    used = [{"kind": "kernel", "name": "", "memoryMB": 900.0, "count": 1}]
    return {**facts, **numbers, "processes": used, **given}


def series(metric: str = "gpu.power", subject: str = "0", spread: float = 0.0) -> Series:
    mean = [100.0, 110.0]
    low, high = ([each + by for each in mean] for by in (-spread, spread))
    return Series(metric=metric, subject=subject, at=[AT, AT + 2000], mean=mean, low=low, high=high)


def history(*found: Series) -> MetricHistory:
    at = {"since": AT, "until": AT + 3_600_000}
    return MetricHistory(History(resolution="raw", step_ms=2000, **at, series=list(found)))


class TestDrawn:
    """What is drawn of what a hub may say."""

    def test_gpus_are_a_table_with_unknown_where_nobody_knows(self) -> None:
        drawn = Gpus(frame(gpu()))._repr_html_()
        assert "H &lt;200&gt;" in drawn
        assert "1,500 MB of 8,000 MB" in drawn
        assert "this kernel (900 MB)" in drawn
        assert drawn.count("unknown") == 2  # power, temperature

    def test_a_lost_gpu_says_so_and_no_users_is_not_unknown(self) -> None:
        lost = gpu(state="lost", note={"template": "it fell off the bus", "values": {}})
        drawn = repr(Gpus(frame(lost, gpu(gpuId="1", processes=[]))))
        assert "lost: it fell off the bus" in drawn
        assert "nobody" in drawn

    def test_no_gpu_is_a_sentence(self) -> None:
        assert "no GPU was found: no driver" in Gpus(frame(note=NONE))._repr_html_()

    def test_gpus_are_a_frame_too(self) -> None:
        assert list(Gpus(frame(gpu())).df()["memoryUsedMB"]) == [1500.0]

    def test_history_is_a_frame_with_instants(self) -> None:
        table = history(series(), series("gpu.temperature")).df()
        assert list(table.columns) == ["at", "metric", "subject", "mean", "low", "high"]
        assert table["at"].iloc[0] == datetime.fromtimestamp(AT / 1000, UTC)
        assert len(table) == 4

    def test_no_history_is_an_empty_frame(self) -> None:
        assert history().df().empty
        assert len(history().figure["data"]) == 0

    def test_each_unit_has_a_part_of_the_figure(self) -> None:
        both = series("gpu.temperature"), series("gpu.power"), series("gpu.power", "1", spread=5)
        figure = history(*both).figure
        lines = [trace for trace in figure["data"] if trace.get("showlegend", True)]
        assert [trace["yaxis"] for trace in lines] == ["y", "y2", "y2"]
        assert [trace["name"] for trace in lines] == ["Temperature · 0", "Power · 0", "Power · 1"]
        assert figure["layout"]["yaxis2"]["title"]["text"] == "W"
        assert len([trace for trace in figure["data"] if trace.get("fill")]) == 1

    def test_alerts_say_what_is_and_what_was(self) -> None:
        given: dict[str, Any] = {"rule": "hot", "metric": "gpu.temperature", "subject": "0"}
        given |= {"threshold": 80.0, "direction": "above", "worst": 93.0, "raised_at": AT}
        active = Alert(alert_id="a", state="raised", value=91.0, **given)
        gone = Sentence("rule {rule} was deleted", {"rule": "hot"})
        ended: dict[str, Any] = {"state": "cleared", "cleared_at": AT + 1000, "reason": gone}
        past = Alert(alert_id="b", value=70.0, **ended, **given)
        rule = Rule(name="hot", metric="gpu.temperature", threshold=80)
        alerts = Alerts(active=[active], past=[past], rules=[rule])
        drawn = alerts._repr_html_()
        assert "91 °C" in drawn
        assert "93 °C" in drawn
        assert "cleared: rule hot was deleted" in drawn
        assert "above 80 °C" in drawn
        assert repr(alerts).startswith("Alerts(1 active, 1 past, 1 rules)")

    def test_the_ledger_says_who_holds_and_why_one_waits(self) -> None:
        room = Room(gpu_id="0", total_mb=8000.0, free_mb=None, leased_mb=6000.0)
        common: dict[str, Any] = {"kind": "model", "memory_mb": 6000.0}
        held = Holding(claim_id="m", name="qwen", gpu_id="0", held_s=61, idle_s=60, **common)
        why = Sentence("waiting for GPU {gpu}", {"gpu": "0"})
        waits = Waiting(claim_id="t", name="cypher", reason=why, waits_s=5, **common)
        ledger = Ledger(rooms=(room,), holdings=(held,), waiting=(waits,))
        drawn = ledger._repr_html_()
        assert "waiting for GPU 0" in drawn
        assert "6,000 MB" in drawn
        assert "unknown" in drawn
        assert repr(ledger) == "Ledger(1 GPUs, 1 held, 1 waiting)\n  cypher: waiting for GPU 0"


class TestRun:
    """What a run used, in words."""

    def test_what_nobody_measured_is_unknown_and_never_0(self) -> None:
        rows = dict(RunMetrics(gpus=("0",), samples=3, peak_memory_mb=6123.0).rows())
        assert rows["peak GPU memory"] == "6,123 MB"
        assert rows["mean power"] == rows["energy of its GPUs"] == rows["cost"] == "unknown"
        assert rows["took"] == "unknown"
        assert "0" not in rows["energy of its GPUs"]

    def test_energy_without_a_price_says_how_to_have_a_cost(self) -> None:
        rows = dict(RunMetrics(gpus=("0",), energy_wh=1.234).rows())
        assert rows["energy of its GPUs"] == "1.23 Wh"
        assert rows["cost"] == "unknown: no price is set (WORKBENCH_POWER_PRICE, per kWh)"

    def test_a_cost_has_its_currency(self) -> None:
        run = RunMetrics(gpus=("0",), energy_wh=1234.0, cost=0.37, currency="EUR")
        assert dict(run.rows())["cost"] == "0.37 EUR"
        assert "0.37 EUR" in run._repr_html_()

    def test_a_run_without_a_gpu_has_no_rows_of_one(self) -> None:
        rows = dict(RunMetrics(started_at=AT, ended_at=AT + 1500, mean_cpu=12.0).rows())
        assert rows["GPUs"] == "none"
        assert not rows.keys() & {"peak GPU memory", "energy of its GPUs", "cost"}
        assert rows["took"] == "1.5 s"

    def test_gpus_that_nobody_names_are_said_to_be_all(self) -> None:
        rows = dict(RunMetrics(gpus=("0", "1"), shared=True).rows())
        assert rows["GPUs"] == "0, 1 (all: nobody says which it used)"

    def test_an_answer_that_nobody_keeps_has_none(self) -> None:
        answer = Answer.of(Given(text="hi", model="m", backend="b"))
        with pytest.raises(InputError, match="no conversation keeps this answer"):
            answer.metrics()


class TestAsked:
    """On a hub of this machine, which has no GPU or has one."""

    def test_gpus_are_read_now(self, bench: Workbench) -> None:
        gpus = bench.gpus()
        assert abs(gpus.taken_at.timestamp() - time.time()) < 60
        assert gpus or gpus.note

    def test_metrics_of_the_machine_over_time(self, bench: Workbench) -> None:
        bench.gpus()
        found = bench.metrics("host.cpu", "host.memory_used", since=timedelta(minutes=5))
        assert set(found.df()["metric"]) >= {"host.memory_used"}
        assert bench.metrics("host.memory_used", since="30min", subjects="").df()["mean"].min() > 0
        assert len(bench.metrics("host.cpu", since="7d", until=datetime.now(UTC))) >= 0

    def test_a_moment_that_cannot_be_read_is_refused(self, bench: Workbench) -> None:
        with pytest.raises(InputError, match=r"since is 'yesterday'; allowed: such as 30min"):
            bench.metrics("host.cpu", since="yesterday")
        with pytest.raises(InputError, match=r"since is 3600; allowed: such as 30min"):
            bench.metrics("host.cpu", since=3600)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"host\.memory_used_pct"):
            bench.metrics("host.memory")

    def test_alerts_and_the_ledger(self, bench: Workbench) -> None:
        assert {each.metric for each in bench.alerts().rules} >= {"gpu.temperature"}
        assert len(bench.ledger().rooms) == len(bench.gpus())

    def test_a_task_and_an_answer_know_what_they_used(self, bench: Workbench, model: str) -> None:
        run = bench.submit("once", {"n": 1})
        run.result(timeout_s=60)
        found = run.metrics()
        assert found.elapsed_s is not None
        assert found.elapsed_s > 0
        assert "GPUs" in dict(found.rows())
        answer = bench.chat.ask("Say something", max_tokens=5)
        assert answer.metrics().started_at is not None
        assert bench.run(run.task_id).metrics().started_at == found.started_at
