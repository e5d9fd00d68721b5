"""kill -9 of the hub, again and again: what it accepted still ends once, with the right result."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil
import pytest
import websockets

from tests.hub_process import HubProcess

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "2"))
TASKS = 20
UNITS = 6
TERMINAL = {"cancelled", "timeout", "failed", "rejected", "lost"}
BATCH = b"any bytes will do"


def undisturbed() -> str:
    digest = hashlib.sha256(BATCH)
    for unit in range(UNITS):
        digest.update(str(unit).encode())
    return digest.hexdigest()


def link(said: dict[str, Any]) -> websockets.connect:
    return websockets.connect(f"{said['mesh']}?token={said['token']}", proxy=None, max_size=None)


async def submit(said: dict[str, Any], names: list[str]) -> None:
    """Returns once every task is acknowledged; the link is dropped then."""
    async with link(said) as socket:
        for name in names:
            task = {
                "type": "task",
                "taskId": name,
                "model": "steady",
                "inputDataURL": "batch.bin",
                "parameters": {"units": UNITS, "unit_s": 0.01},
                "useCache": False,
            }
            await socket.send(json.dumps(task))
        waiting = set(names)
        while waiting:
            message = json.loads(await asyncio.wait_for(socket.recv(), 20))
            assert message["type"] != "error", message
            if message["type"] == "taskAccepted":
                waiting.discard(message["taskId"])


async def replay(said: dict[str, Any], names: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Every numbered message of every task, once each has ended."""
    heard: dict[str, list[dict[str, Any]]] = defaultdict(list)
    async with link(said) as socket:
        for name in names:
            await socket.send(json.dumps({"type": "attach", "taskId": name, "after": 0}))
        open_tasks = set(names)
        while open_tasks:
            message = json.loads(await asyncio.wait_for(socket.recv(), 60))
            if "seq" not in message:
                assert message["type"] in ("heartbeat", "taskProgress", "taskAccepted"), message
                continue
            heard[message["taskId"]].append(message)
            if message["type"] in ("taskResult", "error"):
                open_tasks.discard(message["taskId"])
    return heard


def gone(children: list[psutil.Process], within_s: float) -> bool:
    _, alive = psutil.wait_procs(children, timeout=within_s)
    return not alive


def test_every_acknowledged_task_ends_exactly_once(tmp_path: Path) -> None:
    seed = int(os.environ.get("FAULT_SEED", time.time_ns() % 100_000))
    print(f"seed {seed}")
    chance = random.Random(seed)
    (tmp_path / "batch.bin").write_bytes(BATCH)
    hub = HubProcess(tmp_path)
    names: list[str] = []
    for turn in range(ROUNDS):
        said = hub.start()
        fresh = [f"task-{turn}-{n}" for n in range(TASKS)]
        asyncio.run(submit(said, fresh))
        names += fresh
        time.sleep(chance.uniform(0.0, 0.6))
        children = hub.children()
        hub.kill()
        assert gone(children, within_s=5), "a child outlived its hub"

    with hub:
        said = json.loads((tmp_path / "hub.json").read_text())
        heard = asyncio.run(replay(said, names))
        again = asyncio.run(replay(said, names))
    assert heard.keys() == set(names)
    for name, messages in heard.items():
        numbers = [message["seq"] for message in messages]
        assert numbers == sorted(set(numbers)), name
        ends = [m for m in messages if m["type"] in ("taskResult", "error")]
        assert len(ends) == 1 and ends[0] is messages[-1], name
        if ends[0]["type"] == "taskResult":
            assert ends[0]["result"]["data"] == {"digest": undisturbed(), "units": UNITS}
        else:
            assert (ends[0]["code"], ends[0]["attempt"]) == ("lost", 3), ends[0]
    assert again == heard
