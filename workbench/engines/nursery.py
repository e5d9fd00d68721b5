"""Starts task processes, keeps the idle ones warm, and ends them.

Lives in whatever process runs the Dask worker: the hub itself when Dask is embedded.
"""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future

from workbench.engines.guard import Guard
from workbench.engines.process import TaskProcess

IDLE_S = 300.0  # an unused process is let go
SWEEP_S = 30.0


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
        self._wanted: queue.SimpleQueue[tuple[int | None, Future[TaskProcess]] | None]
        self._wanted = queue.SimpleQueue()
        self._nurse = threading.Thread(target=self._work, name="nursery", daemon=True)
        self._nurse.start()

    def take(self, gpu: int | None) -> TaskProcess:
        """A warm process, or else a new one."""
        with self._lock:
            fitting = [process for process in self._idle if process.gpu == gpu]
            if fitting:
                self._idle.remove(fitting[-1])
        for process in fitting[-1:]:
            if process.fate() is None:
                process.drain_wakes()
                return process
            self.end(process)
        born: Future[TaskProcess] = Future()
        self._wanted.put((gpu, born))
        return born.result()

    def keep(self, process: TaskProcess) -> None:
        """Take back a process that may serve again; a worn one is ended."""
        if process.worn():
            self.end(process)
            return
        process.idle_since = time.monotonic()
        with self._lock:
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
        while True:
            try:
                request = self._wanted.get(timeout=SWEEP_S)
            except queue.Empty:
                self._sweep(IDLE_S)
                continue
            if request is None:
                return
            self._start(*request)

    def _start(self, gpu: int | None, born: Future[TaskProcess]) -> None:
        try:
            process = TaskProcess(gpu, self._threads)
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
