"""Remote headers: as many as come in time, asked once, and never an error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Lock

import pytest

from tests.http_server import Asked, serving
from tests.llm.faulty_files import Files, busy
from tests.llm.tiny_model import tiny_model
from workbench.byte_ranges import Ranges
from workbench.core.downloads import RemoteFile, Wanted
from workbench.llm.gguf_header import read_header
from workbench.llm.remote_headers import AT_ONCE, MOST, RemoteHeaders


class Shelf:
    """A server of models by their names; each answers as the one file does unless told else."""

    def __init__(self, model: Path) -> None:
        self.path, self.file = model, Files(model.read_bytes())
        self.silent: set[str] = set()
        self.end = Event()
        self.asked: list[str] = []
        self.seen_headers: list[str] = []
        self.most_at_once = self._at_once = 0
        self._lock = Lock()
        self.url = ""

    def __call__(self, asked: Asked) -> None:
        with self._lock:
            self.asked.append(asked.path.strip("/"))
            self.seen_headers.append(asked.headers.get("authorization", ""))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        if asked.path.strip("/") in self.silent:
            self.end.wait(600)
        self.file(asked)
        with self._lock:
            self._at_once -= 1

    def choices(self, *names: str, commit: str = "c0") -> dict[str, Wanted]:
        size = len(self.file.body)
        return {
            name: Wanted(
                model=name,
                commit=commit,
                files=(RemoteFile(url=f"{self.url}/{name}", name=name, size_bytes=size),),
            )
            for name in names
        }


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    found = Shelf(tiny_model(tmp_path))
    with serving(found) as server:
        found.url = server.url
        yield found
        found.end.set()


@pytest.fixture
def ranges() -> Iterator[Ranges]:
    opened = Ranges(private_addresses=True)
    yield opened
    opened.close()


@pytest.fixture
def headers(ranges: Ranges) -> RemoteHeaders:
    return RemoteHeaders(ranges, lambda url: {"authorization": "Bearer mine"})


async def test_each_choice_gets_its_header(headers: RemoteHeaders, shelf: Shelf) -> None:
    found = await headers.of(shelf.choices("a.gguf", "b.gguf"), 7_000_000_000)
    whole = read_header(shelf.path)
    assert set(found) == {"a.gguf", "b.gguf"}
    for header in found.values():
        assert header.metadata == whole.metadata
        assert header.parameters == 7_000_000_000
    assert shelf.seen_headers == ["Bearer mine", "Bearer mine"]


async def test_what_a_commit_holds_is_asked_once(headers: RemoteHeaders, shelf: Shelf) -> None:
    first = await headers.of(shelf.choices("a.gguf"))
    again = await headers.of(shelf.choices("a.gguf", "b.gguf"))
    assert again["a.gguf"] == first["a.gguf"]
    assert shelf.asked == ["a.gguf", "b.gguf"]


async def test_what_is_no_model_is_asked_once_too(headers: RemoteHeaders, shelf: Shelf) -> None:
    shelf.file.body = b"<html>" * 1000
    for _ in range(2):
        assert await headers.of(shelf.choices("a.gguf")) == {}
    assert shelf.asked == ["a.gguf"]


async def test_an_address_without_a_commit_is_asked_each_time(
    headers: RemoteHeaders, shelf: Shelf
) -> None:
    for _ in range(2):
        assert "a.gguf" in await headers.of(shelf.choices("a.gguf", commit=""))
    assert len(shelf.asked) == 2


@pytest.mark.parametrize("status", [401, 404, 503])
async def test_a_server_that_refuses_may_give_it_another_time(
    headers: RemoteHeaders, shelf: Shelf, status: int
) -> None:
    shelf.file.faults = [busy(status)]
    assert await headers.of(shelf.choices("a.gguf")) == {}
    assert "a.gguf" in await headers.of(shelf.choices("a.gguf"))


async def test_what_does_not_come_in_time_is_left_out(ranges: Ranges, shelf: Shelf) -> None:
    shelf.silent = {"a.gguf", "c.gguf"}
    headers = RemoteHeaders(ranges, lambda url: {}, limit_s=4.0)
    found = await headers.of(shelf.choices("a.gguf", "b.gguf", "c.gguf"))
    assert set(found) == {"b.gguf"}
    await asyncio.get_running_loop().shutdown_default_executor()  # no thread waits on


async def test_only_so_many_are_asked_at_once_and_in_all(
    headers: RemoteHeaders, shelf: Shelf
) -> None:
    shelf.file.each_bytes_s = 1e6
    names = [f"{number:02}.gguf" for number in range(MOST + 5)]
    found = await headers.of(shelf.choices(*names))
    assert sorted(found) == names[:MOST]
    assert 1 < shelf.most_at_once <= AT_ONCE


async def test_other_formats_and_unknown_sizes_are_not_asked(
    headers: RemoteHeaders, shelf: Shelf
) -> None:
    unsized = RemoteFile(url=f"{shelf.url}/b.gguf", name="b.gguf")
    choices = shelf.choices("a.safetensors") | {"b": Wanted(model="b", files=(unsized,))}
    assert await headers.of(choices) == {}
    assert shelf.asked == []
