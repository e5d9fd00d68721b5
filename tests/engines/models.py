"""Models that behave, misbehave and crash, for the engine's tests."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy
import pyarrow

from workbench.core.llm import ModelError
from workbench.core.model import Context, Result, model
from workbench.errors import InputError


@model(name="echo", version="1")
def echo(context: Context, *, text: str = "") -> Result:
    """Gives back what it got and where it ran."""
    return Result(data={"text": text, "pid": os.getpid(), "seed": context.seed})


def big_integer(context: Context, *, amount: int) -> Result:
    return Result(data={"amount": amount + 1, "nan": float("nan"), "inf": float("inf")})


def talk(context: Context, *, steps: int) -> Result:
    for step in range(steps):
        context.progress(step + 1, steps, "step {step}", step=step + 1)
        context.log("did step {step}", step=step + 1)
        print("printed", step + 1)
    print("to stderr", file=sys.stderr)
    logging.getLogger("model").warning("from logging")
    os.write(1, b"from the descriptor\n")
    print("no newline", end="")
    return Result(data={})


def flood(context: Context, *, lines: int) -> Result:
    for number in range(lines):
        print("line", number)
    return Result(data={})


def long_line(context: Context) -> Result:
    print("x" * 1_000_000)
    os.write(2, b"y" * 1_000_000 + b"\n")
    return Result(data={})


def tables(context: Context, *, rows: int) -> Result:
    table = pyarrow.table({"n": numpy.arange(rows), "high": numpy.full(rows, 2**64 - 1, "u8")})
    return Result(
        data={"rows": rows}, tables={"numbers": table}, figures=[{"data": []}], batch="b1"
    )


def read(context: Context) -> Result:
    return Result(
        data={
            "text": context.inputs["batch"].read_text(),
            "name": context.inputs["batch"].name,
            "path": str(context.inputs["batch"]),
        }
    )


def reject(context: Context) -> Result:
    raise InputError("the block is cut at byte {offset}", offset=2**70)


def fail(context: Context) -> Result:
    return Result(data={"x": 1 / 0})


def leave(context: Context) -> Result:
    sys.exit(3)


def wrong(context: Context) -> Any:
    return object()


def unwritable(context: Context) -> Result:
    return Result(data={"x": object()})


def exit_hard(context: Context) -> Result:
    print("last words")
    os._exit(7)


def segfault(context: Context) -> Result:
    ctypes.string_at(0)
    return Result(data={})


def kill_self(context: Context) -> Result:
    os.kill(os.getpid(), signal.SIGKILL)
    return Result(data={})


def garbage(context: Context) -> Result:
    os.write(int(sys.argv[1]), b"\x00\x00\x00\x05hello")
    time.sleep(60)
    return Result(data={})


def hang(context: Context, *, stubborn: bool = False, family: bool = False) -> Result:
    """Sleeps for ten minutes; says its process first, and its child's when it has a family."""
    if stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pids = [os.getpid()]
    if family:
        pids.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid)
    context.log("pids {pids}", pids=" ".join(map(str, pids)))
    time.sleep(600)
    return Result(data={})


def scatter(context: Context) -> Result:
    """Starts a child in a session of its own, and one whose parent is gone."""
    sleeper = ["import subprocess as s; print(s.Popen(['sleep', '600'], start_new_session=True, "]
    sleeper += ["stdout=s.DEVNULL).pid)"]
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    daemon = subprocess.check_output([sys.executable, "-c", "".join(sleeper)], text=True)
    context.log("pids {pids}", pids=f"{os.getpid()} {child.pid} {daemon}")
    time.sleep(600)
    return Result(data={})


def busy(context: Context) -> Result:
    """Ten minutes in C code that let other threads run."""
    context.log("pids {pids}", pids=str(os.getpid()))
    hashlib.pbkdf2_hmac("sha512", b"x", b"y", 1_000_000_000)
    return Result(data={})


def locked(context: Context) -> Result:
    """Minutes in C code that hold the interpreter's lock, with a child of its own."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    context.log("pids {pids}", pids=f"{os.getpid()} {child.pid}")
    sum(range(10**11))
    return Result(data={})


def tick(context: Context, *, steps: int, pause_s: float) -> Result:
    context.log("pids {pids}", pids=str(os.getpid()))
    for step in range(steps):
        context.progress(step + 1, steps)
        time.sleep(pause_s)
    return Result(data={})


def meet(context: Context, *, folder: str, name: str, other: str) -> Result:
    """Done only if the other one runs at the same time."""
    Path(folder, name).touch()
    deadline = time.monotonic() + 20
    while not Path(folder, other).exists():
        if time.monotonic() > deadline:
            raise RuntimeError("nobody came")
        time.sleep(0.01)
    return Result(data={})


def litter(context: Context) -> Result:
    """Leaves everything changed that a task can change."""
    os.environ["LITTER"] = "1"
    os.chdir("/")
    sys.path.insert(0, "/litter")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    random.seed()
    sys.stdout = None
    return Result(data={"pid": os.getpid()})


def surroundings(context: Context) -> Result:
    return Result(
        data={
            "pid": os.getpid(),
            "litter": os.environ.get("LITTER"),
            "token": os.environ.get("WORKBENCH_TOKEN"),
            "path": sys.path[0],
            "cwd": os.getcwd(),
            "term": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
            "random": [random.random(), float(numpy.random.random())],
            "order": list({"a", "b", "c", "d", "e"}),
            "stdin": sys.stdin.read(),
            "threads": os.environ["OMP_NUM_THREADS"],
        }
    )


def leave_thread(context: Context) -> Result:
    threading.Thread(target=time.sleep, args=(60,)).start()
    return Result(data={"pid": os.getpid()})


def descriptors(context: Context) -> Result:
    links = [
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{fd}")
    ]
    return Result(data={"sockets": [link for link in links if link.startswith("socket:")]})


def last_word(context: Context, *, word: str) -> Result:
    os.write(1, f"{word}\n".encode())
    return Result(data={})


def where(context: Context) -> Result:
    """Which GPUs its process sees, and what its context says."""
    names = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
    seen = {name: os.environ[name] for name in names}
    return Result(data={"pid": os.getpid(), "device": context.device, "seen": seen})


def does_without(context: Context) -> Result:
    """It was lent a GPU, and could not use it."""
    context.device = "cpu"
    return Result(data={})


def a_reading() -> str:
    """What an engine may run in a worker's own process."""
    return f"read by {os.getpid()}"


def a_broken_reading() -> str:
    raise RuntimeError("the driver is gone")


def a_hanging_reading() -> None:
    time.sleep(5)


def consult(context: Context, *, prompts: list[str]) -> Result:
    """Asks a language model each, and gives its answers, or the words in which there is none."""
    said = []
    for prompt in prompts:
        try:
            said.append(context.generate(prompt))
        except ModelError as error:
            said.append(f"{type(error).__name__}: {error}")
    return Result(data={"said": said, "pid": os.getpid()})
