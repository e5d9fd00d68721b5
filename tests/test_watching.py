"""`/metrics`: what Prometheus reads of a hub, who may read it, and what never stands in it."""

from __future__ import annotations

import asyncio
import json
import platform
import urllib.error
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from tests.hubs import running_hub
from tests.test_listener import TOKEN, opened
from workbench.core.gpu import Gpu, GpuReading
from workbench.core.host import Cpu, Disk, HostSample, Memory, Network
from workbench.core.metrics import LlmReading, Sample
from workbench.core.tally import Durations, Tally
from workbench.listener import Listener
from workbench.store import Figures
from workbench.version import VERSION
from workbench.watching import FRESH_S, Metrics, Watched

Numbers = dict[tuple[str, ...], float]


def read(text: str) -> Numbers:
    """(name, values of the labels in their order...) -> value, by Prometheus' own parser."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def ask(url: str, token: str | None = None) -> tuple[int, str, str]:
    """(status, content type, body) of a page on this machine."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


async def test_a_hub_counts_what_it_did_and_shows_it_to_whoever_has_a_token(
    tmp_path: Path,
) -> None:
    settings = {"token": "canary-admin", "view_token": "canary-view", "llm_discover": False}
    async with running_hub(tmp_path, **settings) as hub:
        ws_url, mesh_url = hub.urls()
        async with connect(mesh_url, proxy=None) as mesh, connect(ws_url, proxy=None) as board:
            for number, model in enumerate(("steady", "steady", "nowhere")):
                task = {"type": "task", "taskId": f"secret-{number}", "model": model}
                await mesh.send(json.dumps({**task, "inputData": {}, "parameters": {"units": 1}}))
            ended = 0
            while ended < 2:
                ended += json.loads(await mesh.recv())["type"] == "taskResult"
            for sql in ("SELECT 1", "SELECT canary"):
                await board.send(json.dumps({"type": "query", "data": {"sql": sql}}))
                while json.loads(await board.recv())["type"] not in ("query:done", "error"):
                    await board.recv()  # the frame of a batch
            pages = [at.replace("ws:", "http:") for at in (hub.ws_url, hub.mesh_url)]
            pages = [at.rsplit("/", 1)[0] + "/metrics" for at in pages]
            refused, _, why = await asyncio.to_thread(ask, pages[0])
            wrong, _, _ = await asyncio.to_thread(ask, pages[0], "wrong-token")
            status, kind, text = await asyncio.to_thread(ask, pages[1], "canary-view")
            by_address = await asyncio.to_thread(ask, pages[0] + "?token=canary-view")
    assert (refused, wrong, status, by_address[0]) == (401, 401, 200, 200)
    assert "send 'Authorization: Bearer ...'" in why
    assert kind.startswith("text/plain")
    found = read(text)
    assert found["workbench_task_duration_seconds_count", "done"] == 2
    assert found["workbench_tasks", "queued"] == found["workbench_slots_busy",] == 0
    assert found["workbench_slots",] == 1
    assert found["workbench_query_duration_seconds_count", "done"] == 1
    assert found["workbench_query_duration_seconds_count", "failed"] == 1
    assert found["workbench_connections", "/mesh", "admin"] == 1
    assert found["workbench_connections_refused_total", "/ws", "401"] == 2
    assert found["workbench_messages_received_total", "/mesh"] == 3
    assert found["workbench_messages_sent_total", "/mesh"] >= 5
    assert found["workbench_store_commit_seconds_count",] >= 1
    assert found["workbench_store_rows_total",] >= 4
    assert found["process_resident_memory_bytes",] > 1e6
    assert found["workbench_build_info", platform.python_version(), VERSION, "1"] == 1
    assert "canary" not in text
    assert "secret" not in text


class Still:
    """Parts of a hub that have seen something and do nothing."""

    ended = Tally()
    slow_readers = 1
    tokens_written = 7
    newest = Sample(
        taken_at=0,
        host=HostSample(
            taken_at=0,
            cpu=Cpu(50.0, 2.0, 1.0),
            memory=Memory(None, None, None),
            disk=Disk(None, 12.0, None),
            network=Network(None, None),
        ),
        gpus=GpuReading(
            gpus=(
                Gpu(gpu_id="0", vendor="nvidia", name='A "fast" one', utilization=40.0),
                Gpu(gpu_id="1", vendor="amd", state="denied"),
            )
        ),
    )
    read_at = 100.0

    def standing(self) -> dict[str, int]:
        return {"queued": 3, "fetching": 0, "running": 1, "cancelling": 1}

    def readings(self) -> tuple[LlmReading, ...]:
        return (LlmReading(requests=4), LlmReading(model="my-secret-model@here", requests=4))


def shown(now: float) -> Numbers:
    still = Still()
    figures = Figures(Durations(), 0, 0, 0, 0, 0, Tally())
    watched = Watched(
        build={"version": "1"},
        draining=lambda: True,
        node=still,
        slots=lambda: 2,
        store=lambda: figures,
        models=still,
        downloads=list,
        sampler=still,
        listeners=lambda: [Listener(port=1, path="/ws")],
    )
    _, page = Metrics(watched, now=lambda: now).page()
    return read(page.decode())


def test_the_newest_sample_is_shown_in_base_units_and_what_is_missing_is_left_out() -> None:
    found = shown(now=101.0)
    assert found["workbench_gpu_utilization_ratio", "0"] == 0.4
    assert ("workbench_gpu_utilization_ratio", "1") not in found
    assert found["workbench_gpu_info", "0", 'A "fast" one', "ok", "nvidia"] == 1
    assert found["workbench_host_cpu_ratio",] == 0.5
    assert found["workbench_host_disk_free_bytes",] == 12e6
    assert ("workbench_host_memory_bytes",) not in found


def test_an_old_sample_says_nothing_about_now() -> None:
    found = shown(now=100.0 + FRESH_S + 1)
    assert not [name for name, *_ in found if "gpu" in name or "host" in name]


def test_names_of_models_are_in_no_label() -> None:
    found = shown(now=101.0)
    assert found["workbench_llm_requests_total",] == 4
    assert found["workbench_llm_tokens_total",] == 7
    assert found["workbench_slots_busy",] == 2
    assert found["workbench_draining",] == 1
    assert not [key for key in found if "my-secret-model@here" in key]


async def test_only_its_own_path_is_answered_and_only_where_there_are_figures() -> None:
    def page() -> tuple[str, bytes]:
        return "text/plain", b"x 1\n"

    async with opened(figures=page) as listener, opened() as without:
        url = f"http://127.0.0.1:{listener.port}"
        assert await asyncio.to_thread(ask, url + "/metrics", TOKEN) == (200, "text/plain", "x 1\n")
        assert (await asyncio.to_thread(ask, url + "/metricsx", TOKEN))[0] == 404
        other = f"http://127.0.0.1:{without.port}/metrics"
        assert (await asyncio.to_thread(ask, other, TOKEN))[0] == 404
