"""Builds and owns one hub from the settings: order of start, drain, where it may be found.

Order of start: the store (whose lock refuses a second hub), the ports, the engine, the
node, the listeners, and last hub.json, by which kernels find us. The end goes backwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import platform
import secrets
import signal
import socket
import stat
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

from workbench.batches import fetch_with
from workbench.clients.discovery import LOG_FILE, TOKEN_FILE
from workbench.core.masking import secret_values
from workbench.core.wire import WIRE_VERSION
from workbench.engines.dask import DaskEngine
from workbench.errors import SettingsError, WorkbenchError
from workbench.gate import Gate, Scope, is_loopback
from workbench.gpu_readings import Readings, monitoring_of
from workbench.hub.connections import Dashboard
from workbench.hub.ledger import Ledger
from workbench.hub.retiring import Retiring
from workbench.hub.sampling import Sampler
from workbench.keeper import Keeper
from workbench.language_models import rates_of, runs_here, service_of
from workbench.listener import Bounds, Listener, listen
from workbench.llm.at_hand import AtHand
from workbench.logs import configure_logging
from workbench.mesh.limits import Limits
from workbench.mesh.models import discover
from workbench.mesh.node import Node
from workbench.model_library import library_of, places_of
from workbench.ports import LOOPBACK, PortTaken, allow_files, bind
from workbench.samples import place_samples
from workbench.settings import Settings
from workbench.store import Keep, Store
from workbench.version import VERSION
from workbench.watching import Metrics, Watched

HUB_FILE = "hub.json"
log = logging.getLogger("workbench.serve")


class Hub:
    """One hub process's worth of everything. `async with Hub(settings) as hub:` runs it."""

    def __init__(self, settings: Settings, *, free_ports: bool = False) -> None:
        self.settings = settings
        self.token = ""
        self.started_at = 0
        self.draining = False
        self._free_ports = free_ports
        self._stack = contextlib.AsyncExitStack()
        self._listeners: list[Listener] = []
        self._metrics: Metrics | None = None
        self.engine: DaskEngine | None = None
        self._node: Node | None = None

    @property
    def ws_url(self) -> str:
        """Where dashboards and kernels connect, without the token."""
        return f"ws://{self._name}:{self._listeners[0].port}/ws"

    @property
    def mesh_url(self) -> str:
        """Where mesh clients connect, without the token."""
        return f"ws://{self._name}:{self._listeners[1].port}/mesh"

    @property
    def _name(self) -> str:
        host = self.settings.host
        wildcard = host in ("", "0.0.0.0", "::")  # noqa: S104  # compared, not bound
        if wildcard or is_loopback(host):
            return "localhost"
        return f"[{host}]" if ":" in host else host

    async def start(self) -> None:
        """Start everything, in order. What has started is ended again when a later part fails."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        settings, data = self.settings, self.settings.data
        _make_folder(data)
        store = await Store.open(
            data,
            query_memory_mb=settings.query_memory_mb,
            query_limit_s=settings.query_limit_s,
        )
        self._stack.push_async_callback(store.close)
        retiring = Retiring(partial(store.retire, keep_of(settings)))
        self._stack.push_async_callback(retiring.close)
        await retiring.start()
        self.token = _token(settings)
        ws_sockets = self._bind(settings.ws_port)
        mesh_sockets = self._bind(settings.mesh_port)
        self.engine = DaskEngine(
            address=settings.dask_address, slots=settings.slots, scratch=data / "scratch"
        )
        keeper = Keeper(self.engine)
        self._stack.push_async_callback(keeper.stop)
        await keeper.start()
        readings = Readings(data, cluster=keeper)
        self._stack.push_async_callback(readings.close)
        sampler = Sampler(readings.read)
        elsewhere = settings.dask_address is not None
        ledger = Ledger(readings.gpus, readings.owners, tasks_elsewhere=elsewhere)
        self._stack.push_async_callback(ledger.close)
        others = places_of(settings)
        service, worker = await service_of(settings, self._stack, ledger, others)
        rooms = lambda: ledger.view().rooms  # noqa: E731
        library, downloads = await library_of(settings, self._stack, service, others, rooms)
        readings.models(service, worker)
        at_hand = AtHand(service)
        self.engine.write = at_hand.write
        node = self._make_node(store, keeper, ledger, at_hand)
        self._node = node
        self._stack.push_async_callback(node.stop)
        await node.start()
        dashboard = Dashboard(
            questions=store,
            sampler=sampler,
            ledger=ledger,
            tasks=node.tasks,
            journal=store,
            models=service,
            library=library,
            downloads=downloads,
            rates=rates_of(settings),
            answer_tokens=settings.llm_answer_tokens,
            owners=readings.owners,
            is_here=lambda backend: runs_here(service, backend),
            monitoring=monitoring_of(settings),
        )
        self._stack.push_async_callback(dashboard.close)
        await dashboard.start()
        self._metrics = Metrics(
            Watched(
                build=self._build(),
                draining=lambda: self.draining,
                node=node,
                slots=lambda: keeper.slots,
                store=store.figures,
                models=service,
                downloads=downloads.list,
                sampler=sampler,
                listeners=lambda: self._listeners,
            )
        )
        await self._listen(dashboard.serve, "/ws", ws_sockets)
        await self._listen(node.serve, "/mesh", mesh_sockets)
        self.started_at = int(time.time() * 1000)
        self._publish_address()
        log.info("hub.started ws=%s mesh=%s data=%s", self.ws_url, self.mesh_url, data)

    async def stop(self) -> None:
        """Drain: start nothing new, tell every peer, and end what runs. It is journalled."""
        if not self.draining:
            self.draining = True
            log.info("hub.draining")
            try:
                if self._node is not None:
                    await self._node.drain()
            finally:
                await self._stack.aclose()
                log.info("hub.stopped")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def health(self) -> Mapping[str, Any]:
        """What anybody on this machine may know."""
        return {
            "status": "draining" if self.draining else "ok",
            "version": VERSION,
            "wire": WIRE_VERSION,
            "pid": os.getpid(),
        }

    def _build(self) -> Mapping[str, str]:
        python = platform.python_version()
        return {"version": VERSION, "wire": str(WIRE_VERSION), "python": python}

    def urls(self) -> tuple[str, str]:
        """Both addresses with the token, for clients that take nothing but an address."""
        return f"{self.ws_url}?token={self.token}", f"{self.mesh_url}?token={self.token}"

    def _make_node(self, store: Store, engine: Keeper, lender: Ledger, at_hand: AtHand) -> Node:
        settings = self.settings
        return Node(
            journal=store,
            engine=engine,
            fetch=fetch_with(store, private_addresses=settings.private_addresses),
            models=discover(),
            folder=settings.data,
            limits=Limits(
                input_bytes=settings.input_limit_mb * 1_000_000, runes=settings.rune_limit
            ),
            lender=lender,
            language_model=at_hand.model,
            tokens=_tokens(settings, self.token),
            own_functions=None if settings.own_functions == "off" else settings.own_functions,
        )

    def _bind(self, port: int) -> list[socket.socket]:
        """Bound before anything expensive starts, so that a taken port is said at once."""
        host = self.settings.host
        hosts = LOOPBACK if host in ("", "localhost") else (host,)
        try:
            sockets = bind(hosts, port)
        except PortTaken:
            if not self._free_ports:
                raise
            sockets = bind(hosts, 0)
        for each in sockets:
            self._stack.callback(each.close)
        return sockets

    async def _listen(self, handler: Any, path: str, sockets: list[socket.socket]) -> None:
        settings = self.settings
        own = (settings.host,) if settings.host else ()
        gate = Gate(_tokens(settings, self.token), settings.origins, (*settings.hosts, *own))
        listener = await listen(
            handler,
            path=path,
            sockets=sockets,
            gate=gate,
            bounds=Bounds(),
            health=self.health,
            figures=self._metrics.page if self._metrics is not None else None,
        )
        self._listeners.append(listener)
        self._stack.push_async_callback(listener.close, 1012, "the hub is stopping: try again soon")

    def _publish_address(self) -> None:
        path = self.settings.data / HUB_FILE
        document = {
            "pid": os.getpid(),
            "version": VERSION,
            "wire": WIRE_VERSION,
            "ws": self.ws_url,
            "mesh": self.mesh_url,
            "token": self.token,
            "startedAt": self.started_at,
        }
        write_private(path, json.dumps(document, indent=1) + "\n")
        self._stack.callback(path.unlink, missing_ok=True)


def keep_of(settings: Settings) -> Keep:
    """How long tasks' logs, results and steps are kept."""
    return Keep(
        logs_d=settings.keep_logs_d,
        results_d=settings.keep_results_d,
        events_d=settings.keep_events_d,
    )


