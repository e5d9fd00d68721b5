"""A node as it is: real client, socket, store, Dask and processes, with one slot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.mesh.doubles import DEADLINE_S, MemoryFetch
from workbench.clients.inputs import Inputs
from workbench.clients.mesh import MeshClient
from workbench.clients.own_functions import definition_of
from workbench.core.model import MeshModel
from workbench.engines.dask import DaskEngine
from workbench.gate import Gate
from workbench.listener import listen
from workbench.mesh.node import Node
from workbench.store import Store

TOKEN = "secret-of-the-test"


class Mesh:
    """A client of a node, and the store beneath it."""

    def __init__(self, client: MeshClient, store: Store, folder: Path) -> None:
        self.client, self.store, self.folder = client, store, folder
        self.inputs = Inputs(client, folder)

    async def send(self, made: MeshModel, batch: Any = None, **parameters: Any) -> str:
        defined = await self.client.define(definition_of(made))
        url, inline = (None, None) if batch is None else await self.inputs.batch(batch)
        return await self.client.send_task(
            defined.name, url, parameters, input_data=inline, model_version=defined.version
        )

    async def run(self, made: MeshModel, batch: Any = None, **parameters: Any) -> Any:
        return await self.client.result(await self.send(made, batch, **parameters), 60)

    async def said(self, task_id: str, text: str) -> None:
        """Wait until the task has logged this."""
        came = asyncio.Event()
        off = self.client.on("log", lambda line: came.set() if line["content"] == text else None)
        async with asyncio.timeout(DEADLINE_S):
            while text not in [line["content"] for line in self.client.get_task_logs(task_id)]:
                came.clear()
                await came.wait()
        off()


@asynccontextmanager
async def mesh_on(folder: Path) -> AsyncIterator[Mesh]:
    store = await Store.open(folder)
    engine = DaskEngine(slots=1, scratch=folder / "scratch")
    await engine.start()
    node = Node(journal=store, engine=engine, fetch=MemoryFetch(), models={}, folder=folder)
    await node.start()
    gate = Gate({TOKEN: "admin"}, (), ())
    listener = await listen(node.serve, path="/mesh", port=0, gate=gate)
    url = f"ws://127.0.0.1:{listener.port}/mesh"
    client = MeshClient(local_endpoint=url, tokens={"local": TOKEN})
    await client.connect()
    try:
        yield Mesh(client, store, folder)
    finally:
        await client.disconnect()
        await listener.close()
        await node.stop()
        await engine.stop()
        await store.close()
