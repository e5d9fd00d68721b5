"""The Runes board between a page and a real hub: batches, questions, answers, files."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from tests.boards.pages import PATIENCE_S, BoardPage
from tests.hub_process import HubProcess
from workbench.boards.home import Home
from workbench.boards.runes import RunesBoard, sample_kind_of
from workbench.core.sentence import Sentence
from workbench.session import Workbench, connect
from workbench.widgets.mesh_state import TERMINAL

pytestmark = pytest.mark.timeout(120)

TEXT = csv.ConvertOptions(column_types={"premine": pa.string()})
SAMPLES = Path(__file__).parents[2] / "data" / "samples"


class RunesPage(BoardPage):
    """A person at the Runes board; tasks have the ids t1, t2, ..."""

    file = b""
    tasks = itertools.count(1)
    task_id = ""

    def hear(self, content: dict[str, Any], buffers: Any = None) -> None:
        super().hear(content, buffers)
        if content.get("kind") == "exported":
            [self.file] = [bytes(each) for each in buffers]

    async def answered(self, kind: str, intent: str, **more: Any) -> dict[str, Any]:
        """What the page is told in answer to an intent."""
        del self.heard[:]
        self.wants(intent, **more)
        told = await self.until(lambda: [e for e in self.heard if e.get("kind") == kind])
        return dict(told[-1])

    async def ends(self, intent: str, **more: Any) -> dict[str, Any]:
        """Send a task and see its end."""
        task_id = self.task_id = f"t{next(self.tasks)}"
        state = self.widget.state
        self.wants(intent, taskId=task_id, **more)
        await self.until(lambda: (state.task(task_id) or {}).get("state") in TERMINAL)
        return dict(state.task(task_id))

    async def keeps(self, name: str, **more: Any) -> str:
        """The alias of a sample that the hub keeps from now on."""
        path = f"samples/{name}"
        del self.heard[:]
        task = await self.ends("import", inputDataURL=path, name=path, **more)
        assert task["state"] == "done", task
        told = await self.until(lambda: [e for e in self.heard if e.get("kind") == "imported"])
        return str(told[-1]["alias"])

    async def asks(self, model: str, alias: str, **parameters: Any) -> dict[str, Any]:
        """The answer as the page draws it."""
        task = await self.ends("ask", model=model, alias=alias, parameters=parameters)
        assert task["state"] == "done", task
        self.wants("open", taskId=task["taskId"])
        state = self.widget.state
        return dict(await self.until(lambda: state.result(task["taskId"])))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of a hub in a process of its own, as a user has it."""
    data = tmp_path_factory.mktemp("runes")
    shutil.copytree(SAMPLES, data / "samples")
    with HubProcess(data, WORKBENCH_LLM_DISCOVER="0"):
        yield data


@pytest.fixture
async def bench(data: Path) -> AsyncIterator[Workbench]:
    bench = await asyncio.to_thread(connect, data, start=False)
    yield bench
    await asyncio.to_thread(bench.close)


@pytest.fixture
async def page(bench: Workbench) -> AsyncIterator[RunesPage]:
    board = RunesBoard(Home(), session=lambda: bench)
    page = RunesPage(board)
    page.looks()
    page.wants("look")
    await page.until(lambda: page.widget.listed)
    yield page
    board.close()


async def test_a_sample_becomes_a_batch_and_a_question_about_it_is_answered(
    page: RunesPage,
) -> None:
    alias = await page.keeps("small.json")
    assert alias in [each["alias"] for each in page.widget.batches]
    told = await page.answered("about", "about", alias=alias)
    assert (told["network"], told["firstHeight"], told["lastHeight"]) == ("regtest", 1200, 1215)
    assert told["level"] == "state"
    answer = await page.asks("runes-reconcile", alias)
    said = answer["data"]["answer"]
    assert str(Sentence(**said)) == "all 29 runes add up to the atomic unit"
    [table] = answer["tables"]
    kinds = {column["name"]: column["kind"] for column in table["columns"]}
    assert (kinds["premine"], kinds["name"]) == ("integer", "text")
    at = [column["name"] for column in table["columns"]].index("premine")
    rows = [[row[0], row[at]] for row in table["rows"]]
    assert ["1205:2", "170141183752128236358417578185590013350"] in rows
    line = f'from workbench import connect, runes; runes.reconcile(connect().batch("{alias}"))'
    assert answer["line"] == line


