"""The models board between a page and a real hub: what is found, downloaded, loaded, deleted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.boards.pages import BoardPage
from tests.hub_process import HubProcess
from tests.llm.fake_server import faking
from tests.llm.faulty_files import busy
from tests.llm.tiny_model import tiny_model
from tests.session.test_library import HubWithFiles
from workbench.boards.home import Home
from workbench.boards.models import ModelsBoard
from workbench.boards.models_desk import ModelsDesk
from workbench.clients.discovery import HubFile, read_hub_file
from workbench.core.downloads import ENDED
from workbench.errors import LinkError
from workbench.runtime import Runtime

pytestmark = pytest.mark.timeout(120)

SMALL, LARGE = "org/tiny/tiny-Q8_0", "org/tiny/tiny-F16"


class Page(BoardPage):
    @property
    def states(self) -> dict[str, str]:
        return {each["model"]: each["state"] for each in self.widget.downloads}

    @property
    def cards(self) -> dict[str, str]:
        return {each["id"]: each["state"] for each in self.widget.cards}

    def download_id(self, model: str) -> str:
        return str(next(d["downloadId"] for d in self.widget.downloads if d["model"] == model))

    def wants_of(self, model: str, verb: str, **more: Any) -> None:
        self.wants(verb, downloadId=self.download_id(model), **more)

    async def is_in(self, model: str, state: str) -> None:
        await self.until(lambda: self.states.get(model) == state)

    async def problem(self) -> str:
        problem = await self.until(lambda: self.widget.problem)
        return str(problem["text"])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubWithFiles]:
    with faking(HubWithFiles(tmp_path_factory.mktemp("files"))) as hub:
        yield hub
        for file in hub.files.values():
            file.end.set()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, source: HubWithFiles) -> Iterator[HubProcess]:
    """In a process of its own, as a user has it."""
    settings = {
        "HF_ENDPOINT": source.url,
        "HF_HUB_CACHE": str(tmp_path_factory.mktemp("cache")),
        "WORKBENCH_PRIVATE_ADDRESSES": "1",
        "WORKBENCH_LLM_DISCOVER": "0",
    }
    with HubProcess(tmp_path_factory.mktemp("data"), **settings) as hub:
        yield hub


@pytest.fixture
def data(hub: HubProcess) -> Path:
    return hub.data


class Place:
    """A session, as far as a board asks it where the hub is: wherever it listens now."""

    def __init__(self, data: Path) -> None:
        self.data = data

    @property
    def hub(self) -> HubFile:
        found = read_hub_file(self.data)
        if found is None:
            raise LinkError("no hub runs here")
        return found


@contextlib.asynccontextmanager
async def page_of(data: Path, *, looks: bool = True, **given: Any) -> AsyncIterator[Page]:
    """A board on a runtime of its own; its session is where this hub is."""
    background = Runtime("test-runtime")
    board = ModelsBoard(
        Home(),
        session=lambda: Place(data),  # type: ignore[arg-type,return-value]
        background=background,
        **given,
    )
    page = Page(board)
    if looks:
        page.looks()
    try:
        await page.until(lambda: page.widget.connection.get("state") == "connected")
        if looks:
            await page.until(lambda: page.widget.listed)
        yield page
    finally:
        board.close()
        if board.closing is not None:
            await asyncio.wrap_future(board.closing)
        await asyncio.to_thread(background.close)


@pytest.fixture
async def page(data: Path, source: HubWithFiles) -> AsyncIterator[Page]:
    """Each test finds the machine empty, and leaves it so."""
    async with page_of(data) as page:
        yield page
        for file in source.files.values():
            file.each_bytes_s, file.faults = None, []
        await emptied(page)


async def emptied(page: Page) -> None:
    for model in list(page.states):
        if page.states[model] not in ENDED:
            page.wants_of(model, "cancel", keep=False)
            await page.until(lambda model=model: page.states[model] in ENDED)  # type: ignore[misc]
        page.wants_of(model, "forget")
        await page.until(lambda model=model: model not in page.states)  # type: ignore[misc]
    for model in [each for each, state in page.cards.items() if state == "loaded"]:
        page.wants("unload", model=f"{model}@embedded")
    await page.until(lambda: "loaded" not in page.cards.values())
    for model in page.cards:
        page.wants("delete", model=model)
    page.wants("refresh")
    await page.until(lambda: page.widget.cards == [])


async def test_a_source_is_found_and_its_choice_becomes_a_model_here(page: Page) -> None:
    page.wants("find", source="org/tiny")
    await page.until(lambda: page.widget.found and not page.widget.found["busy"])
    found = page.widget.found
    assert [card["id"] for card in found["cards"]] == [SMALL, LARGE]
    assert found["repository"]["name"] == "org/tiny"
    assert "files" not in found["repository"]
    assert found["cards"][0]["diskLeftBytes"] > 0
    page.wants("download", source=found["text"], choice="tiny-Q8_0")
    await page.is_in(SMALL, "done")
    await page.until(lambda: page.cards == {SMALL: "on-disk"})
    assert page.widget.machine["memoryTotalBytes"] > 0
    page.wants("closeFound")
    await page.until(lambda: page.widget.found is None)


async def test_a_model_is_loaded_measured_unloaded_and_deleted(page: Page) -> None:
    page.wants("download", source="org/tiny", choice="Q8_0")
    await page.until(lambda: SMALL in page.cards)
    name = f"{SMALL}@embedded"
    steps: list[Any] = []
    page.widget.observe(lambda change: steps.append(change["new"]), "loading")
    page.wants("load", model=name, options={"contextSize": 512, "gpuLayers": 0})
    await page.until(lambda: page.cards.get(SMALL) == "loaded")
    assert name in steps[0]
    assert page.widget.loading == {}
    assert page.widget.cards[0]["contextSize"] == 512
    page.wants("delete", model=SMALL)
    assert "unload it first" in await page.problem()
    page.wants("seen")
    await page.until(lambda: page.widget.problem is None)
    page.wants("benchmark", model=name)
    measured = await page.until(lambda: page.widget.benchmarks.get(name, {}).get("result"))
    assert measured["tokensPerSecond"] > 0
    assert "runs" not in measured
    page.wants("unload", model=name)
    await page.until(lambda: page.cards.get(SMALL) == "on-disk")
    page.wants("delete", model=SMALL)
    await page.until(lambda: page.cards == {})


async def test_a_download_is_paused_gone_on_with_and_cancelled(
    page: Page, source: HubWithFiles
) -> None:
    source.files["tiny-F16.gguf"].each_bytes_s = 300_000
    page.wants("download", source="org/tiny", choice="F16")
    await page.until(lambda: page.widget.downloads and page.widget.downloads[0]["doneBytes"] > 0)
    page.wants_of(LARGE, "pause")
    await page.is_in(LARGE, "paused")
    page.wants_of(LARGE, "resume")
    await page.is_in(LARGE, "downloading")
    page.wants_of(LARGE, "cancel", keep=True)
    await page.is_in(LARGE, "cancelled")
    assert page.widget.downloads[0]["keptPartial"]
    page.wants_of(LARGE, "cancel", keep=False)
    await page.until(lambda: not page.widget.downloads[0]["keptPartial"])
    page.wants_of(LARGE, "forget")
    await page.until(lambda: page.widget.downloads == [])


async def test_what_failed_or_was_damaged_is_fetched_again(
    page: Page, data: Path, source: HubWithFiles
) -> None:
    source.files["tiny-Q8_0.gguf"].faults = [busy(404)] * 50
    page.wants("download", source="org/tiny", choice="Q8_0")
    await page.is_in(SMALL, "failed")
    assert page.widget.downloads[0]["problem"]
    source.files["tiny-Q8_0.gguf"].faults = []
    page.wants_of(SMALL, "resume")
    await page.is_in(SMALL, "done")
    file = data / "models" / f"{SMALL}.gguf"
    file.write_bytes(bytes(file.stat().st_size))
    page.wants_of(SMALL, "verify")
    await page.is_in(SMALL, "failed")
    assert "damaged" in page.widget.downloads[0]["problem"]["template"]
    page.wants_of(SMALL, "resume")
    await page.is_in(SMALL, "done")
    assert file.read_bytes() == source.files["tiny-Q8_0.gguf"].body
    assert page.widget.problem is None


async def test_the_order_of_the_queue_is_changed(page: Page, source: HubWithFiles) -> None:
    for file in source.files.values():
        file.each_bytes_s = 100_000
    for choice in ("F16", "Q8_0"):
        page.wants("download", source="org/tiny", choice=choice)
        await page.until(lambda choice=choice: any(choice in model for model in page.states))  # type: ignore[misc]
    page.wants_of(SMALL, "move", position=0)
    await page.until(lambda: [each["model"] for each in page.widget.downloads] == [SMALL, LARGE])


async def test_two_pages_of_two_kernels_see_the_same_downloads(
    page: Page, data: Path, source: HubWithFiles
) -> None:
    source.files["tiny-F16.gguf"].each_bytes_s = 300_000
    page.wants("download", source="org/tiny", choice="F16")
    async with page_of(data) as other:
        await other.until(lambda: LARGE in other.states)
        other.wants_of(LARGE, "pause")
        await page.is_in(LARGE, "paused")


async def test_a_hidden_page_is_told_nothing_and_then_everything(
    page: Page, source: HubWithFiles
) -> None:
    page.hides()
    await page.until(lambda: not page.widget.watched)
    page.wants("download", source="org/tiny", choice="Q8_0")
    async with asyncio.timeout(20):
        while source.files["tiny-Q8_0.gguf"].sent_bytes == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert page.widget.downloads == []
    page.looks()
    await page.is_in(SMALL, "done")
    await page.until(lambda: page.cards == {SMALL: "on-disk"})


async def test_words_are_searched_by(page: Page) -> None:
    page.wants("find", source="tiny")
    hits = await page.until(lambda: page.widget.found and page.widget.found["hits"])
    assert [hit["name"] for hit in hits] == ["org/tiny"]
    assert page.widget.found["cards"] == []


@pytest.mark.parametrize("text", ["no: model", "org/none"])
async def test_what_cannot_be_found_is_a_sentence_at_the_field(page: Page, text: str) -> None:
    page.wants("find", source=text)
    found = await page.until(lambda: page.widget.found and page.widget.found["error"])
    assert found["text"]
    assert page.widget.problem is None


async def test_options_that_are_none_are_refused_in_a_sentence(page: Page) -> None:
    page.wants("load", model="x", options={"contextSize": 3})
    assert "contextSize" in await page.problem()


async def test_memory_is_reckoned_with_the_context_that_was_chosen(page: Page) -> None:
    page.wants("download", source="org/tiny", choice="Q8_0")
    await page.until(lambda: page.widget.cards)
    before = page.widget.cards[0]["neededMemoryBytes"]
    page.wants("context", contextSize=32)
    await page.until(lambda: page.widget.cards[0]["contextChosen"] == 32)
    assert page.widget.options == {"contextSize": 32}
    assert page.widget.cards[0]["neededMemoryBytes"] <= before
    page.wants("context", contextSize="many")
    await page.until(lambda: page.widget.options == {"contextSize": None})


async def test_a_chat_begins_with_the_model_where_no_console_is_open(page: Page) -> None:
    page.wants("chat", model="m@b")
    told = await page.until(lambda: [e for e in page.heard if e.get("kind") == "chatting"])
    assert (told[0]["model"], told[0]["where"]) == ("m@b", "list")


async def test_a_chat_console_of_this_process_is_asked_first(data: Path) -> None:
    asked: list[str] = []

    def chat(model: str) -> bool:
        asked.append(model)
        return True

    async with page_of(data, chat=chat) as page:
        page.wants("chat", model="m@b")
        told = await page.until(lambda: [e for e in page.heard if e.get("kind") == "chatting"])
        assert (asked, told[0]["where"]) == (["m@b"], "console")


async def test_a_board_that_nobody_has_looked_at_asks_for_nothing(data: Path) -> None:
    async with page_of(data, looks=False) as page:
        assert not page.widget.listed
        page.looks()
        await page.until(lambda: page.widget.listed)


async def test_a_load_is_stopped_at_a_word(tmp_path: Path) -> None:
    """This llama-server never becomes ready: nothing but the word ends the load."""
    (tmp_path / "data" / "models").mkdir(parents=True)
    model = tiny_model(tmp_path / "data" / "models").stem
    server = tmp_path / "llama-server"
    server.write_text("#!/bin/sh\nexec sleep 600\n")
    server.chmod(0o755)
    settings = {"WORKBENCH_LLM_DISCOVER": "0", "WORKBENCH_LLAMA_SERVER": str(server)}
    with HubProcess(tmp_path / "data", **settings):
        async with page_of(tmp_path / "data") as page:
            name = f"{model}@embedded"
            page.wants("load", model=name)
            await page.until(lambda: page.widget.cards[0]["loading"])
            assert name in page.widget.loading
            page.wants("stop", model=name)
            await page.until(lambda: page.widget.loading == {})
            await page.until(lambda: not page.widget.cards[0]["loading"])
            assert page.cards == {model: "on-disk"}
            assert page.widget.problem is None


async def test_a_download_outlives_the_hub_and_the_page_sees_it_go_on(
    page: Page, hub: HubProcess, source: HubWithFiles
) -> None:
    source.files["tiny-F16.gguf"].each_bytes_s = 1_000_000
    page.wants("download", source="org/tiny", choice="F16")
    await page.until(lambda: page.widget.downloads and page.widget.downloads[0]["doneBytes"] > 0)
    await asyncio.to_thread(hub.kill)
    await page.until(lambda: page.widget.connection.get("hub") == "absent")
    source.files["tiny-F16.gguf"].each_bytes_s = None
    await asyncio.to_thread(hub.start)
    await page.until(lambda: page.widget.connection["state"] == "connected")
    await page.is_in(LARGE, "done")


async def test_a_session_that_cannot_be_had_is_said() -> None:
    def refuse() -> Any:
        raise LinkError("no hub runs on {folder}", folder="here")

    background = Runtime("test-runtime")
    board = ModelsBoard(Home(), session=refuse, background=background)
    page = Page(board)
    page.looks()
    assert await page.problem() == "no hub runs on here"
    page.wants("refresh")
    await page.until(lambda: "still starting" in page.widget.problem["text"])
    board.close()
    await asyncio.to_thread(background.close)


async def test_a_refresh_that_waits_behind_others_is_not_lost() -> None:
    asked: list[Any] = []

    async def ask(kind: str, data: dict[str, Any]) -> dict[str, Any]:
        asked.append(data.get("refresh", False))
        await asyncio.sleep(0)
        return {"cards": [], "machine": {}}

    client = SimpleNamespace(connected=True, ask=ask)
    desk = ModelsDesk(client, lambda name, value: None)  # type: ignore[arg-type]
    await asyncio.gather(desk.cards(), desk.cards(), desk.cards(refresh=True))
    assert asked == [False, True]
