"""One task process as its supervisor holds it: its pipes, its end, its environment."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

import psutil

from workbench.core.gpu import Vendor
from workbench.core.job import TASK_MARK
from workbench.engines.frames import Order, pack

TERM_S = 1.0  # from SIGTERM to SIGKILL
GONE_S = 0.5  # how long a killed group may take to disappear
TASKS_PER_PROCESS = 1000  # a new one costs 0.25 s of CPU; memory is looked at after each task
GROWTH_BYTES = 256 << 20  # grown by more since its first task: replaced
PIPE_BYTES = 1 << 20
F_SETPIPE_SZ = 1031  # Linux


class TaskProcess:
    """A child with its pipes: orders in; frames, stdout and stderr out; and a way to be woken."""

    def __init__(self, threads: int, gpu: str | None = None, vendor: Vendor | None = None) -> None:
        ours, theirs = os.pipe()
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "workbench.engines.child", str(theirs), _pid()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=(theirs,),
                start_new_session=True,
                cwd="/",
                env=environment(threads, gpu, vendor),
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self.gpu, self.own, self.tasks, self.idle_since = gpu, "", 0, 0.0
        self._rss_after_first: int | None = None
        self._seen: psutil.Process | None = None
        self._pending = b""
        self._stopped = False
        self._frames = ours
        self._orders = cast(IO[bytes], self._popen.stdin)
        self._stdout = cast(IO[bytes], self._popen.stdout)
        self._stderr = cast(IO[bytes], self._popen.stderr)
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        self._arrange()

    def _arrange(self) -> None:
        self._sources = {
            "frames": self._frames,
            "stdout": self._stdout.fileno(),
            "stderr": self._stderr.fileno(),
        }
        os.set_blocking(self._orders.fileno(), False)
        for descriptor in (*self._sources.values(), self._wake):
            os.set_blocking(descriptor, False)
        if sys.platform == "linux":
            import fcntl

            with suppress(OSError):  # the user's share of pipe memory may be used up
                fcntl.fcntl(self._frames, F_SETPIPE_SZ, PIPE_BYTES)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ, "wake")
        self._listening = False

    @property
    def pid(self) -> int:
        return self._popen.pid

    def order(self, order: Order) -> None:
        """Hand over the next order; `wait` writes what the pipe does not take at once."""
        self.tasks += 1
        self.tell(pack(order))

    def tell(self, frame: bytes) -> None:
        """Hand over one more frame, after what the pipe has not taken yet."""
        self._pending += frame
        self._write()

    def _write(self) -> None:
        stdin = self._orders.fileno()
        with suppress(BlockingIOError, BrokenPipeError):
            while self._pending:
                self._pending = self._pending[os.write(stdin, self._pending) :]
        registered = stdin in self._selector.get_map()
        if self._pending and not registered:
            self._selector.register(stdin, selectors.EVENT_WRITE, "orders")
        elif registered and not self._pending:
            self._selector.unregister(stdin)

    def wait(self, timeout_s: float, *, listen: bool) -> list[tuple[str, bytes]]:
        """What came out until now, by source; an empty piece says that the source closed.

        Waits for at most `timeout_s`, or until `wake`. Without `listen` it reads nothing,
        so that the child has to wait once its pipes are full.
        """
        self._listen(listen)
        pieces = []
        for key, _ in self._selector.select(max(0.0, timeout_s)):
            if key.data == "orders":
                self._write()
            elif key.data == "wake":
                self.drain_wakes()
            else:
                pieces.append((key.data, self._read(key.fd)))
        return pieces

    def _listen(self, wanted: bool) -> None:
        if wanted == self._listening:
            return
        for name, descriptor in self._sources.items():
            if wanted:
                self._selector.register(descriptor, selectors.EVENT_READ, name)
            else:
                self._selector.unregister(descriptor)
        self._listening = wanted

    def _read(self, descriptor: int) -> bytes:
        data = os.read(descriptor, PIPE_BYTES)
        if not data:
            self._selector.unregister(descriptor)
            self._sources = {k: v for k, v in self._sources.items() if v != descriptor}
        return data

    def leftovers(self) -> list[tuple[str, bytes]]:
        """What still stands in the pipes, without waiting."""
        pieces = []
        for name, descriptor in list(self._sources.items()):
            with suppress(BlockingIOError):
                if data := os.read(descriptor, PIPE_BYTES):
                    pieces.append((name, data))
        return pieces

    def wake(self) -> None:
        """Make a `wait` in another thread return."""
        with suppress(BlockingIOError, OSError):
            os.write(self._waker, b"!")

    def drain_wakes(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake, 4096)

    def fate(self, wait_s: float = 0.0) -> str | None:
        """How the child ended, in words; None while it lives."""
        try:
            status = self._popen.wait(wait_s) if wait_s else self._popen.poll()
        except subprocess.TimeoutExpired:
            return None
        if status is None:
            return None
        if status < 0:
            with suppress(ValueError):
                return f"was killed by {signal.Signals(-status).name}"
            return f"was killed by signal {-status}"
        return f"exited with status {status}"

    def worn(self) -> bool:
        """Whether it has served long enough, or holds on to too much memory.

        A process that was lent a GPU serves once: as long as it lives it keeps memory there.
        """
        if self.gpu is not None:
            return True
        try:
            self._seen = self._seen or psutil.Process(self.pid)
            rss = self._seen.memory_info().rss
        except psutil.Error:
            return True
        if self._rss_after_first is None:
            self._rss_after_first = rss
        return self.tasks >= TASKS_PER_PROCESS or rss - self._rss_after_first > GROWTH_BYTES

    def stop(self, grace_s: float = TERM_S) -> None:
        """End the whole process group, and return when it is gone; and what it started in sessions
        of its own, unless it died before. The second time is free."""
        if self._stopped:
            return
        descendants = self._descendants()
        if self._popen.poll() is None and grace_s > 0:
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)  # a stopped process takes no other signal
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace_s)
            descendants += self._descendants()
        self._signal(signal.SIGKILL)
        for each in descendants:
            with suppress(psutil.Error):
                each.kill()
        self._popen.wait()
        deadline = time.monotonic() + GONE_S
        while self._signal(0) and group_lives(self.pid) and time.monotonic() < deadline:
            time.sleep(0.005)
        self._stopped = True

    def _descendants(self) -> list[psutil.Process]:
        """All that it started and that lives, as Linux lists it: psutil would look through all
        processes of the machine."""
        found: list[psutil.Process] = []
        waiting = [self.pid]
        while waiting:
            for path in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
                with suppress(OSError):
                    waiting += (below := [int(pid) for pid in path.read_text().split()])
                    found += filter(None, map(_process, below))
        return found

    def _signal(self, number: int) -> bool:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def close(self) -> None:
        """Give the descriptors back, after `stop`."""
        self._selector.close()
        for stream in (self._orders, self._stdout, self._stderr):
            stream.close()
        for descriptor in (self._frames, self._wake, self._waker):
            os.close(descriptor)


def _process(pid: int) -> psutil.Process | None:
    """None where it is gone."""
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def _pid() -> str:
    return str(os.getpid())


def group_lives(group: int) -> bool:
    """Whether anything in a process group still runs: the dead whom nobody buried do not."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def environment(
    threads: int, gpu: str | None = None, vendor: Vendor | None = None
) -> dict[str, str]:
    """The environment of a child: ours, without our secrets, with its share of the machine.

    Hashes are the same in each process, so that the order of a set is.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WORKBENCH_")}
    pools = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "POLARS")
    suffix = {"POLARS": "_MAX_THREADS"}
    return {
        **kept,
        **{pool + suffix.get(pool, "_NUM_THREADS"): str(threads) for pool in pools},
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONHASHSEED": "0",
        TASK_MARK: "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # numbers mean the same as the driver's own
        **visible(gpu, vendor),
    }


def visible(gpu: str | None, vendor: Vendor | None) -> dict[str, str]:
    """What hides every GPU but the one that was lent; without one it hides all.

    AMD's runtime takes UUIDs in ROCR_VISIBLE_DEVICES, and HIP counts what that leaves, so the
    one that is left is 0; HIP takes an empty list for no list
    (https://rocm.docs.amd.com/en/latest/conceptual/gpu-isolation.html).
    """
    if gpu is None:
        hidden = ("", "-1", "-1")
    elif vendor == "amd":
        hidden = ("", gpu, "0")
    else:
        hidden = (gpu, "-1", "-1")
    names = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
    return dict(zip(names, hidden, strict=True))
