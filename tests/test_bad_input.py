"""Bad input from outside, against a real hub process: what it says of each, word for word.

The one line that a real hub cannot show on loopback alone is a public address that redirects
to a private one: there a real node speaks through `http.py` with the names' addresses injected.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.core.blocks import small_block
from tests.http_server import serving
from tests.hub_process import HubProcess
from tests.mesh.doubles import MemoryEngine, MemoryJournal, MemoryPeer
from tests.test_http import PUBLIC, Detour, Names
from workbench.core.model import Context, Result, model
from workbench.http import Http
from workbench.mesh.node import Node

ANSWER_S = 60
SOURCES = "https:, http:, upload:<sha256>, batch:<alias>, or a file in the data folder"
MESH_TYPES = "task, cancelTask, heartbeat-response, attach, models, tasks, upload, define"
HUGE_BYTES = 200_000_000
INSTALLED = {found.name for found in entry_points(group="workbench.models")}
KNOWN = ", ".join(sorted(INSTALLED | {"marked", "marked-once", "once", "steady"}))
TOO_LARGE = 2**128

Said = dict[str, Any]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    with HubProcess(tmp_path_factory.mktemp("data"), WORKBENCH_SLOTS="1") as running:
        yield running


@pytest.fixture(scope="module")
def said(hub: HubProcess) -> Said:
    """The hub's addresses and its token."""
    read: Said = json.loads((hub.data / "hub.json").read_text())
    return read


@pytest.fixture
def mesh(said: Said) -> Iterator[ClientConnection]:
    with open_to(said["mesh"], said["token"]) as connection:
        yield connection


@pytest.fixture
def ws(said: Said) -> Iterator[ClientConnection]:
    with open_to(said["ws"], said["token"]) as connection:
        yield connection


def open_to(url: str, token: str, **options: Any) -> ClientConnection:
    opened: ClientConnection = connect(
        f"{url}?token={token}", compression=None, proxy=None, **options
    )
    return opened


def heard(connection: ClientConnection) -> Said:
    """The next message that is no heartbeat."""
    while True:
        message: Said = json.loads(connection.recv(ANSWER_S))
        if message["type"] != "heartbeat":
            return message


def asked(connection: ClientConnection, message: Said | str | bytes) -> Said:
    connection.send(json.dumps(message) if isinstance(message, dict) else message)
    return heard(connection)


def ended(connection: ClientConnection, message: Said) -> tuple[Said, Said]:
    """The first and the terminal message about a task that is sent."""
    first = message = asked(connection, message)
    while message["type"] not in ("error", "taskResult"):
        message = heard(connection)
    return first, message


def task(**fields: Any) -> Said:
    return {"type": "task", "taskId": "t", "model": "steady", "inputData": {}, **fields}


def without(message: Said, *names: str) -> Said:
    return {name: value for name, value in message.items() if name not in names}


def is_open(connection: ClientConnection) -> bool:
    """Whether the connection still answers, on whichever endpoint."""
    request = {"type": "models", "requestId": "still here"}
    if connection.request is not None and connection.request.path.startswith("/ws"):
        request = {"type": "ping", "requestId": "still here"}
    return bool(asked(connection, request)["requestId"] == "still here")


