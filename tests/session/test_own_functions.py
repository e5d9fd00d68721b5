"""Functions and cells of a notebook on a real hub: sent, drawn, mapped, refused, found again."""

from __future__ import annotations

import ast
import asyncio
import datetime
import importlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pandas
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from msgspec import Meta

import workbench
from tests.hub_process import MODELS, test_environment
from tests.hubs import running_hub
from workbench.clients.discovery import stop_hub
from workbench.core.model import Context, model
from workbench.errors import InputError, ProtocolError, TaskError
from workbench.session import Run, Runs, Workbench, on_mesh
from workbench.session.cells import used_and_set
from workbench.session.map import Part
from workbench.session.on_mesh import parsed
from workbench.session.own import taken

WAIT_S = 60.0


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """A workbench on a hub that takes own functions, which is the default."""
    folder = tmp_path_factory.mktemp("own")
    settings = {"WORKBENCH_WS_PORT": "0", "WORKBENCH_MESH_PORT": "0", "WORKBENCH_DATA": str(folder)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**test_environment(), **settings}.items():
            patch.setenv(name, value)
        patch.setenv("WORKBENCH_LLM_DISCOVER", "false")
        bench = workbench.connect(folder)
        yield bench
        bench.close()
        asyncio.run(stop_hub(folder))


@pytest.fixture
def shell(own: Workbench) -> Iterator[InteractiveShell]:
    shell = InteractiveShell.instance()
    on_mesh.register(shell, own)
    yield shell
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


@workbench.model(title="Times")
def times(
    batch: pandas.DataFrame, *, factor: Annotated[int, Meta(ge=1, le=9)] = 2
) -> pandas.DataFrame:
    """Each number so many times."""
    if batch["n"].min() < 0:
        raise InputError("there is a number below zero; allowed: from 0")
    return batch * factor


@workbench.model
def told(context: Context, text: str = "hello"):  # type: ignore[no-untyped-def]
    print(text)
    context.progress(1, 1, "said")
    return {"letters": len(text), "table": pandas.DataFrame({"letter": list(text)})}


@pytest.fixture
def frame() -> pandas.DataFrame:
    return pandas.DataFrame({"n": [1, 2, 3]})


def test_a_function_and_a_frame_go_to_the_mesh_and_a_frame_comes_back(
    own: Workbench, frame: pandas.DataFrame
) -> None:
    run = workbench.submit(times, frame, factor=3)
    assert isinstance(run, Run)
    assert list(run.frame["n"]) == [3, 6, 9]
    assert run.value.equals(run.frame)
    assert workbench.run().task_id == run.task_id
    assert list(workbench.run(run.task_id).frame["n"]) == [3, 6, 9]


@pytest.mark.parametrize("timeout_s", ["x", 3600, -5, True])
def test_a_limit_of_time_is_refused_in_the_words_it_was_given_in(
    own: Workbench, timeout_s: Any
) -> None:
    with pytest.raises(InputError, match=r"timeout_s is .*; allowed: seconds, from 0.001 to 600"):
        own.submit(told, timeout_s=timeout_s)
    with pytest.raises(InputError, match=r"--timeout is -5.0; allowed: seconds"):
        parsed("--timeout -5")


@pytest.mark.parametrize("task_id", ["", 5, "x" * 201])
def test_what_is_no_id_is_refused_at_once(own: Workbench, task_id: Any) -> None:
    with pytest.raises(InputError, match=r"task_id is .*; allowed: a task's id, a text of 1 to"):
        own.run(task_id)
    with pytest.raises(InputError, match=r"ids is .*; allowed: several tasks' ids"):
        own.runs(5 if task_id == 5 else "abc")  # type: ignore[arg-type]


def test_what_is_no_batch_is_refused_by_a_sentence(own: Workbench) -> None:
    with pytest.raises(InputError, match=r"batch is 5; allowed: a path, an address, bytes"):
        own.submit(times, 5)  # type: ignore[arg-type]


def test_a_batch_by_its_id_goes_to_an_own_function(own: Workbench) -> None:
    with pytest.raises((TaskError, InputError), match="nothing_such"):
        own.process_batch("nothing_such", model=times)


def test_what_a_function_returns_keeps_its_names(own: Workbench) -> None:
    run = workbench.submit(told, text="runes")
    value = run.value
    assert value["letters"] == 5
    assert "".join(value["table"]["letter"]) == "runes"
    assert run.logs() == ["info: runes"]


@workbench.model
def mixed(kind="both"):  # type: ignore[no-untyped-def]
    frame = pandas.DataFrame({"a": [1]})
    if kind == "tuple":
        return frame, 3, "x"
    return {"value": frame, "n": 3} if kind == "both" else {"value": frame}


