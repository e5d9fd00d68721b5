"""The card of one task: live until its end, drawn whole where it had ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.boards.pages import BoardPage
from tests.hubs import running_hub
from workbench.boards.home import Home
from workbench.boards.run import RunBoard
from workbench.session import Workbench, connect

PATIENCE_S = 30.0


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with running_hub(tmp_path):
        bench = await asyncio.to_thread(connect, tmp_path, start=False)
        yield bench
        await asyncio.to_thread(bench.close)


async def ended(bench: Workbench, task_id: str) -> dict[str, Any]:
    """What a card says of its task once it hears nothing more."""
    page = BoardPage(RunBoard(Home(), task_id, session=lambda: bench))
    page.looks()
    try:
        await asyncio.to_thread(page.board._follower.result, PATIENCE_S)
        await page.until(lambda: (page.widget.state.task(task_id) or {}).get("finishedAt"))
        return dict(page.widget.state.task(task_id))
    finally:
        page.board.close()


async def test_a_card_shown_while_its_task_runs_says_when_it_was_sent_and_ended(
    bench: Workbench,
) -> None:
    run = await asyncio.to_thread(bench.submit, "steady", {"n": 1}, units=3, unit_s=0.1)
    task = await ended(bench, run.task_id)
    assert task["state"] == "done"
    assert task["submittedAt"] <= task["startedAt"] < task["finishedAt"]
    assert task["parameters"]["units"] == 3


async def test_a_card_of_an_ended_task_reads_the_nodes_list_once(bench: Workbench) -> None:
    run = await asyncio.to_thread(bench.submit, "once", {"n": 1})
    await asyncio.to_thread(run.result, PATIENCE_S)
    lists: list[dict[str, Any]] = []
    read = bench.mesh.tasks

    async def counted(**where: Any) -> list[dict[str, Any]]:
        lists.append(where)
        return await read(**where)

    bench.mesh.tasks = counted  # type: ignore[method-assign]
    assert (await ended(bench, run.task_id))["state"] == "done"
    assert len(lists) == 1


async def test_a_card_cancels_its_task(bench: Workbench) -> None:
    run = await asyncio.to_thread(bench.submit, "steady", {"n": 1}, units=1000, unit_s=0.1)
    page = BoardPage(RunBoard(Home(), run.task_id, session=lambda: bench))
    page.looks()
    try:
        await page.until(lambda: (page.widget.state.task(run.task_id) or {}).get("state"))
        page.wants("cancel")
        shown = page.widget.state.task
        await page.until(lambda: (shown(run.task_id) or {}).get("state") == "cancelled")
    finally:
        page.board.close()
