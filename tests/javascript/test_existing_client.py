"""The existing JavaScript client works with nothing changed but its address."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.browser import chromium
from tests.hub_process import HubProcess

HERE = Path(__file__).parent

RUN = """
import {{ talk }} from {module};
const heard = await talk({mesh}, {hub}, {task}, {units});
console.log(JSON.stringify(heard));
process.exit(0);
"""


class Pages(http.server.SimpleHTTPRequestHandler):
    """Serves this folder, quietly."""

    extensions_map: ClassVar = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
    }

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    handler = functools.partial(Pages, directory=str(HERE))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def hub(origin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    data = tmp_path_factory.mktemp("data")
    (data / "batch.bin").write_bytes(b"any bytes will do")
    process = HubProcess(data, WORKBENCH_ORIGINS=origin)
    said = process.start()
    yield said
    assert process.stop() == 0


def addresses(said: dict[str, Any]) -> dict[str, str]:
    return {
        name: f"{said[key]}?token={said['token']}"
        for name, key in (("mesh", "mesh"), ("hub", "ws"))
    }


def check(heard: dict[str, list[dict[str, Any]]], units: int) -> None:
    by_type = {message["type"]: message for message in heard["done"]}
    result = by_type["taskResult"]
    assert result["success"] is True
    assert result["result"]["data"]["units"] == units
    assert 0 < by_type["taskProgress"]["progress"] <= 1
    assert isinstance(by_type["log"]["content"], str)
    assert isinstance(by_type["log"]["timestamp"], int)

    assert heard["cancelled"][-1]["type"] == "error"
    assert heard["cancelled"][-1]["code"] == "cancelled"
    assert heard["refused"][-1]["type"] == "error"
    assert "nonsense" in heard["refused"][-1]["error"]

    hub = {message["type"]: message for message in heard["hub"]}
    assert 0 <= hub["metrics"]["data"]["cpu"]["usage"] <= 100
    assert 0 < hub["metrics"]["data"]["memory"]["usedPercent"] < 100
    assert {"id", "title", "status"} <= hub["task:update"]["data"]["task"].keys()


def test_from_node(hub: dict[str, Any]) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    where = addresses(hub)
    script = RUN.format(
        module=json.dumps((HERE / "existing_client.mjs").as_uri()),
        mesh=json.dumps(where["mesh"]),
        hub=json.dumps(where["hub"]),
        task=json.dumps("from-node"),
        units=20,
    )
    run = subprocess.run(
        [node, "--no-warnings", "--experimental-websocket", "--input-type=module", "-e", script],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert run.returncode == 0, run.stderr
    check(json.loads(run.stdout), units=20)


@pytest.mark.browser
def test_from_a_page_on_a_listed_origin(hub: dict[str, Any], origin: str) -> None:
    from playwright.sync_api import sync_playwright

    where = addresses(hub)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        page = browser.new_page()
        page.goto(f"{origin}/existing_client.mjs")
        heard = page.evaluate(
            """async ([mesh, hub]) => {
                const client = await import("/existing_client.mjs");
                return client.talk(mesh, hub, "from-page", 21);
            }""",
            [where["mesh"], where["hub"]],
        )
        browser.close()
    check(heard, units=21)


@pytest.mark.browser
def test_a_page_on_a_foreign_origin_stays_out(hub: dict[str, Any], origin: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        page = browser.new_page()
        page.goto(origin.replace("127.0.0.1", "localhost") + "/existing_client.mjs")
        heard = page.evaluate(
            """(address) => new Promise((resolve) => {
                const socket = new WebSocket(address);
                socket.onopen = () => resolve("let in");
                socket.onerror = () => resolve("kept out");
            })""",
            addresses(hub)["mesh"],
        )
        browser.close()
    assert heard == "kept out"