@pytest.mark.parametrize(("kind", "rest"), [("both", {"n": 3}), ("lone", {})])
def test_a_table_named_value_hides_nothing_beside_it(
    own: Workbench, kind: str, rest: dict[str, int]
) -> None:
    value = own.submit(mixed, kind=kind).value
    assert list(value.pop("value")["a"]) == [1]
    assert value == rest


def test_a_tuple_comes_back_in_its_order(own: Workbench) -> None:
    frame, *rest = own.submit(mixed, kind="tuple").value
    assert (list(frame["a"]), rest) == ([1], [3, "x"])


@workbench.model
def connecting():  # type: ignore[no-untyped-def]
    return repr(workbench.connect())


def test_a_task_does_not_start_a_hub_of_its_own(own: Workbench) -> None:
    with pytest.raises(TaskError, match="a task runs without a hub of its own"):
        own.submit(connecting).result(WAIT_S)


def test_what_a_function_leaves_in_its_process_no_other_finds(own: Workbench) -> None:
    @workbench.model(pure=False)
    def leave(secret: str):  # type: ignore[no-untyped-def]
        import builtins
        import os

        builtins.LEFT = secret  # type: ignore[attr-defined]
        os.umask(0o777)

    @workbench.model(pure=False)
    def look():  # type: ignore[no-untyped-def]
        import builtins
        import os

        return [getattr(builtins, "LEFT", None), os.umask(0o077)]

    usual = own.submit(look).value
    for _ in range(2):
        own.submit(leave, secret="word").result(WAIT_S)
        assert own.submit(look).value == usual == [None, usual[1]]


def test_its_parameters_are_those_of_its_signature(own: Workbench, frame: pandas.DataFrame) -> None:
    with pytest.raises(InputError, match=r"parameters\.factor is 10; allowed: integer from 1 to 9"):
        own.submit(times, frame, factor=10)
    with pytest.raises(InputError, match=r"parameters\.factor is 10; allowed: integer from 1 to 9"):
        own.map(times, [frame, frame], factor=10)
    listed = {each["name"]: each for each in own.models()}["times"]
    assert listed["parametersSchema"]["properties"]["factor"]["maximum"] == 9
    assert (listed["own"], listed["needsBatch"], listed["title"]) == (True, True, "Times")


def test_values_go_as_the_function_takes_them() -> None:
    @model
    def priced(
        price: Decimal, share: float, at: datetime.datetime, by: dict[int, str], more: list[Decimal]
    ):  # type: ignore[no-untyped-def]
        return price

    at = pandas.Timestamp("2024-01-01", tz="Europe/Berlin")
    given = {"price": 10**30, "share": Decimal("0.1"), "at": at, "by": {1: "a"}, "more": [1.1]}
    assert taken(priced, given) == {
        "price": str(10**30),
        "share": 0.1,
        "at": "2024-01-01T00:00:00+01:00",
        "by": {"1": "a"},
        "more": ["1.1"],
    }
    assert taken("cypher-v1", given) == given


def test_a_batch_for_a_function_that_takes_none_is_refused(own: Workbench) -> None:
    with pytest.raises(InputError, match="connecting takes no batch: give it a parameter"):
        own.submit(connecting, {"a": 1})
    with pytest.raises(InputError, match="connecting takes no batch"):
        own.map(connecting, [{"a": 1}])


def test_a_function_does_not_share_the_name_of_every_cell(own: Workbench) -> None:
    @workbench.model
    def cell():  # type: ignore[no-untyped-def]
        return 1

    with pytest.raises(InputError, match="cell is the name under which the cells of %%mesh"):
        own.submit(cell)


def test_only_a_name_or_a_model_is_sent(own: Workbench) -> None:
    with pytest.raises(InputError, match=r"allowed: a model's name, or a function with @workbench"):
        own.submit(lambda: 1)  # type: ignore[arg-type]


def test_an_installed_model_goes_by_its_name(
    own: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(MODELS))
    steady = importlib.import_module("workbench_test_models").steady
    run = own.submit(steady, {"a": 1}, units=1)
    assert run.value["units"] == 1
    row = own.query(
        "SELECT model_version FROM tasks WHERE task_id = $id", {"id": run.task_id}, fresh=True
    ).rows()[0]
    assert row["model_version"] == "1"


def test_a_model_draws_what_it_is() -> None:
    html = times._repr_html_()
    assert "Each number so many times." in html
    assert "workbench.submit(times, batch, factor=2)" in html
    assert repr(times) == "MeshModel('times': factor=2)"
    assert "workbench.map" not in told._repr_html_()


