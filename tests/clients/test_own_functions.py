"""A function typed into a cell becomes bytes that say everything about it, and nothing else."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import linecache
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import cloudpickle
import msgspec
import numpy
import pandas
import polars
import pyarrow
import pydantic
import pytest

from tests.clients.speaking_node import SpeakingNode, speaking
from workbench.clients.inputs import Inputs
from workbench.clients.mesh import MeshClient
from workbench.clients.own_functions import definition_of
from workbench.core.model import MeshModel, model
from workbench.core.own_function import Defined
from workbench.core.wire import encode
from workbench.errors import InputError, LinkError, ProtocolError

CANARY = "canary-2f8c41d09b7e"


def cell(text: str, name: str = "/tmp/ipykernel_123/456.py", **around: Any) -> dict[str, Any]:
    """What a notebook's cell leaves behind: its names, and its text where tracebacks look."""
    space: dict[str, Any] = {"__name__": "__main__", "model": model, **around}
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), space)
    return space


COUNT = """\
RATE = 2
def helper(x):
    return x * RATE

@model(title="Count them")
def count_them(batch: bytes, depth: int = 3, context=None):
    "Counts."
    return helper(depth)
"""


def test_it_says_everything_that_a_node_wants_to_know() -> None:
    found = definition_of(cell(COUNT)["count_them"])
    assert (found.name, found.title, found.description) == ("count-them", "Count them", "Counts.")
    assert (found.batch_kind, found.needs_batch) == ("bytes", True)
    assert found.source == COUNT[COUNT.index("@model") :]
    assert found.source_sha256 == hashlib.sha256(found.source.encode()).hexdigest()
    assert found.sha256 == hashlib.sha256(found.body).hexdigest()
    assert found.parameters_schema["properties"] == {"depth": {"type": "integer", "default": 3}}
    assert found.python == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert json.loads(json.dumps(found.message()))["functionURL"] == f"upload:{found.sha256}"
    assert CANARY not in repr(found)
    assert len(repr(found)) < 100


def test_the_same_cell_gives_the_same_bytes_in_another_kernel() -> None:
    """Whose process, whose hash seed and whose name for the cell are others."""
    here = definition_of(cell(COUNT)["count_them"]).sha256
    assert definition_of(cell(COUNT, "/tmp/ipykernel_9/8.py")["count_them"]).sha256 == here
    script = (
        "import sys; from tests.clients.test_own_functions import *; "
        "print(definition_of(cell(COUNT)['count_them']).sha256)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    there = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert there.stdout.strip() == here


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RATE = 2", "RATE = 3"),
        ("x * RATE", "x + RATE"),
        ("depth: int = 3", "depth: int = 4"),
        ("helper(depth)", "helper(depth) "),
    ],
)
def test_whatever_it_follows_from_makes_other_bytes(old: str, new: str) -> None:
    texts = (COUNT, COUNT.replace(old, new))
    one, other = (definition_of(cell(text)["count_them"]).sha256 for text in texts)
    assert one != other


def test_a_class_of_the_notebook_travels_with_it_and_gives_the_same_bytes_again() -> None:
    text = (
        "class Kind(enum.Enum):\n    A = 'a'\n"
        "@dataclasses.dataclass\nclass Point:\n    x: int = 1\n"
        "@model\n"
        "def f(kind: Kind = Kind.A, n: Annotated[int, msgspec.Meta(ge=1)] = 1):\n"
        "    return [kind.value, Point(n).x]\n"
        "@model\n"
        "def g(point: Point):\n    return point.x\n"
    )
    around = {"enum": enum, "dataclasses": dataclasses, "msgspec": msgspec, "Annotated": Annotated}
    one, other = (cell(text, **around) for _ in range(2))
    for name in ("f", "g"):
        assert definition_of(one[name]).sha256 == definition_of(other[name]).sha256
    _, f, hints, _ = cloudpickle.loads(definition_of(one["f"]).body)
    assert f(n=4) == ["a", 4]
    assert hints["kind"]("a").name == "A"


def test_a_field_without_a_default_still_has_none_where_the_function_runs() -> None:
    text = (
        "@dataclasses.dataclass\nclass Point:\n    x: int\n    y: int = 2\n"
        "@model\ndef f(point: Point):\n    return point.x\n"
    )
    body = definition_of(cell(text, dataclasses=dataclasses)["f"]).body
    _, _, hints, _ = cloudpickle.loads(body)
    assert msgspec.convert({"x": 1}, hints["point"]) == hints["point"](1, 2)
    with pytest.raises(msgspec.ValidationError, match="missing required field `x`"):
        msgspec.convert({}, hints["point"])


