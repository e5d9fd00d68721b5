"""Inputs come from where they may, and from nowhere else."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from tests.mesh.doubles import MemoryFetch
from workbench.core.job import Progress
from workbench.errors import InputError, LinkError
from workbench.mesh.inputs import ALLOWED, Gathered, Inputs

URL = "https://runes.example/b"


def content_of(path: str) -> bytes:
    return Path(path).read_bytes()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path.resolve() / "data"
    (data / "samples").mkdir(parents=True)
    (data / "samples" / "small batch.json").write_bytes(b"{}")
    return data


def inputs_of(folder: Path, pages: dict[str, bytes] | None = None, **options: Any) -> Inputs:
    whole: dict[str, Any] = {"limit_bytes": 100, "keep_bytes": 1000}
    inputs = Inputs(folder, MemoryFetch(pages or {}), **whole | options)
    inputs.prepare()
    return inputs


async def gather(inputs: Inputs, url: str, told: list[Progress] | None = None) -> Gathered:
    heard = told if told is not None else []
    return await inputs.gather({"batch": url}, None, {"batch": "inputDataURL"}, heard.append)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "../secrets.json",
        "samples/../../secrets.json",
        "file:samples/..%2f..%2fsecrets.json",
        "file://otherhost/data/samples/a",
        "ftp://x.org/a",
        "javascript:alert(1)",
        "upload:abc",
        "upload:" + "A" * 64,
        "https:///nohost",
        "http://[::1",
        "samples/a\0b",
        "hub.json",
        "token",
        "workbench.duckdb",
        "workbench.duckdb.wal",
        "query/copy.duckdb",
        "uploads/x.part",
        ".hidden",
        "samples/.hidden",
        ".",
        "samples/a?x=1",
    ],
)
def test_what_is_known_bad_is_refused_before_anything_is_touched(folder: Path, url: str) -> None:
    with pytest.raises(InputError) as refused:
        inputs_of(folder).check(url, "inputDataURL")
    assert str(refused.value) == f"inputDataURL is {url!r}; allowed: {ALLOWED}"


@pytest.mark.parametrize(
    "url",
    [
        "https://x.org/a?b=c",
        "http://localhost:8000/a",
        "upload:" + "0" * 64,
        "samples/small%20batch.json",
        "file:samples/a.json",
    ],
)
def test_what_may_be_good_is_accepted(folder: Path, url: str) -> None:
    inputs_of(folder).check(url, "inputDataURL")


def test_an_absolute_path_into_the_data_folder_is_accepted(folder: Path) -> None:
    for url in (f"file://{folder}/samples/a", f"file://localhost{folder}/samples/a"):
        inputs_of(folder).check(url, "inputDataURL")


async def test_a_download_is_kept_by_its_content(folder: Path) -> None:
    inputs = inputs_of(folder, {URL: b"abc", "https://mirror.example/b": b"abc"})
    told: list[Progress] = []
    first = await gather(inputs, URL, told)
    second = await gather(inputs, "https://mirror.example/b")
    assert first == second
    assert first.hashes == {"batch": sha256(b"abc")}
    assert content_of(first.paths["batch"]) == b"abc"
    assert Path(first.paths["batch"]).name == sha256(b"abc")
    assert told[0].template == "fetching {name}: {received_mb} of {total_mb} MB"


async def test_a_file_of_the_data_folder_is_used_where_it_lies(folder: Path) -> None:
    found = await gather(inputs_of(folder), "samples/small%20batch.json")
    assert found.paths["batch"] == str(folder / "samples" / "small batch.json")
    assert found.hashes == {"batch": sha256(b"{}")}


async def test_a_link_that_leads_out_of_the_data_folder_is_refused(folder: Path) -> None:
    secret = folder.parent / "secret.json"
    secret.write_text("{}")
    (folder / "samples" / "link.json").symlink_to(secret)
    (folder / "samples" / "token.json").symlink_to(folder / "hub.json")
    (folder / "hub.json").write_text("{}")
    for name in ("link", "token"):
        with pytest.raises(InputError) as refused:
            await gather(inputs_of(folder), f"samples/{name}.json")
        assert str(refused.value) == (
            f"inputDataURL is 'samples/{name}.json', which leads out of the data folder; "
            f"allowed: {ALLOWED}"
        )


async def test_a_missing_file_a_folder_and_a_loop_are_refused(folder: Path) -> None:
    (folder / "samples" / "loop").symlink_to(folder / "samples" / "loop")
    for name in ("samples/none.json", "samples", "samples/loop"):
        with pytest.raises(InputError) as refused:
            await gather(inputs_of(folder), name)
        assert str(refused.value) == (
            f"inputDataURL is {name!r}: there is no such file in the data folder"
        )


async def test_a_file_above_the_limit_is_refused(folder: Path) -> None:
    (folder / "samples" / "large.json").write_bytes(b"x" * 101)
    with pytest.raises(InputError) as refused:
        await gather(inputs_of(folder), "samples/large.json")
    assert str(refused.value) == "inputDataURL has 101 bytes; allowed: at most 100"


async def test_an_upload_that_is_not_here_is_refused(folder: Path) -> None:
    url = "upload:" + "0" * 64
    with pytest.raises(InputError) as refused:
        await gather(inputs_of(folder), url)
    assert str(refused.value) == f"{url} is not on this node: upload it first"


async def test_a_failed_download_leaves_nothing_behind(folder: Path) -> None:
    inputs = inputs_of(folder, {URL: b"x" * 101})
    with pytest.raises(InputError):
        await gather(inputs, URL)
    with pytest.raises(LinkError):
        await gather(inputs, "https://runes.example/none")
    assert list((folder / "inputs").iterdir()) == []


async def test_a_download_that_takes_too_long_is_given_up(folder: Path) -> None:
    fetch = MemoryFetch({URL: b"abc"}, gate=asyncio.Event())
    inputs = Inputs(folder, fetch, limit_bytes=100, keep_bytes=1000, fetch_limit_s=0.01)
    inputs.prepare()
    with pytest.raises(LinkError) as slow:
        await gather(inputs, URL)
    assert str(slow.value) == (
        "inputDataURL could not be fetched within 0.01 s: try again, or upload it"
    )


async def test_an_inline_input_is_written_by_its_content(folder: Path) -> None:
    inputs = inputs_of(folder)
    found = await inputs.gather({}, '{"a":1}', {}, lambda news: None)
    assert content_of(found.paths["batch"]) == b'{"a":1}'
    assert found.hashes["batch"] == sha256(b'{"a":1}')


def test_the_oldest_inputs_go_first_and_what_is_needed_stays(folder: Path) -> None:
    inputs = inputs_of(folder, keep_bytes=100)
    for age_h, name in ((9, "needed"), (8, "oldest"), (7, "older"), (0, "fresh")):
        path = inputs.path_of(name)
        path.write_bytes(b"x" * 60)
        os.utime(path, (1e9 - age_h * 3600, 1e9 - age_h * 3600))
    assert inputs.used_bytes() == 240
    assert inputs.sweep({"needed"}, wall_s=1e9) == 120
    left = {path.name for path in (folder / "inputs").iterdir()}
    assert left == {"needed", "fresh"}


def test_what_was_fetched_by_half_is_removed_at_the_start(folder: Path) -> None:
    (folder / "inputs").mkdir()
    (folder / "inputs" / ".fetching-1").write_bytes(b"x")
    inputs_of(folder)
    assert list((folder / "inputs").iterdir()) == []
