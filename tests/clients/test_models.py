"""ModelClient against a real hub: a model is downloaded, loaded, asked, and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from tests.clients.speaking_hub import SpeakingHub
from tests.hub_process import HubProcess
from tests.llm.fake_server import faking
from tests.llm.faulty_files import Files, busy, content, files
from tests.llm.tiny_model import endless, saying, tiny_model
from tests.session.test_library import HubWithFiles
from workbench.clients.hub import HubClient
from workbench.clients.models import EVENTS, ModelClient
from workbench.core.llm import Busy
from workbench.errors import InputError, LinkError, TaskError, WorkbenchError

SETTINGS = {"WORKBENCH_PRIVATE_ADDRESSES": "1", "WORKBENCH_LLM_DISCOVER": "0"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubWithFiles]:
    with faking(HubWithFiles(tmp_path_factory.mktemp("source"))) as hub:
        yield hub


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, source: HubWithFiles) -> Iterator[Path]:
    """The data folder of a hub that has the model `tiny`."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "models").mkdir()
    tiny_model(folder / "models")
    cache = str(tmp_path_factory.mktemp("cache"))
    with HubProcess(folder, HF_ENDPOINT=source.url, HF_HUB_CACHE=cache, **SETTINGS):
        yield folder


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Files]:
    """A model that chats, at a URL."""
    with files(tiny_model(tmp_path).read_bytes()) as (served, _):
        yield served


@pytest.fixture
def large() -> Iterator[Files]:
    with files(content(4_000_000)) as (served, _):
        yield served


def place_of(data: Path) -> tuple[str, str]:
    said = json.loads((data / "hub.json").read_text())
    return said["ws"], said["token"]


class Heard:
    """Every event of a client, in order."""

    def __init__(self, client: ModelClient) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.leave = [client.on(name, self._hears(name)) for name in EVENTS]

    def _hears(self, name: str) -> Callable[[dict[str, Any]], None]:
        return lambda data: self.events.append((name, data))

    def of(self, name: str) -> list[dict[str, Any]]:
        return [data for each, data in self.events if each == name]

    def text(self, generation: int) -> str:
        chunks = self.of("completion_chunk")
        return "".join(each["text"] for each in chunks if each["generation"] == generation)


@contextlib.asynccontextmanager
async def client_of(
    data: Path, options: dict[str, Any] | None = None
) -> AsyncIterator[tuple[ModelClient, Heard]]:
    hub = HubClient(locate=lambda: place_of(data), reconnect_delay=0.1, reconnect_max_attempts=50)
    client = ModelClient(hub)
    heard = Heard(client)
    await client.initialize(options)
    try:
        yield client, heard
    finally:
        await client.dispose()


def first(client: ModelClient, event: str) -> asyncio.Future[dict[str, Any]]:
    """The next event of a name; of a download, the next when there is something of it."""
    found: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def heard(data: dict[str, Any]) -> None:
        if not found.done() and data.get("doneBytes", 1) > 0:
            found.set_result(data)

    client.on(event, heard)
    return found


async def until_idle(client: ModelClient) -> None:
    """The hub's worker answers nobody. Each look asks the hub."""
    async with asyncio.timeout(20):
        while sum(each["inFlight"] for each in (await client.language.models())["backends"]):
            pass


