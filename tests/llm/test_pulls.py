"""Ollama and LM Studio fetch models onto their own disks, and are followed until they have them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from tests.llm.fake_lmstudio import DOWNLOAD, JOB, SIZE_BYTES, STATUS, FakeLMStudio
from tests.llm.fake_ollama import LAYERS, NDJSON, PULL, FakeOllama, lines
from tests.llm.fake_server import Fake, faking, hanging, reply, stream
from workbench.core.llm import BackendBroken, NoModel
from workbench.errors import InputError, LinkError, WorkbenchError
from workbench.http import Http
from workbench.llm.fetching import Told
from workbench.llm.lanes import Patience
from workbench.llm.ollama import Ollama
from workbench.llm.part_file import NoSpace
from workbench.llm.pulls import Following, LMStudioPull, OllamaPull, Pull, Stopped
from workbench.llm.server import Server

MODEL = "qwen3:4b"
WHOLE = sum(LAYERS.values())
SOON = Patience(tries=2, first_s=0.01, most_s=0.02)
Way = Callable[[str], Pull]


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with faking(FakeOllama()) as fake:
        yield fake


@pytest.fixture
def studio() -> Iterator[FakeLMStudio]:
    with faking(FakeLMStudio()) as fake:
        yield fake


class Heard(Following):
    """A following with what it told, over tries that follow soon on each other."""

    def __init__(self, pull: Pull, quiet_s: float = 30.0) -> None:
        self.told: list[Told] = []
        self.changed = asyncio.Event()

        async def find() -> Pull:
            return pull

        super().__init__(find, self.take, SOON, quiet_s)

    def take(self, told: Told) -> None:
        self.told.append(told)
        self.changed.set()

    @property
    def states(self) -> list[str]:
        """Each state once, in the order in which they came."""
        return list(dict.fromkeys(told.state for told in self.told))

    async def until(self, test: Callable[[Told], bool]) -> Told:
        async with asyncio.timeout(15):
            while not (found := [told for told in self.told if test(told)]):
                self.changed.clear()
                await self.changed.wait()
        return found[-1]


def by_ollama(fake: Fake, http: Http, model: str = MODEL, idle_s: float = 30.0) -> OllamaPull:
    return OllamaPull(Server(http, "ollama", fake.url, idle_s=idle_s), model)


def by_studio(fake: Fake, http: Http, model: str = "ibm/granite-4-micro") -> LMStudioPull:
    return LMStudioPull(Server(http, "lmstudio", fake.url), model, poll_s=0.01)


async def test_ollama_fetches_a_model_and_its_parts_are_summed(
    ollama: FakeOllama, http: Http
) -> None:
    following = Heard(by_ollama(ollama, http))
    assert await following.run()
    assert following.states == ["downloading", "verifying"]  # that it resolves was known
    assert (following.told[-1].done_bytes, following.told[-1].total_bytes) == (WHOLE, WHOLE)
    amounts = [told.done_bytes for told in following.told]
    assert amounts == sorted(amounts)
    assert ollama.values(PULL) == [{"model": MODEL, "stream": True}]
    assert MODEL in [model.id for model in await Ollama("ollama", ollama.url, http=http).models()]


async def test_a_connection_that_drops_is_tried_again_and_what_is_there_counts(
    ollama: FakeOllama, http: Http
) -> None:
    ollama.dropping = [2_000_000, 1_000_000]
    following = Heard(by_ollama(ollama, http))
    assert await following.run()
    (first, second) = [told for told in following.told if told.state == "stalled"]
    assert "ollama broke off in the midst of its answer" in str(first.problem)
    assert (first.done_bytes, second.done_bytes) == (2_000_000, 3_000_000)
    assert len(ollama.values(PULL)) == 3


async def test_tries_are_bounded_where_nothing_new_comes(ollama: FakeOllama, http: Http) -> None:
    ollama.kept["a" * 64] = 1_000_000  # told anew by each try: it is no progress
    ollama.dropping = [0] * 20
    following = Heard(by_ollama(ollama, http))
    with pytest.raises(BackendBroken):
        await following.run()
    assert len(ollama.values(PULL)) == SOON.tries + 1


@pytest.mark.parametrize(
    ("said", "kind", "tries"),
    [
        ("pull model manifest: file does not exist", NoModel, 1),
        ("pull model manifest: 412: it requires a newer version of Ollama", InputError, 1),
        ("pull model manifest: 429: too many requests", BackendBroken, 3),
        ("max retries exceeded: dial tcp: lookup registry.ollama.ai: no such host", LinkError, 3),
        ("write /root/.ollama/blobs/x: no space left on device", NoSpace, 1),
    ],
)
async def test_what_ollama_says_in_its_answer_is_said_and_only_what_may_pass_is_tried_again(
    ollama: FakeOllama, http: Http, said: str, kind: type[WorkbenchError], tries: int
) -> None:
    answer = lines({"status": "pulling manifest"}, {"error": said})
    ollama.routes[PULL] = lambda asked, value: stream(asked, answer, NDJSON)
    with pytest.raises(kind) as caught:
        await Heard(by_ollama(ollama, http)).run()
    assert said in str(caught.value) or kind is NoSpace
    assert len(ollama.values(PULL)) == tries


async def test_an_ollama_that_refuses_the_name_is_not_asked_again(
    ollama: FakeOllama, http: Http
) -> None:
    ollama.routes[PULL] = lambda asked, value: reply(asked, {"error": "invalid model name"}, 400)
    with pytest.raises(NoModel, match=r"ollama has no model qwen3:4b: invalid model name"):
        await Heard(by_ollama(ollama, http)).run()
    assert len(ollama.values(PULL)) == 1


async def test_an_answer_without_its_success_is_none(ollama: FakeOllama, http: Http) -> None:
    answer = lines({"status": "pulling manifest"})
    ollama.routes[PULL] = lambda asked, value: stream(asked, answer, NDJSON)
    with pytest.raises(BackendBroken, match=r"ollama ended before it had all of qwen3:4b"):
        await Heard(by_ollama(ollama, http)).run()


async def test_a_stream_without_news_is_stalled_until_it_moves_again(
    ollama: FakeOllama, http: Http
) -> None:
    digest = {"digest": "sha256:" + "a" * 64, "total": 100}
    begun = lines({"status": "pulling manifest"}, {"status": "pulling aaa", **digest})
    ollama.routes[PULL] = hanging(ollama, begun, NDJSON)
    following = Heard(by_ollama(ollama, http, idle_s=0.5), quiet_s=0.1)
    running = asyncio.create_task(following.run())
    stalled = await following.until(lambda told: told.state == "stalled")
    assert str(stalled.problem) == "it has not moved for 0.1 s"
    ollama.routes[PULL] = ollama.pull
    assert await running
    assert following.told[-1].problem is None


async def test_a_long_verification_is_no_stall(ollama: FakeOllama, http: Http) -> None:
    digest = {"digest": "sha256:" + "a" * 64, "total": 100, "completed": 100}
    begun = lines({"status": "pulling aaa", **digest}, {"status": "verifying sha256 digest"})
    ollama.routes[PULL] = hanging(ollama, begun, NDJSON)
    following = Heard(by_ollama(ollama, http, idle_s=3.0), quiet_s=1.0)
    with pytest.raises(BackendBroken):
        await following.run()
    assert following.states[-2:] == ["verifying", "stalled"]  # the last as it broke off
    assert "it has not moved" not in str([told.problem for told in following.told])


async def test_to_stop_is_to_leave_and_ollama_goes_on_from_there(
    ollama: FakeOllama, http: Http
) -> None:
    ollama.step_bytes = 50_000
    following = Heard(by_ollama(ollama, http))
    running = asyncio.create_task(following.run())
    await following.until(lambda told: told.done_bytes >= 100_000)
    assert following.stops
    following.stop()
    assert not await running
    assert await asyncio.to_thread(ollama.left.wait, 10)
    assert not ollama.pulled
    kept, ollama.step_bytes = ollama.kept["a" * 64], 4_000_000
    again = Heard(by_ollama(ollama, http))
    assert await again.run()
    assert min(told.done_bytes for told in again.told if told.state == "downloading") == 0
    assert kept >= 100_000
    assert ollama.pulled == [MODEL]


async def test_lm_studio_fetches_a_model_and_is_asked_how_far_it_is(
    studio: FakeLMStudio, http: Http
) -> None:
    following = Heard(by_studio(studio, http))
    assert await following.run()
    assert following.states == ["downloading", "verifying"]
    assert [told.done_bytes for told in following.told] == [i * 1_000_000 for i in range(5)]
    assert following.told[-1].total_bytes == SIZE_BYTES
    assert studio.values(DOWNLOAD) == [{"model": "ibm/granite-4-micro"}]


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        (
            "hf.co/org/name:Q4_K_M",
            {"model": "https://huggingface.co/org/name", "quantization": "Q4_K_M"},
        ),
        ("huggingface.co/org/name", {"model": "https://huggingface.co/org/name"}),
        ("openai/gpt-oss-20b", {"model": "openai/gpt-oss-20b"}),
    ],
)
async def test_a_model_that_lm_studio_has_is_there_at_once(
    studio: FakeLMStudio, http: Http, model: str, asked: dict[str, str]
) -> None:
    studio.status = "completed"
    assert await Heard(by_studio(studio, http, model)).run()
    assert studio.values(DOWNLOAD) == [asked]
    assert not studio.values(STATUS + JOB)


async def test_lm_studio_cannot_be_stopped_once_it_was_asked(
    studio: FakeLMStudio, http: Http
) -> None:
    studio.step_bytes = 0
    following = Heard(by_studio(studio, http), quiet_s=0.1)
    assert following.stops
    running = asyncio.create_task(following.run())
    await following.until(lambda told: told.state == "stalled")
    assert not following.stops
    studio.step_bytes = SIZE_BYTES
    assert await running


async def test_what_is_paused_in_lm_studio_is_not_followed_any_more(
    studio: FakeLMStudio, http: Http
) -> None:
    studio.step_bytes = 1000
    following = Heard(by_studio(studio, http))
    running = asyncio.create_task(following.run())
    await following.until(lambda told: told.done_bytes > 2000)
    studio.status = "paused"
    with pytest.raises(Stopped, match=r"lmstudio does not go on with ibm/granite-4-micro \(paused"):
        await running


async def test_what_is_stopped_in_lm_studio_is_not_begun_anew(
    studio: FakeLMStudio, http: Http
) -> None:
    studio.step_bytes = 1000
    following = Heard(by_studio(studio, http))
    running = asyncio.create_task(following.run())
    await following.until(lambda told: told.done_bytes > 2000)
    studio.status = ""
    with pytest.raises(Stopped, match="Download job not found"):
        await running
    assert len(studio.values(DOWNLOAD)) == 1


async def test_a_download_that_failed_there_is_asked_for_again(
    studio: FakeLMStudio, http: Http
) -> None:
    studio.step_bytes = 1000
    following = Heard(by_studio(studio, http))
    running = asyncio.create_task(following.run())
    await following.until(lambda told: told.done_bytes > 2000)
    studio.status, studio.step_bytes = "failed", SIZE_BYTES
    assert await running
    assert "says that its download of" in str([t.problem for t in following.told])
    assert len(studio.values(DOWNLOAD)) == 2


async def test_a_look_that_fails_does_not_begin_a_second_download(
    studio: FakeLMStudio, http: Http
) -> None:
    studio.step_bytes = 1000
    following = Heard(by_studio(studio, http))
    running = asyncio.create_task(following.run())
    await following.until(lambda told: told.done_bytes > 2000)
    look = studio.routes[STATUS + JOB]
    studio.routes[STATUS + JOB] = lambda asked, value: reply(asked, {"error": "busy"}, 503)
    await following.until(lambda told: told.state == "stalled")
    studio.routes[STATUS + JOB], studio.step_bytes = look, SIZE_BYTES
    assert await running
    assert len(studio.values(DOWNLOAD)) == 1


async def test_an_lm_studio_that_has_no_such_way_says_so(studio: FakeLMStudio, http: Http) -> None:
    del studio.routes[DOWNLOAD]
    with pytest.raises(InputError, match="lmstudio refuses this: Unexpected endpoint"):
        await Heard(by_studio(studio, http)).run()
    assert len(studio.values(DOWNLOAD)) == 1


async def test_a_program_that_is_away_is_looked_for_again(ollama: FakeOllama, http: Http) -> None:
    tries = 0

    async def find() -> Pull:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise LinkError("{backend} is not connected: start it", backend="ollama")
        return by_ollama(ollama, http)

    told: list[Told] = []
    assert await Following(find, told.append, SOON).run()
    assert [str(one.problem) for one in told[:2]] == ["ollama is not connected: start it"] * 2
