"""The one place of the clients that speaks WebSocket: a socket that reopens as its session says.

The library's exceptions stop here and become LinkError (worth another attempt) or
ProtocolError (not before something was changed). Tokens travel in a header, so that no
address, log or event shows them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import ssl
import time
from collections.abc import Callable
from errno import ECONNREFUSED
from typing import Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
)

from workbench.core.link import Event
from workbench.core.mesh_config import Address
from workbench.errors import LinkError, ProtocolError, WorkbenchError

FRAME_LIMIT = 64 << 20
OPEN_S = 10.0
CLOSE_S = 2.0
PING_S = 10.0
PING_ANSWER_S = 15.0
TICK_S = 0.5
SHOWN_BODY = 400

log = logging.getLogger("workbench.clients")


class Session(Protocol):
    """A sans-I/O client, as far as its socket needs it."""

    @property
    def retry_at(self) -> float | None: ...
    def opened(self, endpoint: str, now: float) -> list[Event]: ...
    def received(self, frame: str | bytes, now: float) -> list[Event]: ...
    def tick(self, now: float) -> list[Event]: ...
    def closed(self, error: LinkError, now: float, jitter: float) -> list[Event]: ...
    def outbox(self) -> list[str | bytes]: ...


class Target(Protocol):
    """Where the next attempt goes: asked before each one, for addresses and tokens change."""

    def __call__(self) -> tuple[str, Address]: ...


class Link:
    """Keeps a session connected until `stop`. All methods on one event loop."""

    def __init__(self, session: Session, target: Target, emit: Callable[[Event], None]) -> None:
        self._session, self._target, self._emit = session, target, emit
        self._wake = asyncio.Event()
        self._again = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._open = False
        self._failure: LinkError | None = None
        self._connection: ClientConnection | None = None

    @property
    def round_trip_s(self) -> float | None:
        """The newest ping of this connection, in seconds; None before it came back."""
        return (self._connection.latency or None) if self._connection is not None else None

    @property
    def running(self) -> bool:
        """Whether it is connected, connecting, or waiting for its next attempt."""
        return bool(self._tasks) and not self._tasks[0].done()

    def start(self) -> None:
        """Connect, or when waiting for the next attempt: try now."""
        if self.running:
            self._again.set()
            return
        self._again.clear()
        for task in self._tasks:
            task.cancel()
        self._tasks = [
            asyncio.create_task(self._keep(), name="link"),
            asyncio.create_task(self._tick(), name="link-tick"),
        ]

    async def stop(self) -> None:
        """Close the socket, if there is one, and try no more."""
        tasks, self._tasks = self._tasks, []
        self._open = False
        self._tell(LinkError("disconnected by the user"))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def until_open(self, wait_s: float) -> None:
        """Return when connected. Raises LinkError when the attempts or the time are spent."""
        if self._open:
            return
        if not self.running:
            raise self._failure or LinkError("not connected: call connect() and try again")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(future)
        try:
            async with asyncio.timeout(wait_s):
                await future
        except TimeoutError:
            raise self._failure or LinkError(
                "no connection within {limit_s} s; the attempts go on", limit_s=wait_s
            ) from None

    def release(self, error: LinkError) -> None:
        """Whoever waits for this connection need wait no longer: it is not the wanted one."""
        self._tell(error)

    def flush(self) -> None:
        """Something may lie in the session's outbox."""
        self._wake.set()

    async def _keep(self) -> None:
        while True:
            error = self._failure = await self._once()
            self._open, now = False, time.monotonic()
            events = self._session.closed(error, now, random.random())  # noqa: S311
            for event in events:
                self._emit(event)
            if any(event.name == "reconnect_failed" for event in events):
                self._tell(error)
            if self._session.retry_at is None:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._session.retry_at - now)):
                    await self._again.wait()
            self._again.clear()

    async def _once(self) -> LinkError:
        """One attempt, and the connection that came of it; the reason why it is over."""
        shown = "the other side"
        try:
            name, address = self._target()
            shown = address.url
            async with _open(address) as connection:
                return await self._live(connection, name, shown)
        except WorkbenchError as error:
            return _as_link_error(error)
        except (InvalidStatus, InvalidHandshake, InvalidURI, OSError, TimeoutError) as error:
            return refusal(error, shown)
        except Exception:  # a fault of ours must not end the reconnecting without a word
            log.exception("link.failed url=%s", shown)
            return LinkError("the client failed at a message of {url}: see the log", url=shown)

    async def _live(self, connection: ClientConnection, name: str, shown: str) -> LinkError:
        self._open, self._connection = True, connection
        self._react(self._session.opened(name, time.monotonic()))
        self._tell(None)
        writer = asyncio.create_task(self._write(connection), name="link-write")
        try:
            async for frame in connection:
                self._react(self._session.received(frame, time.monotonic()))
            return closing(connection.close_code, connection.close_reason, shown)
        except ConnectionClosed:
            return closing(connection.close_code, connection.close_reason, shown)
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _write(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                for frame in self._session.outbox():
                    await connection.send(frame)
                await self._wake.wait()
                self._wake.clear()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._react(self._session.tick(time.monotonic()))

    def _tell(self, error: LinkError | None) -> None:
        waiters, self._waiters = self._waiters, []
        for future in waiters:
            settle(future, error)

    def _react(self, events: list[Event]) -> None:
        for event in events:
            self._emit(event)
        self._wake.set()


def settle(future: asyncio.Future[None], error: LinkError | None = None) -> None:
    """Let a waiter go on, unless it gave up already."""
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


class _Straight(connect):
    """The library's connect, without following redirects: a token goes where it was sent."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def _open(address: Address) -> connect:
    headers = {"Authorization": f"Bearer {address.token}"} if address.token else None
    return _Straight(
        address.url,
        additional_headers=headers,
        user_agent_header="runes-workbench",
        proxy=None if address.loopback else True,
        compression=None,
        max_size=FRAME_LIMIT,
        open_timeout=OPEN_S,
        close_timeout=CLOSE_S,
        ping_interval=PING_S,
        ping_timeout=PING_ANSWER_S,
        logger=_silent_logger(),
    )


def _silent_logger() -> logging.Logger:
    """The library's own logger prints request headers, and with them tokens, at DEBUG."""
    quiet = logging.getLogger("workbench.clients.library")
    quiet.setLevel(logging.CRITICAL)
    return quiet


def refusal(error: Exception, url: str) -> LinkError:
    """Why no connection was made, from the library's or the system's exception."""
    if isinstance(error, InvalidStatus):
        return _refused(error, url)
    if isinstance(error, TimeoutError):
        return LinkError("{url} did not answer within {limit_s} s", url=url, limit_s=OPEN_S)
    if isinstance(error, ssl.SSLError):
        return ProtocolError(
            "{url} has no certificate that this machine trusts: {reason}",
            url=url,
            reason=error.reason or str(error),
        )
    if isinstance(error, InvalidMessage):
        return LinkError("{url} closed the connection while it was opened", url=url)
    if isinstance(error, InvalidHandshake | InvalidURI):
        template = "{url} does not speak WebSocket: {reason}"
        return ProtocolError(template, url=url, reason=str(error))
    return _unreachable(error, url)


def _unreachable(error: Exception, url: str) -> LinkError:
    """With several addresses of one name, the system's errors come as one text."""
    if isinstance(error, socket.gaierror):
        return LinkError("the name in {url} is not known to this machine's network", url=url)
    if isinstance(error, ConnectionRefusedError) or f"[Errno {ECONNREFUSED}]" in str(error):
        return LinkError("nothing listens at {url}: is it running?", url=url)
    reason = getattr(error, "strerror", None) or str(error)
    return LinkError("{url} cannot be reached: {reason}", url=url, reason=reason)


def _refused(error: InvalidStatus, url: str) -> LinkError:
    status = error.response.status_code
    if 300 <= status < 400:
        template = "{url} leads elsewhere (HTTP {status}); a token is not sent on: use that address"
        return ProtocolError(template, url=url, status=status)
    kind = LinkError if status in (408, 425, 429) or status >= 500 else ProtocolError
    body = bytes(error.response.body or b"").decode(errors="replace").strip()[:SHOWN_BODY]
    if not body:
        return kind("{url} refused the connection (HTTP {status})", url=url, status=status)
    template = "{url} refused the connection (HTTP {status}): {reason}"
    return kind(template, url=url, status=status, reason=body)


def closing(code: int | None, reason: str | None, url: str) -> LinkError:
    """Why a connection that stood is gone."""
    if code == 1012:
        return LinkError("{url} is restarting", url=url)
    if code == 1009:
        return LinkError("a message was too large for {url}", url=url)
    if code is None or code == 1006:
        return LinkError("the connection to {url} was lost", url=url)
    if not reason:
        return LinkError("{url} closed the connection with code {code}", url=url, code=code)
    template = "{url} closed the connection with code {code}: {reason}"
    return LinkError(template, url=url, code=code, reason=reason)


def _as_link_error(error: WorkbenchError) -> LinkError:
    """An address that is wrong stays wrong: no further attempt."""
    if isinstance(error, LinkError):
        return error
    return ProtocolError(error.template, **error.values)
