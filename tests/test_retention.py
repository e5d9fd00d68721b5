"""A result that retention removed, as a person meets it through a real hub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.hubs import running_hub
from workbench.clients.mesh import MeshClient
from workbench.serve import Hub
from workbench.store.owner import Owner

SENTENCE = (
    "the result was removed 30 days after the task had ended, as the setting "
    "WORKBENCH_KEEP_RESULTS_D says: run the task again to have it anew"
)


@asynccontextmanager
async def client_of(hub: Hub) -> AsyncIterator[MeshClient]:
    client = MeshClient(local_endpoint=hub.mesh_url)
    client.set_token("local", hub.token)
    await client.connect()
    try:
        yield client
    finally:
        await client.disconnect()


def made_older(data: Path) -> None:
    """The store as it would be 40 days later."""
    with Owner(data) as owner:
        for table, column in (
            ("tasks", "submitted_at"), ("task_events", "recorded_at"), ("task_logs", "logged_at"),
            ("side_files", "created_at"),
        ):  # fmt: skip
            owner.connection.execute(f"UPDATE {table} SET {column} = {column} - INTERVAL 40 DAY")


async def test_a_removed_result_is_said_listed_and_never_given_again(tmp_path: Path) -> None:
    async with running_hub(tmp_path, metrics_history=False) as hub, client_of(hub) as client:
        await client.send_task("steady", None, {"units": 2}, input_data={"a": 1}, task_id="first")
        assert "removed" not in await client.result("first", 60)
    made_older(tmp_path)
    kept = {"keep_results_d": 30, "keep_logs_d": 30, "metrics_history": False}
    async with running_hub(tmp_path, **kept) as hub, client_of(hub) as client:
        await client.attach("first")
        found = await client.result("first", 60)
        assert found["removed"]["text"] == SENTENCE
        assert found["data"]["notes"][0]["text"] == SENTENCE
        (listed,) = await client.tasks()
        assert (listed["state"], listed["removed"], listed["error"]) == ("done", SENTENCE, None)
        assert listed["removedValues"] == {"days": "30", "setting": "WORKBENCH_KEEP_RESULTS_D"}
        lines = [line["content"] for line in client.get_task_logs("first")]
        assert not lines or "WORKBENCH_KEEP_LOGS_D" in lines[0]
        await client.send_task("steady", None, {"units": 2}, input_data={"a": 1}, task_id="second")
        anew = await client.result("second", 60)
        assert "removed" not in anew
        assert anew["data"]
        assert not [
            line
            for line in client.get_task_logs("second")
            if "the result is that" in line["content"]
        ]