def test_a_map_collects_what_is_done_and_runs_the_failures_again(own: Workbench) -> None:
    frames = {"good": pandas.DataFrame({"n": [1]}), "bad": pandas.DataFrame({"n": [-1]})}
    runs = workbench.map(times, frames, factor=5)
    assert isinstance(runs, Runs)
    assert runs.wait(WAIT_S)
    assert runs.counts == {
        "total": 2, "done": 1, "failed": 1, "cancelled": 0, "running": 0, "waiting": 0
    }  # fmt: skip
    (failure,) = runs.failures
    assert (failure["batch"], failure["state"]) == ("bad", "rejected")
    assert failure["error"] == "there is a number below zero; allowed: from 0"
    assert runs.frame.to_dict("list") == {"batch": ["good"], "n": [5]}
    assert [found is None for found in runs.results] == [False, True]
    assert repr(runs) == "Runs(times: 1 of 2 done, 1 failed)"
    assert "below zero" in runs._repr_html_()
    first = runs.ids
    frames["bad"].loc[0, "n"] = 7  # mended meanwhile
    assert runs.again().wait(WAIT_S)
    assert runs.frame.to_dict("list") == {"batch": ["good", "bad"], "n": [5, 35]}
    assert (runs.ids[0], runs.ids[1] != first[1]) == (first[0], True)

    found = workbench.runs(runs.ids)
    assert found.wait(WAIT_S)
    assert list(found.frame["n"]) == [5, 35]
    with pytest.raises(InputError, match="map them again"):
        found.again()


@pytest.mark.parametrize("sent", [0, 30])
def test_a_map_is_cancelled_whether_sent_or_not(own: Workbench, sent: int) -> None:
    runs = own.map("steady", [{"a": n} for n in range(30)], units=100_000, unit_s=1.0)
    comes(lambda: len(runs.ids) >= sent)
    runs.cancel()
    assert runs.wait(WAIT_S)
    assert runs.counts["cancelled"] == 30
    with pytest.raises(InputError, match="no task of this map is done"):
        _ = runs.frame


class Told:
    """A mesh client that says what it is told to say of a task."""

    def __init__(self) -> None:
        self.hear: Callable[[dict[str, Any]], Any] | None = None
        self.ended = threading.Event()

    def on(self, event: str, handler: Callable[[dict[str, Any]], Any]) -> Callable[[], None]:
        self.hear = handler
        return lambda: None

    async def result(self, task_id: str, timeout_s: float | None = None) -> Any:
        await asyncio.to_thread(self.ended.wait, WAIT_S)

    async def cancel_task(self, task_id: str) -> bool:
        return False


def test_a_task_that_waits_in_a_queue_is_not_running(own: Workbench) -> None:
    mesh = Told()
    bench: Any = SimpleNamespace(mesh=mesh, runtime=own.runtime)
    runs = Runs(bench, "m", [Part(number=0, batch="a", task_id="t")], None)
    comes(lambda: mesh.hear is not None and bool(runs._by_id))
    assert mesh.hear is not None
    for state, kind in (("queued", "waiting"), ("running", "running"), ("queued", "waiting")):
        mesh.hear({"taskId": "t", "state": state})
        assert runs.counts[kind] == 1
    mesh.ended.set()
    assert runs.wait(WAIT_S)


def test_one_odd_batch_of_a_map_is_its_own_failure(own: Workbench) -> None:
    runs = own.map("steady", [{"a": 1}, 5, {"a": object()}, {"a": 2}], units=1)  # type: ignore[list-item]
    assert runs.wait(WAIT_S)
    assert (runs.counts["done"], runs.counts["failed"]) == (2, 2)
    assert [each["batch"] for each in runs.failures] == ["1", "2"]
    assert runs.failures[0]["error"].startswith("batch is 5; allowed: a path, ")


@pytest.mark.parametrize("batches", ["one.json", b"bytes", [], 5, None])
def test_a_map_wants_several_batches(own: Workbench, batches: Any) -> None:
    with pytest.raises(InputError, match="batches is "):
        own.map("steady", batches)


