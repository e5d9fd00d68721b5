"""Submit-to-accepted through a real hub, over a raw echo plus one durable commit.

Hub and echo server are processes of their own. The peer is what cannot be saved: one
WebSocket round trip of the same frame, and one committed row of a plain DuckDB file on the
same disk, both measured in turn with the submissions. A long task holds the only slot, so
that accepted tasks wait and no model runs beside the measurement. Then acceptances per
second with 50 in flight, by MeshClient and by a bare socket. Aims: 1.5x and 5,000/s.

    python benchmarks/submit.py [tasks]
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import duckdb
from websockets.asyncio.client import ClientConnection, connect

from tests.hub_process import HubProcess
from workbench.clients.mesh import MeshClient

ROUNDS = 200
WARM_UP = 20
IN_FLIGHT = 50
AIM_RATIO, AIM_PER_S = 1.5, 5000

ECHO = """
import asyncio
from websockets.asyncio.server import serve
async def echo(connection):
    async for frame in connection:
        await connection.send(frame)
async def main():
    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


def task(number: str, **fields: Any) -> dict[str, Any]:
    content = {"inputData": {"n": number}, "parameters": {"units": 1}, **fields}
    return {"type": "task", "taskId": f"bench-{number}", "model": "steady", **content}


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def accepted(socket: ClientConnection, message: dict[str, Any]) -> None:
    """Send one task and read until its acceptance."""
    await socket.send(json.dumps(message))
    while True:
        heard = json.loads(await socket.recv())
        if heard.get("taskId") == message["taskId"]:
            assert heard["type"] == "taskAccepted", heard
            return


async def alone(hub: ClientConnection, echo: ClientConnection, database: Any) -> None:
    """One at a time, each submission beside its own echo and commit."""
    rows: list[tuple[float, float, float]] = []

    async def echoed(frame: str) -> None:
        await echo.send(frame)
        await echo.recv()

    async def commit(number: int) -> None:
        database.execute("INSERT INTO accepted VALUES (?, ?)", [str(number), "x" * 200])

    for number in range(ROUNDS + WARM_UP):
        message = task(f"alone-{number}")
        frame = json.dumps(message)
        rows.append(
            (
                await timed(lambda frame=frame: echoed(frame)),  # type: ignore[misc]
                await timed(lambda number=number: commit(number)),  # type: ignore[misc]
                await timed(lambda message=message: accepted(hub, message)),  # type: ignore[misc]
            )
        )
    kept = rows[WARM_UP:]
    echo_ms, commit_ms, submit_ms = (
        statistics.median(column) * 1000 for column in zip(*kept, strict=True)
    )
    p99_ms = statistics.quantiles([row[2] for row in kept], n=100)[98] * 1000
    print(f"raw echo                 {echo_ms:7.2f} ms")
    print(f"one durable commit       {commit_ms:7.2f} ms")
    print(f"submit to accepted       {submit_ms:7.2f} ms, p99 {p99_ms:.2f} ms")
    ratio = submit_ms / (echo_ms + commit_ms)
    print(f"over echo plus commit    {ratio:7.2f}x (aim {AIM_RATIO}x)")


async def many_by_client(client: MeshClient, count: int) -> float:
    """Acceptances per second with 50 in flight, through MeshClient."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            message = task(f"client-{number}")
            await client.send_task(
                message["model"],
                parameters=message["parameters"],
                input_data=message["inputData"],
                task_id=message["taskId"],
            )
            await client.accepted(message["taskId"])

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return count / (time.perf_counter() - began)


async def many_by_socket(socket: ClientConnection, count: int) -> float:
    """The same through a bare socket that sends one for each acceptance."""
    frames = [json.dumps(task(f"socket-{number}")) for number in range(count)]
    began, sent, heard = time.perf_counter(), 0, 0
    while heard < count:
        while sent < count and sent - heard < IN_FLIGHT:
            await socket.send(frames[sent])
            sent += 1
        heard += b'"taskAccepted"' in await socket.recv(decode=False)
    return count / (time.perf_counter() - began)


async def measure(said: dict[str, Any], echo_port: int, folder: Path, count: int) -> None:
    database = duckdb.connect(str(folder / "commit.duckdb"))
    database.execute("CREATE TABLE accepted (task_id VARCHAR, body VARCHAR)")
    headers = {"Authorization": f"Bearer {said['token']}"}
    client = MeshClient(local_endpoint=said["mesh"], tokens={"local": said["token"]})
    await client.connect()
    holder = await client.send_task(
        "steady", parameters={"units": 100_000, "unit_s": 1.0}, input_data={}
    )
    await client.accepted(holder)
    async with (
        connect(said["mesh"], additional_headers=headers, compression=None, proxy=None) as hub,
        connect(f"ws://127.0.0.1:{echo_port}", compression=None, proxy=None) as echo,
    ):
        await alone(hub, echo, database)
        by_socket = await many_by_socket(hub, count)
    by_client = await many_by_client(client, count)
    print(
        f"{IN_FLIGHT} in flight, bare socket  {by_socket:7,.0f} acceptances/s (aim {AIM_PER_S:,}/s)"
    )
    print(f"{IN_FLIGHT} in flight, MeshClient   {by_client:7,.0f} acceptances/s")
    await client.disconnect()
    database.close()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with (
        tempfile.TemporaryDirectory() as name,
        subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE) as echo,
    ):
        hub = HubProcess(Path(name), WORKBENCH_SLOTS="1")
        try:
            assert echo.stdout is not None
            asyncio.run(measure(hub.start(), int(echo.stdout.readline()), Path(name), count))
        finally:
            echo.terminate()
            hub.kill()


if __name__ == "__main__":
    main()
