"""The process that runs one model: `python -m workbench.llm.worker`, started by `Worker` alone.

Its order is one line of JSON on standard input, which also carries the key: no secret stands
on a command line. It answers one line on standard output and then serves llama.cpp's HTTP API
on a port of 127.0.0.1; llama.cpp's log goes to standard error. It never outlives its parent:
on Linux the kernel kills it, elsewhere a thread sees standard input close.

This is the only file that imports xllamacpp. Its constructor holds the interpreter for as long
as a model loads, which is one reason for a process of its own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from workbench.core.llm import LoadOptions

PR_SET_PDEATHSIG = 1
DEFAULT_CONTEXT = 8192
PROMPT_CACHE_MIB = 256
BATCH_SIZE = 2048
SPLIT_MODES = ("none", "layer", "row")
FLASH_ATTENTION = {None: -1, False: 0, True: 1}
POOLING_MEAN = 1
REASONING_APART = 3  # thoughts as reasoning_content, as DeepSeek's API has them
CACHE_TYPES = {
    "f32": 0,
    "f16": 1,
    "q4_0": 2,
    "q4_1": 3,
    "q5_0": 6,
    "q5_1": 7,
    "q8_0": 8,
    "iq4_nl": 20,
    "bf16": 30,
}
"""`ggml_type` in llama.cpp's ggml.h."""
LOGGED_S = 0.3


class Order(msgspec.Struct, kw_only=True):
    """What a worker is to do. Without a model it only says what this build can."""

    parent: int
    model: str = ""
    alias: str = ""
    key: str = ""
    context_size: int = DEFAULT_CONTEXT
    """Tokens per conversation."""
    options: LoadOptions = LoadOptions()
    pooled: bool = False
    """Whether the model says itself how it pools."""
    binary: str = ""
    """A llama-server to become, instead of xllamacpp."""
    port: int = 0

    def __repr__(self) -> str:
        return f"Order(model={self.model!r})"  # the key is a secret


class Ready(msgspec.Struct, kw_only=True):
    """The handshake: the model is loaded and answers at `url`."""

    url: str = ""
    version: str = ""
    gpus: tuple[str, ...] = ()
    problem: str = ""
    """Why there is no xllamacpp; empty where there is."""


def threads_of(options: LoadOptions) -> int:
    """All cores but one: llama.cpp's threads wait busily, and a hub has other work too."""
    return options.threads or max(1, (os.cpu_count() or 2) - 1)


def arguments(order: Order) -> list[str]:
    """`order` in the words of a llama-server's command line; the key goes by LLAMA_API_KEY."""
    options, said = order.options, ["--model", order.model, "--alias", order.alias]
    parallel = options.parallel or 1
    said += ["--host", "127.0.0.1", "--port", str(order.port), "--jinja"]
    said += ["--ctx-size", str(order.context_size * parallel), "--parallel", str(parallel)]
    said += ["--threads", str(threads_of(options)), "--reasoning-format", "deepseek"]
    said += ["--n-gpu-layers", str(_gpu_layers(options))]
    values = {
        "--batch-size": options.batch_size,
        "--ubatch-size": _embedding_batch(order) if options.embedding else None,
        "--seed": options.seed,
        "--split-mode": options.split_mode,
        "--tensor-split": ",".join(map(str, options.tensor_split)) or None,
        "--main-gpu": options.main_gpu,
        "--flash-attn": {None: None, True: "on", False: "off"}[options.flash_attention],
        "--cache-type-k": options.cache_type_k,
        "--cache-type-v": options.cache_type_v,
    }
    for name, value in values.items():
        said += [] if value is None else [name, str(value)]
    if options.embedding:
        said += ["--embeddings"] + ([] if order.pooled else ["--pooling", "mean"])
    return said


def _embedding_batch(order: Order) -> int:
    """Tokens of the longest text that is embedded: one has to fit into one batch."""
    return min(order.context_size, order.options.batch_size or BATCH_SIZE)


def _gpu_layers(options: LoadOptions) -> int:
    """-1 and nothing said are all of them: more than any model has."""
    return 9999 if options.gpu_layers in (None, -1) else options.gpu_layers or 0