def test_a_struct_of_the_notebook_is_refused_by_its_parameter() -> None:
    text = (
        "class Pair(msgspec.Struct):\n    left: int = 0\n"
        "@model\ndef f(pair: Pair = Pair(3)):\n    return pair.left\n"
    )
    with pytest.raises(InputError, match="f uses pair, which cannot be sent: Pair is a msgspec"):
        definition_of(cell(text, msgspec=msgspec)["f"])


def test_a_function_that_calls_itself_or_another_model_calls_a_function() -> None:
    text = (
        "@model\ndef twice(n: int = 1):\n    return 2 * n\n"
        "@model\ndef fact(n: int = 1):\n    return 1 if n < 2 else twice(n) * fact(n - 1)\n"
    )
    _, fact, _, _ = cloudpickle.loads(definition_of(cell(text)["fact"]).body)
    assert fact(3) == 24


def test_only_the_lines_of_the_functions_travel_and_no_path_of_this_machine() -> None:
    text = f"TOKEN = '{CANARY}'\n" + COUNT + f"# {CANARY}\n"
    body = definition_of(cell(text, f"/home/ana/{CANARY}.py")["count_them"]).body
    assert CANARY.encode() not in body
    _, _, _, sources = cloudpickle.loads(body)
    assert sorted(sources.values())[1] == "def helper(x):\n    return x * RATE\n"


def test_a_function_without_a_source_is_refused() -> None:
    space = {"model": model, "__name__": "__main__"}
    exec("@model\ndef f(n=1): return n", space)
    with pytest.raises(InputError) as refused:
        definition_of(space["f"])  # type: ignore[arg-type]
    assert str(refused.value) == (
        "f has no source that could be recorded: define it in a notebook's cell or in a file"
    )


LOCK = threading.Lock()


def _locked() -> None:
    LOCK.acquire()


@model
def behind_a_helper(n=1):  # type: ignore[no-untyped-def]
    _locked()


@model
def by_default(n: int = 1, context: Any = LOCK):  # type: ignore[no-untyped-def]
    return n


def _in_a_closure() -> MeshModel:
    lock = threading.Lock()

    @model
    def f(n=1):  # type: ignore[no-untyped-def]
        return lock

    return f


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (behind_a_helper, "_locked -> LOCK, which cannot be sent: cannot pickle '_thread.lock'"),
        (by_default, "context, which cannot be sent: "),
        (_in_a_closure(), "lock, which cannot be sent: cannot pickle '_thread.lock'"),
    ],
)
def test_what_cannot_be_sent_is_named(made: MeshModel, words: str) -> None:
    with pytest.raises(InputError) as refused:
        definition_of(made)
    assert str(refused.value).startswith(f"{made.name} uses {words}")
    assert str(refused.value).endswith(
        "Make it inside the function, or hand over what it holds as a parameter"
    )


def test_what_holds_a_secret_is_refused_and_never_named_by_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_KEY", CANARY)
    client = MeshClient(tokens={"local": CANARY})
    for held in (
        client,
        {"deep": [client]},
        client.connect,
        pydantic.SecretStr(CANARY),
        os.environ,
    ):
        made = cell("@model\ndef f(n=1):\n    return mine\n", mine=held)["f"]
        with pytest.raises(InputError, match="f uses mine, which cannot be sent: ") as refused:
            definition_of(made)
        assert CANARY not in str(refused.value)


def test_what_is_too_large_is_named() -> None:
    made = cell("@model\ndef f(n=1):\n    return len(big), small\n", big=bytes(17 << 20), small=1)
    with pytest.raises(InputError) as refused:
        definition_of(made["f"])
    assert str(refused.value) == (
        "f takes 17.8 MB with what it uses; allowed: 16 MB. The largest is big: give it as the "
        "batch"
    )


# Sent to a node ----------------------------------------------------------------------------


async def _client(node: SpeakingNode, token: str = "t" * 12) -> MeshClient:
    client = MeshClient(local_endpoint=node.url, tokens={"local": token}, reconnect_delay=0.02)
    await client.connect()
    return client


