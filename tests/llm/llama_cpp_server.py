"""llama.cpp's server in a process of its own, with the words of `llama-server`'s command line.

As a program: `python -m tests.llm.llama_cpp_server --model FILE ...`, the key in LLAMA_API_KEY.
It is the real engine (xllamacpp holds the whole server); only the command line is ours, and it
knows no more of it than the tests and the embedded worker use.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@contextlib.contextmanager
def llama_cpp_server(
    model: Path, *arguments: str, alias: str = "tiny", key: str = ""
) -> Iterator[str]:
    """`with llama_cpp_server(path) as url:` gives a server that is ready; it is ended after."""
    port_read, port_write = os.pipe()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.llm.llama_cpp_server", "--model", str(model)),
            *("--alias", alias, "--port", "0", "--tell", str(port_write), *arguments),
        ],
        cwd=ROOT,
        env={**os.environ, "LLAMA_API_KEY": key},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(port_write,),
    )
    os.close(port_write)
    try:
        with os.fdopen(port_read) as said:
            url = said.readline().strip()
        assert url, f"the server ended with {process.wait(30)}"
        yield url
    finally:
        process.kill()
        process.wait(10)


def program(folder: Path) -> Path:
    """A file that can be run as if it were the user's own `llama-server`."""
    path = folder / "llama-server"
    path.write_text(
        f'#!/bin/sh\ncd {ROOT}\nexec {sys.executable} -m tests.llm.llama_cpp_server "$@"\n'
    )
    path.chmod(0o755)
    return path


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--model", required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--ctx-size", type=int, default=4096)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--n-gpu-layers", type=int, default=0)
    parser.add_argument("--reasoning-format", default="deepseek")
    parser.add_argument("--pooling", default=None)
    parser.add_argument("--ubatch-size", type=int, default=512)
    for flag in ("--jinja", "--embeddings"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--tell", type=int, help="a descriptor to write the address to")
    return parser.parse_args()


def main() -> None:
    """Serve until it is killed."""
    import xllamacpp

    said = _parsed()
    params = xllamacpp.CommonParams()
    params.model.path, params.model_alias = said.model, {said.alias}
    params.hostnames, params.port = [said.host], said.port
    params.api_keys = [key] if (key := os.environ.get("LLAMA_API_KEY", "")) else []
    params.n_ctx, params.n_parallel = said.ctx_size, said.parallel
    params.n_ubatch, params.embedding = said.ubatch_size, said.embeddings
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = said.threads
    if said.pooling:
        params.pooling_type = xllamacpp.llama_pooling_type(
            {"none": 0, "mean": 1, "cls": 2, "last": 3}[said.pooling]
        )
    server = xllamacpp.Server(params)
    if said.tell is not None:
        os.write(said.tell, f"{server.listening_address}\n".encode())
        os.close(said.tell)
    signal.pause()


if __name__ == "__main__":
    main()