async def test_a_model_is_downloaded_loaded_and_answers(data: Path, small: Files) -> None:
    async with client_of(data, {"context_size": 2048}) as (client, heard):
        told: list[dict[str, Any]] = []
        place = Path("mine/first.gguf")
        model = await client.download_model("first", small.url, place, told.append)
        assert model == "mine/first"
        assert (data / "models" / place).read_bytes() == small.body
        assert told == heard.of("progress")
        assert {each["modelId"] for each in told} == {"first"}
        assert (told[-1]["operation"], told[-1]["state"]) == ("download", "done")
        assert (told[-1]["progress"], told[-1]["doneBytes"]) == (1.0, len(small.body))

        loaded = await client.load_model(place)
        assert loaded == client.model == "mine/first@embedded"
        assert heard.of("model_loaded") == [{"model": loaded}]
        assert "load" in [each["operation"] for each in heard.of("progress")]
        listed = (await client.language.models(refresh=True))["models"]
        assert [m["contextSize"] for m in listed if m["id"] == model] == [2048]

        answer = await client.generate_completion("Once upon a time", max_tokens=20)
        assert answer.model == model
        assert answer.text == heard.text(1) != ""
        assert len(heard.of("completion_chunk")) > 1
        (done,) = heard.of("completion_done")
        assert (done["generation"], done["text"]) == (1, answer.text)
        assert heard.of("error") == []
        await client.language.unload(model)


async def test_a_model_is_named_as_it_was_downloaded_or_by_its_place(
    data: Path, source: HubWithFiles
) -> None:
    async with client_of(data) as (client, _):
        model = await client.download_model("mine", "org/tiny:Q8_0")
        assert model == "org/tiny/tiny-Q8_0"
        assert await client.load_model("mine") == f"{model}@embedded"
        assert await client.load_model(f"{model}.gguf") == f"{model}@embedded"
        await client.language.unload(model)


async def test_a_context_keeps_the_conversation(data: Path) -> None:
    async with client_of(data, {"model": "tiny"}) as (client, heard):
        assert await client.load_model() == "tiny@embedded"
        context = await client.create_context("You are brief.")
        answer = await client.generate_chat_completion(
            "Hello", context=context, grammar=saying("Good morning")
        )
        assert answer.text == heard.text(1) == "Good morning"
        assert [turn.role for turn in context.turns] == ["system", "user", "assistant"]
        assert context.turns[-1].content == "Good morning"
        again = [{"role": "user", "content": "And now?"}]
        second = await client.generate_chat_completion(again, context=context, max_tokens=5)
        alone = await client.generate_chat_completion(again, max_tokens=5)
        assert len(context.turns) == 5
        assert second.usage and alone.usage
        assert (second.usage.prompt_tokens or 0) > (alone.usage.prompt_tokens or 0) + 10


async def test_a_stopped_answer_is_kept_as_far_as_it_came(data: Path) -> None:
    async with client_of(data, {"model": "tiny"}) as (client, heard):
        assert not await client.abort()
        context, begun = await client.create_context(), first(client, "completion_chunk")
        asked = {"context": context, "grammar": endless(), "max_tokens": 30_000}
        call = asyncio.create_task(client.generate_chat_completion("Go on", **asked))
        await asyncio.wait_for(begun, 20)
        assert await client.abort()
        answer = await call
        assert answer.finish == "stopped"
        assert answer.text == heard.text(1) == context.turns[-1].content
        assert 0 < len(answer.text) < 30_000
        assert heard.of("completion_done")[0]["finish"] == "stopped"
        await until_idle(client)
        after = await client.generate_completion("Hello", max_tokens=3)
        assert after.finish == "length"


async def test_a_call_that_is_cancelled_stops_the_model(data: Path) -> None:
    async with client_of(data, {"model": "tiny"}) as (client, heard):
        begun = first(client, "completion_chunk")
        call = asyncio.create_task(
            client.generate_completion("Go on", grammar=endless(), max_tokens=30_000)
        )
        await asyncio.wait_for(begun, 20)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until_idle(client)
        assert heard.of("completion_done") == []


async def test_two_generations_at_a_time_are_told_apart(data: Path) -> None:
    async with client_of(data, {"model": "tiny"}) as (client, heard):
        said = ["the first answer", "and the other one"]
        answers = await asyncio.gather(
            *(client.generate_chat_completion("Hi", grammar=saying(text)) for text in said)
        )
        assert [answer.text for answer in answers] == said == [heard.text(1), heard.text(2)]
        done = {each["generation"]: each["text"] for each in heard.of("completion_done")}
        assert done == {1: said[0], 2: said[1]}


