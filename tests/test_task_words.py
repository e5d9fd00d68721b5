"""A report's words come from the hub's language model, are checked, and never cost the report.

One real hub, one real process for tasks, and a server that speaks Ollama's protocol.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from tests.http_server import Asked
from tests.hubs import running_hub
from tests.llm.fake_ollama import CHAT, MODEL, NDJSON, FakeOllama, answer, said
from tests.llm.fake_ollama import lines as of_ollama
from tests.llm.fake_server import faking, hanging, stream
from tests.runes.series import batch_of
from workbench.clients.mesh import MeshClient
from workbench.serve import Hub

pytestmark = pytest.mark.asyncio(loop_scope="module")
NONE_LOADED = "Templates wrote this report: no language model was loaded."


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOllama]:
    with faking(FakeOllama()) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory, server: FakeOllama) -> AsyncIterator[Hub]:
    data, servers = tmp_path_factory.mktemp("data"), f"box={server.url}"
    async with running_hub(data, llm_discover=False, llm_servers=servers) as hub:
        yield hub


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(hub: Hub) -> AsyncIterator[MeshClient]:
    client = MeshClient(local_endpoint=hub.mesh_url, tokens={"local": hub.token})
    await client.connect()
    yield client
    await client.disconnect()


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Three days of six mints: too little for a forecast, so that a report takes no time."""
    path = batch_of(tmp_path_factory.mktemp("batch"), np.full(3, 6), blocks_per_day=2)
    return json.loads(path.read_text())


class Desk:
    """Sends reports, and gives what came of them."""

    def __init__(self, hub: Hub, client: MeshClient, server: FakeOllama, batch: Any) -> None:
        self.hub, self.client, self.server, self.batch = hub, client, server, batch

    async def said(self, kind: str, end: str, **data: Any) -> dict[str, Any]:
        """What the hub answers, after all that comes before it."""
        async with connect(self.hub.urls()[0], proxy=None) as peer:
            await peer.send(json.dumps({"type": kind, "data": data}))
            while True:
                heard = await peer.recv()
                if isinstance(heard, str) and (found := json.loads(heard))["type"] == end:
                    return dict(found["data"])

    async def send(self, **parameters: Any) -> str:
        return await self.client.send_task("runegpt-v2", None, parameters, input_data=self.batch)

    async def report(self, **parameters: Any) -> tuple[dict[str, Any], list[str]]:
        task = await self.send(**parameters)
        result = await self.client.result(task, 60)
        return result["data"], [line["content"] for line in self.client.get_task_logs(task)]

    async def load(self) -> None:
        await self.said("model:load", "model:loaded", model=MODEL)

    async def talk(self, **changed: str) -> None:
        """From now on the model says the mints and the blocks, each as its prompt has it."""

        def route(asked: Asked, value: Any) -> None:
            prompt = value["messages"][-1]["content"]
            figures = {**dict(re.findall(r"^(\w+) = (\S+)$", prompt, re.MULTILINE)), **changed}
            pieces = [f"[{name}] {name}: {figures[name]}.\n" for name in ("mints", "blocks")]
            stream(asked, answer(*pieces), NDJSON)

        self.server.routes[CHAT] = route
        await self.load()

    async def fall_silent(self) -> None:
        """It begins, and says no more."""
        begins = of_ollama({**said(content="[mi"), "done": False})
        self.server.left.clear()
        self.server.routes[CHAT] = hanging(self.server, begins, NDJSON)
        await self.load()

    async def is_left(self) -> None:
        assert await asyncio.to_thread(self.server.left.wait, 10)


@pytest.fixture
def desk(hub: Hub, client: MeshClient, server: FakeOllama, batch: Any) -> Desk:
    server.loaded = {}
    server.asked.clear()
    return Desk(hub, client, server, batch)


async def test_without_a_loaded_model_templates_write_and_none_is_loaded(desk: Desk) -> None:
    data, _ = await desk.report()
    assert data["generator"] == "templates"
    assert data["sentences"][-1]["text"] == NONE_LOADED
    assert desk.server.values(CHAT) == desk.server.values("POST /api/generate") == []


