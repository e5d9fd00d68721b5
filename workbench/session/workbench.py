"""One hub, from a kernel: found or started, asked and told, with calls that block."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from workbench.clients.answer import QueryResult
from workbench.clients.discovery import START_S, HubFile, find_or_start, read_hub_file
from workbench.clients.hub import QUERY_S, HubClient, Parameters
from workbench.clients.inputs import Inputs
from workbench.clients.mesh import MeshClient
from workbench.clients.metrics import MetricsClient
from workbench.clients.versions import OtherVersion, difference
from workbench.core import markup
from workbench.core.job import TASK_MARK
from workbench.core.metrics_wire import POINTS
from workbench.core.sentence import spoken
from workbench.errors import InputError, LinkError, ProtocolError
from workbench.runtime import Runtime, runtime
from workbench.session.tasks import Tasks
from workbench.settings import load_settings

if TYPE_CHECKING:
    from workbench.session.chat import Chat
    from workbench.session.library import Library
    from workbench.session.llm import Llm
    from workbench.session.metric_history import MetricHistory
    from workbench.session.metrics import Alerts, Gpus, Ledger, Moment

T = TypeVar("T")

IN_A_TASK = (
    "a task runs without a hub of its own, so connect() is not for it: "
    "give it what it needs as parameters or as its batch"
)

_open: dict[Path, Workbench] = {}
_guard = threading.Lock()


def connect(
    data: str | Path | None = None,
    *,
    start: bool = True,
    restart: bool = False,
    free_ports: bool = False,
    wait_s: float = START_S,
    nest_asyncio: bool = False,
) -> Workbench:
    """The workbench of a data folder; a hub is started when none runs, and left running.

    A second call in the same process gives the same workbench. `restart` drains and
    restarts a running hub; `free_ports` lets a new one take other ports where the wanted
    are taken. `nest_asyncio` is for cells of yours that call `asyncio.run`
    inside a notebook; nothing of ours needs it. Raises InputError inside a task's process.
    """
    if os.environ.get(TASK_MARK):  # else it would start a second hub, on other data
        raise InputError(IN_A_TASK)
    if nest_asyncio:
        allow_nested_loops()
    settings = load_settings(data=data)
    folder = settings.data
    with _guard:
        known = _open.get(folder)
        if known is not None and not known.closed and not restart:
            return known
        if known is not None:
            known.close()
        workbench = Workbench(
            folder, start=start, free_ports=free_ports, batch_base_url=settings.batch_base_url
        )
        try:
            workbench._connect(restart=restart, wait_s=wait_s)
        except BaseException:
            workbench.close()
            raise
        _open[folder] = workbench
        _offer_magics(workbench)
        _mention_version(workbench)
        return workbench


def _mention_version(workbench: Workbench) -> None:
    """Once, where a cell shows it; a board, which connects on another thread, shows it itself."""
    found = read_hub_file(workbench.data)
    differs = difference(workbench.data, found) if found is not None else None
    if differs is not None and threading.current_thread() is threading.main_thread():
        warnings.warn(str(differs[1]), OtherVersion, stacklevel=3)


def _offer_magics(workbench: Workbench) -> None:
    """In a notebook or an IPython shell, `%%ask`, `%%mesh` and `%%runes` go to this workbench."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        from workbench.session import ask, on_mesh, on_runes

        ask.register(shell, workbench.chat)
        on_mesh.register(shell, workbench)
        on_runes.register(shell, workbench)


def allow_nested_loops() -> None:
    """Let the cells of this kernel call `asyncio.run` although a loop is running."""
    import nest_asyncio2

    nest_asyncio2.apply()


