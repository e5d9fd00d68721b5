"""Alerts over a real endpoint: raised and cleared, told, kept over a restart, and own rules."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.hub.endpoint import Endpoint, Peer
from workbench.core.alert_nouns import Rule
from workbench.core.gpu import Gpu
from workbench.hub.connections import Monitoring

HOT = Rule(name="GPU temperature", metric="gpu.temperature", threshold=80.0, for_s=0.0)


def gpu(temperature_c: float | None) -> Gpu:
    return Gpu(gpu_id="0", vendor="nvidia", name="Test", temperature_c=temperature_c)


async def until(peer: Peer, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            heard = await peer.hear()
            if heard["type"] == kind:
                return dict(heard["data"])


def watching(folder: Path, *rules: Rule) -> Any:
    monitoring = Monitoring(interval_s=0.5, rules=rules)
    return Endpoint(folder, monitoring=monitoring).serving()


async def test_an_alert_is_told_when_it_is_raised_and_when_it_is_cleared(tmp_path: Path) -> None:
    async with watching(tmp_path, HOT) as endpoint, endpoint.peer("view") as peer:
        await peer.say("monitoring:subscribe", {"intervalMs": 500})
        await until(peer, "metrics")
        endpoint.machine.gpus = (gpu(91.0),)
        raised = (await until(peer, "alert:raised"))["alert"]
        assert (raised["rule"], raised["subject"], raised["value"]) == ("GPU temperature", "0", 91)
        assert [each["alertId"] for each in (await until(peer, "metrics"))["alerts"]] == [
            raised["alertId"]
        ]
        listed = await peer.ask("alert:list", requestId=0)
        while listed["type"] != "alert:list":
            listed = await peer.hear()
        assert [each["state"] for each in listed["data"]["active"]] == ["raised"]
        assert listed["data"]["past"] == []
        endpoint.machine.gpus = (gpu(60.0),)
        cleared = (await until(peer, "alert:cleared"))["alert"]
        assert (cleared["alertId"], cleared["worst"]) == (raised["alertId"], 91.0)
        listed = await peer.ask("alert:list", requestId=1)
        while listed["type"] != "alert:list":
            listed = await peer.hear()
        assert listed["data"]["active"] == []
        assert [each["state"] for each in listed["data"]["past"]] == ["cleared"]
        assert [each["name"] for each in listed["data"]["rules"]] == ["GPU temperature"]


async def test_an_alert_that_was_raised_is_raised_still_after_a_restart(tmp_path: Path) -> None:
    async with watching(tmp_path, HOT) as endpoint, endpoint.peer() as peer:
        await peer.say("monitoring:subscribe", {"intervalMs": 500})
        await until(peer, "metrics")
        endpoint.machine.gpus = (gpu(91.0),)
        raised = (await until(peer, "alert:raised"))["alert"]
    async with watching(tmp_path, HOT) as endpoint, endpoint.peer() as peer:
        listed = await peer.ask("alert:list")
        assert [each["alertId"] for each in listed["data"]["active"]] == [raised["alertId"]]
        await peer.say("monitoring:subscribe", {"intervalMs": 500})
        await until(peer, "metrics")
        endpoint.machine.gpus = (gpu(50.0),)
        assert (await until(peer, "alert:cleared"))["alert"]["alertId"] == raised["alertId"]


async def test_a_rule_of_ones_own_is_kept_and_a_deleted_one_stays_away(tmp_path: Path) -> None:
    rule = {"name": "memory", "metric": "host.memory_used_pct", "threshold": 0.5, "forS": 0}
    async with watching(tmp_path, HOT) as endpoint, endpoint.peer("submit") as peer:
        await peer.say("monitoring:subscribe", {"intervalMs": 500})
        await until(peer, "metrics")
        await peer.say("alert:save", {"rule": rule}, requestId="r")
        saved = (await until(peer, "alert:rules"))["rules"]
        assert [each["name"] for each in saved] == ["GPU temperature", "memory"]
        await peer.say("alert:delete", {"name": "GPU temperature"})
        assert (await until(peer, "alert:raised"))["alert"]["rule"] == "memory"
    async with watching(tmp_path, HOT) as endpoint, endpoint.peer() as peer:
        listed = await peer.ask("alert:list")
        assert [each["name"] for each in listed["data"]["rules"]] == ["memory"]


async def test_faulty_rules_and_narrow_scopes_are_refused(endpoint: Endpoint) -> None:
    rule = {"name": "x", "metric": "gpu.temperatur", "threshold": 80}
    async with endpoint.peer("submit") as peer:
        heard = await peer.ask("alert:save", {"rule": rule})
        assert heard["data"]["code"] == "invalid"
        assert "gpu.temperature" in heard["data"]["message"]
        assert (await peer.ask("alert:list"))["data"]["rules"] == []
    async with endpoint.peer("view") as peer:
        heard = await peer.ask("alert:delete", {"name": "x"})
        assert heard["data"]["code"] == "forbidden"


async def test_a_rule_beyond_the_limit_is_refused_and_not_kept(tmp_path: Path) -> None:
    many = [HOT] + [Rule(name=f"r{n}", metric="host.cpu", threshold=99.0) for n in range(99)]
    one_more = {"name": "one more", "metric": "host.cpu", "threshold": 50}
    async with watching(tmp_path, *many) as endpoint, endpoint.peer() as peer:
        heard = await peer.ask("alert:save", {"rule": one_more})
        assert heard["data"]["message"] == "there are 100 rules already: delete one first"
        rows = await endpoint.store.read("alert_rules")
        assert rows == []
