"""`workbench.connect()` on a real hub: found or started, asked, told, and drawn."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import workbench
from tests.hub_process import test_environment
from workbench.clients.discovery import read_hub_file, stop_hub
from workbench.core.figure import PLOTLY
from workbench.errors import Fault, InputError, LinkError, TaskError
from workbench.session import Figure, Run, RunResult, Workbench

SAMPLES = Path(__file__).parent.parent / "data" / "samples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def bench(folder: Path) -> Iterator[Workbench]:
    """A workbench whose hub was started by `connect`, on free ports, with the test models."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            **test_environment(),
            "WORKBENCH_WS_PORT": "0",
            "WORKBENCH_MESH_PORT": "0",
        }.items():
            patch.setenv(name, value)
        bench = workbench.connect(folder)
        yield bench
        bench.close()
        asyncio.run(stop_hub(folder))


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    path = tmp_path / "batch.json"
    path.write_text('{"a": 1}')
    return path


def test_the_hub_was_started_and_left_a_private_log(bench: Workbench, folder: Path) -> None:
    assert bench.hub == read_hub_file(folder)
    assert bench.ping() > 0
    assert (folder / "hub.log").stat().st_mode & 0o077 == 0
    assert repr(bench) == f"Workbench({str(folder)!r}, connected)"
    assert bench.hub.token not in bench._repr_html_() + repr(bench) + repr(bench.hub)


def test_connecting_twice_gives_the_same_workbench(bench: Workbench, folder: Path) -> None:
    assert workbench.connect(folder) is bench


def test_another_process_finds_the_same_hub(bench: Workbench, folder: Path) -> None:
    program = f"import workbench; print(workbench.connect({str(folder)!r}, start=False).hub.pid)"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(found.stdout) == bench.hub.pid


def test_a_query_is_answered_as_of_a_moment(bench: Workbench) -> None:
    result = bench.query("SELECT $n::INTEGER + 1 AS more", {"n": 41}, fresh=True)
    assert result.rows() == [{"more": 42}]
    assert result.as_of is not None
    with pytest.raises(InputError, match="the query failed: "):
        bench.query("SELEC 1")
    with pytest.raises(InputError, match="sql is ''; allowed: a SELECT"):
        bench.query("")
    summed = bench.query("SELECT sum(n) AS total FROM range(5) AS t(n)")
    assert str(summed.df().total.dtype) == "int64"
    assert "  total\n  10" in str(summed)


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "dictionary"])
def test_a_batch_may_be_given_in_any_shape(bench: Workbench, batch: Path, kind: str) -> None:
    given = {
        "path": batch,
        "text": str(batch),
        "bytes": batch.read_bytes(),
        "dictionary": {"a": 1},
    }[kind]
    run = bench.submit("steady", given, units=2)  # type: ignore[arg-type]
    assert run.result(60).data["units"] == 2
    assert (run.state, run.progress, run.error) == ("done", 1.0, None)


def test_a_file_under_the_data_folder_is_named_and_not_sent(bench: Workbench, folder: Path) -> None:
    (folder / "samples").mkdir(exist_ok=True)
    (folder / "samples" / "small one.json").write_text("{}")
    for given in ("samples/small one.json", folder / "samples" / "small one.json"):
        run = bench.submit("steady", given, units=1)
        run.result(60)
        rows = bench.query(
            "SELECT input_url FROM tasks WHERE task_id = $id", {"id": run.task_id}, fresh=True
        ).rows()
        assert rows == [{"input_url": "samples/small one.json"}]


def test_a_run_is_followed_and_remembered(bench: Workbench, batch: Path) -> None:
    run = bench.submit("steady", batch, units=3)
    run.result(60)
    assert run.logs() == [f"info: unit {unit} done" for unit in (1, 2, 3)]
    assert run.task_id in [row["task_id"] for row in bench.tasks().rows()]
    again = bench.run(run.task_id)
    assert again.result(10) == run.result()
    assert repr(again) == f"Run({run.task_id!r}, done)"
    with pytest.raises(InputError, match="table is 'x'; allowed: none: it wrote no tables"):
        run.table("x")


def test_a_batch_is_processed_by_its_id(bench: Workbench, folder: Path) -> None:
    (folder / "drops").mkdir()
    (folder / "drops" / "840000.json").write_text('{"a": 1}')
    with pytest.raises(TaskError, match="there is no batch '840000': import its block first"):
        bench.process_batch(840000, model="steady")
    with pytest.raises(InputError, match=r"batch_id is '\.\./token'; allowed: 1 to 80 letters"):
        bench.process_batch("../token", model="steady")
    heard: list[dict[str, Any]] = []
    bench.mesh.on("batchProcessed", heard.append)
    bench.mesh.configure(batch_base_url="drops/")
    try:
        parameters = {"units": 3, "unit_s": 0}
        result = bench.process_batch("840000.json", model="steady", parameters=parameters)
    finally:
        bench.mesh.configure(batch_base_url=None)
    assert isinstance(result, RunResult)
    assert result.data["units"] == 3
    assert [(each["batchId"], each["success"]) for each in heard] == [("840000.json", True)]
    with pytest.raises(InputError, match="nonsense"):
        bench.process_batch("b1", model="nonsense")