REFUSED_BY_THE_NODE: list[tuple[Said | str | bytes, str, str]] = [
    (
        "{nope",
        "invalid",
        "the message is not valid JSON: JSON is malformed: object keys must be strings (byte 1)",
    ),
    ("[1]", "invalid", "the message is [1]; allowed: a JSON object"),
    ("[" * 5000, "invalid", "the message is nested too deeply; allowed: 500 levels"),
    ({"type": "nope"}, "invalid", f"type is 'nope'; allowed: {MESH_TYPES}"),
    ({"type": 3}, "invalid", f"type is 3; allowed: {MESH_TYPES}"),
    (
        without(task(), "taskId"),
        "invalid",
        "taskId is missing; allowed: a value, it is required",
    ),
    (
        {"type": "cancelTask"},
        "invalid",
        "taskId is missing; allowed: a value, it is required",
    ),
    (task(taskId=7), "invalid", "taskId is 7; allowed: str"),
    (task(taskId=""), "invalid", "taskId is ''; allowed: str of length >= 1"),
    (task(parameters=[]), "invalid", "parameters is []; allowed: object | null"),
    (task(returnLogs="yes"), "invalid", "returnLogs is 'yes'; allowed: bool | null"),
    (
        without(task(), "inputData"),
        "invalid",
        "inputDataURL is missing; allowed: a URL, or inline JSON as inputData",
    ),
    (
        task(inputDataURL="https://example.org/"),
        "invalid",
        "inputDataURL and inputData are both given; allowed: one of them",
    ),
    (
        task(parameters={"units": 0}),
        "invalid",
        "parameters.units is 0; allowed: integer from 1 to 100000",
    ),
    (
        task(model="cypher-v1", parameters={"analysisDepth": 9}),
        "invalid",
        "parameters.analysisDepth is 9; allowed: integer from 1 to 5",
    ),
    (
        task(model="cypher-v1", parameters={"clusteringMethod": "x", "anomalyThreshold": 2}),
        "invalid",
        "2 faults: parameters.clusteringMethod is 'x'; allowed: dbscan, hierarchical, kmeans; "
        "parameters.anomalyThreshold is 2; allowed: number from 0 to 1",
    ),
    (
        task(parameters={"unitz": 1}),
        "invalid",
        "unknown parameter 'unitz' of steady; did you mean 'units'? allowed: units, unit_s",
    ),
    (task(timeoutMs=600_001), "invalid", "timeoutMs is 600001; allowed: int <= 600000"),
    (
        task(model="nope"),
        "unknown-model",
        f"there is no model nope; known: {KNOWN}",
    ),
    (
        {"type": "cancelTask", "taskId": "never sent"},
        "unknown-task",
        "there is no task never sent: send it first",
    ),
    (
        {"type": "tasks", "limit": 0},
        "invalid",
        "limit is 0; allowed: int >= 1",
    ),
    (b"x", "invalid", "a binary frame came without an upload: send upload first"),
    *(
        (
            without(task(inputDataURL=url), "inputData"),
            "invalid",
            f"inputDataURL is {url!r}; allowed: {SOURCES}",
        )
        for url in ("file:///etc/passwd", "../../etc/passwd", "ftp://example.org/x", "token")
    ),
]


@pytest.mark.parametrize(("message", "code", "sentence"), REFUSED_BY_THE_NODE)
def test_the_node_refuses_and_stays_open(
    mesh: ClientConnection, message: Said | str | bytes, code: str, sentence: str
) -> None:
    answer = asked(mesh, message)
    assert (answer["type"], answer["code"], answer["error"]) == ("error", code, sentence)
    assert answer["template"].format(**answer["values"]) == sentence
    assert "seq" not in answer, "a refusal ends no task"
    assert is_open(mesh)


REFUSED_BY_THE_HUB: list[tuple[Said | str | bytes, str, str]] = [
    (
        "{nope",
        "invalid",
        "the message is not valid JSON: JSON is malformed: object keys must be strings (byte 1)",
    ),
    ("[1]", "invalid", "the message is [1]; allowed: a JSON object"),
    (b"x", "invalid", "binary frames have no meaning here: send JSON as text"),
    (
        {"type": "monitoring:subscribe", "data": {"intervalMs": "soon"}},
        "invalid",
        "data.intervalMs is 'soon'; allowed: int",
    ),
    (
        {"type": "monitoring:subscribe", "data": {"intervalMs": 1}},
        "invalid",
        "data.intervalMs is 1; allowed: int >= 500",
    ),
    (
        {"type": "task:subscribe", "data": {}},
        "invalid",
        "data.taskId is missing; allowed: a value, it is required",
    ),
    ({"type": "query", "data": {"sql": 5}}, "invalid", "data.sql is 5; allowed: str"),
    (
        {"type": "query", "data": {"sql": "DROP TABLE tasks"}},
        "invalid",
        "the query is DROP, which is refused: send one SELECT; queries only read",
    ),
    (
        {"type": "terminal:create"},
        "unavailable",
        "the terminal is not available in this version of the hub",
    ),
]


@pytest.mark.parametrize(("message", "code", "sentence"), REFUSED_BY_THE_HUB)
def test_the_hub_refuses_and_stays_open(
    ws: ClientConnection, message: Said | str | bytes, code: str, sentence: str
) -> None:
    answer = asked(ws, message)
    assert answer["type"] == "error"
    assert (answer["data"]["code"], answer["data"]["message"]) == (code, sentence)
    assert is_open(ws)


