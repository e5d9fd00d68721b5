"""The doctor: each finding says what, how it stands and the remedy; the exit code says enough."""

from __future__ import annotations

import http.server
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collectors.fake_nvml import World
from workbench import doctor
from workbench.doctor import Finding
from workbench.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", ws_port=0, mesh_port=0)


def test_a_healthy_machine_has_nothing_essential_missing(settings: Settings) -> None:
    findings = doctor.examine(settings)
    assert doctor.exit_code(findings) == 0
    named = {finding.what: finding for finding in findings}
    for what in (
        "Python",
        "packages",
        "data folder",
        "disk space",
        "hub",
        "Chromium",
        "GPU",
        "PyTorch",
    ):
        assert what in named
    assert "network" not in named
    assert all(finding.remedy for finding in findings if finding.state != "ok")


def test_it_changes_nothing(settings: Settings) -> None:
    doctor.examine(settings)
    assert not settings.data.exists()


def test_a_data_folder_that_cannot_be_written_is_essential(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    finding = doctor.data_folder(blocked / "data")
    assert (finding.state, finding.essential) == ("failed", True)
    assert finding.remedy == "set WORKBENCH_DATA to a folder that you can write to"
    assert doctor.exit_code([finding]) == 1


def test_a_taken_port_is_weak_and_says_what_helps(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        found = doctor.ports(Settings(data=tmp_path, ws_port=port, mesh_port=0))
    assert found[0].state == "weak"
    assert found[0].detail == f"{port} is taken by another program"
    assert "--free-ports" in found[0].remedy
    assert found[1] == Finding("port of /mesh", "ok", "any free one")


def test_a_stale_hub_file_is_told_from_a_running_hub(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gone = unused.getsockname()[1]
        said = {"pid": os.getpid(), "ws": f"ws://localhost:{gone}/ws", "mesh": "ws://x/mesh"}
        (tmp_path / "hub.json").write_text(json.dumps(said))
        assert doctor.hub(Settings(data=tmp_path)).state == "weak"


@pytest.fixture
def llm_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server that lists models as OpenAI's API does."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"object": "list", "data": []}')

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_language_model_server_is_found(
    monkeypatch: pytest.MonkeyPatch, llm_port: int, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "LLM_SERVERS", {llm_port: "Ollama"})
    found = doctor.language_models(Settings(data=tmp_path))
    assert (found.state, found.detail) == ("ok", f"Ollama on {llm_port}")


def test_a_model_file_counts_where_something_can_run_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "LLM_SERVERS", {1: "Ollama"})
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "small.gguf").write_bytes(b"GGUF")
    own = Settings(data=tmp_path, llama_server=tmp_path / "llama-server")
    found = doctor.language_models(own)
    assert (found.state, found.detail) == ("ok", f"1 model file in {tmp_path / 'models'}")


def test_no_language_model_is_said_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "LLM_SERVERS", {1: "Ollama"})
    found = doctor.language_models(Settings(data=tmp_path))
    assert found.state == "missing"
    assert "usual ports: 1 (Ollama);" in found.detail
    assert "`ollama pull " in found.remedy
    assert str(tmp_path / "models") in found.detail


def test_a_check_that_breaks_is_a_finding() -> None:
    def broken() -> list[Finding]:
        raise ZeroDivisionError("by zero")

    (found,) = doctor._safely(broken)
    assert (found.state, found.essential) == ("failed", False)
    assert "by zero" in found.detail


def test_the_remedy_stands_under_what_needs_one() -> None:
    fine = Finding("disk", "ok", "much", "unused remedy")
    short = Finding("disk", "weak", "little", "free some")
    assert doctor.lines([fine, short]) == [
        "✓ disk               much",
        "! disk               little",
        "                     → free some",
    ]


def test_a_program_can_read_it(settings: Settings) -> None:
    read = json.loads(doctor.as_json([Finding("GPU", "missing", "none", "buy one")]))
    assert read == [
        {
            "what": "GPU",
            "state": "missing",
            "detail": "none",
            "remedy": "buy one",
            "essential": False,
        }
    ]


def test_gpus_are_named_with_their_memory(tmp_path: Path) -> None:
    with World(tmp_path).loaded() as world:
        world.gpu(0, name="NVIDIA H200", memory_total_mb=150_000)
        world.gpu(1, name="NVIDIA L4", memory_total_mb=24_000)
        found = doctor.gpu()
    assert found == Finding("GPU", "ok", "0 NVIDIA H200 (150.0 GB), 1 NVIDIA L4 (24.0 GB)")


def test_a_gpu_that_does_not_work_is_weak_and_says_what_helps(tmp_path: Path) -> None:
    with World(tmp_path).loaded() as world:
        world.gpu(0, name="NVIDIA L4", memory_total_mb=24_000)
        world.gpu(1)
        world.error("memory", 4, gpu=0)
        world.error("utilization", 4, gpu=0)
        found = doctor.gpu()
    assert found.state == "weak"
    assert "0 NVIDIA L4 is denied" in found.detail
    assert found.remedy.startswith("no permission to read its figures: ")


def test_a_driver_that_cannot_be_read_is_no_missing_one(tmp_path: Path) -> None:
    with World(tmp_path).loaded() as world:
        world.gpu(0)
        world.error("init", 18)
        found = doctor.gpu()
    assert (found.state, found.detail) == ("weak", "none can be read: tasks run on the CPU")
    assert "restart the machine" in found.remedy


def test_a_machine_without_a_gpu_is_a_normal_state(tmp_path: Path) -> None:
    with World(tmp_path).loaded():
        found = doctor.gpu()
    assert found.state == "missing"
    assert found.detail.startswith("no GPU was found: ")
    assert found.detail.endswith("tasks run on the CPU")


def installed_pytorch(
    folder: Path, monkeypatch: pytest.MonkeyPatch, version: str, cuda: str
) -> None:
    """A PyTorch that says of itself what the real one does, and nothing else."""
    package = folder / "torch"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('the doctor imports it')")
    (package / "version.py").write_text(
        f"from typing import Optional\n__version__ = '{version}'\ndebug = False\n"
        f"cuda: Optional[str] = {cuda}\nhip: Optional[str] = None\n"
    )
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize(
    ("version", "cuda", "beside_gpu", "state", "detail"),
    [
        (
            "2.13.0+cu130",
            "'13.0'",
            True,
            "ok",
            "2.13.0+cu130 for CUDA 13.0: neuro-embed computes on a GPU whose memory is free",
        ),
        ("2.13.0+cpu", "None", True, "weak", "2.13.0+cpu for the CPU only: models compute there"),
        (
            "2.13.0",
            "'13.0'",
            False,
            "ok",
            "2.13.0 for CUDA 13.0; no GPU: models compute on the CPU",
        ),
    ],
)
def test_pytorch_is_named_with_what_it_was_built_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    cuda: str,
    beside_gpu: bool,
    state: str,
    detail: str,
) -> None:
    installed_pytorch(tmp_path, monkeypatch, version, cuda)
    found = doctor.pytorch(beside_gpu=beside_gpu)
    assert (found.state, found.detail) == (state, detail)
    assert bool(found.remedy) == (state == "weak")


def test_without_pytorch_the_remedy_is_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    found = doctor.pytorch(beside_gpu=True)
    assert found == Finding(
        "PyTorch",
        "missing",
        "not installed: models compute on the CPU",
        'pip install "runes-workbench[gpu]"',
    )
    assert doctor.pytorch(beside_gpu=False).remedy.startswith("none without a GPU")
