"""Models that go to another program's disk, and files of URLs that go to a place of one's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hub_process import HubProcess
from tests.llm.fake_lmstudio import DOWNLOAD, FakeLMStudio
from tests.llm.fake_ollama import LAYERS, PULL, FakeOllama
from tests.llm.fake_server import faking
from tests.llm.faulty_files import content, files
from tests.session.test_library import HubWithFiles
from workbench.errors import InputError
from workbench.session import Workbench, connect

WHOLE = sum(LAYERS.values())


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeOllama]:
    with faking(FakeOllama()) as fake:
        yield fake


@pytest.fixture(scope="module")
def studio() -> Iterator[FakeLMStudio]:
    with faking(FakeLMStudio()) as fake:
        yield fake


@pytest.fixture(scope="module")
def settings(
    ollama: FakeOllama, studio: FakeLMStudio, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    with faking(HubWithFiles(tmp_path_factory.mktemp("source"))) as hub:
        yield {
            "HF_HUB_CACHE": str(tmp_path_factory.mktemp("cache")),
            "HF_ENDPOINT": hub.url,
            "WORKBENCH_PRIVATE_ADDRESSES": "1",
            "WORKBENCH_LLM_DISCOVER": "0",
            "WORKBENCH_LLM_SERVERS": f"ollama={ollama.url},lmstudio={studio.url}",
        }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def bench(data: Path, settings: dict[str, str]) -> Iterator[Workbench]:
    """One hub for what kills none."""
    with HubProcess(data, **settings), connect(data, start=False) as bench:
        yield bench


def until(condition: Callable[[], bool]) -> None:
    """Each look asks the hub, which lets nobody ask without end."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def test_ollama_fetches_what_its_catalogue_calls_so_and_its_card_appears(
    bench: Workbench, ollama: FakeOllama
) -> None:
    assert "qwen3:4b" not in [card["id"] for card in bench.library.cards().result()]
    done = bench.library.download("qwen3:4b", into="ollama").result().wait()
    assert (done.state, done.now.backend, done.now.done_bytes) == ("done", "ollama", WHOLE)
    assert repr(done).startswith("ModelDownload(qwen3:4b into ollama: done")
    until(lambda: "qwen3:4b" in [card["id"] for card in bench.library.cards().result()])


def test_a_choice_of_a_repository_goes_to_either_program(
    bench: Workbench, ollama: FakeOllama, studio: FakeLMStudio, data: Path
) -> None:
    ollama.catalogue.add("hf.co/org/tiny:Q8_0")
    at_ollama = bench.library.download("org/tiny", "Q8_0", into="ollama").result().wait()
    at_studio = bench.library.download("org/tiny", "F16", into="lmstudio").result().wait()
    assert (at_ollama.state, at_studio.state) == ("done", "done")
    assert ollama.values(PULL)[-1]["model"] == "hf.co/org/tiny:Q8_0"
    assert studio.values(DOWNLOAD) == [
        {"model": "https://huggingface.co/org/tiny", "quantization": "F16"}
    ]
    assert not list((data / "models").rglob("*.gguf"))


def test_who_cannot_fetch_is_refused_with_those_that_can(bench: Workbench) -> None:
    before = bench.library.downloads().result()
    for into in ("embedded", "openai", "nobody"):
        with pytest.raises(InputError, match=f"into is '{into}'; allowed: lmstudio, ollama"):
            bench.library.download("qwen3:4b", into=into).result()
    with pytest.raises(InputError, match="choice is None; allowed: one of Q8_0, F16"):
        bench.library.download("https://huggingface.co/org/tiny", into="ollama").result()
    with pytest.raises(InputError, match=r"path is 'a.gguf'; allowed: none"):
        bench.library.download("qwen3:4b", into="ollama", path="a.gguf").result()
    with pytest.raises(InputError, match="choice is 'Q3_K_S'; allowed: one of Q8_0, F16"):
        bench.library.download("org/tiny", "Q3_K_S", into="ollama").result()
    assert bench.library.downloads().result() == before


def test_a_pull_outlives_a_hub_that_is_killed_in_its_midst(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    with faking(FakeOllama()) as ollama:
        alone = {**settings, "WORKBENCH_LLM_SERVERS": f"ollama={ollama.url}"}
        ollama.step_bytes = 20_000
        hub = HubProcess(tmp_path, **alone)
        hub.start()
        with connect(tmp_path, start=False) as bench:
            download = bench.library.download("qwen3:4b", into="ollama").result()
            until(lambda: download.now.done_bytes > 100_000)
            hub.kill()
        assert ollama.left.wait(10)
        assert not ollama.pulled
        ollama.step_bytes = 1_000_000
        with HubProcess(tmp_path, **alone), connect(tmp_path, start=False) as bench:
            (again,) = bench.library.downloads().result()
            assert again.download_id == download.download_id
            done = bench.library.ended(again.download_id).result()
            assert (done.state, done.done_bytes) == ("done", WHOLE)
        assert len(ollama.values(PULL)) == 2


def test_a_download_of_lm_studio_is_followed_again_and_stopped_only_there(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    with faking(FakeLMStudio()) as studio:
        alone = {**settings, "WORKBENCH_LLM_SERVERS": f"lmstudio={studio.url}"}
        studio.step_bytes = 1000
        hub = HubProcess(tmp_path, **alone)
        hub.start()
        with connect(tmp_path, start=False) as bench:
            download = bench.library.download("ibm/granite-4-micro", into="lmstudio").result()
            until(lambda: download.now.done_bytes > 0)
            with pytest.raises(InputError, match="lmstudio cannot be told to stop a download"):
                download.cancel(keep=False)
            hub.kill()
        studio.step_bytes = 4_000_000
        with HubProcess(tmp_path, **alone), connect(tmp_path, start=False) as bench:
            assert bench.library.ended(download.download_id).result().state == "done"


def test_the_file_of_a_url_is_kept_where_one_says(bench: Workbench, data: Path) -> None:
    with files(content(200_000)) as (served, _):
        done = bench.library.download(served.url, path="mine/small.gguf").result().wait()
        assert done.state == "done"
        assert (data / "models" / "mine" / "small.gguf").read_bytes() == served.body
        for path, why in {
            "../small.gguf": "without `..`",
            "/etc/small.gguf": "without `..`",
            "mine/small.txt": "names that end in .gguf, as the URL does",
            "downloads.json": "names that end in .gguf, as the URL does",
        }.items():
            with pytest.raises(InputError, match=why):
                bench.library.download(served.url, path=path).result()
    with pytest.raises(InputError, match="none for a repository"):
        bench.library.download("org/tiny", "Q8_0", path="mine/tiny.gguf").result()