class Workbench(Tasks):
    """One hub, from a kernel: queries, tasks, models. Every call blocks until it is answered;
    Ctrl-C ends the waiting. Made by `connect()`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        start: bool = True,
        free_ports: bool = False,
        batch_base_url: str | None = None,
    ) -> None:
        self.data = folder
        """The data folder of the hub."""
        self.closed = False
        self._start, self._free_ports = start, free_ports
        self._runtime: Runtime = runtime()
        self._finding = asyncio.Lock()
        self.client = HubClient(locate=self._hub_address)
        """The hub's client, for code on `runtime` that awaits."""
        self.mesh = MeshClient(locate=self._mesh_address, batch_base_url=batch_base_url)
        """The mesh client, for code on `runtime` that awaits."""
        self.metering = MetricsClient(self.client)
        """The client of metrics, for code on `runtime` that awaits."""
        self._inputs = Inputs(self.mesh, folder)

    @functools.cached_property
    def chat(self) -> Chat:
        """Conversations with language models, which the hub keeps."""
        from workbench.session.chat import Chat

        return Chat(self)

    @functools.cached_property
    def llm(self) -> Llm:
        """Language models: what there is, what they answer, how fast they are."""
        from workbench.session.llm import Llm

        return Llm(self)

    @functools.cached_property
    def library(self) -> Library:
        """The models on the hub's machine, and downloads of more."""
        from workbench.session.library import Library

        return Library(self)

    @property
    def runtime(self) -> Runtime:
        """The background thread on which `client` and `mesh` live."""
        return self._runtime

    @property
    def hub(self) -> HubFile:
        """Where the hub is: `ws`, `mesh`, `pid`, `version`."""
        found = read_hub_file(self.data)
        if found is None:
            raise LinkError(
                "no hub runs on {folder}: workbench.connect() starts one", folder=str(self.data)
            )
        return found

    def query(
        self,
        sql: str,
        params: Parameters | None = None,
        *,
        fresh: bool = False,
        max_rows: int | None = None,
        timeout_s: float = QUERY_S,
    ) -> QueryResult:
        """A read-only question in SQL; `fresh` wants all that was written up to now."""
        if not sql.strip():
            raise InputError.field("sql", sql, "a SELECT")
        return self.block_on(self._query(sql, params, fresh, max_rows, timeout_s))

    def gpus(self) -> Gpus:
        """The GPUs as they are now, and who uses their memory; this kernel by name."""
        from workbench.session import metrics

        return self.block_on(self._when_ready(lambda: metrics.gpus(self.metering)))

    def metrics(
        self,
        *names: str,
        subjects: Sequence[str] | str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        points: int = POINTS,
    ) -> MetricHistory:
        """Metrics over time, such as `metrics("gpu.utilization", since="24h")`: the last hour
        and every GPU or model unless named. `until` and `since` take `"30min"`, `"7d"`, a
        timedelta (both: ago) or a datetime.
        """
        from workbench.session import metrics

        asked = (names, subjects, since, until, points)
        return self.block_on(self._when_ready(lambda: metrics.history(self.metering, *asked)))

    def alerts(self, limit: int = 100) -> Alerts:
        """Active alerts, the newest past ones, and the rules."""
        from workbench.session import metrics

        return self.block_on(self._when_ready(lambda: metrics.alerts(self.metering, limit)))

    def ledger(self) -> Ledger:
        """Who holds GPU memory, and who waits for it."""
        from workbench.session import metrics

        return self.block_on(self._when_ready(lambda: metrics.ledger(self.metering)))

    def ping(self) -> float:
        """The round trip to the hub and back, in seconds."""
        return self.block_on(self._ping())

    def close(self) -> None:
        """Close this kernel's connections. The hub and its tasks go on."""
        if not self.closed:
            self.closed = True
            if self._runtime.alive:
                self._runtime.run(self._disconnect(), timeout_s=10)

    def __enter__(self) -> Workbench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Workbench({str(self.data)!r}, {self._state()})"

    def _repr_html_(self) -> str:
        found = read_hub_file(self.data)
        say = spoken().say
        rows = [(say("data"), self.data), (say("state"), say(self._state()))]
        if found is not None:
            rows += [("hub", found.ws), ("mesh", found.mesh), (say("version"), found.version)]
        return markup.table(("workbench", ""), rows)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return markup.bundle(self, lasting="")

    # Inside: the blocking call, and what runs on the background loop

    def block_on(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of `client` or `mesh` on the background loop and wait for it."""
        if self.closed:
            coroutine.close()
            raise LinkError("this workbench is closed: call workbench.connect() again")
        return self._runtime.run(coroutine)

    def _state(self) -> str:
        if self.closed:
            return "closed"
        return "connected" if self.client.connected else "not connected"

    def _connect(self, *, restart: bool, wait_s: float) -> None:
        self.block_on(self._ready(restart=restart, wait_s=wait_s))

    async def _ready(self, *, restart: bool = False, wait_s: float = START_S) -> None:
        """Both clients connected; a hub that went away meanwhile is found or started again."""
        async with self._finding:
            if not restart and self.client.connected and self.mesh.connected:
                return
            await find_or_start(
                self.data,
                start=self._start,
                restart=restart,
                free_ports=self._free_ports,
                wait_s=wait_s,
            )
            await self.client.connect()
            if self.mesh.endpoint == "local":
                await self.mesh.connect()

    async def _when_ready(self, work: Callable[[], Awaitable[T]]) -> T:
        await self._ready()
        return await work()

    async def _query(
        self,
        sql: str,
        params: Parameters | None,
        fresh: bool,
        max_rows: int | None,
        timeout_s: float,
    ) -> QueryResult:
        for last in (False, True):
            await self._ready()
            try:
                return await self.client.query(
                    sql, params, fresh=fresh, max_rows=max_rows, timeout_s=timeout_s
                )
            except ProtocolError:
                raise
            except LinkError:
                # Asked again once when the hub went away meanwhile: reading changes nothing.
                if last or self.client.connected:
                    raise
        raise AssertionError("the last round returns or raises")

    async def _ping(self) -> float:
        await self._ready()
        return await self.client.ping()

    async def _disconnect(self) -> None:
        await self.mesh.disconnect()
        await self.client.disconnect()

    def _hub_address(self) -> tuple[str, str | None]:
        found = self.hub
        return found.ws, found.token

    def _mesh_address(self, endpoint: str) -> tuple[str, str | None] | None:
        if endpoint != "local":
            return None
        found = self.hub
        return found.mesh, found.token
