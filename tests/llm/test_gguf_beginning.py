"""The first bytes of a remote model tell what it will need, without the rest being fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http_server import Asked, serving
from tests.llm.tiny_model import tiny_model, write
from workbench.byte_ranges import Ranges
from workbench.core.llm import LoadOptions
from workbench.errors import InputError
from workbench.llm.gguf_beginning import BEGINNING_BYTES, beginning, fetch_beginning
from workbench.llm.gguf_header import Header, read_header
from workbench.llm.model_files import ModelFile

OPTIONS = (LoadOptions(), LoadOptions(context_size=100_000, cache_type_k="q8_0"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def ranges() -> Iterator[Ranges]:
    opened = Ranges(private_addresses=True)
    yield opened
    opened.close()


def needs(header: Header) -> list[tuple[int, int]]:
    file = ModelFile(id="x", path=Path("x.gguf"), header=header)
    return [(file.needed_bytes(each), file.gpu_bytes(each)) for each in OPTIONS]


def test_it_tells_the_same_needs_as_the_whole_file(model: Path) -> None:
    whole, content = read_header(model), model.read_bytes()
    told = beginning("tiny.gguf", content[:2000], len(content))
    assert told is not None
    assert needs(told) == needs(whole)
    assert (told.architecture, told.context_length) == ("llama", whole.context_length)
    assert told.vocabulary == whole.vocabulary


def test_as_soon_as_it_has_enough_no_length_tells_otherwise(model: Path) -> None:
    content = model.read_bytes()
    outcomes = [
        beginning("tiny.gguf", content[:length], len(content)) for length in range(8, 3000, 7)
    ]
    assert outcomes[0] is None
    assert outcomes[-1] is not None
    first = next(n for n, told in enumerate(outcomes) if told)
    assert all(outcomes[first:])


@given(content=st.binary(max_size=300).map(lambda noise: b"GGUF\3\0\0\0" + noise))
@settings(max_examples=100, deadline=None)
def test_noise_tells_nothing(content: bytes) -> None:
    assert beginning("noise.gguf", content, 10**9) is None


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(InputError, match="it does not begin with GGUF"):
        beginning("page.gguf", b"<!doctype html><html>", 10**9)


def test_no_more_than_the_beginning_is_fetched(tmp_path: Path, ranges: Ranges) -> None:
    path = write(tmp_path / "wide.gguf", name="Wide", width=256)
    content = path.read_bytes()
    assert len(content) > 2 * BEGINNING_BYTES

    def answer(asked: Asked) -> None:
        place = f"bytes 0-{BEGINNING_BYTES - 1}/{len(content)}"
        asked.reply(content[:BEGINNING_BYTES], 206, Content_Range=place)

    with serving(answer) as server:
        url = f"{server.url}/wide.gguf"
        told = fetch_beginning(
            ranges, url, "wide.gguf", len(content), parameters=7, headers={"x-mine": "1"}
        )
    assert told is not None
    assert needs(told) == needs(read_header(path))
    assert told.parameters == 7
    [(_, headers)] = server.seen
    assert headers["range"] == f"bytes=0-{BEGINNING_BYTES - 1}"
    assert headers["x-mine"] == "1"


def test_a_server_that_sends_all_of_it_is_not_read_to_the_end(
    tmp_path: Path, ranges: Ranges
) -> None:
    path = write(tmp_path / "wide.gguf", name="Wide", width=256)
    with serving(lambda asked: asked.reply(path.read_bytes())) as server:
        told = fetch_beginning(ranges, server.url, "wide.gguf", path.stat().st_size)
    assert told is not None
    assert needs(told) == needs(read_header(path))
