"""`model:*` and `llm:*` over a whole hub, answered by a real model in the embedded worker."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from tests.hub.endpoint import Peer
from tests.hubs import running_hub
from tests.llm.tiny_model import tiny_model

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

PATIENCE_S = 60.0
HI = [{"role": "user", "content": "hi"}]
SHORT = {"maxTokens": 8, "temperature": 0}
_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    data: Path = tmp_path_factory.mktemp("data")
    (data / "models").mkdir()
    tiny_model(data / "models")
    (data / "models" / "cut.gguf").write_bytes(b"GGUF")
    async with running_hub(data, llm_discover=False) as hub:
        yield hub.urls()[0]


@pytest_asyncio.fixture(loop_scope="module")
async def peer(address: str) -> AsyncIterator[Peer]:
    async with connect(address, proxy=None, compression=None, max_size=None) as raw:
        yield Peer(raw)


async def call(peer: Peer, asked: str, **data: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The last answer to one request, and what came of it before."""
    request_id = f"r{next(_numbers)}"
    await peer.say(asked, data, requestId=request_id)
    heard = []
    async with asyncio.timeout(PATIENCE_S):
        while True:
            message = await peer.hear()
            if message.get("requestId") == request_id:
                heard.append(message)
                if message["type"] not in ("llm:event", "model:progress"):
                    return message, heard[:-1]


async def result(peer: Peer, asked: str, **data: Any) -> dict[str, Any]:
    last, _ = await call(peer, asked, **data)
    assert last["type"] == "llm:result", last
    found: dict[str, Any] = last["data"]
    return found


async def refusal(peer: Peer, asked: str, **data: Any) -> tuple[str, str]:
    last, _ = await call(peer, asked, **data)
    assert last["type"] == "error", last
    return last["data"]["code"], last["data"]["message"]


async def test_models_are_listed_with_those_that_cannot_be_loaded(peer: Peer) -> None:
    last, _ = await call(peer, "model:list")
    by_id = {each["id"]: each for each in last["data"]["models"]}
    assert by_id["tiny"]["problem"] is None
    assert "ends within its own description" in by_id["cut"]["problem"]["message"]
    (backend,) = last["data"]["backends"]
    assert (backend["name"], backend["kind"], backend["ok"]) == ("embedded", "embedded", True)
    assert last["data"]["current"] == "tiny@embedded"


async def test_a_broken_file_is_a_sentence_and_the_hub_goes_on(peer: Peer) -> None:
    code, sentence = await refusal(peer, "model:load", model="cut")
    assert (code, sentence.startswith("cut.gguf is damaged")) == ("invalid", True)
    assert (await refusal(peer, "model:load", model="nothing"))[0] == "unknown-model"


async def test_a_load_at_whoever_s_wish_is_told_to_those_who_list(peer: Peer, address: str) -> None:
    await call(peer, "model:unload", model="tiny")
    await call(peer, "model:list")
    async with connect(address, proxy=None, compression=None) as raw:
        await result(Peer(raw), "llm:chat", turns=HI, parameters=SHORT)
    async with asyncio.timeout(PATIENCE_S):
        while (await peer.hear())["type"] != "model:changed":
            pass
    last, _ = await call(peer, "model:list")
    assert {each["id"]: each["loaded"] for each in last["data"]["models"]}["tiny"]


async def test_loading_shows_its_progress_and_what_was_loaded(peer: Peer) -> None:
    await call(peer, "model:unload", model="tiny")
    last, steps = await call(peer, "model:load", model="tiny", options={"contextSize": 2048})
    assert last["data"] == {"model": "tiny@embedded"}
    assert steps[-1]["data"]["done"] == 1.0


async def test_one_answer_as_events_and_as_a_whole(peer: Peer) -> None:
    last, events = await call(peer, "llm:complete", prompt="the of", parameters=SHORT)
    pieces = [each["data"]["text"] for each in events if each["data"]["type"] == "token"]
    assert "".join(pieces) == last["data"]["text"]
    assert last["data"]["usage"]["completionTokens"] == 8
    again = await result(peer, "llm:complete", prompt="the of", parameters=SHORT)
    assert again["text"] == last["data"]["text"]


