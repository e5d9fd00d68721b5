"""New tasks go where an EndpointSource prefers; it is told what became of each endpoint."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from workbench.clients.branches import Branch, Branches
from workbench.core.endpoint import Endpoint, Named, Outcome
from workbench.core.link import Event
from workbench.core.mesh_config import ENDPOINTS, Address, address
from workbench.errors import InputError, LinkError, WorkbenchError

REMEMBERED = 64

log = logging.getLogger("workbench.clients")


class EndpointSource(Protocol):
    """Who says where new tasks go. All of it on the loop of its client."""

    def preferred(self) -> Named | None:
        """An endpoint, or the name of one of the client's own; None while nobody knows yet.

        Raises WorkbenchError where there is none.
        """

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` whenever `preferred` may have changed; returns what ends that."""

    def report(self, endpoint: Named, outcome: Outcome) -> None:
        """What became of an endpoint, as `preferred` gave it: a source may choose by it."""


class Roaming:
    """Moves one client's new tasks after its source.

    While the present endpoint serves, the preferred one is connected to first: tasks move once
    it answers. `moved` is called with the name of the branch that takes new tasks from then on.
    """

    def __init__(
        self,
        source: EndpointSource,
        branches: Branches,
        moved: Callable[[str], None],
        warn: Callable[[WorkbenchError], None],
    ) -> None:
        self._source, self._branches = source, branches
        self._moved, self._warn = moved, warn
        self._given: dict[str, Named] = {}
        self._leave: Callable[[], None] | None = None
        self._news = asyncio.Event()

    def address(self, name: str) -> Address | None:
        """Where the source says that an endpoint is; None for one of the client's own."""
        given = self._given.get(name)
        return address(given.url, given.token) if isinstance(given, Endpoint) else None

    async def begin(self, wait_s: float) -> None:
        """Follow the source, and wait until it has named an endpoint.

        Raises LinkError when it has not within `wait_s`, 0 does not wait; and what it raises.
        """
        if self._leave is None:
            self._leave = self._source.on_change(self._changed)
        self._news.clear()
        self._prefer(self._source.preferred())
        if self._given or wait_s <= 0:
            return
        try:
            async with asyncio.timeout(wait_s):
                await self._news.wait()
        except TimeoutError:
            template = "the source of endpoints named none within {limit_s} s; it is asked on"
            raise LinkError(template, limit_s=wait_s) from None
        self._prefer(self._source.preferred())

    def end(self) -> None:
        """Follow the source no longer."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()

    def heard(self, branch: Branch, event: Event) -> None:
        """An event about the connection of any branch."""
        if self._leave is None:
            return
        if event.name == "connected":
            self._report(branch, Outcome(kind="connected"))
            if branch is self._branches.candidate:
                self._moved(branch.name)
        elif event.name in ("reconnecting", "reconnect_failed"):
            final, reason = event.name == "reconnect_failed", event.data.get("reason")
            self._report(branch, Outcome(kind="failed", reason=reason, final=final))
            self._look()

    def accepted(self, branch: Branch, latency_s: float) -> None:
        """A node accepted a task so many seconds after it was sent."""
        self._report(branch, Outcome(kind="latency", latency_s=latency_s))

    # Inside

    def _changed(self) -> None:
        self._news.set()
        self._look()

    def _look(self) -> None:
        """Ask the source; what it raises is told, and all stays as it is."""
        if self._leave is None:
            return
        try:
            self._prefer(self._source.preferred())
        except WorkbenchError as error:
            self._warn(error)
        except Exception:
            log.exception("endpoints.failed verb=preferred")

    def _prefer(self, named: Named | None) -> None:
        if named is None:
            return
        name, branches = self._take(named), self._branches
        if name == branches.current.name:
            branches.consider(None)
            if not branches.current.running:
                branches.current.start()
        elif branches.current.connected and not branches.of(name).connected:
            branches.consider(name)
        else:
            self._moved(name)

    def _take(self, named: Named) -> str:
        """The name of the branch for what the source gave. Raises InputError for a bad one."""
        if isinstance(named, str):
            if named not in ENDPOINTS:
                raise InputError.field("endpoint", named, ", ".join(ENDPOINTS))
            name = named
        else:
            name = self._name(named, address(named.url, named.token).url)
        self._given.pop(name, None)
        self._given[name] = named
        for old in [each for each in self._given if not self._branches.known(each)]:
            if len(self._given) > REMEMBERED and old != name:
                del self._given[old]
        return name

    def _name(self, endpoint: Endpoint, url: str) -> str:
        """Another address is another endpoint: tasks of the first are not its business."""
        known = self._given.get(endpoint.name)
        same = isinstance(known, Endpoint) and address(known.url).url == url
        free = known is None and not self._branches.known(endpoint.name)
        return endpoint.name if same or free else f"{endpoint.name} at {url}"

    def _report(self, branch: Branch, outcome: Outcome) -> None:
        given: Any = self._given.get(branch.name)
        if given is None:
            return
        try:
            self._source.report(given, outcome)
        except Exception:
            log.exception("endpoints.failed verb=report")
