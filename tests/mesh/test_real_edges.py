"""The node on its real edges: the store on a disk, Dask with its children, a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection

from tests.mesh.doubles import DEADLINE_S, MODELS, WITH_GPU, MemoryEngine, MemoryFetch
from workbench.core.gpu import Gpu, GpuReading, Owner
from workbench.engines.dask import DaskEngine
from workbench.gate import Gate
from workbench.hub.ledger import Ledger
from workbench.listener import listen
from workbench.mesh.node import Node
from workbench.store import Store

INLINE = {"type": "task", "model": "steady", "inputData": {"a": 2**100}}


class Peer:
    """A client on a real socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.frames: list[dict[str, Any]] = []

    async def say(self, message: dict[str, Any] | bytes) -> None:
        await self._socket.send(message if isinstance(message, bytes) else json.dumps(message))

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next message of this type with these fields."""
        async with asyncio.timeout(3 * DEADLINE_S):
            while True:
                frame = json.loads(await self._socket.recv())
                self.frames.append(frame)
                if frame["type"] == kind and fields.items() <= frame.items():
                    return dict(frame)


@asynccontextmanager
async def node_on(
    folder: Path, engine: DaskEngine | MemoryEngine, models: Any = MODELS, **options: Any
) -> AsyncIterator[Peer]:
    """A node with a real store and a real socket, and one client of it."""
    store = await Store.open(folder)
    gate = Gate({"secret": "admin"}, (), ())
    fetch = MemoryFetch()
    node = Node(journal=store, engine=engine, fetch=fetch, models=models, folder=folder, **options)
    await node.start()
    listener = await listen(node.serve, path="/mesh", port=0, gate=gate)
    try:
        url = f"ws://127.0.0.1:{listener.port}/mesh?token=secret"
        async with websockets.connect(url, proxy=None, compression=None) as socket:
            yield Peer(socket)
    finally:
        await listener.close()
        await node.stop()
        await store.close()


async def test_a_task_runs_in_a_child_and_is_replayed_from_the_disk(tmp_path: Path) -> None:
    engine = DaskEngine(slots=1, scratch=tmp_path / "scratch")
    await engine.start()
    try:
        async with node_on(tmp_path, engine) as peer:
            await peer.say({**INLINE, "taskId": "t", "parameters": {"units": 5}})
            await peer.until("taskAccepted")
            live = await peer.until("taskResult")
            assert live["result"]["data"] == {"units": 5}
            await peer.say({"type": "tasks", "requestId": 1})
            (row,) = (await peer.until("tasks"))["tasks"]
            assert (row["state"], row["parameters"]) == ("done", {"units": 5})
            assert row["durationMs"] >= 0
    finally:
        await engine.stop()
    async with node_on(tmp_path, MemoryEngine()) as peer:
        await peer.say({"type": "attach", "taskId": "t"})
        replayed = await peer.until("taskResult")
        assert replayed == live
        assert [frame["type"] for frame in peer.frames] == ["taskAccepted", "taskResult"]
        await peer.say({**INLINE, "taskId": "u", "parameters": {"units": 5}})
        assert (await peer.until("taskResult", taskId="u"))["result"] == live["result"]
        await peer.say({**INLINE, "taskId": "t", "parameters": {"units": 6}})
        assert (await peer.until("error"))["code"] == "conflict"


async def test_open_tasks_are_taken_up_from_the_disk(tmp_path: Path) -> None:
    first = MemoryEngine(slots=1)
    large = {**INLINE, "inputData": {"a": "x" * 5000}}
    async with node_on(tmp_path, first) as peer:
        for number in range(3):
            units = {"units": number + 1}
            await peer.say({**large, "taskId": f"t{number}", "parameters": units})
            await peer.until("taskAccepted")
            attempt = await first.attempt("t0.1")  # it has the one slot before others ask
        attempt.log("half of {n}", n=2)
        await peer.until("log")
    second = MemoryEngine(slots=3)
    async with node_on(tmp_path, second) as peer:
        for number, attempts in enumerate((2, 1, 1)):
            (await second.attempt(f"t{number}.{attempts}")).end()
            await peer.say({"type": "attach", "taskId": f"t{number}"})
            end = await peer.until("taskResult", taskId=f"t{number}")
            assert end["attempt"] == attempts
    said = [frame["content"] for frame in peer.frames if frame["type"] == "log"]
    assert said == [
        "half of 2",
        "attempt 1 was lost because the node stopped in the middle of it: attempt 2 follows",
    ]


async def test_a_real_ledger_lends_a_gpu_to_one_child_after_the_other(tmp_path: Path) -> None:
    engine = DaskEngine(slots=2, scratch=tmp_path / "scratch")
    await engine.start()
    card = Gpu(
        gpu_id="0", uuid="GPU-5c1d", vendor="nvidia", memory_used_mb=500.0, memory_total_mb=8000.0
    )

    async def read() -> GpuReading:
        return GpuReading(gpus=(card,))

    def owners() -> dict[tuple[str, int], Owner]:
        return {
            place: Owner(kind="task", name=key, claim_id=key)
            for place, key in engine.pids().items()
        }

    ledger = Ledger(read, owners)
    lent: list[str] = []
    ledger.granted(lambda lease: lent.append(lease.claim.claim_id))
    try:
        async with node_on(tmp_path, engine, WITH_GPU, lender=ledger) as peer:
            for number in range(3):
                task = {**INLINE, "taskId": f"t{number}", "model": "greedy"}
                await peer.say({**task, "inputData": number, "useCache": False})
            results = [await peer.until("taskResult") for _ in range(3)]
        said = {frame.get("statusText", "").partition(";")[0] for frame in peer.frames}
        assert "waiting for GPU 0: 1.5 GB free, needs 6" in said
        for each in results:
            assert (each["result"]["device"], each["result"]["gpu"]) == ("cuda:0", "0")
            assert each["result"]["data"] == {"device": "cuda:0", "visible": "GPU-5c1d"}
        assert sorted(lent) == ["t0.1", "t1.1", "t2.1"]
        assert ledger.view().holdings == ()
    finally:
        await ledger.close()
        await engine.stop()
