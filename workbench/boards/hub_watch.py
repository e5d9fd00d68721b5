"""What every board does about its hub: waits for it, says that it is gone, starts it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from workbench.boards.home import Home
from workbench.clients.discovery import HubFile, find_or_start, hub_process, read_hub_file
from workbench.clients.versions import OtherWire, difference
from workbench.errors import WorkbenchError
from workbench.session import Workbench
from workbench.widgets.link import LinkedWidget

RETRY_S = 10.0
FAILED_RETRY_S = 60.0

LINK_STATES = {
    "connected": "connected",
    "disconnected": "disconnected",
    "reconnecting": "reconnecting",
    "reconnect_failed": "failed",
}
"""A client's events about its connection, as a page says them."""


def said(error: WorkbenchError) -> dict[str, Any]:
    """An error as a page shows it, in the reader's language."""
    return {
        "text": str(error),
        "reason": str(error),
        "template": error.template,
        "values": error.values,
    }


async def tried(
    work: Callable[[], Coroutine[Any, Any, Any]], tell: Callable[[str, Any], None]
) -> None:
    """Do it; what the hub refuses is a sentence on the page. It is made here: where this is
    cancelled before it begins, nothing is left that nobody awaits."""
    try:
        await work()
    except WorkbenchError as error:
        tell("problem", said(error))


class HubWatch:
    """The hub of one board. `widget` has the traits `connection` and `problem`; `connect`
    makes the board's client try now. Methods that await: on the runtime's thread; `show`
    and `show_link`: at home."""

    def __init__(
        self, home: Home, widget: LinkedWidget, connect: Callable[[], Awaitable[None]]
    ) -> None:
        self._home, self._widget, self._connect = home, widget, connect
        self._state = ""
        self._tried: HubFile | None = None
        self._folder: Path | None = None
        self._notice: dict[str, Any] | None = None
        self._restarted = asyncio.Event()

    async def session(self, opened: Callable[[], Workbench], **where: str) -> Workbench:
        """The session; a hub that cannot be had is said, and tried for again."""
        while True:
            try:
                workbench = await asyncio.to_thread(opened)
            except OtherWire as error:
                self._folder = error.folder
                self._notice = {**said(error), "remedy": error.remedy}
            except WorkbenchError as error:
                self._notice = None
                self._set("problem", said(error))
            else:
                self._compare(workbench.data, read_hub_file(workbench.data))
                return workbench
            failed = {"state": "failed", **where, "url": "", "notice": self._notice}
            self._set("connection", failed)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._restarted.wait(), RETRY_S)
            self._restarted.clear()

    async def look(self, workbench: Workbench) -> None:
        """A new hub is not kept waiting for the next attempt; that there is none is said."""
        if self._state == "starting":
            return
        found = await asyncio.to_thread(hub_process, workbench.data)
        if found is None:
            self._home.call(lambda: self.show("absent"))
        elif found != self._tried:
            self._tried = found
            self._compare(workbench.data, found)
            await self._connect()

    async def restart(self) -> None:
        """Drain the hub and start one of this kernel's version, at a person's word."""
        if self._folder is None:
            return
        try:
            found = await find_or_start(self._folder, restart=True)
        except WorkbenchError as error:
            self._set("problem", said(error))
            self._home.call(lambda: self.show(""))
            return
        self._compare(self._folder, found)
        self._restarted.set()

    def _compare(self, folder: Path, found: HubFile | None) -> None:
        """Say whether the hub is of another version than this kernel's package."""
        self._folder, self._notice = folder, None
        differs = difference(folder, found) if found is not None else None
        if differs is not None:
            remedy, told = differs
            template, values = told.template, told.values
            self._notice = {"template": template, "values": values, "text": str(told)}
            self._notice["remedy"] = remedy
        self._home.call(lambda: self.show(""))

    async def start(self, workbench: Workbench) -> None:
        """Start a hub, at a person's word."""
        try:
            await find_or_start(workbench.data)
        except WorkbenchError as error:
            self._set("problem", said(error))
            self._home.call(lambda: self.show("absent"))
            return
        self._home.call(lambda: self.show(""))
        await self._connect()

    def show(self, state: str) -> None:
        """`absent`, `starting`, or nothing to be said of it."""
        self._state = state
        now = {**_connection(self._widget), "hub": state, "notice": self._notice}
        self._set_now("connection", now)

    def show_link(self, name: str, data: Mapping[str, Any], now_ms: int, **where: str) -> None:
        """How the connection is after an event of the client; `where` it leads."""
        if name == "connected":
            self._state = ""
        failed_s = FAILED_RETRY_S if name == "reconnect_failed" else None
        wait_s = data.get("delayS", failed_s)
        reason = data.get("reason")
        told = {"template": data.get("template", ""), "values": data.get("values") or {}}
        connection = {
            "state": LINK_STATES[name],
            **where,
            "attempt": data.get("attempt"),
            "maxAttempts": data.get("maxAttempts"),
            "retryAt": None if wait_s is None else now_ms + int(wait_s * 1000),
            "error": {"text": reason, **told} if reason else None,
            "hub": self._state,
            "notice": self._notice,
        }
        self._set_now("connection", connection)

    def _set(self, trait: str, value: Any) -> None:
        self._home.call(lambda: self._set_now(trait, value))

    def _set_now(self, trait: str, value: Any) -> None:
        setattr(self._widget, trait, value)


def _connection(widget: Any) -> dict[str, Any]:
    return dict(widget.connection)
