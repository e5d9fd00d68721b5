"""Own functions at a node: who may define one, what is refused, what is kept, what runs."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from tests.mesh.doubles import MemoryPeer
from tests.mesh.own_cells import anything, defining, fails, widen
from tests.mesh.test_node import TICKLESS, Bench, settled
from workbench.clients.own_functions import definition_of
from workbench.core.job import FUNCTION, Failed, Job
from workbench.core.model import model
from workbench.core.own_function import Definition
from workbench.errors import InputError
from workbench.mesh.schema import Schema

UNDER_WAY = ("taskAccepted", "taskProgress", "taskResult", "heartbeat")
WIDEN, FAILS = definition_of(widen), definition_of(fails)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.start(slots=1)
    yield bench
    await bench.stop()


def uploaded(bench: Bench, definition: Definition) -> None:
    (bench.folder / "inputs" / definition.sha256).write_bytes(definition.body)


def body_of(job: Job) -> bytes:
    """What the engine would load."""
    return Path(job.inputs[FUNCTION]).read_bytes()


async def answer(peer: MemoryPeer, message: dict[str, Any]) -> dict[str, Any]:
    """What the node says to it: the next message that is not about a task under way."""
    seen = len(peer.frames)
    peer.say(message)

    def answers() -> list[dict[str, Any]]:
        return [each for each in peer.frames[seen:] if each["type"] not in UNDER_WAY]

    await peer.until(lambda _: bool(answers()))
    return answers()[0]


async def define(bench: Bench, peer: MemoryPeer, definition: Definition, **changes: Any) -> Any:
    uploaded(bench, definition)
    return await answer(peer, defining(definition, **changes))


async def test_a_defined_function_is_a_model_like_any_other(bench: Bench) -> None:
    peer = bench.peer()
    said = await define(bench, peer, WIDEN)
    version = said["version"]
    assert said == {
        "type": "defined",
        "name": "widen",
        "version": version,
        "known": False,
        "requestId": 1,
    }
    assert version.startswith("own-")
    listed = (await answer(peer, {"type": "models"}))["models"][-1]
    assert listed["parametersSchema"]["properties"]["by"]["maximum"] == 9
    named = {name: listed[name] for name in ("name", "version", "own", "needsBatch", "title")}
    assert named == {
        "name": "widen",
        "version": version,
        "own": True,
        "needsBatch": True,
        "title": "widen",
    }
    peer.say({"type": "task", "taskId": "t", "model": "widen", "inputData": {"a": [1]}})
    job = (await bench.engine.attempt("t.1")).job
    assert job.target == f"own:{WIDEN.sha256}"
    assert job.parameters == {"by": 2}
    assert body_of(job) == WIDEN.body


async def test_defining_it_again_writes_nothing(bench: Bench) -> None:
    peer = bench.peer()
    first = await define(bench, peer, WIDEN)
    again = await answer(peer, defining(WIDEN))
    assert (again["version"], again["known"]) == (first["version"], True)
    assert len(bench.journal.durable["function_entries"]) == 1


async def test_what_was_not_uploaded_is_asked_for(bench: Bench) -> None:
    said = await answer(bench.peer(), defining(WIDEN))
    assert (said["code"], said["error"]) == (
        "unknown-upload",
        "the bytes of widen are not on this node: upload them first",
    )
    assert not bench.journal.durable["function_entries"]


async def test_bytes_that_are_not_those_that_were_named_are_not_kept(bench: Bench) -> None:
    (bench.folder / "inputs" / WIDEN.sha256).write_bytes(b"other")
    said = await answer(bench.peer(), defining(WIDEN))
    assert said["code"] == "unknown-upload"
    assert not list((bench.folder / "functions").iterdir())


# Who may ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "scope", "code"),
    [
        ("admin", "admin", None),
        ("admin", "submit", "forbidden"),
        ("admin", "view", "forbidden"),
        ("submit", "submit", None),
        ("submit", "view", "forbidden"),
        (None, "admin", "forbidden"),
    ],
)
async def test_the_setting_says_who_may_define(
    tmp_path: Path, allowed: Any, scope: str, code: str | None
) -> None:
    bench = Bench(tmp_path, own_functions=allowed)
    await bench.start()
    said = await define(bench, bench.peer(scope=scope), WIDEN)
    assert said.get("code") == code
    assert ("WORKBENCH_OWN_FUNCTIONS" in said.get("error", "")) == (code is not None)
    assert len(bench.journal.durable["function_entries"]) == (code is None)
    await bench.stop()


async def test_once_switched_off_what_was_defined_runs_no_more(bench: Bench) -> None:
    peer = bench.peer()
    await define(bench, peer, FAILS)
    peer.say({"type": "task", "taskId": "t", "model": "fails"})
    await peer.get("taskAccepted")
    bench.options["own_functions"] = None
    await bench.restart()
    peer = bench.peer(2)
    assert "fails" not in [
        each["name"] for each in (await answer(peer, {"type": "models"}))["models"]
    ]
    peer.say({"type": "attach", "taskId": "t"})
    assert (await peer.end("t"))["code"] == "failed"
    assert not bench.engine.begun


# What is refused ------------------------------------------------------------------------------

DEEP: dict[str, Any] = {"type": "object"}
for _ in range(200):
    DEEP = {"type": "object", "properties": {"a": DEEP}}
BROAD = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(3000)}}
EXPLODING = {
    "type": "object",
    "properties": {"a": {"$ref": "#/$defs/A"}},
    "$defs": {
        "A": {"anyOf": [{"$ref": "#/$defs/B"}] * 60},
        "B": {"anyOf": [{"$ref": "#/$defs/C"}] * 60},
        "C": {"type": "null"},
    },
}


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"functionURL": "upload:../../etc/passwd"}, "invalid", "functionURL is 'upload:../../etc"),
        ({"functionURL": "file:///etc/passwd"}, "invalid", "functionURL is 'file:///etc/passwd'"),
        ({"functionURL": None}, "invalid", "functionURL is None"),
        ({"name": "a/b"}, "invalid", "name is 'a/b'; allowed: str matching regex"),
        ({"name": "n" * 101}, "invalid", "name is 'nnnn"),
        ({"name": "steady"}, "conflict", "steady is the name of an installed model: give"),
        ({"version": "{evil}"}, "invalid", "version is '{evil}'"),
        ({"title": ""}, "invalid", "title is ''"),
        ({"title": "t" * 201}, "invalid", "title is 'tttt"),
        ({"description": "d" * 4001}, "invalid", "description is 'dddd"),
        ({"source": ""}, "invalid", "source is ''"),
        ({"source": "s" * (256 * 1024 + 1)}, "invalid", "source is 'ssss"),
        ({"source": "other"}, "invalid", "sourceSha256 is '"),
        ({"pure": "yes"}, "invalid", "pure is 'yes'; allowed: bool"),
        ({"gpuMemoryMB": 0}, "invalid", "gpuMemoryMB is 0; allowed: int >= 1"),
        ({"batchKind": "pickle"}, "invalid", "batchKind is 'pickle'; allowed: any, arrow, bytes"),
        ({"python": "3.99"}, "invalid", "widen was made with Python 3.99, and this hub runs 3."),
        ({"python": "3; rm"}, "invalid", "python is '3; rm'"),
        ({"parametersSchema": []}, "invalid", "parametersSchema is []; allowed: object"),
        ({"parametersSchema": {}}, "invalid", "parametersSchema.type is None; allowed: object"),
        (
            {"parametersSchema": {"type": "object", "properties": {"a": {"type": "what"}}}},
            "invalid",
            "parametersSchema.properties.a.type is 'what'; allowed: ",
        ),
        (
            {"parametersSchema": {"type": "object", "properties": {"a": {"$ref": "http://x/"}}}},
            "invalid",
            "parametersSchema.$ref is 'http://x/'; allowed: a name of the schema's own $defs",
        ),
        ({"parametersSchema": EXPLODING}, "invalid", "'more than 2000 parts'; allowed: at most 2"),
        ({"parametersSchema": BROAD}, "invalid", "bytes of JSON'; allowed: at most 65536 bytes"),
    ],
)
async def test_a_hostile_definition_is_refused_with_its_field(
    bench: Bench, changes: dict[str, Any], code: str, words: str
) -> None:
    said = await define(bench, bench.peer(), WIDEN, **changes)
    assert (said["type"], said["code"], said["requestId"]) == ("error", code, 1)
    assert words in said["error"]
    assert not bench.journal.durable["function_entries"]
    assert not list((bench.folder / "functions").iterdir())


async def test_a_schema_nested_without_end_costs_an_answer_and_no_more(bench: Bench) -> None:
    deepest: Any = {}
    for _ in range(5000):
        deepest = {"items": deepest}
    whole = defining(WIDEN, parametersSchema=0)
    text = msgspec.json.encode(whole).decode()
    nested = '{"properties":{"a":' * 3000 + "{}" + "}}" * 3000
    peer = bench.peer()
    peer.say(text.replace('"parametersSchema":0', f'"parametersSchema":{nested}'))
    assert (await peer.get("error"))["error"].startswith(
        ("the message is nested too", "parameters")
    )
    assert (await define(bench, peer, WIDEN, parametersSchema=DEEP))["type"] in ("error", "defined")


async def test_too_large_a_function_is_refused(bench: Bench) -> None:
    body = bytes((16 << 20) + 1)
    digest = hashlib.sha256(body).hexdigest()
    large = msgspec.structs.replace(WIDEN, body=body, sha256=digest)
    said = await define(bench, bench.peer(), large)
    assert said["error"] == ("the function widen has 16777217 bytes; allowed: at most 16777216")


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"by": 10}, "parameters.by is 10; allowed: integer from 1 to 9"),
        ({"by": "2"}, "parameters.by is '2'; allowed: integer from 1 to 9"),
        ({"buy": 2}, "unknown parameter 'buy' of widen; did you mean 'by'? allowed: by"),
    ],
)
async def test_parameters_are_judged_before_the_task_is_accepted(
    bench: Bench, parameters: dict[str, Any], sentence: str
) -> None:
    peer = bench.peer()
    await define(bench, peer, WIDEN)
    task = {"type": "task", "taskId": "t", "model": "widen", "inputData": {}}
    assert (await answer(peer, {**task, "parameters": parameters}))["error"] == sentence


async def test_a_batch_is_required_where_the_function_has_no_default_for_it(bench: Bench) -> None:
    peer = bench.peer()
    await define(bench, peer, WIDEN)
    await define(bench, peer, FAILS)
    said = await answer(peer, {"type": "task", "taskId": "t", "model": "widen"})
    wanted = "inputDataURL is missing; allowed: a URL, or inline JSON as inputData"
    assert said["error"] == wanted
    said = await answer(peer, {"type": "task", "taskId": "t", "model": "steady"})
    assert said["error"] == wanted
    peer.say({"type": "task", "taskId": "u", "model": "fails"})
    assert list((await bench.engine.attempt("u.1")).job.inputs) == [FUNCTION]


# Versions -------------------------------------------------------------------------------------

CHANGED = msgspec.structs.replace(FAILS, title="Fails better")


async def test_a_queued_task_runs_the_version_it_was_accepted_for(bench: Bench) -> None:
    peer = bench.peer()
    old = (await define(bench, peer, FAILS))["version"]
    for name in ("a", "b"):
        peer.say({"type": "task", "taskId": name, "model": "fails", "useCache": False})
    await bench.engine.attempt("a.1")
    other = msgspec.structs.replace(WIDEN, name="fails", needs_batch=False)
    new = (await define(bench, peer, other))["version"]
    assert new != old
    peer.say({"type": "task", "taskId": "c", "model": "fails", "useCache": False})
    for name, target in (("a", FAILS), ("b", FAILS), ("c", WIDEN)):
        attempt = await bench.engine.attempt(f"{name}.1")
        assert attempt.job.target == f"own:{target.sha256}"
        attempt.end()
        assert (await peer.end(name))["result"]["version"] == (old if target is FAILS else new)


async def test_a_task_may_name_an_older_version_and_no_unknown_one(bench: Bench) -> None:
    peer = bench.peer()
    old = (await define(bench, peer, FAILS))["version"]
    new = (await define(bench, peer, CHANGED))["version"]
    task = {"type": "task", "model": "fails"}
    peer.say({**task, "taskId": "t", "modelVersion": old})
    (await bench.engine.attempt("t.1")).end()
    assert (await peer.end("t"))["result"]["version"] == old
    said = await answer(peer, {**task, "taskId": "u", "modelVersion": "own-0"})
    assert said["error"] == f"modelVersion is 'own-0'; allowed: {old}, {new}"
    said = await answer(peer, {**task, "taskId": "t", "modelVersion": new})
    assert said["code"] == "conflict"
    said = await answer(
        peer,
        {"type": "task", "taskId": "v", "model": "steady", "modelVersion": "7", "inputData": 1},
    )
    assert said["error"] == "modelVersion is '7'; allowed: 1"


async def test_an_older_version_defined_again_is_the_newest_again(bench: Bench) -> None:
    peer = bench.peer()
    versions = []
    for definition in (FAILS, CHANGED, FAILS):
        bench.wall += 1
        versions.append((await define(bench, peer, definition))["version"])
    assert versions[0] == versions[2] != versions[1]
    await bench.restart()
    (listed,) = (
        each
        for each in (await answer(bench.peer(), {"type": "models"}))["models"]
        if each["name"] == "fails"
    )
    assert listed["version"] == versions[0]


async def test_after_a_restart_functions_and_their_queued_tasks_are_there(bench: Bench) -> None:
    peer = bench.peer()
    old = (await define(bench, peer, FAILS))["version"]
    for name in ("a", "b"):
        peer.say({"type": "task", "taskId": name, "model": "fails"})
    await bench.engine.attempt("a.1")
    await define(bench, peer, CHANGED)
    (bench.folder / "inputs" / FAILS.sha256).unlink()  # uploads expire, functions do not
    await bench.restart()
    peer = bench.peer(2)
    for name, number in (("a", 2), ("b", 1)):
        attempt = await bench.engine.attempt(f"{name}.{number}")
        assert body_of(attempt.job) == FAILS.body
        attempt.end()
        peer.say({"type": "attach", "taskId": name})
        assert (await peer.end(name))["result"]["version"] == old


async def test_a_definition_that_is_not_durable_is_none(bench: Bench) -> None:
    peer = bench.peer()
    bench.journal.broken = "the disk is full"
    said = await define(bench, peer, FAILS)
    assert (said["type"], said["code"]) == ("error", "unavailable")
    listed = (await answer(peer, {"type": "models"}))["models"]
    assert "fails" not in [each["name"] for each in listed]
    bench.journal.broken = ""
    assert (await define(bench, peer, FAILS))["known"] is False


async def test_it_is_answered_only_once_it_is_durable(bench: Bench) -> None:
    peer = bench.peer()
    uploaded(bench, FAILS)
    bench.journal.held = True
    peer.say(defining(FAILS))
    async with asyncio.timeout(10):
        while not bench.journal.appends:  # noqa: ASYNC110  (its double has no event)
            await asyncio.sleep(0)
    await settled()
    assert peer.frames == []
    bench.journal.commit()
    assert (await peer.get("defined"))["name"] == "fails"


async def test_results_of_one_version_are_kept_for_that_version_only(bench: Bench) -> None:
    peer = bench.peer()
    await define(bench, peer, FAILS)
    for name in ("a", "b"):
        peer.say({"type": "task", "taskId": name, "model": "fails"})
        if name == "a":
            (await bench.engine.attempt("a.1")).end()
        await peer.end(name)
    assert bench.engine.begun == ["a.1"]
    await define(bench, peer, CHANGED)
    peer.say({"type": "task", "taskId": "c", "model": "fails"})
    (await bench.engine.attempt("c.1")).end(Failed(template="as it should"))
    assert (await peer.end("c"))["error"] == "as it should"


def resized(definition: Definition, name: str, size: int) -> Definition:
    """Another function of so many bytes."""
    body = definition.body + bytes(size - len(definition.body))
    digest = hashlib.sha256(body).hexdigest()
    return msgspec.structs.replace(definition, name=name, body=body, sha256=digest)


async def test_old_versions_give_way_where_the_folder_is_full(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(TICKLESS, functions_disk_bytes=10_000)
    bench = Bench(tmp_path, limits=limits)
    await bench.start(slots=1)
    peer = bench.peer()
    sizes = [3000, 3001, 3002]
    first, second, third = [resized(FAILS, "f", size) for size in sizes]
    versions = []
    for definition in (first, second, third):
        bench.wall += 1
        versions.append((await define(bench, peer, definition))["version"])
    task = {"type": "task", "model": "f", "taskId": "t", "modelVersion": versions[0]}
    peer.say(task)
    await peer.get("taskAccepted")
    said = await define(bench, peer, resized(FAILS, "g", 3500))
    assert said["type"] == "defined"
    kept = {path.name for path in (tmp_path / "functions").iterdir()}
    assert first.sha256 in kept  # a task waits for it
    assert second.sha256 not in kept
    assert third.sha256 in kept  # the newest of its name
    for _ in range(2):
        said = await answer(peer, {**task, "taskId": "u", "modelVersion": versions[1]})
        assert said["error"] == (
            f"modelVersion is '{versions[1]}'; allowed: {versions[0]}, {versions[2]}"
        )
        await bench.restart()
        peer = bench.peer()
    said = await define(bench, peer, resized(FAILS, "h", 3600))
    assert (said["code"], said["error"]) == (
        "busy",
        "there is no room for 3600 more bytes of functions: every one that is kept is the newest "
        "of its name or has tasks waiting",
    )
    assert (await define(bench, peer, second))["type"] == "error"
    await bench.stop()


async def test_no_task_reads_the_bytes_of_functions(bench: Bench) -> None:
    peer = bench.peer()
    await define(bench, peer, FAILS)
    url = f"functions/{FAILS.sha256}"
    said = await answer(
        peer, {"type": "task", "taskId": "t", "model": "steady", "inputDataURL": url}
    )
    assert said["error"].startswith(f"inputDataURL is '{url}'; allowed: ")


# The schema alone ------------------------------------------------------------------------------


def test_a_schema_judges_as_the_function_itself_would() -> None:
    schema = Schema(widen.parameters_schema())
    for given in ({}, {"by": 3}):
        assert schema.validate(given) == widen.validate(given)
    for wrong in ({"by": 0}, {"by": None}, {"by": 1.5}, {"by": 2.0}, {"by": True}, {"with": 1}):
        with pytest.raises(Exception) as ours:
            schema.validate(wrong)
        with pytest.raises(Exception) as theirs:
            widen.validate(wrong)
        assert str(ours.value) == str(theirs.value)


def test_what_a_text_may_be_is_said_in_words() -> None:
    @model
    def f(  # type: ignore[no-untyped-def]
        short: Annotated[str, Meta(max_length=5)] = "",
        some: Annotated[str, Meta(min_length=2, max_length=9)] = "abc",
        word: Annotated[str, Meta(min_length=1)] = "a",
    ):
        return short

    said = {
        ("short", "too long"): "text of at most 5 characters",
        ("some", "x"): "text of 2 to 9 characters",
        ("word", ""): "text of at least 1 characters",
    }
    for (name, value), allowed in said.items():
        for judge in (f, Schema(f.parameters_schema())):
            with pytest.raises(InputError) as refused:
                judge.validate({name: value})
            assert str(refused.value) == f"parameters.{name} is {value!r}; allowed: {allowed}"


def test_patterns_formats_and_circles_are_left_to_the_function() -> None:
    schema = Schema(
        {
            "type": "object",
            "properties": {
                "slow": {"type": "string", "pattern": "(a+)+$"},
                "tree": {"$ref": "#/$defs/T"},
            },
            "$defs": {
                "T": {"type": "object", "properties": {"kids": {"items": {"$ref": "#/$defs/T"}}}}
            },
        }
    )
    given = {"slow": "a" * 60 + "!", "tree": {"kids": [{"kids": [1]}]}}
    assert schema.validate(given) == given


def test_json_of_any_kind_is_described_once() -> None:
    assert json.loads(json.dumps(definition_of(anything).message()))["batchKind"] == "any"