def test_a_run_of_an_earlier_kernel_is_found_again(bench: Workbench, folder: Path) -> None:
    program = (
        f"import workbench; bench = workbench.connect({str(folder)!r}, start=False)\n"
        "print(bench.submit('steady', {'b': 2}, units=2).task_id)"
    )
    sent = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    run = bench.run(sent.stdout.strip())
    assert run.result(60).data["units"] == 2
    again = bench.run(run.task_id)
    assert again.logs() == ["info: unit 1 done", "info: unit 2 done"]
    times = "SELECT epoch(finished_at - submitted_at) AS s FROM task_history WHERE task_id = $id"
    [took] = bench.query(times, {"id": run.task_id}, fresh=True).rows()
    assert again.elapsed_s == pytest.approx(took["s"], abs=0.002)


def test_a_running_task_of_an_earlier_kernel_has_its_log_and_its_time(
    bench: Workbench, folder: Path
) -> None:
    program = (
        f"import time, workbench; bench = workbench.connect({str(folder)!r}, start=False)\n"
        "run = bench.submit('steady', {'b': 3}, units=600, unit_s=0.1)\n"
        "while len(run.logs()) < 3: time.sleep(0.05)\n"
        "print(run.task_id)"
    )
    sent = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    run = bench.run(sent.stdout.strip())
    assert len(run.logs()) >= 3
    assert run.elapsed_s > 0.2
    assert run.cancel()


def test_an_unknown_task_is_refused_at_once(bench: Workbench) -> None:
    for _ in range(2):  # the second time it is one that this kernel has heard of
        with pytest.raises(InputError, match=r"no task nope on this hub: bench\.tasks\(\) lists"):
            bench.run("nope")
    with pytest.raises(InputError) as refused:
        bench.run("stedy")
    assert "did you mean bench.submit('steady', ...)? models: " in str(refused.value)


def test_misspelt_names_are_refused_with_the_nearest_right_one(bench: Workbench) -> None:
    with pytest.raises(InputError, match=r"no model stedy; did you mean steady\? known: batch-"):
        bench.submit("stedy", {"a": 1})
    with pytest.raises(InputError) as refused:
        bench.submit("steady", {"a": 1}, unitz=2)
    assert str(refused.value) == (
        "unknown parameter 'unitz' of steady; did you mean 'units'? allowed: units, unit_s"
    )
    assert refused.value.faults == (Fault("parameters.unitz", "2", "units, unit_s"),)


def test_a_wrong_parameter_is_refused_at_once(bench: Workbench, batch: Path) -> None:
    with pytest.raises(InputError, match=r"parameters\.units is 0; allowed: integer from 1 to "):
        bench.submit("steady", batch, units=0)
    with pytest.raises(InputError) as refused:
        bench.submit("steady", batch, units=0)
    assert [each.field for each in refused.value.faults] == ["parameters.units"]
    with pytest.raises(InputError, match=r"nowhere\.json is no file here: give a path"):
        bench.submit("steady", "nowhere.json")


def test_a_cancelled_run_raises_with_its_outcome(bench: Workbench, batch: Path) -> None:
    run = bench.submit("steady", batch, units=1000, unit_s=0.1)
    assert run.cancel()
    with pytest.raises(TaskError) as failure:
        run.result(60)
    assert failure.value.outcome == "cancelled"
    assert run.state == "cancelled"
    assert "cancelled: " in run._repr_html_()


def test_waiting_ends_at_its_limit_and_the_task_goes_on(bench: Workbench, batch: Path) -> None:
    run = bench.submit("steady", batch, units=1000, unit_s=0.1)
    with pytest.raises(LinkError, match=r"after 0\.1 s of waiting, .*; it goes on"):
        run.result(0.1)
    assert run.cancel()


def test_models_draw_themselves(bench: Workbench) -> None:
    models = bench.models()
    assert {"steady", "once"} <= {each["name"] for each in models}
    assert "<td" in models._repr_html_()
    assert "Steady work" in models._repr_html_()


