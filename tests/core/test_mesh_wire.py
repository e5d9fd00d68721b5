"""What a client of the mesh may say, word for word; and what it hears when it may not."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import mesh_wire
from workbench.core.mesh_wire import AttachMessage, TaskMessage, UploadMessage, address, read
from workbench.errors import InputError

TASK = {"type": "task", "taskId": "t", "model": "m", "inputDataURL": "https://x.org/b"}
UPLOAD = {"type": "upload", "uploadId": "u", "name": "b", "size": 9, "sha256": "0" * 64}
TYPES = "task, cancelTask, heartbeat-response, attach, models, tasks, upload, define"


def without(message: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != name}


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("{oops", "the message is not valid JSON: JSON is malformed: "),
        ("[]", "the message is []; allowed: a JSON object"),
        ({"type": "tusk"}, f"type is 'tusk'; allowed: {TYPES}"),
        ({}, f"type is None; allowed: {TYPES}"),
        (without(TASK, "taskId"), "taskId is missing; allowed: a value, it is required"),
        ({**TASK, "taskId": ""}, "taskId is ''; allowed: str of length >= 1"),
        ({**TASK, "taskId": 7}, "taskId is 7; allowed: str"),
        (without(TASK, "model"), "model is missing; allowed: a value, it is required"),
        (
            {**TASK, "inputData": {}},
            "inputDataURL and inputData are both given; allowed: one of them",
        ),
        ({**TASK, "inputDataURL": 5}, "inputDataURL is 5; allowed: str | null"),
        ({**TASK, "parameters": [1]}, "parameters is [1]; allowed: object | null"),
        ({**TASK, "returnLogs": "yes"}, "returnLogs is 'yes'; allowed: bool | null"),
        ({**TASK, "timeoutMs": 600_001}, "timeoutMs is 600001; allowed: int <= 600000"),
        ({**TASK, "timeoutMs": 0}, "timeoutMs is 0; allowed: int >= 1"),
        ({**TASK, "priority": 1.5}, "priority is 1.5; allowed: int"),
        ({"type": "cancelTask"}, "taskId is missing; allowed: a value, it is required"),
        ({"type": "attach", "taskId": "t", "after": -1}, "after is -1; allowed: int >= 0"),
        ({"type": "tasks", "limit": 1001}, "limit is 1001; allowed: int <= 1000"),
        ({**UPLOAD, "size": 0}, "size is 0; allowed: int >= 1"),
        (
            {**UPLOAD, "sha256": "AB"},
            "sha256 is 'AB'; allowed: str matching regex '^[0-9a-f]{64}$'",
        ),
    ],
)
def test_a_bad_message_is_refused_with_its_sentence(message: Any, sentence: str) -> None:
    frame = message if isinstance(message, str) else json.dumps(message)
    with pytest.raises(InputError) as refused:
        read(frame)
    assert str(refused.value).startswith(sentence)
    if not sentence.endswith(": "):
        assert str(refused.value) == sentence


def test_a_task_of_the_existing_client_is_read() -> None:
    """The fixed fields alone, with a timestamp and a field that nobody knows."""
    frame = {**TASK, "parameters": {"a": 1}, "returnLogs": True, "timestamp": "now", "new": 1}
    message = read(json.dumps(frame))
    assert isinstance(message, TaskMessage)
    assert (message.task_id, message.model, message.parameters) == ("t", "m", {"a": 1})
    assert (message.timeout_ms, message.priority, message.use_cache) == (600_000, 0, True)


def test_an_inline_input_may_be_any_json_even_null() -> None:
    for value in (None, {"a": 2**127}, [1.5, "x"]):
        frame = {**without(TASK, "inputDataURL"), "inputData": value}
        message = read(json.dumps(frame))
        assert isinstance(message, TaskMessage) and message.input_data == value


def test_other_messages_have_their_defaults() -> None:
    attach = read('{"type": "attach", "taskId": "t", "requestId": 7}')
    assert isinstance(attach, AttachMessage) and (attach.after, attach.request_id) == (0, 7)
    upload = read(json.dumps(UPLOAD))
    assert isinstance(upload, UploadMessage) and upload.upload_id == "u"


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        ("{", {}),
        ("[1]", {}),
        ('{"taskId": "t", "requestId": 4, "timeoutMs": "x"}', {"taskId": "t", "requestId": 4}),
        ('{"taskId": {"a": 1}}', {}),
        ('{"uploadId": "u"}', {"uploadId": "u"}),
    ],
)
def test_a_refusal_can_be_addressed_where_the_message_is_readable(
    frame: str, found: dict[str, Any]
) -> None:
    assert address(frame) == found


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_text_is_read_or_refused(frame: str) -> None:
    with pytest.raises(InputError):
        read(frame)
    address(frame)


def test_a_journal_entry_becomes_the_message_that_the_protocol_names() -> None:
    made = [
        mesh_wire.numbered("t", 1, 1, "accepted", {}, 5),
        mesh_wire.numbered("t", 2, 1, "log", {"content": "hi", "level": "info"}, 5),
        mesh_wire.numbered("t", 3, 1, "done", {"result": {"data": 1}}, 5),
        mesh_wire.numbered("t", 3, 2, "lost", {"error": "gone", "template": "gone"}, 5),
    ]
    ends = {"taskId": "t"}
    assert made == [
        {"type": "taskAccepted", **ends, "state": "queued", "duplicate": False}
        | {"seq": 1, "attempt": 1},
        {"type": "log", **ends, "content": "hi", "level": "info", "timestamp": 5}
        | {"seq": 2, "attempt": 1},
        {"type": "taskResult", **ends, "success": True, "result": {"data": 1}}
        | {"seq": 3, "attempt": 1},
        {"type": "error", **ends, "error": "gone", "template": "gone", "code": "lost"}
        | {"timestamp": 5, "seq": 3, "attempt": 2},
    ]


def test_progress_says_state_and_sentence() -> None:
    told = mesh_wire.progress("t", 1, "running", 0.5, "block {n}", {"n": 3})
    assert (told["progress"], told["statusText"], told["state"]) == (0.5, "block 3", "running")
    assert "statusText" not in mesh_wire.progress("t", 1, "queued", 0.0, "", {})


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("{a} of {b}", {"a": 1, "b": 2}, "1 of 2"),
        ("a set {like, this}", {}, "a set {like, this}"),
        ("{missing}", {"a": 1}, "{missing}"),
        ("{0}", {"a": 1}, "{0}"),
        ("{a:zz}", {"a": 1}, "{a:zz}"),
        ("{a", {"a": 1}, "{a"),
        ("{a} {a:rune|runes}", {"a": 1}, "1 rune"),
        ("{a} {a:rune|runes}", {"a": 6}, "6 runes"),
        ("{a:rune|runes}", {"b": 6}, "{a:rune|runes}"),
        ("{a:999999999999}", {"a": 1}, "{a:999999999999}"),
        ("{a.__class__}", {"a": 1}, "{a.__class__}"),
    ],
)
def test_a_sentence_is_filled_in_or_left_as_it_is(
    template: str, values: dict[str, Any], text: str
) -> None:
    assert mesh_wire.sentence(template, values) == text


def test_every_kind_is_immutable() -> None:
    for kind in mesh_wire.KINDS.values():
        assert issubclass(kind, msgspec.Struct)
        assert kind.__struct_config__.frozen
