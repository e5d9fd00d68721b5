"""A model from its repository to its first answer: found, downloaded, paused, gone on, deleted."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import try_to_load_from_cache

from tests.http_server import Asked, serving
from tests.hub_process import HubProcess
from tests.llm.fake_server import faking
from tests.llm.faulty_files import Files, content, stalled_after
from tests.llm.hub_server import COMMIT, FakeHub, model
from tests.llm.tiny_model import tiny_model
from workbench.errors import InputError
from workbench.session import Workbench, connect

PLACE = "/org/tiny/resolve/"


class HubWithFiles(FakeHub):
    """The routes of metadata, and the bytes of two files: one that chats, one that is large."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        small = tiny_model(folder).read_bytes()
        self.files = {"tiny-Q8_0.gguf": Files(small), "tiny-F16.gguf": Files(content(3_000_000))}
        self.models["org/tiny"] = model(
            "org/tiny",
            *(
                {
                    "rfilename": name,
                    "size": len(file.body),
                    "blobId": hashlib.sha1(name.encode()).hexdigest(),
                    "lfs": {"sha256": file.sha256, "size": len(file.body), "pointerSize": 135},
                }
                for name, file in self.files.items()
            ),
        )

    def unknown(self, asked: Asked) -> None:
        if asked.path.startswith(f"{PLACE}{COMMIT}/"):
            self.files[asked.path.rpartition("/")[2]](asked)
        else:
            super().unknown(asked)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubWithFiles]:
    with faking(HubWithFiles(tmp_path_factory.mktemp("source"))) as hub:
        yield hub
        for file in hub.files.values():
            file.end.set()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def settings(source: HubWithFiles, cache: Path) -> dict[str, str]:
    return {
        "HF_HUB_CACHE": str(cache),
        "HF_ENDPOINT": source.url,
        "WORKBENCH_PRIVATE_ADDRESSES": "1",
        "WORKBENCH_LLM_DISCOVER": "0",
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def bench(data: Path, settings: dict[str, str]) -> Iterator[Workbench]:
    """One hub for what leaves nothing behind it."""
    with HubProcess(data, **settings), connect(data, start=False) as bench:
        yield bench


def until(condition: Callable[[], bool]) -> None:
    """Each look asks the hub, or the disk."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came"


def test_a_model_is_found_downloaded_and_answers(
    bench: Workbench, source: HubWithFiles, cache: Path
) -> None:
    found = bench.library.find("org/tiny").result()
    assert found.choices == ["Q8_0", "F16"]
    assert "Q8_0" in found._repr_html_()
    exact, guessed = found["cards"]  # the second begins as no model does
    assert (exact["estimated"], exact["architecture"], exact["fits"]) == (False, "llama", "memory")
    assert (guessed["estimated"], guessed["architecture"]) == (True, None)
    with pytest.raises(InputError, match=r"choice is None; allowed: one of Q8_0, F16"):
        bench.library.download("org/tiny").result()
    with pytest.raises(InputError, match=r"choice is 'Q2_K'; allowed: one of Q8_0, F16"):
        bench.library.download("org/tiny:Q2_K").result()
    done = bench.library.download("org/tiny", "Q8_0").result().wait()
    assert done.state == "done"
    cached = {"cache_dir": cache, "revision": "main"}
    until(lambda: bool(try_to_load_from_cache("org/tiny", "tiny-Q8_0.gguf", **cached)))
    seen = try_to_load_from_cache("org/tiny", "tiny-Q8_0.gguf", **cached)
    assert Path(str(seen)).read_bytes() == source.files["tiny-Q8_0.gguf"].body
    assert "100" in done._repr_html_() or "done" in done._repr_html_()
    (card,) = bench.library.cards().result()
    assert (card["id"], card["state"], card["fits"]) == (
        "org/tiny/tiny-Q8_0",
        "on-disk",
        "memory",
    )
    assert bench.llm.complete("Hello", model="org/tiny/tiny-Q8_0").result().text
    with pytest.raises(InputError, match="is loaded: unload it first"):
        bench.library.delete("org/tiny/tiny-Q8_0").result()
    bench.llm.unload("org/tiny/tiny-Q8_0").result()
    assert [each.verified for each in bench.library.downloads().result()] == [True]
    bench.library.delete("org/tiny/tiny-Q8_0").result()
    assert bench.library.cards().result() == []
    assert bench.library.downloads().result() == []
    assert try_to_load_from_cache("org/tiny", "tiny-Q8_0.gguf", **cached) is None


def test_a_file_at_an_address_is_judged_by_its_beginning(
    bench: Workbench, source: HubWithFiles
) -> None:
    with serving(source.files["tiny-Q8_0.gguf"]) as server:
        (card,) = bench.library.find(f"{server.url}/some.gguf").result()["cards"]
    assert (card["estimated"], card["architecture"], card["fits"]) == (False, "llama", "memory")
    assert card["chatTemplate"]


def test_safetensors_are_seen_and_deleted(bench: Workbench, data: Path) -> None:
    place = data / "models" / "org" / "weights"
    place.mkdir(parents=True)
    (place / "model.safetensors").write_bytes(b"x" * 100)
    (place / "config.json").write_bytes(b"{}")
    (place.parent.parent / "zebra.gguf").write_bytes(b"no model")
    card, zebra = bench.library.cards().result()  # in the order of their titles
    assert zebra["id"] == "zebra"
    assert (card["id"], card["sizeBytes"], card["fits"]) == (
        "org/weights/safetensors",
        102,
        "unknown",
    )
    bench.library.delete("org/weights/safetensors").result()
    assert list(place.iterdir()) == []
    assert [each["id"] for each in bench.library.cards().result()] == ["zebra"]


def test_a_long_address_is_an_address(bench: Workbench, source: HubWithFiles) -> None:
    served = source.url.replace("127.0.0.1", "localhost")  # another host, whose files are anybody's
    signed = f"{served}/none.gguf?X-Signature={'a' * 1500}"
    with pytest.raises(InputError, match="404"):
        bench.library.download(signed).result()
    with pytest.raises(InputError, match=r"length <= 2048"):
        bench.library.download("x" * 2049).result()


def test_words_find_repositories(bench: Workbench) -> None:
    found = bench.library.find("tin").result()
    assert (found.repositories, found.choices) == (["org/tiny"], [])
    assert repr(found) == "AtSource('tin', org/tiny)"
    assert "org/tiny" in found._repr_html_()
    assert bench.library.find("nothing like it").result().repositories == []


def test_a_download_outlives_its_hub_and_a_cancelled_one_stays_so(
    tmp_path: Path, source: HubWithFiles, settings: dict[str, str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    large = source.files["tiny-F16.gguf"]
    large.each_bytes_s = 1_000_000
    hub = HubProcess(data, **settings)
    hub.start()
    with connect(data, start=False) as bench:
        download = bench.library.download("org/tiny", "F16").result()
        until(lambda: download.now.done_bytes > 0 or large.sent_bytes > 500_000)
        hub.kill()
    large.each_bytes_s = None
    with HubProcess(data, **settings), connect(data, start=False) as bench:
        (again,) = bench.library.downloads().result()
        assert again.download_id == download.download_id
        assert bench.library.ended(again.download_id).result().state == "done"
        file = data / "models" / "org" / "tiny" / "tiny-F16.gguf"
        assert hashlib.sha256(file.read_bytes()).hexdigest() == large.sha256
        large.faults = [stalled_after(100_000)] * 3
        bench.library.delete("org/tiny/tiny-F16").result()
        other = bench.library.download("org/tiny", "F16").result()
        until(lambda: other.state == "downloading")
        other.cancel(keep=False)
        assert other.state == "cancelled"
    with HubProcess(data, **settings), connect(data, start=False) as bench:
        states = {each.download_id: each.state for each in bench.library.downloads().result()}
        assert states[other.download_id] == "cancelled"
    assert not file.exists()