async def test_a_loaded_model_writes_though_templates_wrote_a_moment_ago(desk: Desk) -> None:
    """A kept report is the answer only while the same model would be asked."""
    kept = "the result is that of task"
    _, log = await desk.report()
    assert kept in log[0]
    await desk.talk()
    data, log = await desk.report()
    assert (data["generator"], data["dropped"]) == ("language-model", 0)
    assert data["report"] == "mints: 18. blocks: 7."
    assert log[1:] == [f"the language model {MODEL}@box answers what the task asks"]
    (asked,) = desk.server.values(CHAT)
    assert "You write a short report in English" in asked["messages"][-1]["content"]
    assert asked["options"]["temperature"] == 0
    again, log = await desk.report()
    assert again == data and kept in log[0]
    desk.server.loaded = {}
    data, log = await desk.report()
    assert data["sentences"][-1]["text"] == NONE_LOADED and len(log) == 1


async def test_an_altered_number_is_caught_and_the_template_stands(desk: Desk) -> None:
    await desk.talk(mints="19")
    data, log = await desk.report(language="es_ES")
    assert (data["generator"], data["dropped"]) == ("language-model", 1)
    assert data["report"] == ("Contiene 0 grabados, 18 acuñaciones y 0 transferencias. blocks: 7.")
    assert log[-1] == (
        "1 sentences of the language model were dropped, because a number in them is not true: "
        "templates say what they were about"
    )
    prompts = [each["messages"][-1]["content"] for each in desk.server.values(CHAT)]
    assert len(prompts) == 2  # it was asked once more for that sentence
    assert all("You write a short report in Spanish" in prompt for prompt in prompts)


async def test_a_silent_model_costs_its_time_and_the_template_stands(desk: Desk, hub: Hub) -> None:
    assert hub.engine is not None
    await desk.fall_silent()
    hub.engine.answer_s = 0.5
    try:
        data, log = await desk.report(language="pt_BR")
    finally:
        hub.engine.answer_s = 60.0
    assert data["generator"] == "templates" and "18 cunhagens" in data["report"]
    assert log[1:] == [
        "the report is written from templates, because the language model failed: the language "
        "model did not answer within 0.5 s"
    ]
    await desk.is_left()
    await desk.talk()
    data, _ = await desk.report(language="pt_BR")
    assert data["generator"] == "language-model"  # what missed an answer is not kept


async def test_a_broken_model_costs_no_report(desk: Desk) -> None:
    await desk.talk()
    desk.server.routes[CHAT] = lambda asked, value: asked.reply(b"out of memory", 500)
    data, log = await desk.report(confidenceInterval=0.9)
    assert data["generator"] == "templates"
    assert log[-1].startswith("the report is written from templates, because the language model f")


async def test_what_a_task_asks_is_in_no_conversation(desk: Desk) -> None:
    await desk.talk()
    data, _ = await desk.report(confidenceInterval=0.7)
    assert data["generator"] == "language-model"
    sql = "SELECT conversation_id FROM message_entries UNION ALL SELECT conversation_id FROM "
    found = await desk.said("query", "query:done", sql=f"{sql} conversation_entries", fresh=True)
    assert found["rows"] == 0


async def test_a_cancel_in_mid_question_frees_the_slot_and_the_model(desk: Desk) -> None:
    await desk.fall_silent()
    asked = asyncio.Event()
    loop, route = asyncio.get_running_loop(), desk.server.routes[CHAT]

    def noted(request: Asked, value: Any) -> None:
        loop.call_soon_threadsafe(asked.set)
        route(request, value)

    desk.server.routes[CHAT] = noted
    task = await desk.send(confidenceInterval=0.8)
    await asyncio.wait_for(asked.wait(), 30)
    await desk.client.cancel_task(task)
    with pytest.raises(Exception, match="cancelled"):
        await desk.client.result(task, 30)
    await desk.is_left()
    steady = await desk.client.send_task("steady", None, {"units": 1}, input_data={})
    await desk.client.result(steady, 30)
