"""Queries over a socket: one Arrow stream, in order, no faster than its reader."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pyarrow as pa

from tests.hub.endpoint import Endpoint, Peer


async def answer(peer: Peer) -> tuple[pa.Table, dict[str, Any]]:
    parts: list[bytes] = []
    while True:
        heard = await peer.hear()
        assert heard["type"] in ("query:batch", "query:done"), heard
        if heard["type"] == "query:done":
            return pa.ipc.open_stream(b"".join(parts)).read_all(), heard
        assert heard["data"]["n"] == len(parts)
        frame = await peer.raw.recv()
        assert isinstance(frame, bytes)
        parts.append(frame)


async def test_a_query_is_answered_by_one_arrow_stream(endpoint: Endpoint) -> None:
    async with endpoint.peer("submit") as peer:
        sql = "SELECT range AS n FROM range(50000)"
        await peer.say("query", {"sql": sql}, requestId="q")
        before_ms = time.time() * 1000
        table, done = await answer(peer)
        assert table["n"].to_pylist() == list(range(50_000))
        assert done["requestId"] == "q"
        assert done["data"]["rows"] == 50_000
        assert done["data"]["truncated"] is False
        assert isinstance(done["data"]["elapsedMs"], int)
        assert abs(done["data"]["asOf"] - before_ms) < 5_000


async def test_parameters_are_bound_by_name(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        params = {"a": "x'; DROP TABLE tasks; --", "n": 3}
        await peer.say("query", {"sql": "SELECT $a AS a, $n AS n", "params": params})
        table, _ = await answer(peer)
        assert table.to_pylist() == [params]


async def test_an_answer_is_cut_at_the_rows_asked_for_and_says_so(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        await peer.say("query", {"sql": "FROM range(100)", "maxRows": 10})
        table, done = await answer(peer)
        assert (table.num_rows, done["data"]["truncated"]) == (10, True)


async def test_faulty_sql_is_an_error_with_its_reason(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        heard = await peer.ask("query", {"sql": "SELEKT 1"}, requestId="q")
        assert heard["type"] == "error"
        assert heard["requestId"] == "q"
        assert heard["data"]["code"] == "invalid"
        assert "SELEKT" in heard["data"]["message"]
        assert await peer.ask("ping") == {"type": "pong"}


async def test_a_cancelled_query_ends_with_an_error_and_frees_its_place(
    endpoint: Endpoint,
) -> None:
    async with endpoint.peer() as peer:
        slow = "SELECT count(*) FROM range(100000) a, range(100000) b, range(1000) c"
        await peer.say("query", {"sql": slow}, requestId="slow")
        await peer.say("query:cancel", requestId="slow")
        heard = await peer.hear()
        assert heard["requestId"] == "slow"
        assert heard["data"]["message"] == "the query was cancelled"
        await peer.say("query", {"sql": "SELECT 1 AS one"})
        table, _ = await answer(peer)
        assert table.to_pylist() == [{"one": 1}]


async def test_the_fifth_query_at_once_is_told_to_wait(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        slow = "SELECT count(*) FROM range(100000) a, range(100000) b, range(1000) c"
        for number in range(4):
            await peer.say("query", {"sql": slow}, requestId=number)
        heard = await peer.ask("query", {"sql": "SELECT 1"}, requestId=4)
        assert (heard["requestId"], heard["data"]["code"]) == (4, "busy")


async def test_a_reader_that_pauses_gets_the_whole_answer(endpoint: Endpoint) -> None:
    async with endpoint.peer(max_queue=1) as peer, endpoint.peer() as other:
        sql = "SELECT range AS a, range * 2 AS b, range * 3 AS c FROM range(1000000)"
        await peer.say("query", {"sql": sql})
        for _ in range(20):  # the answer waits for its reader; nobody else does
            assert await other.ask("ping") == {"type": "pong"}
            await asyncio.sleep(0)
        table, done = await answer(peer)
        assert table.num_rows == done["data"]["rows"] == 1_000_000
