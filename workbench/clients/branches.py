"""The connections of a mesh client: one for new tasks, others while tasks of theirs run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from workbench.clients.link import Link
from workbench.core.link import Event
from workbench.core.mesh_config import Address, MeshConfig
from workbench.core.mesh_following import Tasks
from workbench.core.mesh_session import MeshSession
from workbench.errors import LinkError

Heard = Callable[["Branch", Event], None]
Target = Callable[[str], Address]


class Branch:
    """One endpoint: the session that speaks of its tasks, and the socket that stays open."""

    def __init__(
        self, name: str, config: MeshConfig, tasks: Tasks, target: Target, heard: Heard
    ) -> None:
        self.name, self.session = name, MeshSession(config, tasks)
        self._tasks, self._target, self._heard = tasks, target, heard
        self._link: Link | None = None

    @property
    def connected(self) -> bool:
        return self.session.endpoint is not None

    @property
    def running(self) -> bool:
        """Whether it is connected, connecting, or waiting for its next attempt."""
        return self._link is not None and self._link.running

    @property
    def pending(self) -> int:
        """How many tasks of this endpoint have not ended."""
        return sum(each.record.endpoint == self.name for each in self._tasks.pending.values())

    @property
    def busy(self) -> bool:
        """Whether a task of this endpoint has not ended."""
        return any(each.record.endpoint == self.name for each in self._tasks.pending.values())

    @property
    def round_trip_s(self) -> float | None:
        """The newest ping of the open connection, in seconds; None before there was one."""
        return self._link.round_trip_s if self._link is not None and self.connected else None

    def start(self) -> None:
        """Connect, or when waiting for the next attempt: try now."""
        self.session.asked_anew()
        if self._link is None:
            self._link = Link(self.session, self._where, self._emit)
        self._link.start()

    async def until_connected(self, wait_s: float) -> None:
        """Return when connected. Raises LinkError when the attempts or the time are spent."""
        if self._link is None:
            raise LinkError("not connected to a mesh node: call connect() and try again")
        await self._link.until_open(wait_s)

    async def stop(self) -> None:
        """Close the connection. Nothing is cancelled: tasks go on at their node."""
        await self.close()
        for event in self.session.disconnected():
            self._emit(event)

    async def close(self) -> None:
        """As `stop`, without a word."""
        link, self._link = self._link, None
        if link is not None:
            await link.stop()

    def release(self) -> None:
        """New tasks go elsewhere: nobody need wait for this connection."""
        if self._link is not None:
            self._link.release(LinkError("new tasks go to another endpoint"))

    def flush(self) -> None:
        """Something may lie in the session's outbox."""
        if self._link is not None:
            self._link.flush()

    def _where(self) -> tuple[str, Address]:
        return self.name, self._target(self.name)

    def _emit(self, event: Event) -> None:
        self._heard(self, event)


class Branches:
    """Every branch of one client, by the name of its endpoint. `current` takes new tasks;
    another one stays connected, as long as it takes, until its tasks have ended."""

    def __init__(self, first: str, config: MeshConfig, target: Target, heard: Heard) -> None:
        self._config, self._target, self._heard = config, target, heard
        self._tasks = Tasks()
        self._by_name: dict[str, Branch] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.current = self.of(first)
        self.candidate: Branch | None = None
        """One that is tried before new tasks go there."""

    def __iter__(self) -> Iterator[Branch]:
        return iter(list(self._by_name.values()))

    def of(self, name: str) -> Branch:
        """The branch of an endpoint, made when it is first asked for."""
        if name not in self._by_name:
            self._by_name[name] = Branch(name, self._config, self._tasks, self._target, self._heard)
        return self._by_name[name]

    def of_task(self, task_id: str) -> Branch:
        """The branch of a task's endpoint; for a task that is not known, the current one."""
        known = self._tasks.known.get(task_id)
        return self.current if known is None else self.of(known.record.endpoint)

    def known(self, name: str) -> bool:
        return name in self._by_name

    def configure(self, config: MeshConfig) -> None:
        """Those beside the current one try for ever: nobody presses a button for them."""
        self._config = config
        for branch in self:
            beside = branch is not self.current
            branch.session.config = config.changed(keep_trying=True) if beside else config

    def choose(self, name: str) -> None:
        """New tasks go to `name` from now on."""
        former, self.current = self.current, self.of(name)
        former.release()
        if self.candidate is self.current:
            self.candidate = None
        self.configure(self._config)
        if former.busy and not former.running:
            former.start()
        self.tidy()

    def consider(self, name: str | None) -> None:
        """Connect to `name` beside the current one, to see whether it answers; None: to no one."""
        self.candidate = None if name is None else self.of(name)
        self.configure(self._config)
        if self.candidate is not None and not self.candidate.running:
            self.candidate.start()
        self.tidy()

    def start(self) -> None:
        """Connect the current one, or try now, and take up what runs elsewhere."""
        if not self.current.connected:
            self.current.start()
        for branch in self:
            if branch.busy and not branch.running:
                branch.start()

    def tidy(self) -> None:
        """Close what is neither chosen nor considered and has no task any more."""
        for branch in self:
            if branch not in (self.current, self.candidate) and not branch.busy:
                del self._by_name[branch.name]
                task = asyncio.get_running_loop().create_task(branch.close(), name="branch-stop")
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    async def stop(self) -> None:
        """Close every connection."""
        self.candidate = None
        for branch in self:
            await branch.stop()
        self.tidy()
        await asyncio.gather(*self._closing)
