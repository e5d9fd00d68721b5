"""Own functions from the cell to the result: real client, socket, store, Dask and processes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import pickle
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pandas
import psutil
import pyarrow
import pytest
import pytest_asyncio

from tests.clients.test_own_functions import cell
from tests.mesh.own_cells import anything, fails, grind, ticking, widen
from tests.mesh.real_mesh import Mesh, mesh_on
from workbench.clients.own_functions import definition_of
from workbench.errors import TaskError

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    async with mesh_on(tmp_path_factory.mktemp("mesh")) as mesh:
        yield mesh


async def test_a_cell_runs_over_a_frame_and_gives_one_back(mesh: Mesh) -> None:
    frame = pandas.DataFrame({"a": [1, 2, 3]})
    task = await mesh.send(widen, frame, by=4)
    result = await mesh.client.result(task, 60)
    assert result["data"] == {"value": {"rows": 3, "total": 6}}
    assert result["tables"] == {"wide": {"rows": 3, "columns": ["a"]}}
    wide = pyarrow.ipc.open_stream(await mesh.store.read_table(result["file"], "wide")).read_all()
    assert wide.to_pydict() == {"a": [12, 24, 36]}
    assert [line["content"] for line in mesh.client.get_task_logs(task)] == ["rows 3"]
    (row,) = (row for row in await mesh.client.tasks() if row["taskId"] == task)
    assert (row["model"], row["version"], row["state"]) == ("widen", result["version"], "done")


async def test_its_traceback_shows_the_lines_of_the_cell(mesh: Mesh) -> None:
    text = "\n\ndef divide(x):\n    return 1 / x\n\n@model\ndef outer(n=0):\n    return divide(n)\n"
    task = await mesh.send(cell(text)["outer"])
    with pytest.raises(TaskError, match="ZeroDivisionError: division by zero"):
        await mesh.client.result(task, 60)
    said = mesh.client.get_task_logs(task)[-1]["content"]
    assert ", line 3, in outer\n    return divide(n)\n" in said
    assert ", line 2, in divide\n    return 1 / x\n" in said
    assert "workbench" not in said


async def test_a_batch_comes_as_json_or_as_a_table_by_its_content(mesh: Mesh) -> None:
    for batch, kind in (
        ({"a": 2**90}, "dict"),
        (b"a,b\n1,2\n3,4\n", "DataFrame"),
        (b'{"a": 1}\n{"a": 2}\n', "DataFrame"),
    ):
        found = await mesh.run(anything, batch)
        assert found["data"]["value"] == {"kind": kind, "size": 1 if kind == "dict" else 2}


async def test_a_pattern_is_judged_by_the_function_itself(mesh: Mesh) -> None:
    text = (
        "@model\ndef f(name: Annotated[str, msgspec.Meta(pattern='^a')] = 'a'):\n    return name\n"
    )
    made = cell(text, msgspec=msgspec, Annotated=__import__("typing").Annotated)["f"]
    assert (await mesh.run(made, name="ab"))["data"] == {"value": "ab"}
    with pytest.raises(TaskError) as ended:
        await mesh.run(made, name="b")
    assert ended.value.outcome == "rejected"
    assert str(ended.value) == "name is 'b'; allowed: str matching regex '^a'"


async def test_what_one_run_leaves_in_its_globals_the_next_does_not_see(mesh: Mesh) -> None:
    text = "seen = []\n@model\ndef f(n=1):\n    seen.append(n)\n    return len(seen)\n"
    made = cell(text)["f"]
    for n in (1, 2):
        assert (await mesh.run(made, n=n))["data"] == {"value": 1}


async def test_a_module_that_is_not_installed_there_is_named(mesh: Mesh) -> None:
    definition = definition_of(fails)
    missing = b"cno_such_module_anywhere\nf\n."
    for bad, words in (
        (missing, "the function needs the module no_such_module_anywhere, which is not installed"),
        (b"no pickle at all", "the function cannot be loaded where tasks run: "),
        (pickle.dumps(("another", None, {}, {})), "the function was made by another workbench"),
    ):
        other = msgspec.structs.replace(
            definition, body=bad, sha256=hashlib.sha256(bad).hexdigest(), name="broken"
        )
        defined = await mesh.client.define(other)
        task = await mesh.client.send_task("broken", model_version=defined.version)
        with pytest.raises(TaskError) as ended:
            await mesh.client.result(task, 60)
        assert str(ended.value).startswith(words)


async def test_only_the_process_of_the_task_ever_loads_the_bytes(mesh: Mesh) -> None:
    """The bytes say who loads them: the hub lives in this very process."""
    witness = mesh.folder / "witness"

    class Telling:
        def __reduce__(self) -> Any:
            pid = "str(__import__('os').getpid())"
            return eval, (f"__import__('pathlib').Path({str(witness)!r}).write_text({pid})",)

    body = pickle.dumps(Telling())
    digest = hashlib.sha256(body).hexdigest()
    telling = msgspec.structs.replace(definition_of(fails), name="t", body=body, sha256=digest)
    defined = await mesh.client.define(telling)
    assert not witness.exists()
    task = await mesh.client.send_task("t", model_version=defined.version)
    with pytest.raises(TaskError):
        await mesh.client.result(task, 60)
    assert int(witness.read_text()) != os.getpid()


async def test_the_cell_that_is_tried_next_finds_a_fresh_process_ready(mesh: Mesh) -> None:
    async def served(number: int) -> int:
        made = cell(f"import os\n@model\ndef f(n={number}):\n    return os.getpid()\n")["f"]
        return int((await mesh.run(made))["data"]["value"])

    def children() -> set[int]:
        found = set()
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):  # another test's, dead and not waited for
                found |= {child.pid} if "workbench.engines.child" in child.cmdline() else set()
        return found

    pid, ready, number = await served(0), set[int](), 0
    async with asyncio.timeout(60):
        while pid not in ready:  # one that is only just being born may come too late for this one
            ready = children() - {pid}
            number += len(ready) > 0
            pid = await served(number) if ready else await asyncio.sleep(0.05, pid)


async def test_a_call_of_c_is_cancelled_in_its_midst(mesh: Mesh) -> None:
    task = await mesh.send(grind)
    await mesh.said(task, "grinding")
    after = await mesh.send(fails, n=1)  # waits for the only slot
    await mesh.client.cancel_task(task)
    with pytest.raises(TaskError) as ended:
        await mesh.client.result(task, 60)
    assert ended.value.outcome == "cancelled"
    assert (await mesh.client.result(after, 60))["data"] == {"value": 1.0}


async def test_a_limit_on_running_ends_it(mesh: Mesh) -> None:
    defined = await mesh.client.define(definition_of(ticking))
    task = await mesh.client.send_task(defined.name, timeout_ms=300, model_version=defined.version)
    with pytest.raises(TaskError) as ended:
        await mesh.client.result(task, 60)
    assert ended.value.outcome == "timeout"


async def test_after_a_restart_the_name_alone_runs_it(tmp_path: Path) -> None:
    async with mesh_on(tmp_path) as first:
        await first.client.define(definition_of(fails))
    async with mesh_on(tmp_path) as second:
        task = await second.client.send_task("fails", None, {"n": 2})
        assert (await second.client.result(task, 60))["data"] == {"value": 0.5}
        again = await second.client.define(definition_of(fails))
        assert again.known
