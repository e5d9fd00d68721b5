"""Says what is there on this machine, what is missing, and the remedy. Changes nothing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import socket
import sys
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from workbench.clients.discovery import hub_process
from workbench.collectors.gpu import Gpus
from workbench.core.gpu import Gpu
from workbench.settings import Settings

State = Literal["ok", "missing", "weak", "failed"]
MARKS: dict[State, str] = {"ok": "✓", "missing": "–", "weak": "!", "failed": "✗"}

ROOM_MB = 2000
LLM_SERVERS = {1234: "LM Studio", 11434: "Ollama", 8080: "llama.cpp", 8000: "vLLM"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE_S = 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it stands, and what mends it."""

    what: str
    state: State
    detail: str
    remedy: str = ""
    essential: bool = False
    """Whether the workbench is useless without it."""


def examine(settings: Settings, *, network: bool = False) -> list[Finding]:
    """Every finding, in the order of a reader's questions. Takes about a second.

    Nothing leaves this machine unless `network` asks whether public names resolve.
    """
    checks: list[Callable[[], Iterable[Finding]]] = [
        lambda: [python_version()],
        lambda: [platform()],
        lambda: [packages()],
        lambda: [data_folder(settings.data)],
        lambda: [disk_space(settings.data)],
        lambda: [hub(settings)],
        lambda: ports(settings),
        lambda: [browser()],
        lambda: computing(),
        lambda: [language_models(settings)],
    ]
    if network:
        checks.append(lambda: [public_names()])
    with ThreadPoolExecutor(len(checks)) as pool:
        return [finding for found in pool.map(_safely, checks) for finding in found]


