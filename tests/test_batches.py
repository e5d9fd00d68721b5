"""A block that was imported is at once the input of the next task."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.hubs import running_hub
from workbench.clients.mesh import MeshClient

SAMPLES = Path(__file__).parent.parent / "data" / "samples"


async def test_an_imported_block_is_analysed_by_its_alias(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES, tmp_path / "samples")
    async with running_hub(tmp_path) as hub:
        client = MeshClient(local_endpoint=hub.mesh_url, tokens={"local": hub.token})
        await client.connect()
        imported = await client.send_task("block-import", "samples/block-sim.bin")
        block = await client.result(imported, timeout_s=60)
        analysed = await client.send_task("cypher-v1", f"batch:{block['alias']}")
        runes = await client.result(analysed, timeout_s=60)
        assert runes["batch"] == block["batch"]
        assert len(runes["data"]["runes"]) > 20
        await client.disconnect()


async def test_a_batch_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with running_hub(tmp_path) as hub:
        client = MeshClient(local_endpoint=hub.mesh_url, tokens={"local": hub.token})
        await client.connect()
        task = await client.send_task("cypher-v1", "batch:b1_00000000")
        with pytest.raises(Exception, match="there is no batch 'b1_00000000': import its block"):
            await client.result(task, timeout_s=30)
        (listed,) = await client.tasks()
        assert listed["errorTemplate"].startswith("there is no batch {alias}")
        assert listed["errorValues"] == {"alias": "'b1_00000000'"}
        await client.disconnect()
