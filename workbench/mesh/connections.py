"""Who is connected, and what each of them has seen of which task.

A follower gets numbered messages live while it keeps up. One that does not, or that was
away, gets them from the journal, as fast as it reads: the journal is the only buffer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from workbench.core import mesh_wire
from workbench.core.mesh_wire import HEARTBEAT
from workbench.core.task_nouns import Note
from workbench.core.wire import encode
from workbench.errors import LinkError, WorkbenchError
from workbench.gate import Scope

PAGE = 500
"""Messages that are read from the journal at once."""
HIGH_BYTES = 1 << 20
"""Waiting to be taken by a peer: beyond it the rest comes from the journal."""

log = logging.getLogger("workbench.mesh")

Messages = Callable[[str, int, int], Awaitable[list[dict[str, Any]]]]
"""(task id, after, most) -> the numbered messages from the journal, in order."""
LastSeq = Callable[[str], int | None]
"""The number of a task's terminal message; None while it is open."""


class Connection(Protocol):
    """One peer. `send` never waits; of what is offered under a key the newest counts."""

    @property
    def id(self) -> int: ...
    @property
    def scope(self) -> Scope: ...
    @property
    def waiting_bytes(self) -> int: ...
    async def receive(self) -> str | bytes: ...
    def send(self, frame: str | bytes) -> None: ...
    def offer(self, key: str, frame: str | None) -> None: ...
    async def drained(self) -> None: ...
    async def close(self, code: int = ..., reason: str = ...) -> None: ...


class Following:
    """What a connection has seen of a task. `behind`: the journal is being read for it."""

    __slots__ = ("behind", "last", "news", "request_id")

    def __init__(self, last: int, request_id: str | int | None) -> None:
        self.last, self.request_id = last, request_id
        self.behind = self.news = False


class Link:
    """One connection and what it follows."""

    def __init__(self, connection: Connection, now: float) -> None:
        self.connection = connection
        self.following: dict[str, Following] = {}
        self.behind: deque[str] = deque()
        self.reader: asyncio.Task[None] | None = None
        self.heard_at = self.beat_at = now
        self.closing = False

    def say(self, message: Mapping[str, Any]) -> None:
        """Send one message to this connection alone."""
        self.connection.send(encode(dict(message)))

    @property
    def full(self) -> bool:
        """Whether the peer has too much waiting already."""
        return self.connection.waiting_bytes > HIGH_BYTES