async def test_two_batches_that_the_hub_keeps_are_held_against_each_other(
    page: RunesPage,
) -> None:
    """The question is on the board like every other, with the second batch as a parameter."""
    alias = await page.keeps("small.json")
    [model] = [each for each in page.widget.models if each["name"] == "runes-compare-sources"]
    assert (model["part"], model["parametersSchema"]["required"]) == ("question", ["other"])
    answer = await page.asks(model["name"], alias, other=f"batch:{alias}", rune="1205:3")
    said = answer["data"]["answer"]
    assert " agree in all " in str(Sentence(**said))
    assert answer["line"].endswith(
        f'compare_sources(connect().batch("{alias}"), connect().batch("{alias}"), rune="1205:3")'
    )
    alone = await page.answered(
        "refused", "ask", taskId="alone", model=model["name"], alias=alias, parameters={}
    )
    assert alone["faults"][0]["field"] == "other"


async def test_a_rune_is_found_by_a_part_of_its_name_with_spacers_or_without_and_by_its_id(
    page: RunesPage,
) -> None:
    alias = await page.keeps("small.json")

    async def found(text: str) -> list[str]:
        told = await page.answered("runes", "search", number=7, alias=alias, text=text)
        assert told["number"] == 7
        return [str(each["name"]) for each in told["found"]]

    assert (await found("oas"))[0] == "OASIS•RIVER•TIMBER"  # what begins with it comes first
    assert "AMBER•ANCHOR•OASIS" in await found("oas")
    assert await found("anchor•oas") == ["AMBER•ANCHOR•OASIS"]
    assert await found("rOasis") == ["AMBER•ANCHOR•OASIS"]
    assert await found("1205:3") == ["AMBER•ANCHOR•OASIS"]
    assert await found("no such rune") == []
    assert len(await found("")) == 20


async def test_the_whole_answer_is_taken_along_as_a_file(page: RunesPage) -> None:
    alias = await page.keeps("small.json")
    await page.asks("runes-reconcile", alias)
    task = {"taskId": page.task_id, "table": "answer"}
    named = await page.answered("exported", "export", **task, format="csv")
    assert named["name"].startswith("runes-reconcile-") and named["name"].endswith("-answer.csv")
    rows = csv.read_csv(io.BytesIO(page.file), convert_options=TEXT)
    await page.answered("exported", "export", **task, format="parquet")
    table = parquet.read_table(io.BytesIO(page.file))
    assert rows["premine"].to_pylist() == table["premine"].to_pylist()
    assert max(map(int, table["premine"].to_pylist())) > 2**126
    await page.answered("exported", "export", **task, format="json")
    assert json.loads(page.file)["data"]["facts"]["runes"] == table.num_rows == 29
    refused = await page.answered("exportRefused", "export", **{**task, "table": "x"}, format="csv")
    allowed = "table is 'x'; allowed: answer, transactions"
    assert refused["error"]["text"] == allowed


async def test_what_a_block_does_not_know_is_refused_with_the_way_out(page: RunesPage) -> None:
    spent = "samples/block-sim.spent.json.gz"
    alias = await page.keeps("block-sim.bin", spentOutputsURL=spent)
    task = await page.ends("ask", model="runes-reconcile", alias=alias, parameters={})
    assert task["state"] == "rejected"
    assert (
        f"reconcile needs the state, and {alias} is at the runestone level"
        in (task["error"]["text"])
    )
    assert "read a producer's state" in task["error"]["text"]
    told = await page.answered("runes", "search", number=1, alias=alias, text="120")
    unnamed = [each["id"] for each in told["found"] if each["name"] is None]
    assert unnamed and all(each.startswith("120") for each in unnamed)  # minted, etched before


