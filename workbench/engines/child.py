"""The process that runs one `module:function` at a time: `python -m workbench.engines.child`.

Started by a supervisor, never by hand. Orders come in on standard input, frames go out on
the descriptor named by the first argument; the second is the process to die with. What
the model prints becomes its log. The process never outlives its supervisor: on Linux the
kernel kills it with its parent, elsewhere a thread sees the pipe close.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import math
import os
import random
import select
import signal
import sys
import tempfile
import threading
import warnings
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from workbench.core.job import FUNCTION, Log, Progress
from workbench.core.llm import ModelError, NoModel
from workbench.core.mesh_wire import sentence
from workbench.engines.asking import Asking
from workbench.engines.frames import (
    LINE_CHARS,
    Frame,
    Lines,
    Order,
    Reader,
    Started,
    line_event,
    pack,
    pack_table,
    speakable,
    words,
)
from workbench.engines.perform import perform
from workbench.errors import InputError

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
READ_BYTES = 1 << 16
IOV_MAX = 1024
LEVELS = ("debug", "info", "warning", "error")
UNKNOWN_LEVEL = "{line} (the level {level} is not known; allowed: debug, info, warning, error)"


class Outlet:
    """The one way out: whole frames, in order, from any thread.

    Writing blocks while the supervisor does not read: a model that talks faster than
    anybody listens is slowed down, not buffered.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.RLock()

    def send(self, message: Frame) -> None:
        self._write([pack(message)])

    def send_table(self, name: str, body: list[memoryview]) -> None:
        self._write(pack_table(name, body))

    def _write(self, pieces: Iterable[bytes | memoryview]) -> None:
        waiting = deque(memoryview(piece).cast("B") for piece in pieces if len(piece))
        with self._lock:
            while waiting:
                written = os.writev(self._descriptor, list(islice(waiting, IOV_MAX)))
                while waiting and written >= len(waiting[0]):
                    written -= len(waiting.popleft())
                if written:
                    waiting[0] = waiting[0][written:]


class Capture:
    """A `sys.stdout` or `sys.stderr` whose lines become log events, in order with the rest."""

    encoding = "utf-8"
    errors = "replace"
    closed = False

    def __init__(self, outlet: Outlet, level: str, descriptor: int) -> None:
        self._outlet, self._level, self._descriptor = outlet, level, descriptor
        self._lines = Lines()
        self._lock = threading.RLock()

    @property
    def buffer(self) -> Any:
        """For those who write bytes: the descriptor, which the supervisor reads as well."""
        original = sys.__stdout__ if self._descriptor == 1 else sys.__stderr__
        return original.buffer if original is not None else None

    def write(self, text: str) -> int:
        with self._lock:
            for line in self._lines.feed(str(text)):
                self._outlet.send(line_event(self._level, line))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def finish(self) -> None:
        """Send the line that nobody ended."""
        with self._lock:
            for line in self._lines.rest():
                self._outlet.send(line_event(self._level, line))

    def flush(self) -> None:
        """Nothing waits here but a line that has not ended."""

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return False

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True


class RunningContext:
    """What the running model gets as its context (core.model.Context)."""

    def __init__(self, order: Order, outlet: Outlet, asking: Asking) -> None:
        self.inputs: Mapping[str, Path] = {
            name: Path(path) for name, path in order.inputs.items() if name != FUNCTION
        }
        self.device = order.device
        self.seed = order.seed
        self.rune_limit = order.rune_limit
        self._outlet, self._asking = outlet, asking
        self._answering = ""

    def progress(self, done: float, total: float, template: str = "", /, **values: Any) -> None:
        whole = float(total)
        if not 0 <= whole < math.inf:
            raise InputError.field("total", total, "a number from 0")
        if math.isnan(done):
            raise InputError.field("done", done, "a number from 0 to total")
        if not whole:  # of nothing all is done
            done = whole = 1.0
        part = min(max(float(done), 0.0), whole)
        text, values = speakable(template, values)
        self._outlet.send(Progress(part, whole, text[:LINE_CHARS], values))

    def log(self, template: str, /, *, level: str = "info", **values: Any) -> None:
        text, values = speakable(template, values)
        known = words(level)
        if known not in LEVELS:  # no reason to end a task
            values = {"line": sentence(text, values)[:LINE_CHARS], "level": known}
            known, text = "info", UNKNOWN_LEVEL
        self._outlet.send(Log(known, text[:LINE_CHARS], values))

    def generate(self, prompt: str, /) -> str:
        reply = self._asking.ask(str(prompt))
        if reply.template:
            raise (NoModel if reply.absent else ModelError)(reply.template, **reply.values)
        if reply.model != self._answering:
            self._answering = reply.model
            self.log("the language model {model} answers what the task asks", model=reply.model)
        return reply.text