class Keeper:
    """A node's side of `define`: knows a function once its bytes were uploaded."""

    def __init__(self, code: str = "unknown-upload") -> None:
        self.code, self.uploaded = code, False

    async def __call__(self, node: SpeakingNode, connection: Any, message: dict[str, Any]) -> Any:
        answer: dict[str, Any] = {"requestId": message.get("requestId")}
        if message["type"] == "upload":
            self.uploaded = True
            answer = {
                "uploadId": message["uploadId"],
                "type": "uploaded",
                "inputDataURL": "upload:0",
            }
        elif message["type"] == "define" and self.uploaded:
            answer |= {"type": "defined", "name": "f", "version": "own-1", "known": False}
        elif message["type"] == "define":
            answer |= {"type": "error", "error": "not here", "code": self.code}
        await connection.send(json.dumps(answer))


async def test_bytes_travel_only_where_they_are_not_known() -> None:
    definition = definition_of(cell("@model\ndef f(n=1):\n    return n\n")["f"])
    async with speaking(Keeper()) as node:
        client = await _client(node)
        for _ in range(2):
            assert await client.define(definition) == Defined("f", "own-1", False)
        await client.disconnect()
        assert [node.count(kind) for kind in ("define", "upload")] == [3, 1]
        assert "body" not in node.heard[0]


async def test_a_node_that_does_not_allow_it_gets_no_bytes() -> None:
    definition = definition_of(cell("@model\ndef f(n=1):\n    return n\n")["f"])
    async with speaking(Keeper("forbidden")) as node:
        client = await _client(node)
        with pytest.raises(ProtocolError, match="not here"):
            await client.define(definition)
        await client.disconnect()
        assert node.count("upload") == 0


async def test_a_token_of_the_client_is_found_wherever_it_got_in() -> None:
    texts = (
        f"@model\ndef f(n=1):\n    return '{CANARY}'\n",
        f"@model\ndef f(n=1):\n    return n  # {CANARY}\n",
        f"@model\ndef f(n: str = '{CANARY}'):\n    return n\n",
        "@model\ndef f(n=1):\n    return token\n",
    )
    async with speaking(Keeper()) as node:
        client = await _client(node, CANARY)
        for text in texts:
            definition = definition_of(cell(text, token=CANARY)["f"])
            with pytest.raises(InputError, match="f holds a token of this mesh") as refused:
                await client.define(definition)
            assert CANARY not in str(refused.value)
        await client.disconnect()
        assert CANARY not in json.dumps(node.heard)


async def test_without_a_connection_nothing_is_defined() -> None:
    definition = definition_of(cell("@model\ndef f(n=1):\n    return n\n")["f"])
    with pytest.raises(LinkError, match="not connected to a mesh node"):
        await MeshClient().define(definition)


