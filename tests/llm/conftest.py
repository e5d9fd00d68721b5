"""What the tests of language models share: two tiny models, HTTP, and a worker for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.llm.tiny_model import tiny_embedder, tiny_model
from tests.llm.workers import closing
from workbench.http import Http
from workbench.llm.embedded import Embedded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("models")
    tiny_model(found)
    tiny_embedder(found)
    return found


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http(private_addresses=True) as opened:
        yield opened


@pytest.fixture
async def embedded(folder: Path, http: Http) -> AsyncIterator[Embedded]:
    async with closing(Embedded([folder], http=http)) as opened:
        yield opened
