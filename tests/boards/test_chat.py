"""The chat board between a page and a real `/ws`: what is shown, sent, stopped and caught up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas
import pytest

from tests.boards.pages import BoardPage
from tests.clients.chatting_hub import ChattingHub, chatting
from tests.llm.scripted import said
from workbench.boards.chat import ChatBoard
from workbench.boards.home import Home
from workbench.core.llm import Done, Token
from workbench.errors import LinkError
from workbench.runtime import Runtime

FRAME = pandas.DataFrame({"n": [1, 2, 3]})


class Page(BoardPage):
    async def reply(self, kind: str) -> dict[str, Any]:
        found = await self.until(lambda: [e for e in self.heard if e.get("kind") == kind])
        return dict(found[-1])

    def texts(self) -> list[tuple[str, str, str]]:
        return [(m["role"], m["content"], m["status"]) for m in self.board.view.messages]


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[ChattingHub]:
    async with chatting(tmp_path) as hub:
        yield hub


@contextlib.asynccontextmanager
async def page_of(hub: ChattingHub) -> AsyncIterator[Page]:
    """A board on a runtime of its own; its session is where this hub is."""
    background = Runtime("test-runtime")
    place = SimpleNamespace(
        hub=SimpleNamespace(ws=hub.url, token=hub.token), data=Path("nowhere-to-be-found")
    )
    names = {"df": FRAME, "text": "no frame"}
    board = ChatBoard(
        Home(),
        session=lambda: place,  # type: ignore[arg-type,return-value]
        background=background,
        names=lambda: names,
    )
    page = Page(board)
    page.looks()
    try:
        await page.until(lambda: page.widget.connection.get("state") == "connected")
        await page.until(lambda: page.widget.models)
        yield page
    finally:
        board.close()
        if board.closing is not None:
            await asyncio.wrap_future(board.closing)
        await asyncio.to_thread(background.close)


async def test_a_question_is_shown_answered_and_listed(hub: ChattingHub) -> None:
    async with page_of(hub) as page:
        page.wants("send", message="Hi", clientId="c1", attachments=[])
        await page.until(lambda: page.texts()[-1:] == [("assistant", "Hello", "done")])
        assert page.texts()[0] == ("user", "Hi", "done")
        assert (await page.reply("sent"))["clientId"] == "c1"
        await page.until(lambda: page.widget.conversation.get("title") == "Hi")
        assert [each["title"] for each in page.widget.conversations] == ["Hi"]
        assert page.widget.streaming is None
        assert any(each["kind"] == "delta" for each in page.heard)


async def test_stop_ends_the_answer_and_keeps_what_there_is(hub: ChattingHub) -> None:
    never = asyncio.Event()
    hub.backend.answer = lambda request: (Token(text="one "), never, Done())
    async with page_of(hub) as page:
        page.wants("send", message="Count", clientId="c1")
        await page.until(lambda: page.texts()[-1:] == [("assistant", "one ", "streaming")])
        page.wants("stop")
        await page.until(lambda: page.texts()[-1:] == [("assistant", "one ", "stopped")])
        await page.until(lambda: page.widget.streaming is None)


async def test_a_reloaded_board_opens_the_latest_conversation_in_mid_stream(
    hub: ChattingHub,
) -> None:
    go = asyncio.Event()
    hub.backend.answer = lambda request: (Token(text="one "), go, Token(text="two"), Done())
    async with page_of(hub) as page:
        page.wants("send", message="Count", clientId="c1")
        await page.until(lambda: page.texts()[-1:] == [("assistant", "one ", "streaming")])
    async with page_of(hub) as page:
        await page.until(lambda: page.texts()[-1:] == [("assistant", "one ", "streaming")])
        assert page.widget.streaming["phase"] == "answering"
        go.set()
        await page.until(lambda: page.texts()[-1:] == [("assistant", "one two", "done")])


async def test_an_edited_question_and_a_new_answer_take_the_place_of_the_old(
    hub: ChattingHub,
) -> None:
    async with page_of(hub) as page:
        page.wants("send", message="Hi", clientId="c1")
        await page.until(lambda: page.texts()[-1:] == [("assistant", "Hello", "done")])
        hub.backend.answer = lambda request: said("Other")
        page.wants("regenerate", messageId=page.board.view.messages[-1]["id"])
        await page.until(
            lambda: page.texts() == [("user", "Hi", "done"), ("assistant", "Other", "done")]
        )
        page.wants("edit", messageId=page.board.view.messages[0]["id"], message="Hey")
        await page.until(
            lambda: page.texts() == [("user", "Hey", "done"), ("assistant", "Other", "done")]
        )


async def test_a_frame_is_previewed_and_sent_in_the_same_words(hub: ChattingHub) -> None:
    async with page_of(hub) as page:
        assert page.widget.frames == [{"name": "df", "rows": 3, "columns": 1}]
        page.wants("preview", frame="df")
        preview = await page.reply("preview")
        assert preview["tokens"] > 0
        page.wants("send", message="What is @df?", clientId="c1", attachments=["df"])
        await page.until(lambda: page.texts()[-1:] == [("assistant", "Hello", "done")])
        assert preview["text"] in hub.backend.requests[-1].turns[-1].content
        page.wants("send", message="?", clientId="c2", attachments=["gone"])
        refused = await page.reply("refused")
        assert refused["error"]["text"] == "@ is 'gone'; allowed: df"
        page.wants("preview", frame="text")
        await page.until(lambda: page.heard[-1].get("name") == "text")
        assert page.heard[-1]["error"]["text"] == "@ is 'text'; allowed: df"


async def test_settings_made_before_the_first_message_go_with_it(hub: ChattingHub) -> None:
    async with page_of(hub) as page:
        page.wants("create")
        page.wants("settings", system="Be brief", parameters={"temperature": 0.5})
        page.wants("pick", model="m")
        await page.until(lambda: page.widget.conversation.get("model") == "m")
        assert page.widget.conversation["system"] == "Be brief"
        page.wants("send", message="Hi", clientId="c1")
        await page.until(lambda: page.texts()[-1:] == [("assistant", "Hello", "done")])
        (request,) = hub.backend.requests
        assert request.turns[0].content == "Be brief"
        assert request.sampling.temperature == 0.5
        page.wants("settings", system="Be long", parameters={})
        await page.until(lambda: page.widget.conversation.get("system") == "Be long")
        page.wants("rename", conversationId=page.board.view.id, title="Named")
        await page.until(lambda: page.widget.conversations[0]["title"] == "Named")


async def test_conversations_are_searched_opened_exported_and_deleted(hub: ChattingHub) -> None:
    async with page_of(hub) as page:
        for text in ("about runes", "about blocks"):
            page.wants("create")
            page.wants("send", message=text, clientId=text)
            await page.until(lambda text=text: page.texts()[:1] == [("user", text, "done")])
            await page.until(lambda: page.texts()[-1][2] == "done" and len(page.texts()) == 2)
        page.wants("search", text="runes")
        (found,) = await page.until(
            lambda: len(page.widget.conversations) == 1 and page.widget.conversations
        )
        page.wants("open", conversationId=found["id"])
        await page.until(lambda: page.texts()[:1] == [("user", "about runes", "done")])
        page.wants("export", conversationId=found["id"], format="json")
        assert (await page.reply("export"))["mediaType"] == "application/json"
        page.wants("delete", conversationId=found["id"])
        await page.until(lambda: page.texts() == [])
        assert page.widget.conversation == {}


async def test_tokens_are_counted_once_nobody_types(hub: ChattingHub) -> None:
    async with page_of(hub) as page:
        for draft in ("one", "one two", "one two three"):
            page.wants("budget", draft=draft, attachments=[])
        await page.until(lambda: page.widget.budget)
        assert page.widget.budget["used"] > 0
        assert not any(text in ("one", "one two") for text in hub.backend.counted)


async def test_prompts_are_saved_and_offered(hub: ChattingHub) -> None:
    async with page_of(hub) as page:
        page.wants("savePrompt", name="sum", content="Sum {{text}}", promptKind="template")
        await page.reply("promptSaved")
        await page.until(lambda: [each["name"] for each in page.widget.prompts] == ["sum"])
        page.wants("deletePrompt", name="sum", promptKind="template")
        await page.until(lambda: page.widget.prompts == [])
        page.wants("savePrompt", name=" ", content="x", promptKind="instruction")
        assert (await page.reply("promptRefused"))["error"]["text"]


async def test_a_model_is_loaded_with_its_progress_and_unloaded(hub: ChattingHub) -> None:
    hub.backend.loaded.clear()
    async with page_of(hub) as page:
        shown: list[Any] = []
        page.widget.observe(lambda change: shown.append(change["new"]), "loading")
        page.wants("load", model="m")
        await page.until(lambda: shown and page.widget.loading is None)
        await page.until(lambda: page.widget.models[0]["loaded"])
        page.wants("unload", model="m")
        await page.until(lambda: not page.widget.models[0]["loaded"])


async def test_a_refusal_is_a_sentence_on_the_page(hub: ChattingHub) -> None:
    async with page_of(hub) as page:
        page.wants("open", conversationId=77)
        page.wants("regenerate")
        problem = await page.until(lambda: page.widget.problem)
        assert problem["text"] == "conversationId is 77; allowed: a conversation that exists"


async def test_a_hub_that_went_and_came_is_said_and_the_conversation_goes_on(
    hub: ChattingHub,
) -> None:
    async with page_of(hub) as page:
        page.wants("send", message="Hi", clientId="c1")
        await page.until(lambda: page.texts()[-1:] == [("assistant", "Hello", "done")])
        await hub.close()
        await page.until(lambda: page.widget.connection["state"] in ("reconnecting", "failed"))
        page.wants("send", message="Lost", clientId="c2")
        assert "not connected" in (await page.reply("refused"))["error"]["text"]
        await page.until(lambda: page.widget.connection.get("hub") == "absent")
        await hub.listen()
        await page.until(lambda: page.widget.connection["state"] == "connected")
        page.wants("send", message="Again", clientId="c3")
        await page.until(lambda: len(page.texts()) == 4 and page.texts()[-1][2] == "done")


async def test_nothing_is_sent_while_nobody_looks(hub: ChattingHub) -> None:
    async with page_of(hub) as page:
        page.wants("send", message="Hi", clientId="c1")
        await page.until(lambda: page.texts()[-1:] == [("assistant", "Hello", "done")])
        page.hides()
        heard = len(page.heard)
        conversation = page.board.view.id
        async with hub.client() as other:
            from workbench.clients.chat import ChatClient

            await ChatClient(other).send("From elsewhere", conversation)
        await page.until(lambda: len(page.texts()) == 4 and page.texts()[-1][2] == "done")
        assert [e for e in page.heard[heard:] if e["kind"] in ("delta", "snapshot")] == []
        del page.heard[:]
        page.looks()
        assert len((await page.reply("snapshot"))["messages"]) == 4


async def test_a_session_that_cannot_be_had_is_said() -> None:
    def refuse() -> Any:
        raise LinkError("no hub runs on {folder}", folder="here")

    background = Runtime("test-runtime")
    board = ChatBoard(Home(), session=refuse, background=background, names=dict)
    page = Page(board)
    page.looks()
    page.wants("send", message="Hi", clientId="c1")
    assert "still starting" in (await page.reply("refused"))["error"]["text"]
    await page.until(lambda: page.widget.problem)
    assert page.widget.problem["text"] == "no hub runs on here"
    board.close()
    await asyncio.to_thread(background.close)