def _tokens(settings: Settings, admin: str) -> dict[str, Scope]:
    tokens: dict[str, Scope] = {}
    if settings.view_token is not None:
        tokens[settings.view_token.get_secret_value()] = "view"
    if settings.submit_token is not None:
        tokens[settings.submit_token.get_secret_value()] = "submit"
    return {**tokens, admin: "admin"}


def _token(settings: Settings) -> str:
    """The admin token: the one given, else one made once and kept for the next start."""
    if settings.token is not None:
        return settings.token.get_secret_value()
    path = settings.data / TOKEN_FILE
    with contextlib.suppress(OSError, UnicodeDecodeError):
        kept = path.read_text(encoding="ascii").strip()
        if len(kept) >= 32 and stat.S_IMODE(path.stat().st_mode) & 0o077 == 0:
            return kept
    made = secrets.token_urlsafe(32)
    write_private(path, made + "\n")
    return made


def write_private(path: Path, text: str) -> None:
    """A whole file at once, readable by its owner only."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    beside.replace(path)


def _make_folder(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(
            "the data folder {path} cannot be made: {reason}; set WORKBENCH_DATA to a folder "
            "that you can write to",
            path=str(data),
            reason=error.strerror or str(error),
        ) from None


async def run(settings: Settings, *, free_ports: bool = False, print_urls: bool = False) -> None:
    """Run one hub until SIGTERM or SIGINT, then drain. A second signal ends it at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked_to_stop() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop)
    async with Hub(settings, free_ports=free_ports) as hub:
        if print_urls:
            for url in hub.urls():
                print(url, flush=True)  # noqa: T201  # what the switch asks for
        await stop.wait()


def main(settings: Settings, *, free_ports: bool, print_urls: bool) -> None:
    """Run a hub in this process."""
    configure_logging(
        settings.log_level,
        style=settings.log_format,
        secrets=(*settings.secrets(), *secret_values(os.environ)),
        path=settings.data / LOG_FILE,
    )
    # A waiting task is some twenty objects that live long: with the default of 700 the collector
    # walks all of them again and again, a tenth of the time under load.
    gc.set_threshold(50_000, 20, 20)
    allow_files()
    _make_folder(settings.data)
    place_samples(settings.data)
    asyncio.run(run(settings, free_ports=free_ports, print_urls=print_urls))


__all__ = ["Hub", "WorkbenchError", "main", "run"]
