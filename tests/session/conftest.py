"""A workbench on a hub process with a tiny language model of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

import workbench
from tests.hub_process import test_environment
from tests.llm.tiny_model import tiny_model
from workbench.clients.discovery import stop_hub
from workbench.session import Workbench


@pytest.fixture(scope="package")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """The hub runs the model in its embedded worker; no server is looked for."""
    pytest.importorskip("xllamacpp", reason="no wheel of xllamacpp for this machine")
    folder = tmp_path_factory.mktemp("data")
    (folder / "models").mkdir()
    tiny_model(folder / "models")
    settings = {
        "WORKBENCH_WS_PORT": "0",
        "WORKBENCH_MESH_PORT": "0",
        "WORKBENCH_LLM_DISCOVER": "false",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**test_environment(), **settings}.items():
            patch.setenv(name, value)
        bench = workbench.connect(folder)
        yield bench
        bench.close()
        asyncio.run(stop_hub(folder))


@pytest.fixture(scope="package")
def model(bench: Workbench) -> str:
    """The tiny model's id."""
    return bench.llm.models().result().ids[0]
