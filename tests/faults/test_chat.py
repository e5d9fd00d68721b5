"""Conversations under faults: hubs, servers and workers that die in the midst of an answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.hub_process import HubProcess
from tests.llm.fake_openai import CHAT, MODEL, FakeOpenAI, refusing
from tests.llm.fake_server import faking
from tests.llm.tiny_model import tiny_model

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

PATIENCE_S = 30.0
REQUESTS = 300
AT_ONCE = 10


@contextlib.asynccontextmanager
async def peer(said: dict[str, Any]) -> AsyncIterator[ClientConnection]:
    address = f"{said['ws']}?token={said['token']}"
    async with connect(address, proxy=None, compression=None, max_size=None) as raw:
        yield raw


async def say(raw: ClientConnection, kind: str, **data: Any) -> None:
    await raw.send(json.dumps({"type": kind, "data": data}))


async def until(raw: ClientConnection, kind: str, **wanted: Any) -> list[dict[str, Any]]:
    """Everything up to the first message of a kind whose data holds `wanted`."""
    heard: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_S):
        while True:
            heard.append(json.loads(await raw.recv()))
            data = heard[-1].get("data")
            fits = not wanted or (isinstance(data, dict) and wanted.items() <= data.items())
            if heard[-1]["type"] == kind and fits:
                return heard


async def answered(raw: ClientConnection, text: str, **more: Any) -> dict[str, Any]:
    await say(raw, "chat:send", message=text, **more)
    found: dict[str, Any] = (await until(raw, "chat:message", role="assistant"))[-1]["data"]
    return found


async def history(raw: ClientConnection, conversation_id: int) -> list[dict[str, Any]]:
    await say(raw, "chat:history", conversationId=conversation_id)
    found: list[dict[str, Any]] = (await until(raw, "chat:history"))[-1]["data"]
    return found


def streamed(heard: list[dict[str, Any]]) -> str:
    return "".join(each["data"]["chunk"] for each in heard if each["type"] == "chat:streaming")


def with_a_model(data: Path, **settings: str) -> HubProcess:
    (data / "models").mkdir()
    tiny_model(data / "models")
    return HubProcess(data, WORKBENCH_LLM_DISCOVER="0", **settings)


def worker_of(hub: HubProcess) -> psutil.Process:
    """The process in which the model runs."""
    (found,) = (each for each in hub.children() if "workbench.llm.worker" in each.cmdline())
    return found


async def test_a_hub_killed_in_mid_answer_has_lost_nothing_that_it_saved(tmp_path: Path) -> None:
    with with_a_model(tmp_path) as hub:
        said = json.loads((tmp_path / "hub.json").read_text())
        async with peer(said) as raw:
            first = await answered(raw, "one", conversationId=1, parameters={"maxTokens": 8})
            await say(raw, "chat:send", message="two", conversationId=1)
            heard = await until(raw, "chat:phase", phase="answering")
            async with asyncio.timeout(PATIENCE_S):  # past the first save
                async for frame in raw:
                    heard.append(json.loads(frame))
                    data = heard[-1]["data"]
                    if heard[-1]["type"] == "chat:phase" and data["elapsedMs"] > 2500:
                        break
            worker = worker_of(hub)
            hub.kill()
        worker.wait(30)
        said = hub.start()
        async with peer(said) as raw:
            kept = await history(raw, 1)
            assert [each["content"] for each in kept[:3]] == ["one", first["content"], "two"]
            assert (kept[3]["role"], kept[3]["status"]) == ("assistant", "broken")
            assert len(kept[3]["content"]) > 50
            assert streamed(heard).startswith(kept[3]["content"][:50])
            assert "generate it again" in kept[3]["error"]["message"]
            again = await answered(raw, "three", conversationId=1, parameters={"maxTokens": 8})
            assert again["status"] == "done"


async def test_a_worker_killed_in_mid_answer_is_said_and_started_anew(tmp_path: Path) -> None:
    with with_a_model(tmp_path) as hub:
        said = json.loads((tmp_path / "hub.json").read_text())
        async with peer(said) as raw:
            await say(raw, "chat:send", message="one", conversationId=1)
            await until(raw, "chat:phase", phase="answering")
            worker_of(hub).kill()
            broken = (await until(raw, "chat:message", role="assistant"))[-1]["data"]
            assert broken["status"] == "broken"
            assert "SIGKILL" in broken["error"]["message"]
            assert broken["content"]
            await until(raw, "error", code="backend")
            again = await answered(raw, "two", conversationId=1, parameters={"maxTokens": 8})
            assert (again["status"], again["backend"]) == ("done", "embedded")


async def test_with_one_of_two_servers_failing_every_request_is_answered(tmp_path: Path) -> None:
    good, bad = FakeOpenAI(), FakeOpenAI()
    bad.routes[CHAT] = refusing(500, "out of order", "InternalServerError")
    with faking(good), faking(bad):
        servers = f"good={good.url},bad={bad.url}"
        settings = {"WORKBENCH_LLM_SERVERS": servers, "WORKBENCH_LLM_DISCOVER": "0"}
        with HubProcess(tmp_path, **settings):
            said = json.loads((tmp_path / "hub.json").read_text())

            async def ask(conversation_id: int, times: int) -> list[str]:
                async with peer(said) as raw:
                    return [
                        (await answered(raw, "go", conversationId=conversation_id, model=MODEL))[
                            "status"
                        ]
                        for _ in range(times)
                    ]

            work = [ask(number, REQUESTS // AT_ONCE) for number in range(1, AT_ONCE + 1)]
            found = [status for each in await asyncio.gather(*work) for status in each]
        assert found == ["done"] * REQUESTS
        assert bad.values(CHAT), "the failing one was never asked, so nothing was proved"