def test_an_unknown_type_is_answered_with_every_type_that_there_is(ws: ClientConnection) -> None:
    sentence = asked(ws, {"type": "nope"})["data"]["message"]
    assert sentence.startswith("type is 'nope'; allowed: ping, monitoring:subscribe, ")
    assert is_open(ws)


def test_a_refusal_repeats_what_the_message_was_about(mesh: ClientConnection) -> None:
    answer = asked(mesh, task(taskId="about", requestId="r1", timeoutMs=0))
    assert (answer["taskId"], answer["requestId"]) == ("about", "r1")


# Frames beyond the limit -----------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["mesh", "ws"])
def test_a_200_mb_frame_closes_its_connection_at_its_header(
    hub: HubProcess, said: Said, endpoint: str
) -> None:
    assert hub.process is not None
    before = psutil.Process(hub.process.pid).memory_info().rss
    with open_to(said[endpoint], said["token"]) as connection:
        header = bytes([0x81, 0xFF]) + HUGE_BYTES.to_bytes(8, "big") + bytes(4)
        connection.socket.sendall(header)  # its 200 MB never need to follow
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(ANSWER_S)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
        1009,
        "frame with 200000000 bytes exceeds limit of 2097152 bytes",
    )
    assert psutil.Process(hub.process.pid).memory_info().rss - before < 20_000_000
    with open_to(said[endpoint], said["token"]) as another:
        assert is_open(another)


def test_200_mb_in_small_fragments_are_no_way_around_it(said: Said) -> None:
    with (
        open_to(said["mesh"], said["token"]) as connection,
        pytest.raises(ConnectionClosed) as closed,
    ):
        connection.send(itertools.repeat("x" * 1_000_000, 200))
        connection.recv(ANSWER_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


# At the door -----------------------------------------------------------------------------

WRONG_TOKEN = (
    "wrong token: the right one stands in hub.json in the hub's data folder, "
    "or is the one that the hub was started with\n"
)
NO_TOKEN = (
    "no token: add ?token=... to the address or send 'Authorization: Bearer ...'; "
    "the token stands in hub.json in the hub's data folder\n"
)
FOREIGN_ORIGIN = (
    "foreign Origin 'https://evil.example': list it in WORKBENCH_ORIGINS and start the hub again\n"
)
FOREIGN_HOST = (
    "foreign Host 'evil.example': address the hub as localhost, or list the name in "
    "WORKBENCH_HOSTS and start the hub again\n"
)


@pytest.mark.parametrize("endpoint", ["mesh", "ws"])
@pytest.mark.parametrize(
    ("token", "headers", "status", "body"),
    [
        ("wrong-token", {}, 401, WRONG_TOKEN),
        (None, {}, 401, NO_TOKEN),
        ("right", {"Origin": "https://evil.example"}, 403, FOREIGN_ORIGIN),
        ("right", {"Host": "evil.example"}, 403, FOREIGN_HOST),
        # What a stranger learns first is that the door is not theirs, not whether a token fits.
        ("wrong-token", {"Origin": "https://evil.example"}, 403, FOREIGN_ORIGIN),
    ],
)
def test_a_stranger_is_told_at_the_door(
    said: Said, endpoint: str, token: str | None, headers: dict[str, str], status: int, body: str
) -> None:
    secret = said["token"] if token == "right" else token
    url = said[endpoint].replace("ws://", "http://", 1) + (f"?token={secret}" if secret else "")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=ANSWER_S)
    with refused.value as answer:
        assert (answer.code, answer.read().decode()) == (status, body)


def test_a_websocket_client_reads_the_same_reason(said: Said) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_to(said["mesh"], "wrong-token")
    answer = refused.value.response
    assert (answer.status_code, answer.body) == (401, WRONG_TOKEN.encode())


# Known bad only after fetching or decoding: accepted, then `rejected` ----------------------


def rejected(mesh: ClientConnection, message: Said) -> str:
    """The sentence of a task that is accepted and then rejected."""
    first, last = ended(mesh, message)
    assert (first["type"], first["state"]) == ("taskAccepted", "queued")
    assert (last["type"], last["code"]) == ("error", "rejected")
    assert last["seq"] > first["seq"], "the end is a numbered message"
    assert is_open(mesh)
    return str(last["error"])


