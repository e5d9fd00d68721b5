"""Starts task processes, keeps the idle ones warm, and ends them.

Lives in whatever process runs the Dask worker: the hub itself when Dask is embedded.
"""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future

from workbench.core.gpu import Vendor
from workbench.engines.guard import Guard
from workbench.engines.process import TaskProcess

IDLE_S = 300.0  # an unused process is let go
SWEEP_S = 30.0
SPARE_S = 0.2  # whoever has just cancelled is answered before a spare one takes the processor

Wish = tuple[str | None, Vendor | None]
"""The GPU that a process is to see, and whose it is."""
Wanted = tuple[Wish | None, Future[TaskProcess]]
"""None is wished for a spare one, which waits until nobody wants another."""


class Nursery:
    """The task processes of one engine in this process.

    All are started by one thread that lives as long as the nursery: the kernel's
    parent-death signal fires when the *thread* that started a child ends, and Dask's
    threads come and go.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._guard = Guard()
        self._idle: list[TaskProcess] = []
        self._lock = threading.Lock()
        self._wanted: queue.SimpleQueue[Wanted | None] = queue.SimpleQueue()
        self._sparing = False
        self._nurse = threading.Thread(target=self._work, name="nursery", daemon=True)
        self._nurse.start()

    def take(
        self, gpu: str | None = None, vendor: Vendor | None = None, *, own: str = ""
    ) -> TaskProcess:
        """A warm process, or else a new one; always a new one for a GPU.

        `own` names an own function. What such a one leaves in its process (a patched module, a
        secret) no other finds: the process serves that one alone from then on.
        """
        warm = None if gpu is not None else self._warm(own)
        if warm is not None and warm.fate() is None:
            warm.drain_wakes()
            return warm
        if warm is not None:
            self.end(warm)
        born: Future[TaskProcess] = Future()
        self._wanted.put(((gpu, vendor), born))
        process = born.result()
        process.own = own
        return process

    def _warm(self, own: str) -> TaskProcess | None:
        """The idle process that was used last, of those that may serve."""
        with self._lock:
            found = [each for each in self._idle if each.own == own] or [
                each for each in self._idle if not each.own
            ]
            if not found:
                return None
            self._idle.remove(found[-1])
        found[-1].own = own
        return found[-1]

    def lease(self, process: TaskProcess, seconds: float) -> None:
        """From here on the process is ended unless another lease comes within `seconds`."""
        self._guard.lease(process.pid, seconds)

    def keep(self, process: TaskProcess) -> None:
        """Take back a process that may serve again; a worn one is ended."""
        if process.worn():
            self.end(process)
            return
        process.idle_since = time.monotonic()
        with self._lock:
            # Of own functions only the newest has warm ones: each cell of a notebook is another.
            old = [each for each in self._idle if process.own and each.own not in ("", process.own)]
            self._idle = [each for each in self._idle if each not in old]
            self._idle.append(process)
        for each in old:
            self.end(each)

    def spare(self) -> None:
        """Have a fresh process ready in a moment: the cell of a notebook that is tried next is an
        own function of its own, and would wait 0.3 s for one."""
        with self._lock:
            if self._sparing or any(not each.own for each in self._idle):
                return
            self._sparing = True
        born: Future[TaskProcess] = Future()
        born.add_done_callback(self._spared)
        self._wanted.put((None, born))

    def _spared(self, born: Future[TaskProcess]) -> None:
        with self._lock:
            self._sparing = False
            if born.exception() is None:  # else who wants one will hear why there is none
                process = born.result()
                process.idle_since = time.monotonic()
                self._idle.append(process)

    def end(self, process: TaskProcess, grace_s: float = 0.0) -> None:
        """End a process and return when it is gone."""
        process.stop(grace_s)
        self._guard.remove(process.pid)
        process.close()

    def close(self) -> None:
        """End the idle ones and the nurse. Processes at work are their supervisors' affair."""
        self._wanted.put(None)
        self._nurse.join(10)
        self._sweep(0.0)
        self._guard.close()

    def _work(self) -> None:
        spare: Wanted | None = None
        while True:
            try:
                request = self._wanted.get(timeout=SWEEP_S if spare is None else SPARE_S)
            except queue.Empty:
                if spare is None:
                    self._sweep(IDLE_S)
                else:
                    self._start(*spare)
                    spare = None
                continue
            if request is None:
                return
            if request[0] is None:
                spare = request
            else:
                self._start(*request)

    def _start(self, wish: Wish | None, born: Future[TaskProcess]) -> None:
        try:
            process = TaskProcess(self._threads, *(wish or (None, None)))
            self._guard.add(process.pid)
        except BaseException as error:
            born.set_exception(error)
        else:
            born.set_result(process)

    def _sweep(self, idle_s: float) -> None:
        now = time.monotonic()
        with self._lock:
            old = [p for p in self._idle if now - p.idle_since >= idle_s]
            self._idle = [p for p in self._idle if now - p.idle_since < idle_s]
        for process in old:
            self.end(process)