def comes(condition: Callable[[], bool]) -> None:
    """Nothing tells a notebook that its names are there."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run(shell: InteractiveShell, cell: str) -> Any:
    with capture_output():
        return shell.run_cell(cell)


def test_a_cell_runs_on_the_mesh_with_the_names_that_it_uses(
    shell: InteractiveShell, own: Workbench, frame: pandas.DataFrame
) -> None:
    shell.user_ns |= {"df": frame, "held": object(), "factor": 4}
    assert run(shell, "%%mesh found\nprint(len(df))\nfactor = factor + 1\ndf['n'].sum() * factor")
    found = shell.user_ns["found"]
    assert (found.value, found.logs()) == (30, ["info: 3"])
    assert shell.user_ns["factor"] == 4
    source = own.query(
        "SELECT source FROM tasks JOIN functions ON model = name AND model_version = version "
        "WHERE task_id = $id", {"id": found.task_id}, fresh=True,
    ).rows()[0]["source"]  # fmt: skip
    assert source == "print(len(df))\nfactor = factor + 1\ndf['n'].sum() * factor\n"


def test_names_come_back_into_the_notebook_when_it_is_done(
    shell: InteractiveShell, frame: pandas.DataFrame
) -> None:
    shell.user_ns["df"] = frame
    run(shell, "%%mesh -o total,doubled\ntotal = int(df['n'].sum())\ndoubled = df * 2")
    assert isinstance(shell.user_ns["_mesh"], Run)
    assert shell.user_ns["_mesh"].value["total"] == 6
    comes(lambda: shell.user_ns.get("total") == 6)
    assert list(shell.user_ns["doubled"]["n"]) == [2, 4, 6]


def test_a_cell_that_fails_shows_its_line(shell: InteractiveShell) -> None:
    run(shell, "%%mesh broken\nx = 1\nnothing_such + x")
    with pytest.raises(TaskError, match="nothing_such"):
        shell.user_ns["broken"].result(WAIT_S)
    assert "nothing_such + x" in "\n".join(shell.user_ns["broken"].logs())


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ("%%mesh\nx = 1\n!ls", "a line of the cell begins with !: magics and shell commands"),
        ("%%mesh\n%time 1 + 1", "a line of the cell begins with %: magics and shell commands"),
        ("%%mesh\nimport asyncio\nawait asyncio.sleep(0)", "the cell awaits something at its top"),
        ("%%mesh\nx = 1\nx = = 2", "line 2: invalid syntax: x = = 2"),
        ("%%mesh\nlen(lock)", "lock cannot be sent to the mesh: "),
        ("%%mesh\nlen(large)", "large takes 20.0 MB, and all that this cell takes"),
        ("%%mesh -o y\nx = 1", "-o is 'y'; allowed: x"),
        ("%%mesh 1x\nx = 1", "1x is no name of a variable; it goes %%mesh"),
        ("%%mesh a b\nx = 1", "unrecognized arguments: b; it goes %%mesh"),
        ("%%mesh\nbench.ping()", "bench cannot be sent to the mesh: a Workbench holds a link"),
    ],
)
def test_what_a_cell_cannot_take_along_is_named(
    shell: InteractiveShell,
    own: Workbench,
    capsys: pytest.CaptureFixture[str],
    cell: str,
    sentence: str,
) -> None:
    shell.user_ns |= {"lock": threading.Lock(), "large": b"x" * 20_000_000, "bench": own}
    outcome = shell.run_cell(cell)
    said = capsys.readouterr()
    assert not outcome.success
    assert sentence in said.err
    assert "Traceback" not in said.out + said.err


def test_a_name_that_a_cell_deletes_is_taken_along() -> None:
    used, _ = used_and_set(ast.parse("del y\nx = 1\ndel x"))
    assert used == ["y"]
    used, _ = used_and_set(ast.parse("try:\n    1\nexcept ValueError as e:\n    pass"))
    assert used == []


def test_the_arguments_of_a_cell() -> None:
    assert parsed("result --timeout 5") == ("result", (), 5.0)
    assert parsed("-o a, --timeout 1") == ("_mesh", ("a",), 1.0)
    assert parsed("") == ("_mesh", (), None)


def test_a_run_of_an_earlier_kernel_is_found_with_its_value(own: Workbench) -> None:
    program = (
        "import workbench\n"
        "bench = workbench.connect(start=False)\n"
        "print(bench.submit_cell('import time\\ntime.sleep(0.5)\\n6 * 7', {}).task_id)"
    )
    sent = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert workbench.run(sent.stdout.strip()).value == 42


async def test_a_hub_that_takes_no_functions_says_which_setting_it_is(tmp_path: Path) -> None:
    async with running_hub(tmp_path, own_functions="off"):
        bench = await asyncio.to_thread(workbench.connect, tmp_path, start=False)
        try:
            with pytest.raises(ProtocolError, match="set WORKBENCH_OWN_FUNCTIONS to admin or"):
                await asyncio.to_thread(bench.submit, told)
        finally:
            await asyncio.to_thread(bench.close)
