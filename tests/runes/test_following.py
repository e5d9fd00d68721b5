"""Following the tip over real HTTP and a real ZMQ socket: growth, reorganisations, lost links."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
import zmq
import zmq.asyncio

from tests.chain.doubles import Branch, BranchEsplora, BranchNode
from tests.core.blocks import block
from tests.http_server import Asked, Server, serving
from workbench import runes
from workbench.chain import Esplora, NodeRpc, NodeZmq
from workbench.core.bitcoin import parse_block
from workbench.errors import InputError, ProtocolError
from workbench.http import Http
from workbench.runes.following import Away, Source, Taken, TakenBack

FIRST = 150
SOON_S = 10.0


def grown(
    count: int, below: bytes | None = None, height: int = FIRST, paid: int = 5
) -> list[bytes]:
    """`count` blocks, each on the one before it."""
    raws: list[bytes] = []
    for place in range(count):
        last = raws[-1] if raws else below
        parent = bytes.fromhex(parse_block(last).hash)[::-1] if last else bytes(32)
        raws.append(block(height=height + place, below=parent, paid=paid))
    return raws


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http(private_addresses=True) as http:
        yield http


KINDS = {"node": (BranchNode, NodeRpc), "esplora": (BranchEsplora, Esplora)}


def source(kind: str, http: Http, server: Server) -> Source:
    return KINDS[kind][1](http, server.url)


async def steps(follower: Any, count: int) -> list[Any]:
    """The next steps of a follower."""
    async with asyncio.timeout(SOON_S):
        return [await anext(follower) for _ in range(count)]


def said(found: list[Any]) -> list[tuple[str, int]]:
    return [(type(step).__name__, step.height) for step in found]


class Looks:
    """Waits until a follower has looked at its source some times; told by the server's thread."""

    def __init__(self) -> None:
        self._loop, self._enough, self._left = asyncio.get_running_loop(), asyncio.Event(), 4

    def count(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._loop.call_soon_threadsafe(self._enough.set)

    async def several(self) -> None:
        async with asyncio.timeout(SOON_S):
            await self._enough.wait()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_index_grows_with_the_chain(kind: str, http: Http) -> None:
    double = KINDS[kind][0](*grown(3))
    index = runes.Index("regtest")
    with serving(double) as server:
        follower = runes.follow(source(kind, http, server), index, start=FIRST, poll_s=0.01)
        async with aclosing(follower):
            found = await steps(follower, 3)
            double.raws += grown(1, double.raws[-1], FIRST + 3)
            found += await steps(follower, 1)
    assert said(found) == [("Taken", FIRST + place) for place in range(4)]
    assert [step.hash for step in found] == [parse_block(raw).hash for raw in double.raws]
    assert index.block_hash == found[-1].hash


@pytest.mark.parametrize("kind", KINDS)
async def test_a_reorganisation_is_taken_back_block_by_block(kind: str, http: Http) -> None:
    double = KINDS[kind][0](*grown(4))
    index = runes.Index("regtest")
    with serving(double) as server:
        follower = runes.follow(source(kind, http, server), index, start=FIRST, poll_s=0.01)
        async with aclosing(follower):
            old = await steps(follower, 4)
            double.raws[2:] = grown(3, double.raws[1], FIRST + 2, paid=6)
            found = await steps(follower, 5)
    assert [type(step) for step in found] == [TakenBack, TakenBack, Taken, Taken, Taken]
    assert [step.height - FIRST for step in found] == [3, 2, 2, 3, 4]
    assert [step.hash for step in found[:2]] == [old[3].hash, old[2].hash]
    straight = runes.Index("regtest")
    for raw in double.raws:
        straight.apply_block(raw)
    assert index.state_hash() == straight.state_hash()


async def test_a_shorter_branch_is_followed_and_a_slow_server_is_not(http: Http) -> None:
    """One that has the same blocks but fewer is only behind; one with others has left."""
    double = BranchNode(*grown(4))
    index = runes.Index("regtest")
    with serving(double) as server:
        node = source("node", http, server)
        async with aclosing(runes.follow(node, index, start=FIRST, poll_s=0.01)) as follower:
            await steps(follower, 4)
            whole, double.raws = double.raws, double.raws[:2]
            looks = Looks()
            double.looked = looks.count
            waiting = asyncio.ensure_future(anext(follower))
            await looks.several()
            assert not waiting.done()
            assert index.height == FIRST + 3
            double.raws = [*whole[:1], *grown(1, whole[0], FIRST + 1, paid=7)]
            found = [await waiting, *await steps(follower, 3)]
    assert said(found) == [
        ("TakenBack", FIRST + 3),
        ("TakenBack", FIRST + 2),
        ("TakenBack", FIRST + 1),
        ("Taken", FIRST + 1),
    ]


async def test_a_dropped_link_is_said_and_survived(http: Http) -> None:
    double = BranchNode(*grown(2))
    double.gone = 1
    index = runes.Index("regtest")
    with serving(double) as server:
        node = source("node", http, server)
        async with aclosing(runes.follow(node, index, start=FIRST, poll_s=0.01)) as follower:
            found = await steps(follower, 3)
    assert [type(step) for step in found] == [Away, Taken, Taken]
    assert found[0].wait_s == 1.0
    assert "the link to" in found[0].reason


def fault_of_rpc(code: int, message: str, status: int) -> Callable[[Asked], None]:
    body = json.dumps({"result": None, "error": {"code": code, "message": message}, "id": 0})
    return lambda asked: asked.reply(body.encode(), status, Content_Type="application/json")


@pytest.mark.parametrize("status", [500, 503, 200])
async def test_a_node_that_is_starting_is_waited_for(status: int, http: Http) -> None:
    double = BranchNode(*grown(1))
    double.instead = fault_of_rpc(-28, "Verifying blocks...", status)
    with serving(double) as server:
        node = source("node", http, server)
        async with aclosing(runes.follow(node, runes.Index("regtest"), start=FIRST)) as follower:
            (away,) = await steps(follower, 1)
            assert isinstance(away, Away)
            assert away.reason == "the node is still starting: Verifying blocks..."
            double.instead = None
            assert said(await steps(follower, 1)) == [("Taken", FIRST)]


@pytest.mark.parametrize("which", ["height", "hash"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_block_that_was_announced_and_is_not_there_is_looked_for_again(
    kind: str, which: str, http: Http
) -> None:
    """A reorganisation, or one of several servers behind an address that is a block behind."""
    double = KINDS[kind][0](*grown(2))
    double.late = frozenset({FIRST + 1, parse_block(double.raws[1]).hash})
    if which == "hash":
        double.late -= {FIRST + 1}
    with serving(double) as server:
        follower = runes.follow(source(kind, http, server), runes.Index("regtest"), start=FIRST)
        async with aclosing(follower):
            found = await steps(follower, 2)
            double.late = frozenset()
            found += await steps(follower, 1)
    assert [type(step) for step in found] == [Taken, Away, Taken]


@pytest.mark.parametrize(
    "page",
    [
        lambda asked: asked.reply(b""),
        lambda asked: asked.reply(b"<html>maintenance</html>", Content_Type="text/html"),
        lambda asked: asked.reply(b"Bad Gateway", 404),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_page_in_the_place_of_a_source_that_answered_is_away(
    kind: str, page: Callable[[Asked], None], http: Http
) -> None:
    double = KINDS[kind][0](*grown(2))
    with serving(double) as server:
        follower = runes.follow(source(kind, http, server), runes.Index("regtest"), start=FIRST)
        async with aclosing(follower):
            await steps(follower, 1)
            double.instead = page
            assert [type(step) for step in await steps(follower, 1)] == [Away]


async def test_a_broken_answer_of_a_server_in_trouble_is_away(http: Http) -> None:
    double = BranchNode(*grown(1))
    double.instead = lambda asked: asked.reply(b"oops", 500, Content_Type="application/json")
    with serving(double) as server:
        node = source("node", http, server)
        async with aclosing(runes.follow(node, runes.Index("regtest"), start=FIRST)) as follower:
            (away,) = await steps(follower, 1)
    assert isinstance(away, Away)
    assert "answers 500" in away.reason


async def test_an_address_of_nothing_is_refused_at_once(http: Http) -> None:
    with serving(lambda asked: asked.reply(b"no such page", 404)) as server:
        follower = runes.follow(source("esplora", http, server), runes.Index(), start=FIRST)
        with pytest.raises(InputError, match="answers 404 for this URL"):
            await steps(follower, 1)


async def test_following_goes_on_from_a_snapshot(http: Http) -> None:
    double = BranchNode(*grown(4))
    index = runes.Index("regtest")
    for raw in double.raws[:2]:
        index.apply_block(raw)
    again = runes.Index.restore(index.snapshot())
    with serving(double) as server:
        node = source("node", http, server)
        async with aclosing(runes.follow(node, again, poll_s=0.01)) as follower:
            assert said(await steps(follower, 2)) == [("Taken", FIRST + 2), ("Taken", FIRST + 3)]


async def test_a_reorganisation_deeper_than_the_window_stops_it(http: Http) -> None:
    double = BranchNode(*grown(4))
    index = runes.Index("regtest", window=2)
    for raw in double.raws:
        index.apply_block(raw)
    double.raws = [double.raws[0], *grown(4, double.raws[0], FIRST + 1, paid=9)]
    with serving(double) as server:
        node = source("node", http, server)
        async with aclosing(runes.follow(node, index, poll_s=0.01)) as follower:
            await steps(follower, 2)
            with pytest.raises(InputError, match="restore an older snapshot, or build"):
                await steps(follower, 1)
    assert index.height == FIRST + 1


async def test_what_will_not_help_by_waiting_is_raised(http: Http) -> None:
    index = runes.Index("regtest")
    with serving(lambda asked: asked.reply(b"<html>", Content_Type="application/json")) as server:
        follower = runes.follow(source("node", http, server), index, start=FIRST)
        with pytest.raises(ProtocolError):
            await steps(follower, 1)
    double: Branch = BranchNode(*grown(2))
    double.raws[1] = double.raws[1][:-1] + b"\x01"
    with serving(double) as server:  # type: ignore[arg-type]
        follower = runes.follow(source("node", http, server), index, start=FIRST)
        with pytest.raises(InputError, match="do not give its Merkle root"):
            await steps(follower, 2)
    bare = runes.Index("regtest")
    bare.apply(1, 0, [])
    with pytest.raises(InputError, match=r"build it by apply_block\(\)"):
        await steps(runes.follow(source("node", http, server), bare), 1)


class Ringing:
    """A node's ZMQ socket, which knows when somebody listens."""

    def __init__(self) -> None:
        self.socket = zmq.asyncio.Context.instance().socket(zmq.XPUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.address = f"tcp://127.0.0.1:{port}"

    async def listened(self) -> None:
        async with asyncio.timeout(SOON_S):
            assert await self.socket.recv() == b"\x01hashblock"

    async def ring(self) -> None:
        await self.socket.send_multipart([b"hashblock", bytes(32), bytes(4)])


@pytest.fixture
async def ringing() -> AsyncIterator[Ringing]:
    made = Ringing()
    yield made
    made.socket.close(linger=0)


async def test_the_bell_of_a_node_cuts_the_waiting_short(http: Http, ringing: Ringing) -> None:
    double = BranchNode(*grown(1))
    index = runes.Index("regtest")
    with serving(double) as server:
        node = source("node", http, server)
        async with (
            NodeZmq(ringing.address) as bell,
            aclosing(runes.follow(node, index, start=FIRST, bell=bell, poll_s=3_600)) as follower,
        ):
            await ringing.listened()
            await steps(follower, 1)
            double.raws += grown(1, double.raws[-1], FIRST + 1)
            await ringing.ring()
            assert said(await steps(follower, 1)) == [("Taken", FIRST + 1)]


async def test_several_rings_are_one_and_silence_is_none(ringing: Ringing) -> None:
    async with NodeZmq(ringing.address) as bell:
        await ringing.listened()
        await ringing.ring()
        await ringing.ring()
        assert await bell.wait(SOON_S) is True
        async with asyncio.timeout(SOON_S):
            while await bell.wait(0.01):  # the second may arrive after the first was heard
                pass
        assert await bell.wait(0.01) is False


async def test_the_bell_outlives_its_node() -> None:
    ringing = Ringing()
    async with NodeZmq(ringing.address) as bell:
        await ringing.listened()
        ringing.socket.close(linger=0)
        again = zmq.asyncio.Context.instance().socket(zmq.XPUB)
        again.setsockopt(zmq.LINGER, 0)
        await bound(again, ringing.address)
        ringing.socket = again
        try:
            waiting = asyncio.ensure_future(bell.wait(SOON_S))
            await ringing.listened()
            await ringing.ring()
            assert await waiting is True
        finally:
            again.close(linger=0)


async def bound(socket: Any, address: str) -> None:
    """Take an address that was given back just now."""
    async with asyncio.timeout(SOON_S):
        while True:
            try:
                socket.bind(address)
                return
            except zmq.ZMQError:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "address", ["", "http://127.0.0.1:1", "tcp://127.0.0.1", "tcp://*:99999999"]
)
def test_what_is_no_address_of_a_bell_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"allowed: tcp://host:port"):
        NodeZmq(address)