class Uploads:
    """Keeps what is uploaded."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def upload(self, source: Any, *, name: str = "") -> str:
        self.bodies.append(source)
        return f"upload:{name}"

    async def models(self) -> list[dict[str, Any]]:
        return []


async def test_a_table_of_any_library_is_a_batch_and_equal_ones_have_equal_bytes(
    tmp_path: Path,
) -> None:
    rows = {"a": [1, 2], "b": ["x", "y"]}
    carrier = Uploads()
    inputs = Inputs(carrier, tmp_path)
    tables = (pandas.DataFrame(rows), pyarrow.table(rows), polars.DataFrame(rows))
    for table in tables:
        for _ in range(2):
            assert await inputs.batch(table) == ("upload:batch.arrow", None)
        *_, one, other = carrier.bodies
        assert one == other
        assert pyarrow.ipc.open_stream(one).read_all().to_pydict() == rows
    assert await inputs.batch([rows]) == (None, [rows])


async def test_a_table_that_arrow_cannot_say_is_refused(tmp_path: Path) -> None:
    mixed = pandas.DataFrame({"a": [1, "x"]})
    with pytest.raises(InputError, match="the table cannot be written as Arrow: "):
        await Inputs(Uploads(), tmp_path).batch(mixed)


@pytest.mark.parametrize(
    "text",
    [
        "from beside import helper\n@model\ndef f():\n    return helper(2)\n",
        "import beside\n@model\ndef f():\n    return beside.helper(2)\n",
        "import beside\n@model\ndef f():\n    import beside\n    return beside.helper(2)\n",
        "import beside\ndef g():\n    return beside.helper(2)\n@model\ndef f():\n    return g()\n",
    ],
    ids=["name", "module", "inside", "through"],
)
def test_a_changed_module_beside_the_notebook_makes_another_function(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process imports it once: the same process would go on with what it was."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "beside", raising=False)
    monkeypatch.delitem(sys.modules, "below", raising=False)
    beside, below = tmp_path / "beside.py", tmp_path / "below.py"
    beside.write_text("from below import RATE\ndef helper(x):\n    return x * RATE\n")
    below.write_text("RATE = 3\n")

    def sha256() -> str:
        return definition_of(cell(text)["f"]).sha256

    first = sha256()
    assert sha256() == first
    beside.write_text("from below import RATE\ndef helper(x):\n    return x * RATE * 1000\n")
    second = sha256()
    assert second != first
    below.write_text("RATE = 4\n")
    assert sha256() not in (first, second)  # through the module beside it


async def test_numbers_and_arrays_of_numpy_travel_as_what_they_hold(tmp_path: Path) -> None:
    carrier = Uploads()
    inputs = Inputs(carrier, tmp_path)
    given = {"a": numpy.int64(2), "b": numpy.float64(0.5), "c": [numpy.bool_(True)], "d": 2**100}
    found = await inputs.parameters("m", given)
    assert encode(found) == '{"a":2,"b":0.5,"c":[true],"d":1267650600228229401496703205376}'
    assert await inputs.batch({"n": numpy.arange(2)}) == (None, {"n": [0, 1]})
    await inputs.batch(numpy.arange(3))
    await inputs.batch(numpy.eye(2))
    await inputs.batch(pandas.Series([1, 2]))
    await inputs.batch(pandas.Series(["x"], name="b"))
    await inputs.batch(numpy.ma.array([1, 2], mask=[False, True]))
    read = [pyarrow.ipc.open_stream(each).read_all().to_pydict() for each in carrier.bodies]
    assert read == [
        {"value": [0, 1, 2]},
        {"0": [1.0, 0.0], "1": [0.0, 1.0]},
        {"value": [1, 2]},
        {"b": ["x"]},
        {"value": [1, None]},
    ]


async def test_a_value_that_cannot_travel_is_named(tmp_path: Path) -> None:
    inputs = Inputs(Uploads(), tmp_path)
    with pytest.raises(InputError, match=r"^a is <object object .*>; allowed: numbers, texts"):
        await inputs.parameters("m", {"a": object()})
    with pytest.raises(InputError, match=r"^a is nan; allowed: a finite number$"):
        await inputs.parameters("m", {"a": [{"b": float("nan")}]})
    with pytest.raises(InputError, match=r"^batch is \[<object object .*>\]; allowed: numbers"):
        await inputs.batch([object()])
    halves = r"^a is .*ud800.*; allowed: text of whole characters, and a lone surrogate is half of"
    for value in ("\ud800", [2**100, "\ud800"]):
        with pytest.raises(InputError, match=halves):
            await inputs.parameters("m", {"a": value})
    with pytest.raises(InputError, match=r"^batch is 5; allowed: a path"):
        await inputs.batch(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("amount", [2**64, 2**100])
async def test_an_amount_beyond_64_bits_is_refused_with_its_column_and_a_way(
    tmp_path: Path, amount: int
) -> None:
    frame = pandas.DataFrame({"n": [1, 2], "amount": [amount, 1]})
    with pytest.raises(InputError, match=r"column 'amount' holds integers beyond 64 bits.* text"):
        await Inputs(Uploads(), tmp_path).batch(frame)
    carrier = Uploads()
    await Inputs(carrier, tmp_path).batch(frame.astype({"amount": str}))
    texts = pyarrow.ipc.open_stream(carrier.bodies[0]).read_all().column("amount").to_pylist()
    assert [int(each) for each in texts] == [amount, 1]


async def test_a_token_in_a_parameter_or_in_inline_data_does_not_leave() -> None:
    async with speaking(Keeper()) as node:
        client = await _client(node, CANARY)
        with pytest.raises(
            InputError, match=r"parameters\.s holds a token of this mesh"
        ) as refused:
            await client.send_task("f", parameters={"n": 1, "s": f"Bearer {CANARY}"})
        assert CANARY not in str(refused.value)
        with pytest.raises(InputError, match="inputData holds a token of this mesh"):
            await client.send_task("f", input_data={"a": [CANARY]})
        assert client.get_task_history() == []
        await client.disconnect()
        assert CANARY not in json.dumps(node.heard)
