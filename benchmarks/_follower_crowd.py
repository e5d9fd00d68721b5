"""The crowd of benchmarks/followers.py, in a process of its own: those who submit and who follow.

Bare sockets, so that a thousand of them are light beside the hub. Half of them are dashboards:
they read the metrics, and each follows the state of one task in so many. The others submit in
turn, and follow what they sent. The greedy ones beside them do ten times as much of both, ask for
more than anybody, and are those that stop reading.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from array import array
from collections import defaultdict
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

EACH = 2
"""Dashboards that follow a task."""
GREEDY, SHARE = 10, 10
"""So many have to do with every tenth task."""
AHEAD = 200
"""A dashboard follows a task so many tasks before it is sent."""
OPENING = 50
REPEATED = 10
"""So many different contents have the tasks whose result is known."""
SMALL_BUFFER = 4096
MOST_OPEN = 2000
SILENCE_S = 30.0
"""What waits when the last task is sent has its turn; once nobody hears of any end for so long,
whatever is left is missed."""

Lags = dict[str, array]  # type: ignore[type-arg]


class Follower:
    """One connection, which reads as long as it is let and comes back when it is cut off."""

    def __init__(self, crowd: Crowd, number: int, greedy: bool) -> None:
        self.crowd, self.number, self.greedy = crowd, number, greedy
        self.dashboard = number % 2 == 0
        self.reads = asyncio.Event()
        self.reads.set()
        self.cut_off = 0
        self.waits_for: set[int] = set()
        self._socket: ClientConnection | None = None
        self._life: asyncio.Task[None] | None = None

    async def open(self) -> None:
        said = self.crowd.said
        address = said["ws"] if self.dashboard else said["mesh"]
        host, port = address.split("//")[1].split("/")[0].split(":")
        sock = socket.socket()
        if self.greedy:  # what it does not read is soon the hub's to hold
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        self._socket = await connect(
            address,
            sock=sock,
            additional_headers={"Authorization": f"Bearer {said['token']}"},
            compression=None,
            max_queue=4 if self.greedy else 64,
            ping_interval=None,
            proxy=None,
        )
        if self.dashboard:
            interval_ms = 500 if self.greedy else 2000
            await self.say(type="monitoring:subscribe", data={"intervalMs": interval_ms})
        self._life = asyncio.create_task(self._live(self._socket))

    async def say(self, **message: Any) -> None:
        assert self._socket is not None
        with suppress(ConnectionClosed):  # its life notices
            await self._socket.send(json.dumps(message))

    async def follow(self, number: int) -> None:
        """As a dashboard: before the task is there."""
        self.waits_for.add(number)
        await self.say(type="task:subscribe", data={"taskId": self.crowd.name(number)})

    async def submit(self, number: int, content: Any) -> None:
        if self.greedy:
            await self.say(type="models")
        self.waits_for.add(number)
        self.crowd.sent[number] = time.perf_counter()
        await self.say(
            type="task",
            taskId=self.crowd.name(number),
            model="steady",
            inputData={"n": content},
            parameters={"units": 1, "unit_s": 0},
        )

    async def _live(self, connection: ClientConnection) -> None:
        try:
            while True:
                if not self.reads.is_set():
                    await self._stand_still(connection)
                await self._hear(json.loads(await connection.recv(decode=False)))
        except ConnectionClosed:
            self.waits_for.clear()
            self.cut_off += 1
            if self.crowd.open:
                await self.open()

    async def _stand_still(self, connection: ClientConnection) -> None:
        """Until it may read again, or is cut off."""
        closed = asyncio.ensure_future(connection.wait_closed())
        reads = asyncio.ensure_future(self.reads.wait())
        await asyncio.wait({closed, reads}, return_when=asyncio.FIRST_COMPLETED)
        closed.cancel()
        reads.cancel()

    async def _hear(self, message: dict[str, Any]) -> None:
        self.crowd.messages += 1
        kind = message["type"]
        if kind == "heartbeat":
            await self.say(type="heartbeat-response")
        elif kind == "log":
            self._note("event", time.time() - message["timestamp"] / 1000)
        elif kind == "taskResult":
            self._ended(message["taskId"])
        elif kind == "task:update" and message["data"]["task"]["status"] == "done":
            task_id = message["data"]["task"]["id"]
            self._ended(task_id)
            await self.say(type="task:unsubscribe", data={"taskId": task_id})
        elif kind == "error":
            self.crowd.problems[str(message)[:300]] += 1

    def _ended(self, task_id: str) -> None:
        number = int(task_id.rpartition("-")[2])
        if number not in self.waits_for:  # on `/ws` a state may be told again, the newest counts
            self.crowd.twice += not (self.greedy or self.dashboard)
            return
        self.waits_for.discard(number)
        self.crowd.heard_an_end(number)
        self._note("update" if self.dashboard else "result", self.crowd.age_s(number))

    def _note(self, row: str, lag_s: float) -> None:
        if not self.greedy:
            self.crowd.lags[row].append(lag_s)


class Crowd:
    """All of them, and what they saw."""

    def __init__(self, said: dict[str, Any], clients: int, rate: float, fresh: float) -> None:
        self.said, self.rate, self.fresh = said, rate, fresh
        self.run = f"{time.time_ns():x}"
        everybody = [Follower(self, number, greedy=False) for number in range(clients)]
        self.dashboards, self.senders = everybody[::2], everybody[1::2]
        self.greedy = [Follower(self, number, greedy=True) for number in range(GREEDY)]
        self.everybody = everybody + self.greedy
        self.lags: Lags = defaultdict(lambda: array("d"))
        self.problems: dict[str, int] = defaultdict(int)
        self.sent: dict[int, float] = {}
        self.under_way: set[int] = set()
        self.twice = self.next = self.ended = self.messages = 0
        self.open = True
        self._news = asyncio.Event()

    def name(self, number: int) -> str:
        return f"{self.run}-{number}"

    def age_s(self, number: int) -> float:
        return time.perf_counter() - self.sent[number]

    async def connect(self) -> None:
        for first in range(0, len(self.everybody), OPENING):
            group = self.everybody[first : first + OPENING]
            await asyncio.gather(*(each.open() for each in group))
        for number in range(AHEAD):
            await self._announce(number)

    async def _announce(self, number: int) -> None:
        """Dashboards follow what will be sent."""
        for k in range(EACH):
            await self.dashboards[(number * EACH + k) % len(self.dashboards)].follow(number)
        if number % SHARE == 0:
            for each in self.greedy[::2]:
                await each.follow(number)

    def heard_an_end(self, number: int) -> None:
        """The first who hears of it tells the one who submits."""
        if number in self.under_way:
            self.under_way.discard(number)
            self.ended += 1
        self._news.set()

    async def submit(self, seconds: float) -> None:
        """At the wished rate, as long as the hub keeps up."""
        began, first = time.perf_counter(), self.next
        while (now := time.perf_counter()) < began + seconds:
            due = first + int((now - began) * self.rate) + 1
            while self.next < due and time.perf_counter() < began + seconds:
                await self._submit_one()
            await asyncio.sleep(max(0.0, began + (due - first) / self.rate - time.perf_counter()))

    async def _submit_one(self) -> None:
        while len(self.under_way) >= MOST_OPEN:
            self._news.clear()
            await self._news.wait()
        number = self.next
        self.next += 1
        self.under_way.add(number)
        await self._announce(number + AHEAD)
        turn, greedy = divmod(number, SHARE)
        senders = self.senders if greedy else self.greedy[1::2]
        known = (number * 0.618034) % 1 >= self.fresh
        content = number % REPEATED if known else self.name(number)
        await senders[(number if greedy else turn) % len(senders)].submit(number, content)

    async def settle(self) -> int:
        """Wait for what is still on its way; how many ends an ordinary follower never heard."""
        missed, since = self._missed(), time.perf_counter()
        while missed and time.perf_counter() < since + SILENCE_S:
            await asyncio.sleep(0.5)
            before, missed = missed, self._missed()
            if missed < before:
                since = time.perf_counter()
        return missed

    def _missed(self) -> int:
        """Not of what the greedy ones send: it is lost with a connection that is cut off."""
        ordinary = (*self.dashboards, *self.senders)
        waited = (number for each in ordinary for number in each.waits_for)
        return sum(number < self.next and number % SHARE != 0 for number in waited)

    async def phase(self, stopped: int, seconds: float) -> dict[str, Any]:
        """One stretch of time in which so many of the greedy ones do not read."""
        for number, each in enumerate(reversed(self.greedy)):
            each.reads.set() if number >= stopped else each.reads.clear()
        self.lags.clear()
        ended, messages, cut_off = self.ended, self.messages, self._cut_off()
        began, cpu_s = time.perf_counter(), time.process_time()
        await self.submit(seconds)
        took_s = time.perf_counter() - began
        return {
            "stopped": stopped,
            "seconds": took_s,
            "tasks": self.ended - ended,
            "per_s": (self.ended - ended) / took_s,
            "messages": self.messages - messages,
            "cpu_s": time.process_time() - cpu_s,
            "waiting": len(self.under_way),
            "cut_off": self._cut_off() - cut_off,
            "lags": {row: _figures(lags) for row, lags in self.lags.items()},
        }

    def _cut_off(self) -> int:
        return sum(each.cut_off for each in self.greedy)


def _figures(lags: array) -> dict[str, float]:  # type: ignore[type-arg]
    ordered = sorted(lags)
    return {
        "count": len(ordered),
        "p50": ordered[len(ordered) // 2] * 1000,
        "p99": ordered[int(len(ordered) * 0.99)] * 1000,
        "max": ordered[-1] * 1000,
    }


def _say(**found: Any) -> None:
    print(json.dumps(found), flush=True)


async def main(asked: dict[str, Any]) -> None:
    crowd = Crowd(asked["said"], asked["clients"], asked["rate"], asked["fresh"])
    await crowd.connect()
    _say(connected=len(crowd.everybody))
    await asyncio.sleep(asked["idle_s"])
    _say(idle=True)
    await crowd.submit(asked["warm_up_s"])
    _say(warm=True)
    for stopped in asked["stopped"]:
        _say(**await crowd.phase(stopped, asked["phase_s"]))
    missed = await crowd.settle()
    crowd.open = False
    lost = sum(each.cut_off for each in (*crowd.dashboards, *crowd.senders))
    found = {"missed": missed, "twice": crowd.twice, "lost": lost, "tasks": crowd.ended}
    _say(**found, problems=dict(crowd.problems))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