@pytest.mark.parametrize(
    ("host", "shown", "address"),
    [
        ("127.0.0.1:1", "127.0.0.1", "127.0.0.1"),
        ("localhost:1", "localhost", "127.0.0.1"),
        ("10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("169.254.169.254", "169.254.169.254", "169.254.169.254"),
        ("[::1]", "::1", "::1"),
    ],
)
def test_a_private_address_is_never_asked(
    mesh: ClientConnection, host: str, shown: str, address: str
) -> None:
    message = without(task(taskId=host, inputDataURL=f"http://{host}/batch.json"), "inputData")
    sentence = rejected(mesh, message)
    allowed = "allowed: public addresses, or set WORKBENCH_PRIVATE_ADDRESSES=1"
    # The name localhost may be answered by either address first.
    found = "::1" if shown == "localhost" and "(::1)" in sentence else address
    assert sentence == f"the address {shown} is private ({found}); {allowed}"


@model(name="untouched", version="1")
def untouched(context: Context) -> Result:
    """Its input is never there, so it never runs."""
    raise AssertionError


async def test_a_redirect_to_a_private_address_is_not_followed(tmp_path: Path) -> None:
    inside = "http://10.0.0.7/latest/meta-data"
    peer, engine = MemoryPeer(), MemoryEngine()
    with serving(lambda asked: asked.reply(status=302, Location=inside)) as server:
        detour = Detour(server)
        async with (
            Http(resolve=Names(out_example=[[PUBLIC]]), backend=detour) as http,
            Node(
                journal=MemoryJournal(),
                engine=engine,
                fetch=http.download,
                models={"untouched": untouched},
                folder=tmp_path,
            ) as node,
        ):
            serving_peer = asyncio.create_task(node.serve(peer))
            message = task(model="untouched", inputDataURL="http://out.example/batch.json")
            peer.say(without(message, "inputData"))
            end = await peer.end("t")
            peer.leave()
            await asyncio.gather(serving_peer, return_exceptions=True)
    assert (end["code"], end["error"]) == (
        "rejected",
        "the address 10.0.0.7 is private (10.0.0.7); allowed: public addresses, "
        "or set WORKBENCH_PRIVATE_ADDRESSES=1",
    )
    assert detour.asked == [(PUBLIC, 80)]
    assert engine.begun == []


def test_a_link_in_the_data_folder_leads_nowhere_else(
    hub: HubProcess, mesh: ClientConnection
) -> None:
    (hub.data / "link.json").symlink_to("/etc/passwd")
    message = without(task(taskId="link", inputDataURL="link.json"), "inputData")
    assert rejected(mesh, message) == (
        "inputDataURL is 'link.json', which leads out of the data folder; allowed: " + SOURCES
    )


def test_a_truncated_block_is_rejected_at_its_last_byte(
    hub: HubProcess, mesh: ClientConnection
) -> None:
    whole = small_block()
    (hub.data / "cut.bin").write_bytes(whole[:-100])
    message = task(taskId="cut", model="block-import", inputDataURL="cut.bin")
    assert rejected(mesh, without(message, "inputData")) == (
        f"the block is cut short: it ends at byte {len(whole) - 100}, inside a transaction"
    )


@pytest.mark.parametrize(("written", "shown"), [(str, "'{}'"), (int, "{}")])
def test_an_amount_beyond_128_bits_is_rejected_with_its_path(
    mesh: ClientConnection, written: type, shown: str
) -> None:
    balance = {"rune_id": "840000:3", "outpoint": "ab" * 32 + ":0"}
    batch = {
        "schema": "runes-batch/1",
        "network": "mainnet",
        "source": {"producer": "a test"},
        "units": "atomic",
        "completeness": "state",
        "first_height": 840_000,
        "last_height": 840_000,
        "tables": {
            "balances": [
                {**balance, "amount": str(TOO_LARGE - 1)},
                {**balance, "outpoint": "ab" * 32 + ":1", "amount": written(TOO_LARGE)},
            ]
        },
    }
    say = partial(task, model="cypher-v1", inputData=batch)
    assert rejected(mesh, say(taskId=f"amount as {written.__name__}")) == (
        f"tables.balances[1].amount is {shown.format(TOO_LARGE)}; "
        "allowed: decimal string from 0 to 2^128 - 1"
    )
