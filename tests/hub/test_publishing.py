"""What the hub sends unasked: metrics at their interval, followed tasks."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.hub.endpoint import Endpoint


async def test_the_first_metrics_follow_the_subscription_at_once(endpoint: Endpoint) -> None:
    async with endpoint.peer("view") as peer:
        assert await peer.ask("monitoring:subscribe", requestId=1) == {
            "type": "monitoring:subscribed",
            "data": {"intervalMs": 10_000},
            "requestId": 1,
        }
        await peer.hear()
        await peer.ask("monitoring:subscribe", {"intervalMs": 60_000})
        async with asyncio.timeout(30):  # and not only when its interval is over
            heard = await peer.hear()
        assert heard["type"] == "metrics"
        named = {"takenAt", "intervalMs", "cpu", "memory", "disk", "network", "hub"}
        assert set(heard["data"]) == {*named, "gpus", "gpuNote", "llm", "alerts"}
        assert 0 < heard["data"]["memory"]["usedPercent"] < 100


async def test_metrics_come_at_the_interval_until_unsubscribed(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        await peer.ask("monitoring:subscribe", {"intervalMs": 500})
        started = time.monotonic()
        async with asyncio.timeout(15):  # every 10 s, as where nothing is asked for, it were 20
            readings = [await peer.hear() for _ in range(3)]
        assert time.monotonic() - started > 0.8
        assert 0 <= readings[-1]["data"]["cpu"]["usage"] <= 100
        await peer.say("monitoring:unsubscribe")
        assert await peer.ask("ping") == {"type": "pong"}


async def test_subscribing_again_replaces_the_interval(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        await peer.ask("monitoring:subscribe", {"intervalMs": 500})
        await peer.hear()
        await peer.ask("monitoring:subscribe", {"intervalMs": 60_000})
        await peer.hear()
        assert await peer.ask("ping") == {"type": "pong"}


async def test_a_followed_task_is_sent_now_and_at_each_change(endpoint: Endpoint) -> None:
    endpoint.feed.change("t1", progress=0.25)
    async with endpoint.peer("view") as peer:
        assert await peer.ask("task:subscribe", {"taskId": "t1"}) == {
            "type": "task:subscribed",
            "data": {"taskId": "t1"},
        }
        assert (await peer.hear())["data"]["task"]["progress"] == 0.25
        endpoint.feed.change("t1", progress=0.5)
        heard = await peer.hear()
        assert heard["type"] == "task:update"
        assert heard["data"]["task"] == {
            "id": "t1", "title": "steady", "status": "running", "progress": 0.5,
        }  # fmt: skip


async def test_a_task_may_be_followed_before_it_is_there(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        assert (await peer.ask("task:subscribe", {"taskId": 5}))["data"] == {"taskId": 5}
        endpoint.feed.change("5")
        assert (await peer.hear())["data"]["task"]["id"] == 5


async def test_a_task_that_ended_long_ago_is_looked_up(endpoint: Endpoint) -> None:
    endpoint.feed.older["5"] = {"id": "5", "title": "steady", "status": "done"}
    async with endpoint.peer() as peer:
        assert (await peer.ask("task:subscribe", {"taskId": 5}))["data"] == {"taskId": 5}
        assert (await peer.hear())["data"]["task"] == {"id": 5, "title": "steady", "status": "done"}


async def test_each_follower_gets_a_change_under_the_id_that_it_gave(endpoint: Endpoint) -> None:
    async with endpoint.peer() as one, endpoint.peer() as other, endpoint.peer() as third:
        given: list[tuple[Any, Any]] = [(one, 5), (other, "5"), (third, 5)]
        for peer, task_id in given:
            await peer.ask("task:subscribe", {"taskId": task_id})
        endpoint.feed.change("5")
        assert [(await peer.hear())["data"]["task"]["id"] for peer, _ in given] == [5, "5", 5]


async def test_an_unsubscribed_task_is_not_sent(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        await peer.ask("task:subscribe", {"taskId": "t1"})
        await peer.say("task:unsubscribe", {"taskId": "t1"})
        assert await peer.ask("ping") == {"type": "pong"}
        endpoint.feed.change("t1")
        assert await peer.ask("ping") == {"type": "pong"}


async def test_a_connection_follows_a_bounded_number_of_tasks(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        for number in range(1000):
            await peer.ask("task:subscribe", {"taskId": number})
        heard = await peer.ask("task:subscribe", {"taskId": 1000})
        assert heard["data"]["code"] == "busy"
        assert heard["data"]["message"] == (
            "this connection follows 1000 tasks already: unsubscribe from one first"
        )
