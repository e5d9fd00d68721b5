"""How fast a model file comes, verified, against curl, aria2 and hf_hub_download: MB/s and CPU.

One file over loopback, at full speed and with each connection limited, every client in turn
and in a process of its own; the best of some rounds. "curl + sha256sum" is what a careful
person would type. Aims: at least its speed on one connection; 2.5 times curl's where each
connection is limited.

    python benchmarks/downloads.py [MiB] [rounds] [folder]
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LIMIT_BYTES_S = 20e6
AIM, AIM_LIMITED = 1.0, 2.5

Client = Callable[[str, int, str, Path], list[list[str]]]
"""The commands that fetch url, size and sha256 into a folder."""


def curl(url: str, size: int, sha256: str, folder: Path) -> list[list[str]]:
    return [["curl", "-sS", "-o", str(folder / "model.gguf"), url]]


def careful(url: str, size: int, sha256: str, folder: Path) -> list[list[str]]:
    return [*curl(url, size, sha256, folder), ["sha256sum", str(folder / "model.gguf")]]


def aria2(url: str, size: int, sha256: str, folder: Path) -> list[list[str]]:
    many = ["-x6", "-s6", "--file-allocation=none", f"--checksum=sha-256={sha256}"]
    return [["aria2c", "-q", *many, "-d", str(folder), "-o", "model.gguf", url]]


def python(name: str) -> Client:
    script = str(HERE / "_download_one.py")
    return lambda url, size, sha256, folder: [
        [sys.executable, script, name, url, str(size), sha256, str(folder)]
    ]


CLIENTS: dict[str, Client] = {
    "curl": curl,
    "curl + sha256sum": careful,
    "aria2": aria2,
    "hf_hub_download": python("hub"),
    "workbench": python("ours"),
}


@contextmanager
def serving(path: Path, sha256: str, bytes_s: float) -> Iterator[str]:
    command = [sys.executable, str(HERE / "_file_server.py"), str(path), sha256, str(bytes_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        yield f"http://127.0.0.1:{port}/org/model/resolve/main/model.gguf"
    finally:
        process.kill()
        process.communicate()


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def once(client: Client, url: str, size: int, sha256: str, folder: Path) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    place = Path(tempfile.mkdtemp(dir=folder))
    env = {**os.environ, "PYTHONPATH": str(HERE.parent), "HF_HUB_DISABLE_XET": "1"}
    env |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    os.sync()
    before, began = cpu_s(), time.monotonic()
    try:
        for command in client(url, size, sha256, place):
            subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)
        return time.monotonic() - began, cpu_s() - before
    finally:
        shutil.rmtree(place)


def made(path: Path, size_mb: int) -> str:
    """A file of random bytes, and its sha256."""
    sha = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(size_mb):
            block = os.urandom(1 << 20)
            sha.update(block)
            file.write(block)
    return sha.hexdigest()


def compared(title: str, clients: list[str], rounds: int, *what: Any) -> dict[str, float]:
    """Prints the best of each, and gives their seconds."""
    best: dict[str, tuple[float, float]] = {}
    for _ in range(rounds):
        for name in clients:
            found = once(CLIENTS[name], *what)
            best[name] = min(best.get(name, found), found)
    print(title)
    for name, (wall_s, used_s) in best.items():
        speed = what[1] / wall_s / 1e6
        print(f"  {name:18} {speed:7.0f} MB/s  {wall_s:6.2f} s  {used_s:6.2f} CPU-s")
    return {name: wall_s for name, (wall_s, _) in best.items()}


def main(size_mb: int = 1024, rounds: int = 3, folder: str | None = None) -> None:
    tools = {"curl": "curl", "curl + sha256sum": "curl", "aria2": "aria2c"}
    clients = [name for name in CLIENTS if name not in tools or shutil.which(tools[name])]
    print("not here:", ", ".join(set(CLIENTS) - set(clients)) or "nothing")
    with tempfile.TemporaryDirectory(dir=folder) as name:
        path, size = Path(name) / "source", size_mb << 20
        sha256 = made(path, size_mb)
        with serving(path, sha256, 0) as url:
            full = compared("full speed", clients, rounds, url, size, sha256, Path(name))
        with serving(path, sha256, LIMIT_BYTES_S) as url:
            each = compared("20 MB/s each", clients, 1, url, size, sha256, Path(name))
    for title, times, against, aim in (
        ("one connection, verified, against curl + sha256sum", full, "curl + sha256sum", AIM),
        ("one connection, verified, against curl alone", full, "curl", AIM),
        ("limited connections, verified, against curl alone", each, "curl", AIM_LIMITED),
    ):
        if against in times:
            print(f"{title}: {times[against] / times['workbench']:.2f} times (aim {aim})")


if __name__ == "__main__":
    sizes = [int(word) for word in sys.argv[1:3]]
    main(*sizes, *sys.argv[3:4])