def test_a_running_task_draws_a_bar(bench: Workbench, batch: Path) -> None:
    run = bench.submit("steady", batch, units=1000, unit_s=0.05)
    moved = threading.Event()
    bench.mesh.on("task_progress", lambda data: moved.set())
    assert moved.wait(60)
    html = run._repr_html_()
    assert '<progress max="1" value="' in html
    assert 'aria-label="' in html
    run.cancel()


def test_a_closed_workbench_says_so_and_can_be_opened_again(bench: Workbench, folder: Path) -> None:
    other = Workbench(folder, start=False)
    other._connect(restart=False, wait_s=10)
    other.close()
    other.close()
    with pytest.raises(LinkError, match=r"closed: call workbench\.connect\(\) again"):
        other.query("SELECT 1")
    assert bench.query("SELECT 1 AS x").rows() == [{"x": 1}]


def test_the_hub_may_go_away_and_the_next_call_starts_one(bench: Workbench) -> None:
    before = bench.hub.pid
    run = bench.submit("steady", {"c": 3}, units=1)
    run.result(60)
    asyncio.run(stop_hub(bench.data))
    assert bench.query("SELECT 7 AS x").rows() == [{"x": 7}]
    assert bench.hub.pid != before
    assert bench.run(run.task_id).result(10).data["units"] == 1


def test_a_figure_is_drawn_by_plotly_or_as_a_table() -> None:
    figure = Figure(
        data=[{"type": "bar", "name": "<i>mints</i>", "x": ["a", "b"], "y": [1, 2]}],
        layout={"title": {"text": "Mints"}},
    )
    bundle = figure._repr_mimebundle_()
    assert bundle[PLOTLY]["data"] == figure["data"]
    assert bundle[PLOTLY]["layout"]["title"] == {"text": "Mints"}
    json.dumps(bundle[PLOTLY])
    assert "&lt;i&gt;mints&lt;/i&gt;" in bundle["text/html"]
    assert repr(figure) == "Figure('Mints', 1 traces)"


def test_a_result_is_drawn_with_every_text_escaped() -> None:
    result = RunResult(
        {
            "data": {"name": "<script>x</script>", "n": [1, 2], "none": None},
            "tables": {"mints": {"rows": 3, "columns": ["a"]}},
            "figures": [{"data": [], "layout": {}}],
        }
    )
    html = result._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "mints" in html
    assert [type(figure) for figure in result.figures] == [Figure]


def test_a_result_is_drawn_in_words_with_rows_and_figures(
    bench: Workbench, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(SAMPLES, folder / "samples", dirs_exist_ok=True)
    spent = "samples/block-sim.spent.json.gz"
    run = bench.submit(
        "block-import", "samples/block-sim.bin", network="regtest", spentOutputsURL=spent
    )
    result = run.result(100)
    shown: list[Any] = []
    monkeypatch.setattr("IPython.display.display", lambda one, **_: shown.append(one))
    result._ipython_display_()
    html = shown[0]["text/html"]
    assert "size bytes" in html
    assert "130,265" in html
    assert "sizeBytes" not in html
    assert "1 etchings cannot be honoured" in html
    assert "{count}" not in html
    assert "first 10 of 412 rows" in html
    assert [type(one) for one in shown[1:]] == [Figure] * len(result["figures"])
    assert json.loads(json.dumps(result)) == result
    assert copy.deepcopy(result) == pickle.loads(pickle.dumps(result)) == result

    summary = repr(result)
    assert summary.startswith("block-import, batch b1211_")
    assert "  note: 1 etchings cannot be honoured" in summary
    assert "mints (412 rows)" in summary
    assert len(summary) < 3000


def test_a_run_that_nobody_follows_says_how_to_follow_it(bench: Workbench) -> None:
    with pytest.raises(LinkError, match=r"no longer follows task x: workbench\.run\('x'\)"):
        _ = Run(bench, "x").state


def test_importing_the_package_brings_nothing_heavy() -> None:
    program = (
        "import sys, workbench; "
        "print([n for n in ('pandas','duckdb','dask','pyarrow','asyncio','pydantic') "
        "if n in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert shown.stdout.strip() == "[]"


def test_every_public_name_is_there_and_an_unknown_one_is_not() -> None:
    for name in workbench.__all__:
        if not name.startswith("show_"):
            assert getattr(workbench, name) is not None
    assert set(workbench.__all__) <= set(dir(workbench))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = workbench.nothing  # type: ignore[attr-defined]


def test_nested_loops_only_when_asked_for() -> None:
    program = (
        "import asyncio, workbench.session as s\n"
        "s.allow_nested_loops()\n"
        "async def inner(): return 7\n"
        "async def outer(): return asyncio.run(inner())\n"
        "print(asyncio.run(outer()))\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert shown.stdout == "7\n", shown.stderr