def _safely(check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """A check that fails is a finding too: the doctor never falls ill himself."""
    try:
        return list(check())
    except Exception as error:
        return [Finding("this check", "failed", repr(error), "report it as an issue")]


def python_version() -> Finding:
    """3.11 to 3.13, as pyproject.toml has it."""
    found = sys.version.split()[0]
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding("Python", "ok", found, essential=True)
    remedy = "install Python 3.11, 3.12 or 3.13 and run `make setup` with it"
    return Finding("Python", "failed", found, remedy, essential=True)


def platform() -> Finding:
    """Linux in full; elsewhere the doctor says what is weaker."""
    if sys.platform.startswith("linux"):
        return Finding("operating system", "ok", "Linux")
    detail = f"{sys.platform}: memory limits of queries and container limits are not enforced"
    return Finding("operating system", "weak", detail, "use Linux (or WSL 2) for everything")


def packages() -> Finding:
    """Every package that the installed workbench declares."""
    try:
        declared = importlib.metadata.requires("runes-workbench") or []
    except importlib.metadata.PackageNotFoundError:
        detail = "the package runes-workbench is not installed"
        return Finding("packages", "failed", detail, "run `make setup`", essential=True)
    names = [re.split(r"[\s;<>=!~\[]", line)[0] for line in declared if "extra ==" not in line]
    missing = [name for name in names if not _installed(name)]
    if not missing:
        return Finding("packages", "ok", f"all {len(names)} installed", essential=True)
    detail = "missing: " + ", ".join(missing)
    return Finding("packages", "failed", detail, "run `make setup`", essential=True)


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def data_folder(data: Path) -> Finding:
    """The data folder, or the nearest one above it that exists, is writable."""
    existing = _nearest(data)
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        made = "" if data.is_dir() else " (made at the first start)"
        return Finding("data folder", "ok", f"{data}{made}", essential=True)
    remedy = "set WORKBENCH_DATA to a folder that you can write to"
    detail = f"{data} is not writable"
    return Finding("data folder", "failed", detail, remedy, essential=True)


def disk_space(data: Path) -> Finding:
    """Room for data; a block with its tables takes some MB."""
    free_mb = shutil.disk_usage(_nearest(data)).free // 1_000_000
    if free_mb >= ROOM_MB:
        return Finding("disk space", "ok", f"{free_mb:,} MB free")
    remedy = "free some room, or set WORKBENCH_DATA to another disk"
    return Finding("disk space", "weak", f"only {free_mb:,} MB free", remedy)


def _nearest(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())


def hub(settings: Settings) -> Finding:
    """A running hub, found as a kernel finds it."""
    try:
        said = json.loads((settings.data / "hub.json").read_text(encoding="utf-8"))
        found = f"running as process {said['pid']}, {said['ws']} and {said['mesh']}"
    except (OSError, ValueError, KeyError, TypeError):
        return Finding("hub", "missing", "not running", "`workbench hub`, or just open a notebook")
    if _get(said["ws"].replace("ws://", "http://", 1).removesuffix("/ws") + "/health") is None:
        return _silent_hub(settings.data)
    return Finding("hub", "ok", found)


def _silent_hub(data: Path) -> Finding:
    """One that is gone, or one that lives and says nothing."""
    alive = hub_process(data)
    if alive is None:
        detail = "hub.json is there, but the hub does not answer"
        return Finding("hub", "weak", detail, "`workbench hub` starts it again")
    detail = (
        f"process {alive.pid} holds the store but does not answer: it is stopped, or works hard"
    )
    remedy = f"`kill -CONT {alive.pid}` lets it go on, `workbench stop` ends it"
    return Finding("hub", "weak", detail, remedy)


def ports(settings: Settings) -> list[Finding]:
    """The two ports of the hub."""
    wanted = {"port of /ws": settings.ws_port, "port of /mesh": settings.mesh_port}
    return [_port(what, number) for what, number in wanted.items()]


def _port(what: str, number: int) -> Finding:
    answer = _get(f"http://localhost:{number}/health") if number else None
    if answer is not None and b'"wire"' in answer:
        return Finding(what, "ok", f"{number}: a hub answers")
    if not number or not _listens(number):
        return Finding(what, "ok", f"{number} is free" if number else "any free one")
    remedy = "stop the program on it, set another port, or start with --free-ports"
    return Finding(what, "weak", f"{number} is taken by another program", remedy)


def browser() -> Finding:
    """A browser to see the page in; the tests drive a Chromium."""
    for name in BROWSERS:
        path = shutil.which(name)
        if path:
            return Finding("Chromium", "ok", path)
    detail = "none found: only the browser tests need it"
    return Finding("Chromium", "missing", detail, "Debian: apt install chromium")


def computing() -> list[Finding]:
    """The GPUs, and what computes on them."""
    found = gpu()
    return [found, pytorch(beside_gpu=found.state != "missing")]


def pytorch(*, beside_gpu: bool) -> Finding:
    """With it models compute on a GPU; without it, and without a GPU, on the CPU. Not imported:
    that takes seconds."""
    install = 'pip install "runes-workbench[gpu]"'
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        remedy = install if beside_gpu else f"none without a GPU; with one: {install}"
        return Finding("PyTorch", "missing", "not installed: models compute on the CPU", remedy)
    text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    said = dict(re.findall(r"^(__version__|cuda|hip)\b.*= ['\"](.+)['\"]$", text, re.MULTILINE))
    version = said.get("__version__", "of an unknown version")
    builds = {"cuda": "CUDA", "hip": "ROCm"}
    build = next((f"{name} {said[key]}" for key, name in builds.items() if key in said), "")
    detail = f"{version} for {build or 'the CPU only'}"
    if not beside_gpu:
        return Finding("PyTorch", "ok", f"{detail}; no GPU: models compute on the CPU")
    if not build:
        remedy = "install the build for your GPU's driver: https://pytorch.org/get-started/locally/"
        return Finding("PyTorch", "weak", f"{detail}: models compute there", remedy)
    return Finding("PyTorch", "ok", f"{detail}: neuro-embed computes on a GPU whose memory is free")


def gpu() -> Finding:
    """NVIDIA through NVML, AMD through the kernel's own files. None is no fault."""
    gpus = Gpus()
    try:
        reading = gpus.read()
    finally:
        gpus.close()
    if not reading.gpus and str(reading.note).startswith("no GPU was found"):
        detail = f"{reading.note}; tasks run on the CPU"
        return Finding("GPU", "missing", detail, "install the vendor's driver if there is one")
    detail = ", ".join(map(_gpu, reading.gpus)) or "none can be read: tasks run on the CPU"
    ill = [gpu.note for gpu in reading.gpus if gpu.state != "ok"]
    remedies = dict.fromkeys(str(note) for note in (reading.note, *ill) if note is not None)
    return Finding("GPU", "weak" if remedies else "ok", detail, "; ".join(remedies))


def _gpu(found: Gpu) -> str:
    """Its number, name and memory, and how it stands if it does not work."""
    name = f"{found.gpu_id} {found.name or found.vendor.upper()}"
    if found.memory_total_mb is not None:
        name += f" ({found.memory_total_mb / 1000:.1f} GB)"
    return name if found.state == "ok" else f"{name} is {found.state}"


def language_models(settings: Settings) -> Finding:
    """Servers on this machine's usual ports, servers of the settings, and model files."""
    with ThreadPoolExecutor(len(LLM_SERVERS)) as pool:
        answers = list(pool.map(_models_at, LLM_SERVERS))
    found = [
        f"{LLM_SERVERS[port]} on {port}"
        for port, answers_there in zip(LLM_SERVERS, answers, strict=True)
        if answers_there
    ]
    found += settings.llm_servers
    folder = model_folder(settings)
    files = len(list(folder.glob("**/*.gguf"))) if folder.is_dir() else 0
    has_worker = settings.llama_server is not None or _installed("xllamacpp")
    if files and has_worker:
        found.append(f"{files} model file{'' if files == 1 else 's'} in {folder}")
    if found:
        return Finding("language models", "ok", ", ".join(found))
    usual = ", ".join(f"{port} ({name})" for port, name in LLM_SERVERS.items())
    detail = f"no model file in {folder}, and no server on the usual ports: {usual}"
    servers = (
        "install Ollama (https://ollama.com) and run `ollama pull qwen3:4b`, or start the server "
        "of LM Studio, llama.cpp or vLLM"
    )
    own = f"put a GGUF file into {folder}, or " if has_worker else ""
    return Finding("language models", "missing", f"{detail}; all else works", own + servers)


def model_folder(settings: Settings) -> Path:
    """Where the hub's own worker finds models."""
    return settings.models or settings.data / "models"


def _models_at(port: int) -> bool:
    """Whether the server there speaks OpenAI's list of models."""
    answer = _get(f"http://localhost:{port}/v1/models")
    return answer is not None and b'"data"' in answer


def public_names() -> Finding:
    """Whether names resolve. Without a network everything but fetching blocks works."""
    try:
        socket.getaddrinfo("mempool.space", 443)
    except OSError:
        detail = "no names resolve: only fetching blocks needs a network"
        return Finding("network", "missing", detail, "connect, or bring blocks as files")
    return Finding("network", "ok", "names resolve")


def _listens(port: int) -> bool:
    for host in ("127.0.0.1", "::1"):
        try:
            with socket.create_connection((host, port), timeout=PATIENCE_S):
                return True
        except OSError:
            continue
    return False


def _get(url: str) -> bytes | None:
    """The start of a page on this machine; None where nothing answers with success."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=PATIENCE_S) as answer:
            return bytes(answer.read(65536))
    except (OSError, ValueError):
        return None


def lines(findings: Iterable[Finding]) -> list[str]:
    """The findings as a person reads them: the remedy under what needs one."""
    shown: list[str] = []
    for each in findings:
        shown.append(f"{MARKS[each.state]} {each.what:<18} {each.detail}")
        if each.remedy and each.state != "ok":
            shown.append(f"  {'':<18} → {each.remedy}")
    return shown


def as_json(findings: Iterable[Finding]) -> str:
    """The findings for a program."""
    return json.dumps([asdict(each) for each in findings], indent=1)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 unless something is missing without which nothing works."""
    return 1 if any(each.essential and each.state == "failed" for each in findings) else 0