async def test_a_context_is_answered_in_once_at_a_time(data: Path) -> None:
    async with client_of(data, {"model": "tiny"}) as (client, heard):
        context, begun = await client.create_context(), first(client, "completion_chunk")
        asked = {"context": context, "grammar": endless(), "max_tokens": 30_000}
        call = asyncio.create_task(client.generate_chat_completion("Go on", **asked))
        await asyncio.wait_for(begun, 20)
        with pytest.raises(Busy, match="is being answered already: wait for that answer"):
            await client.generate_chat_completion("Me too", context=context)
        assert (heard.of("error")[0]["code"], heard.of("error")[0]["generation"]) == ("busy", 2)
        await client.abort()
        await call


async def test_a_subscription_is_ended_by_its_own_function(data: Path) -> None:
    async with client_of(data, {"model": "tiny"}) as (client, heard):
        stays: list[dict[str, Any]] = []
        client.on("completionDone", stays.append)
        await client.generate_completion("Hello", max_tokens=3)
        for leave in heard.leave:
            leave()
        before = len(heard.events)
        await client.generate_completion("Hello", max_tokens=3)
        assert (len(heard.events), len(stays)) == (before, 2)
        with pytest.raises(InputError, match="event is 'loaded'; allowed: model_loaded, progress"):
            client.on("loaded", print)