async def test_a_rune_that_the_batch_does_not_know_is_refused_at_its_field_without_a_task(
    page: RunesPage,
) -> None:
    alias = await page.keeps("small.json")
    asked = {"alias": alias, "parameters": {"rune": "OASIS•RIVER•TIMBRE"}}
    told = await page.answered("refused", "ask", taskId="astray", model="runes-holders", **asked)
    [fault] = told["faults"]
    assert (fault["field"], fault["value"]) == ("rune", "'OASIS•RIVER•TIMBRE'")
    assert "did you mean OASIS•RIVER•TIMBER" in fault["allowed"]
    assert page.widget.state.task("astray") is None


async def test_a_parameter_that_is_out_of_range_is_refused_by_its_name(page: RunesPage) -> None:
    alias = await page.keeps("small.json")
    asked = {"model": "cypher-v1", "alias": alias, "parameters": {"analysisDepth": 9}}
    told = await page.answered("refused", "ask", taskId="wrong", **asked)
    assert told["faults"][0]["field"] == "parameters.analysisDepth"


async def test_earlier_answers_are_listed_and_what_else_this_kernel_runs_is_not(
    page: RunesPage, bench: Workbench
) -> None:
    alias = await page.keeps("small.json")
    await page.asks("runes-reconcile", alias)
    run = await asyncio.to_thread(bench.submit, "once", {"n": 1})
    await asyncio.to_thread(run.result, 30)
    again = RunesBoard(Home(), session=lambda: bench)
    try:
        other = RunesPage(again)
        other.looks()
        other.wants("look")
        task_id = page.task_id
        known = await other.until(lambda: other.widget.state.task(task_id))
        assert (known["state"], known["input"]) == ("done", f"batch:{alias}")
        other.wants("open", taskId=task_id)
        kept = await other.until(lambda: other.widget.state.result(task_id))
        assert kept["data"]["facts"]["runes"] == 29
        for each in (page, other):
            assert each.widget.state.task(run.task_id) is None
    finally:
        again.close()


async def test_a_question_is_asked_again_with_what_it_was_given(page: RunesPage) -> None:
    alias = await page.keeps("small.json")
    await page.asks("runes-reconcile", alias, rune="1205:3")
    again = await page.ends("rerun", of=page.task_id)
    assert again["state"] == "done"
    assert (again["model"], again["input"]) == ("runes-reconcile", alias)
    assert again["parameters"] == {"rune": "1205:3"}


async def test_at_another_node_nothing_is_asked_and_the_page_says_why(
    page: RunesPage, bench: Workbench
) -> None:
    bench.mesh.configure(custom_endpoint="ws://127.0.0.1:9/mesh")
    await asyncio.to_thread(bench.block_on, bench.mesh.connect("custom", wait_s=0))
    asked = {"model": "runes-reconcile", "alias": "b1", "parameters": {}}
    told = await page.answered("refused", "ask", taskId="elsewhere", **asked)
    assert "is at the custom node: choose the local node" in told["error"]["text"]


async def test_nothing_is_asked_of_a_hub_until_the_board_is_in_view(bench: Workbench) -> None:
    opened = asyncio.Event()
    home = Home()

    def session() -> Workbench:
        home.call(opened.set)
        return bench

    board = RunesBoard(home, session=session)
    try:
        page = RunesPage(board)
        page.looks()
        page.wants("batches")
        text = "the workbench is still starting: try again in a moment"
        told = await page.until(lambda: page.widget.problem)
        assert told["text"] == text
        assert not opened.is_set()
        page.wants("look")
        async with asyncio.timeout(PATIENCE_S):
            await opened.wait()
        await page.until(lambda: page.widget.listed)
    finally:
        board.close()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("blk00001.dat", "block"),
        ("https://example.org/866342.bin.xz?x=1", "block"),
        ("https://example.org/batch.json.gz", "batch"),
        ("holders", ""),
    ],
)
def test_an_input_is_taken_for_what_its_name_says(name: str, kind: str) -> None:
    assert sample_kind_of(name) == kind