class Connections:
    """Every open connection of the node."""

    def __init__(
        self,
        messages: Messages,
        last_seq: LastSeq,
        *,
        heartbeat_s: float,
        silence_s: float,
        patience_s: float,
    ) -> None:
        self._messages, self._last_seq = messages, last_seq
        self._heartbeat_s, self._silence_s = heartbeat_s, silence_s
        self._patience_s = patience_s
        self._links: dict[int, Link] = {}
        self._followers: dict[str, dict[int, Link]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.slow_readers = 0
        """How many were closed because they read too slowly."""

    def open(self, connection: Connection, now: float) -> Link:
        """A connection came in."""
        link = self._links[connection.id] = Link(connection, now)
        return link

    def gone(self, link: Link) -> None:
        """A connection has ended; what it followed goes on."""
        self._links.pop(link.connection.id, None)
        for task_id in list(link.following):
            self._leave(link, task_id)
        if link.reader is not None:
            link.reader.cancel()

    def link(self, number: int) -> Link | None:
        """The connection of this number, if it is still there."""
        return self._links.get(number)

    # Following ------------------------------------------------------------------------

    def follow(
        self,
        number: int,
        task_id: str,
        after: int,
        *,
        missed: bool,
        keep: bool = False,
        request_id: str | int | None = None,
    ) -> None:
        """Send a connection what comes after message `after`; what it `missed` first."""
        link = self._links.get(number)
        if link is None or (keep and task_id in link.following):
            return
        following = link.following[task_id] = Following(after, request_id)
        self._followers.setdefault(task_id, {})[number] = link
        if missed:
            self._fall_behind(link, task_id, following)

    def followed(self, task_id: str) -> bool:
        """Whether anybody listens."""
        return task_id in self._followers

    def follows(self, number: int, task_id: str) -> bool:
        """Whether this connection still waits for what comes of the task."""
        link = self._links.get(number)
        return link is not None and task_id in link.following

    def show(self, task_id: str, notes: list[Note], at_ms: int) -> None:
        """Numbered notes have become durable: send them to everybody who follows."""
        followers = self._followers.get(task_id)
        if not followers:
            return
        frames = [_frame(task_id, note, at_ms) for note in notes]
        for link in list(followers.values()):
            self._deliver(link, task_id, frames)

    def _deliver(self, link: Link, task_id: str, frames: list[tuple[int, bool, str]]) -> None:
        following = link.following[task_id]
        for seq, last, frame in frames:
            if following.behind:
                following.news = True
                return
            if seq <= following.last:
                continue
            if link.full:
                self._fall_behind(link, task_id, following)
                return
            following.last = seq
            if last:
                self._leave(link, task_id)
            link.connection.send(frame)

    def show_progress(self, task_id: str, frame: str) -> None:
        """Offer unnumbered progress to everybody who follows."""
        for link in self._followers.get(task_id, {}).values():
            link.connection.offer(task_id, frame)

    def refuse(self, task_id: str, message: Mapping[str, Any]) -> None:
        """There is no such task after all: tell its followers, who follow nothing now."""
        for link in list(self._followers.get(task_id, {}).values()):
            self._leave(link, task_id)
            link.say(message)

    def _leave(self, link: Link, task_id: str) -> None:
        link.following.pop(task_id, None)
        link.connection.offer(task_id, None)
        followers = self._followers.get(task_id)
        if followers is not None:
            followers.pop(link.connection.id, None)
            if not followers:
                del self._followers[task_id]

    # Replay ---------------------------------------------------------------------------

    def _fall_behind(self, link: Link, task_id: str, following: Following) -> None:
        following.behind = True
        link.behind.append(task_id)
        if link.reader is None or link.reader.done():
            link.reader = asyncio.create_task(self._catch_up(link))

    async def _catch_up(self, link: Link) -> None:
        try:
            while link.behind:
                task_id = link.behind.popleft()
                following = link.following.get(task_id)
                if following is not None and following.behind:
                    await self._replay(link, task_id, following)
        except TimeoutError:
            self.slow_readers += 1
            log.warning("mesh.slow_reader connection=%d", link.connection.id)
            await link.connection.close(1008, "this connection reads too slowly")
        except LinkError:
            return  # it is gone; its own loop notices
        except WorkbenchError as error:
            log.error("mesh.replay_failed connection=%d reason=%s", link.connection.id, error)
            await link.connection.close(1011, "the journal cannot be read: connect again")

    async def _replay(self, link: Link, task_id: str, following: Following) -> None:
        """Read and send pages until nothing newer is left; then live messages follow on."""
        while link.following.get(task_id) is following:
            async with asyncio.timeout(self._patience_s):
                await link.connection.drained()
            following.news = False
            page = await self._messages(task_id, following.last, PAGE)
            if link.following.get(task_id) is not following:
                return
            for count, message in enumerate(page):
                if link.full:
                    page = page[:count]
                    following.news = True
                    break
                self._resend(link, message, following)
            if len(page) < PAGE and not following.news:
                self._caught_up(link, task_id, following)
                return

    def _resend(self, link: Link, message: dict[str, Any], following: Following) -> None:
        following.last = message["seq"]
        if following.request_id is not None:
            message = {**message, "requestId": following.request_id}
        link.say(message)

    def _caught_up(self, link: Link, task_id: str, following: Following) -> None:
        following.behind, following.request_id = False, None
        last = self._last_seq(task_id)
        if last is not None and following.last >= last:
            self._leave(link, task_id)

    # Heartbeats and the end -------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Send heartbeats that are due; disconnect who was silent for too long."""
        for link in list(self._links.values()):
            if now - link.heard_at > self._silence_s:
                self._part(link, 1001, f"nothing was heard for {self._silence_s:g} s")
            elif now - link.beat_at >= self._heartbeat_s:
                link.beat_at = now
                link.connection.send(HEARTBEAT)

    def tell_all(self, message: Mapping[str, Any]) -> None:
        """Send one message to every connection."""
        frame = encode(dict(message))
        for link in list(self._links.values()):
            link.connection.send(frame)

    async def close_all(self, code: int, reason: str) -> None:
        """Close every connection with a reason."""
        for link in list(self._links.values()):
            self._part(link, code, reason)
        if self._closing:
            await asyncio.wait(self._closing)

    def _part(self, link: Link, code: int, reason: str) -> None:
        if not link.closing:
            link.closing = True
            task = asyncio.create_task(link.connection.close(code, reason))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _frame(task_id: str, note: Note, at_ms: int) -> tuple[int, bool, str]:
    body = note.body if note.shown is None else note.shown
    message = mesh_wire.numbered(task_id, note.seq, note.attempt, note.kind, body, at_ms)
    return note.seq, note.kind in mesh_wire.TERMINAL, encode(message)