async def test_texts_are_counted_cut_and_split_by_the_model_s_own_tokens(peer: Peer) -> None:
    counted = await result(peer, "llm:count", text="the water 🎉")
    assert counted["exact"]
    text = "the of and to in is it. " * 60
    cut = await result(peer, "llm:truncate", text=text, limit=20, keep="start")
    assert (cut["cut"], cut["count"]["tokens"] <= 20) == (True, True)
    assert text.startswith(cut["text"])
    pieces = (await result(peer, "llm:split", text=text, limit=60))["pieces"]
    assert "".join(pieces).split() == text.split()
    counts = [(await result(peer, "llm:count", text=each))["tokens"] for each in pieces]
    assert max(counts) <= 60


async def test_a_long_text_is_worked_through_in_parts(peer: Peer) -> None:
    text = "the of and to in is it. " * 400
    last, events = await call(
        peer, "llm:process", text=text, instruction="Sum up.", answerTokens=20
    )
    progress = [each["data"] for each in events if each["data"]["type"] == "progress"]
    assert last["data"]["parts"] > 1
    assert [each["done"] for each in progress] == sorted(each["done"] for each in progress)
    assert progress[-1]["done"] == progress[-1]["total"]


async def test_a_call_is_cancelled_by_its_number(peer: Peer) -> None:
    turns = [{"role": "user", "content": "go on"}]
    await peer.say(
        "llm:chat", {"turns": turns, "parameters": {"maxTokens": 100_000}}, requestId="x"
    )
    async with asyncio.timeout(PATIENCE_S):
        while (await peer.hear())["data"].get("type") != "token":
            pass
        await peer.say("llm:cancel", requestId="x")
        while (heard := await peer.hear())["type"] != "error":
            pass
    assert (heard["requestId"], heard["data"]["code"]) == ("x", "cancelled")
    assert (await result(peer, "llm:chat", turns=HI, parameters=SHORT))["text"]


async def test_what_was_measured_is_kept_and_recommends(peer: Peer) -> None:
    measured = await result(peer, "llm:benchmark", model="tiny", runs=2, answerTokens=16)
    assert measured["tokensPerSecond"] > 0
    assert measured["figure"]["data"]
    compared = await result(
        peer, "llm:compare", models=["tiny", "nope"], turns=HI, parameters=SHORT
    )
    assert [each["error"] is None for each in compared["answers"]] == [True, False]
    advice = await result(peer, "llm:recommend", kind="chat")
    said = [each["template"] for each in advice["advice"][0]["measured"]]
    assert "it writes {rate} tokens per second" in said


async def test_an_answer_that_fails_its_checks_says_so(peer: Peer) -> None:
    last, events = await call(
        peer,
        "llm:generate",
        turns=HI,
        parameters=SHORT,
        checks={"contains": ["zebra"]},
        attempts=2,
    )
    assert last["data"]["message"].endswith("the last: the answer lacks 'zebra'")
    tried = [each["data"] for each in events if each["data"]["type"] == "attempt"]
    assert [each["ok"] for each in tried] == [False, False]


@pytest.mark.parametrize(
    ("kind", "data", "sentence"),
    [
        ("llm:count", {}, "data.text is missing; allowed: a value, it is required"),
        (
            "llm:complete",
            {"prompt": "x", "parameters": {"temperature": 9}},
            "data.parameters.temperature is 9; allowed: float <= 5.0",
        ),
        (
            "llm:complete",
            {"prompt": "x", "temprature": 1},
            "data.temprature is 1; allowed: no field of this name",
        ),
        (
            "model:load",
            {"model": "tiny", "options": {"contextSize": 3}},
            "data.options.contextSize is 3; allowed: int >= 16",
        ),
        (
            "llm:generate",
            {"turns": HI, "checks": {"pattern": "("}},
            "the pattern '(' cannot be used: Invalid regular expression: missing ): (; "
            "allowed: RE2, which has no look-around and no back references",
        ),
    ],
)
async def test_a_bad_call_names_field_value_and_rule(
    peer: Peer, kind: str, data: dict[str, Any], sentence: str
) -> None:
    code, said = await refusal(peer, kind, **data)
    assert (code, said) == ("invalid", sentence)