def parameters(order: Order, engine: Any) -> Any:
    """`order` as xllamacpp's CommonParams."""
    options, params = order.options, engine.CommonParams()
    params.model.path, params.model_alias = order.model, {order.alias}
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], order.port, [order.key]
    params.ui, params.cors_origins, params.cors_credentials = False, "", False
    params.use_jinja = True
    params.reasoning_format = engine.common_reasoning_format(REASONING_APART)
    params.n_parallel = options.parallel or 1
    params.n_ctx = order.context_size * params.n_parallel
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads_of(options)
    params.n_gpu_layers = _gpu_layers(options)
    params.cache_ram_mib = PROMPT_CACHE_MIB
    _chosen(params, options, engine)
    if options.embedding:
        params.embedding = True
        params.n_batch = params.n_ubatch = _embedding_batch(order)
        if not order.pooled:
            params.pooling_type = engine.llama_pooling_type(POOLING_MEAN)
    return params


def _chosen(params: Any, options: LoadOptions, engine: Any) -> None:
    """What was asked for, where something was."""
    params.flash_attn_type = engine.llama_flash_attn_type(FLASH_ATTENTION[options.flash_attention])
    if options.batch_size is not None:
        params.n_batch = options.batch_size
    if options.seed is not None:
        params.sampling.seed = options.seed
    if options.split_mode is not None:
        params.split_mode = engine.llama_split_mode(SPLIT_MODES.index(options.split_mode))
    if options.main_gpu is not None:
        params.main_gpu = options.main_gpu
    if options.tensor_split:
        shares = list(params.tensor_split)
        shares[: len(options.tensor_split)] = options.tensor_split
        params.tensor_split = shares
    if options.cache_type_k:
        params.cache_type_k = engine.ggml_type(CACHE_TYPES[options.cache_type_k])
    if options.cache_type_v:
        params.cache_type_v = engine.ggml_type(CACHE_TYPES[options.cache_type_v])


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process with its parent (Linux); leave if it is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def become(order: Order) -> None:
    """Turn into the user's own llama-server; it stays bound to the parent, and keeps the pid."""
    os.dup2(2, 1)
    os.execve(  # noqa: S606  # the binary that the user named
        order.binary,
        [order.binary, *arguments(order)],
        {**os.environ, "LLAMA_API_KEY": order.key, "LLAMA_ARG_UI": "0", "LLAMA_ARG_WEBUI": "0"},
    )


def look() -> Ready:
    """What this build of xllamacpp can do."""
    try:
        import xllamacpp

        devices = xllamacpp.get_device_info()
        gpus = tuple(str(each["description"]) for each in devices if int(each["type"]) in (1, 2))
        return Ready(version=f"xllamacpp {version('xllamacpp')}", gpus=gpus)
    except (ImportError, OSError, PackageNotFoundError) as error:
        return Ready(problem=str(error)[:500] or type(error).__name__)


def serve(order: Order) -> tuple[Ready, Any]:
    """The handshake, and the server to keep. Raises RuntimeError where it cannot be loaded."""
    import xllamacpp

    server = xllamacpp.Server(parameters(order, xllamacpp))
    return msgspec.structs.replace(look(), url=str(server.listening_address)), server


def main() -> None:
    """Take the order, answer it, and stay until standard input closes."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    die_with(order.parent)
    if order.binary:
        become(order)
    said = os.dup(1)
    os.dup2(2, 1)  # whatever the library prints is its log
    if not order.model:
        os.write(said, msgspec.json.encode(look()) + b"\n")
        return
    try:
        ready, server = serve(order)
    except (RuntimeError, ValueError):
        time.sleep(LOGGED_S)  # llama.cpp's log says why, and a thread of its own writes it
        sys.exit(1)
    os.write(said, msgspec.json.encode(ready) + b"\n")
    os.close(said)
    closed = threading.Thread(target=sys.stdin.buffer.read, daemon=True)
    closed.start()
    closed.join()
    del server
    os._exit(0)  # its threads may still be answering


if __name__ == "__main__":
    main()