async def test_a_subscriber_that_fails_breaks_nobody(
    data: Path, small: Files, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_of(data, {"model": "tiny"}) as (client, _):
        for event in EVENTS:
            client.on(event, lambda data: 1 / 0)
        later = Heard(client)
        place = "mine/second.gguf"
        await client.download_model("second", small.url, place, lambda data: 1 / 0)
        answer = await client.generate_completion("Hello", max_tokens=5)
        assert later.text(1) == answer.text
        assert later.of("progress")[0]["modelId"] == "second"
    assert "handler.failed event=completion_chunk" in caplog.text


async def test_what_a_call_raises_is_an_event_too(data: Path, small: Files) -> None:
    async with client_of(data) as (client, heard):
        with pytest.raises(WorkbenchError, match="404"):
            small.faults = [busy(404)] * 4
            await client.download_model("none", small.url, "mine/none.gguf")
        small.faults = []
        with pytest.raises(InputError, match=r"\.\./out\.gguf.*below the models folder"):
            await client.download_model("out", small.url, "../out.gguf")
        with pytest.raises(InputError, match=r"/tmp/out\.gguf.*below the models folder"):
            await client.download_model("out", small.url, Path("/tmp/out.gguf"))
        with pytest.raises(WorkbenchError, match="there is no model"):
            await client.load_model("mine/absent.gguf")
        with pytest.raises(WorkbenchError, match="path is None; allowed: the place or the id"):
            await client.load_model()
        told = heard.of("error")
        assert [each["operation"] for each in told] == ["download_model"] * 3 + ["load_model"] * 2
        assert [each.get("modelId") for each in told] == ["none", "out", "out", None, None]
        assert all(each["message"] and each["template"] for each in told)
        assert told[1]["code"] == "invalid"
    assert not (data / "out.gguf").exists()
    assert not (data / "models" / "mine" / "none.gguf").exists()


async def test_options_are_refused_by_their_names(data: Path) -> None:
    async with client_of(data) as (client, _):
        with pytest.raises(InputError, match="argument is 'context'; allowed: context_size, or"):
            await client.initialize({"context": 10})
        with pytest.raises(InputError, match="contextSize is 3; allowed: "):
            await client.initialize({"context_size": 3})
        with pytest.raises(InputError, match="model is 7; allowed: "):
            await client.initialize({"model": 7})
        with pytest.raises(InputError, match="argument is 'model'; allowed: gpu_layers"):
            await client.load_model("tiny", model="tiny")
        with pytest.raises(InputError, match="temperature is 'hot'; allowed: "):
            await client.generate_completion("Hello", temperature="hot")
        with pytest.raises(InputError, match="role is 'robot'; allowed: assistant, system"):
            await client.generate_chat_completion([{"role": "robot", "content": "Beep"}])


async def test_a_download_that_was_stopped_goes_on_when_asked_for_again(
    data: Path, large: Files
) -> None:
    async with client_of(data) as (client, heard):
        assert not await client.abort_download()
        large.each_bytes_s = 500_000
        asked, begun = ("big", large.url, "mine/big.gguf"), first(client, "progress")
        call = asyncio.create_task(client.download_model(*asked))
        await asyncio.wait_for(begun, 20)
        assert await client.abort_download()
        with pytest.raises(TaskError, match="cancelled: ask for it again to go on") as stopped:
            await call
        assert stopped.value.outcome == heard.of("progress")[-1]["state"] == "cancelled"
        file = data / "models" / "mine" / "big.gguf"
        assert not file.exists()
        kept = heard.of("progress")[-1]["doneBytes"]
        assert kept > 0
        large.each_bytes_s, sent = None, large.sent_bytes
        assert await client.download_model(*asked) == "mine/big"
        assert hashlib.sha256(file.read_bytes()).hexdigest() == large.sha256
        assert large.sent_bytes - sent <= len(large.body) - kept + 1


async def test_a_download_outlives_its_hub_and_its_client(large: Files, tmp_path: Path) -> None:
    large.each_bytes_s = 500_000
    asked = ("big", large.url, "mine/big.gguf")
    with HubProcess(tmp_path, **SETTINGS) as hub:
        async with client_of(tmp_path) as (client, _):
            begun = first(client, "progress")
            given_up = asyncio.create_task(client.download_model(*asked))
            await asyncio.wait_for(begun, 20)
            await client.dispose()
            with pytest.raises(LinkError, match="nobody waits for the download of mine/big any"):
                await given_up
            await client.initialize()
            begun = first(client, "progress")
            call = asyncio.create_task(client.download_model(*asked))
            assert (await asyncio.wait_for(begun, 20))["state"] == "downloading"
            await asyncio.to_thread(hub.kill)
            large.each_bytes_s = None
            with HubProcess(tmp_path, **SETTINGS):
                assert await asyncio.wait_for(call, 40) == "mine/big"
                await client.dispose()
    file = tmp_path / "models" / "mine" / "big.gguf"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == large.sha256


class DroppingHub(SpeakingHub):
    """Hangs up when it is first asked how far a download is; then it is done."""

    async def _answer(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        kind, done = message["type"], {"doneBytes": 5, "totalBytes": 5, "createdAt": 1}
        download = {"downloadId": "d", "model": "m", "state": "done", "position": 0, **done}
        if kind == "model:downloads" and self.kinds().count(kind) == 1:
            connection.transport.abort()
            return
        data = {"model:downloads": {"downloads": [download]}, "model:list": {}}.get(kind, download)
        answer = {"type": kind, "data": data, "requestId": message["requestId"]}
        await connection.send(json.dumps(answer))


async def test_a_connection_that_is_lost_ends_no_download() -> None:
    hub = DroppingHub()
    await hub.start()
    client = ModelClient(HubClient(hub.url, reconnect_delay=0.02))
    heard = Heard(client)
    await client.initialize()
    assert await client.download_model("mine", "https://example.org/m.gguf") == "m"
    assert [each["state"] for each in heard.of("progress")] == ["done"]
    assert heard.of("error") == []
    await client.dispose()
    await hub.stop()


async def test_without_a_hub_it_says_so(tmp_path: Path) -> None:
    client = ModelClient(
        HubClient("ws://127.0.0.1:9/ws", reconnect_max_attempts=0, keep_trying=False)
    )
    heard = Heard(client)
    with pytest.raises(LinkError, match="nothing listens at"):
        await client.initialize()
    assert heard.of("error")[0]["operation"] == "initialize"
    with pytest.raises(LinkError, match=r"not connected to the hub: call connect\(\)"):
        await client.generate_completion("Hello")
    await client.dispose()