class Fresh:
    """What one task may change and the next must not see: taken at the start, put back."""

    def __init__(self) -> None:
        self._environ = dict(os.environ)
        self._path = list(sys.path)
        self._filters = list(warnings.filters)
        self._umask = os.umask(0o077)
        os.umask(self._umask)

    def restore(self, order: Order) -> None:
        """A clean floor for `order`: its folder, its seed, our streams and signals."""
        folder = Path.cwd() if not order.scratch else Path(order.scratch)
        os.chdir(folder)
        os.umask(self._umask)
        os.environ.clear()
        os.environ.update(self._environ, TMPDIR=str(folder))
        tempfile.tempdir = str(folder)
        sys.path[:] = self._path
        warnings.filters[:] = self._filters  # type: ignore[index]
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        seed_everything(order.seed)


def seed_everything(seed: int) -> None:
    """Start every random generator that a model may use without asking, from the task's seed."""
    random.seed(seed)
    with contextlib.suppress(ImportError):
        import numpy

        numpy.random.seed(seed % 2**32)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed % 2**63)


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process with its parent (Linux); leave if it is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Whatever a model starts stays below this process, also what it starts as a daemon: so its
    supervisor finds it when it ends all of that (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1)


def leave_with(orders: int) -> None:
    """Wait for the other end of the order pipe to close, then end the whole process group."""
    poll = select.poll()
    poll.register(orders, 0)  # hang-up alone is told: the orders themselves stay unread
    while not any(flags & (select.POLLHUP | select.POLLERR) for _, flags in poll.poll()):
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def left_behind(threads: int) -> bool:
    """Whether the model left threads or processes running."""
    if threading.active_count() > threads:
        return True
    if not hasattr(os, "waitid"):
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def serve(orders: int, outlet: Outlet) -> None:
    """Run what is ordered, one after the other, until the supervisor goes."""
    reader, fresh = Reader(), Fresh()
    streams = (Capture(outlet, "info", 1), Capture(outlet, "warning", 2))
    threads = threading.active_count()
    asking = Asking(orders, reader, outlet.send)
    while data := os.read(orders, READ_BYTES):
        for order in list(reader.feed(data)):  # whole: what runs may go on with the reader
            if not isinstance(order, Order):
                continue
            outlet.send(Started())
            sys.stdout, sys.stderr = streams
            fresh.restore(order)
            asking.begin(order)
            end = perform(order, RunningContext(order, outlet, asking), outlet.send_table)
            for stream in streams:
                stream.finish()
            reusable = not left_behind(threads)
            outlet.send(end(reusable))
            del end
            gc.collect(1)


def main() -> None:
    """Take over the descriptors, then serve."""
    frames, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    adopt_orphans()
    orders = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.set_inheritable(frames, False)
    threading.Thread(target=leave_with, args=(orders,), daemon=True).start()
    faulthandler.enable(file=2)
    with contextlib.suppress(ImportError):
        import numpy  # noqa: F401  (while nothing waits yet)
    serve(orders, Outlet(frames))


if __name__ == "__main__":
    main()
