"""A client that knows only the fixed part, from Node on the `ws` package, against a real model."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub_process import HubProcess
from tests.llm.tiny_model import tiny_model

CLIENT = Path(__file__).parent / "ws_client"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client with its one package, installed by its lock."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node and npm are not on this machine")
    folder = tmp_path_factory.mktemp("client")
    for path in CLIENT.iterdir():
        shutil.copy(path, folder)
    made = subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
    )
    if made.returncode:
        pytest.skip(f"npm could not install the ws package: {made.stderr.strip()[-200:]}")
    return folder


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    data = tmp_path_factory.mktemp("data")
    (data / "models").mkdir()
    tiny_model(data / "models")
    process = HubProcess(data, WORKBENCH_LLM_DISCOVER="0", WORKBENCH_LLM_ANSWER_TOKENS="40")
    said = process.start()
    yield said
    assert process.stop() == 0


def test_five_steps_with_integer_ids_run_unchanged(client: Path, hub: dict[str, Any]) -> None:
    address = f"{hub['ws']}?token={hub['token']}"
    run = subprocess.run(
        ["node", str(client / "five_steps.cjs"), address],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    heard = json.loads(run.stdout)
    assert heard["ping"][-1] == {"type": "pong"}
    assert [each["type"] for each in heard["monitoring"]] == ["monitoring:subscribed", "metrics"]
    metrics = heard["monitoring"][-1]["data"]
    assert 0 <= metrics["cpu"]["usage"] <= 100
    assert 0 < metrics["memory"]["usedPercent"] <= 100
    assert heard["history"][-1]["data"] == []

    said = [each for each in heard["send"] if each["type"].startswith("chat:")]
    fixed = [each for each in said if each["type"] in ("chat:message", "chat:streaming")]
    assert (fixed[0]["type"], fixed[0]["data"]["role"]) == ("chat:message", "user")
    chunks = [each["data"] for each in fixed[1:-1]]
    assert {each["done"] for each in chunks[:-1]} == {False}
    assert (chunks[-1]["chunk"], chunks[-1]["done"]) == ("", True)
    answer = fixed[-1]["data"]
    assert isinstance(answer["id"], int)
    assert answer["conversationId"] == 41
    assert answer["content"] == "".join(each["chunk"] for each in chunks)
    assert answer["content"]
    assert heard["task"][-1]["data"] == {"taskId": 5}
