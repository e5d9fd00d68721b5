"""What a task and an answer used, asked for from their pages."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.boards.pages import BoardPage
from tests.boards.test_chat import page_of
from tests.clients.chatting_hub import chatting
from tests.hubs import running_hub
from workbench.boards.home import Home
from workbench.boards.mesh import MeshBoard
from workbench.session import connect

PATIENCE_S = 30.0


class MeshPage(BoardPage):
    async def used(self, task_id: str) -> dict[str, Any]:
        """What the page is told when a reader opens the task's details."""
        del self.heard[:]
        self.wants("metrics", taskId=task_id)
        told = await self.until(lambda: [e for e in self.heard if e.get("kind") == "metrics"])
        assert told[0]["taskId"] == task_id
        return dict(told[0])


async def test_a_task_tells_what_it_used_and_an_unknown_one_why_not(tmp_path: Path) -> None:
    async with running_hub(tmp_path):
        bench = await asyncio.to_thread(connect, tmp_path, start=False)
        run = await asyncio.to_thread(bench.submit, "once", {"n": 1})
        await asyncio.to_thread(run.result, PATIENCE_S)
        board = MeshBoard(Home(), session=lambda: bench)
        page = MeshPage(board)
        page.looks()
        try:
            await page.until(lambda: page.widget.connection.get("state") == "connected")
            used = (await page.used(run.task_id))["metrics"]
            assert used["endedAt"] >= used["startedAt"]
            assert list(used["gpus"]) == []
            assert used["energyWh"] is None
            assert "nothing-such" in (await page.used("nothing-such"))["error"]["text"]
        finally:
            board.close()
            await asyncio.to_thread(bench.close)


async def test_an_answer_tells_what_it_used_and_a_question_why_not(tmp_path: Path) -> None:
    async with chatting(tmp_path) as hub, page_of(hub) as page:
        page.wants("send", message="Hi", clientId="c1")
        await page.until(lambda: page.texts()[-1:] == [("assistant", "Hello", "done")])
        question, answer = page.board.view.messages
        page.wants("metrics", messageId=answer["id"])
        told = await page.reply("metrics")
        assert (told["messageId"], told["metrics"]["energyWh"]) == (answer["id"], None)
        page.wants("metrics", messageId=question["id"])
        await page.until(lambda: "error" in page.heard[-1])
        assert "an answer of this hub" in page.heard[-1]["error"]["text"]
