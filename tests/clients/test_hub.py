"""HubClient against a real WebSocket server that speaks `/ws`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars
import pyarrow
import pytest

from tests.clients.speaking_hub import TABLE, SpeakingHub, speaking
from workbench.clients.answer import QueryResult
from workbench.clients.hub import HubClient
from workbench.core.markup import LASTING
from workbench.errors import InputError, LinkError


@contextlib.asynccontextmanager
async def client_of(hub: SpeakingHub, **more: Any) -> AsyncIterator[HubClient]:
    client = HubClient(hub.url, "token", reconnect_delay=0.02, **more)
    await client.connect()
    try:
        yield client
    finally:
        await client.disconnect()


async def test_ping_gives_the_round_trip_in_seconds() -> None:
    async with speaking() as hub, client_of(hub) as client:
        assert 0 < await client.ping() < 5


async def test_a_query_is_an_arrow_table_as_of_a_moment() -> None:
    async with speaking() as hub, client_of(hub) as client:
        result = await client.query("SELECT * FROM t WHERE n < $n", {"n": 5}, fresh=True)
        assert hub.heard[0]["data"] == {
            "sql": "SELECT * FROM t WHERE n < $n",
            "params": {"n": 5},
            "fresh": True,
        }
        assert result.arrow().equals(TABLE)
        assert (len(result), result.columns) == (25, ["n", "name"])
        assert result.as_of == datetime(2025, 11, 24, 16, 0, tzinfo=UTC)
        assert result.truncated
        assert result.elapsed_ms == 12
        assert list(result.df()["n"]) == list(range(25))
        assert isinstance(result.pl(), polars.DataFrame)
        assert result.rows()[1] == {"n": 1, "name": "<b>1</b>"}


async def test_two_queries_at_once_get_their_own_answers() -> None:
    async with speaking() as hub, client_of(hub) as client:
        both = await asyncio.gather(client.query("SELECT 1"), client.query("SELECT 2"))
        assert [len(each) for each in both] == [25, 25]


async def test_a_faulty_query_raises_the_hubs_sentence() -> None:
    async with speaking() as hub, client_of(hub) as client:
        with pytest.raises(InputError) as fault:
            await client.query("broken")
        assert str(fault.value) == "the query failed: syntax"
        assert fault.value.template == "the query failed: {reason}"
        assert len(await client.query("SELECT 1")) == 25


async def test_a_query_that_nobody_waits_for_is_stopped_at_the_hub() -> None:
    async with speaking() as hub, client_of(hub) as client:
        asked = asyncio.create_task(client.query("slow"))
        await hub.until(lambda: "query" in hub.kinds())
        asked.cancel()
        await hub.until(lambda: "query:cancel" in hub.kinds())
        assert hub.heard[-1]["requestId"] == hub.heard[0]["requestId"]


async def test_a_query_has_a_deadline() -> None:
    async with speaking() as hub, client_of(hub) as client:
        with pytest.raises(LinkError, match=r"the hub did not answer query within 0\.05 s"):
            await client.query("slow", timeout_s=0.05)


async def test_a_query_under_way_is_given_back_when_the_connection_is_lost() -> None:
    async with speaking() as hub, client_of(hub) as client:
        asked = asyncio.create_task(client.query("slow"))
        await hub.until(lambda: "query" in hub.kinds())
        await hub.drop()
        with pytest.raises(LinkError, match="was lost"):
            await asyncio.wait_for(asked, 10)


async def test_subscriptions_come_back_with_the_connection() -> None:
    async with speaking() as hub, client_of(hub) as client:
        metrics: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        tasks: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        client.on("metrics", metrics.put_nowait)
        client.monitor(1000)
        leave = client.follow_task("t1", tasks.put_nowait)
        for lost in (True, False):
            reading = await asyncio.wait_for(metrics.get(), 10)
            assert reading["cpu"] == {"usage": 1.0}
            assert (await asyncio.wait_for(tasks.get(), 10))["id"] == "t1"
            if lost:
                await hub.drop()
        leave()
        leave()
        await hub.until(lambda: "task:unsubscribe" in hub.kinds())


async def test_each_attempt_asks_where_the_hub_is_now() -> None:
    first, second = SpeakingHub(), SpeakingHub()
    await first.start()
    await second.start()
    places = [first.url, second.url]
    client = HubClient(locate=lambda: (places[0], None), reconnect_delay=0.01)
    await client.connect()
    places.pop(0)
    await first.stop()
    client.monitor(1000)
    await second.until(lambda: "monitoring:subscribe" in second.kinds())
    assert await client.ping() > 0
    await client.disconnect()
    await second.stop()


async def test_a_question_without_a_connection_says_what_to_do() -> None:
    with pytest.raises(LinkError, match="not connected to the hub: call connect"):
        await HubClient().ping()


def test_a_result_draws_itself_escaped_and_says_what_is_left_out() -> None:
    result = QueryResult(TABLE, truncated=True, elapsed_ms=1234, as_of=None)
    html = result._repr_html_()
    assert "&lt;b&gt;1&lt;/b&gt;" in html
    assert "<b>" not in html
    assert html.count("<tr>") == 21
    assert "25 rows, the first 20 shown, cut off at the limit: more rows exist, 1,234 ms" in html
    assert str(result).startswith("QueryResult: 25 rows, the first 10 shown, cut off")
    assert len(str(result).splitlines()) == 12
    assert set(result._repr_mimebundle_()) == {"text/html", "text/plain", LASTING}


def test_a_terminal_shows_the_first_rows() -> None:
    table = pyarrow.table({"n": [1, None], "word": ["a\nb", "x" * 99]})
    result = QueryResult(table, truncated=False, elapsed_ms=3, as_of=None)
    assert repr(result).splitlines() == [
        "QueryResult: 2 rows, 3 ms",
        "  n  word",
        "  1  a b",
        f"  –  {'x' * 23}…",
    ]


def test_a_terminal_shows_amounts_whole() -> None:
    most = str(2**128 - 1)
    table = pyarrow.table({"amount": [most, "9" * 99]})
    lines = repr(QueryResult(table, truncated=False, elapsed_ms=3, as_of=None)).splitlines()
    assert lines[2:] == [f"  {most}", f"  {'9' * 23}…"]


def test_a_sum_of_integers_is_an_integer_in_pandas_where_it_fits() -> None:
    huge = pyarrow.decimal128(38, 0)
    columns: dict[str, list[int | None]] = {
        "fits": [1, 2],
        "huge": [1, 2**100],
        "partly": [1, None],
    }
    table = pyarrow.table(
        {name: pyarrow.array(map(_decimal, each), huge) for name, each in columns.items()}
    )
    frame = QueryResult(table, truncated=False, elapsed_ms=0, as_of=None).df()
    assert str(frame.fits.dtype) == "int64"
    assert frame.huge.tolist() == [1, 2**100]
    assert frame.partly.tolist() == [1, None]


def _decimal(value: int | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def test_an_empty_answer_is_an_empty_table() -> None:
    result = QueryResult.of([], {"rows": 0})
    assert (len(result), result.columns, result.truncated) == (0, [], False)
    assert "0 rows" in result._repr_html_()
    missing = QueryResult(pyarrow.table({"x": [None]}), truncated=False, elapsed_ms=0, as_of=None)
    assert ">–<" in missing._repr_html_()


def test_integers_with_gaps_stay_exact_in_a_frame() -> None:
    large = 2**60 + 1
    table = pyarrow.table(
        [
            pyarrow.array([large, None], pyarrow.int64()),
            pyarrow.array([2**64 - 1, None], pyarrow.uint64()),
            pyarrow.array([1, 2], pyarrow.int64()),
            pyarrow.array([0.5, None]),
        ],
        names=["n", "n", "whole", "share"],
    )
    frame = QueryResult(table, truncated=False, elapsed_ms=0.0, as_of=None).df()
    assert [str(each) for each in frame.dtypes] == ["Int64", "UInt64", "int64", "float64"]
    assert [frame.iat[0, 0], frame.iat[0, 1]] == [large, 2**64 - 1]
    assert frame.iloc[1, :2].isna().all()
