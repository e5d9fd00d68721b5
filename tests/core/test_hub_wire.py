"""The messages of `/ws`: what is decoded, what is bounded, and the one error envelope."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workbench.core import hub_wire as wire
from workbench.core.hub_kinds import KINDS
from workbench.core.wire import decode
from workbench.errors import InputError


def read(document: dict[str, Any]) -> wire.HubMessage:
    return decode(json.dumps(document), KINDS)


def test_the_fixed_messages_need_nothing_of_ours() -> None:
    assert read({"type": "ping"}) == wire.Ping()
    assert read({"type": "monitoring:subscribe"}) == wire.MonitoringSubscribe()
    found = read({"type": "task:subscribe", "data": {"taskId": 5}})
    assert found == wire.TaskSubscribe(data=wire.TaskName(task_id=5))


def test_a_type_and_fields_that_we_do_not_know_are_passed_over() -> None:
    found = read({"type": "ping", "data": {"anything": 1}, "later": True})
    assert found == wire.Ping()


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (
            {"type": "task:subscribe", "data": {"taskId": ""}},
            "data.taskId is ''; allowed: str of length >= 1",
        ),
        (
            {"type": "query", "data": {"sql": "x" * 100_001}},
            "data.sql is '" + "x" * 118 + "…; allowed: str of length <= 100000",
        ),
        (
            {"type": "query", "data": {"sql": "x", "maxRows": -1}},
            "data.maxRows is -1; allowed: int >= 0",
        ),
        (
            {"type": "monitoring:subscribe", "data": {"intervalMs": 3_600_001}},
            "data.intervalMs is 3600001; allowed: int <= 3600000",
        ),
        (
            {"type": "terminal:resize", "data": {"cols": 0}},
            "data.cols is 0; allowed: int >= 1",
        ),
    ],
)
def test_a_field_out_of_bounds_is_named_with_value_and_rule(
    document: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError) as refusal:
        read(document)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        ('{"requestId": "a"}', "a"),
        ('{"requestId": 3}', 3),
        ('{"requestId": true}', None),
        ('{"requestId": [1]}', None),
        ('{"requestId": "%s"}' % ("x" * 257), None),
        ("{", None),
        ("[]", None),
        (b"\xff", None),
    ],
)
def test_the_request_of_a_refused_frame_is_echoed_as_far_as_it_can_be_read(
    frame: str | bytes, found: object
) -> None:
    assert wire.request_id_of(frame) == found


def test_an_error_carries_its_sentence_and_its_template() -> None:
    fault = wire.Busy("{limit} queries are running", limit=4)
    assert json.loads(wire.error(fault, "r")) == {
        "type": "error",
        "data": {
            "message": "4 queries are running",
            "code": "busy",
            "template": "{limit} queries are running",
            "values": {"limit": 4},
        },
        "requestId": "r",
    }


def test_an_envelope_without_data_holds_none() -> None:
    assert wire.message("pong") == '{"type":"pong"}'
    assert wire.message("query:batch", {"n": 0}, 7) == (
        '{"type":"query:batch","data":{"n":0},"requestId":7}'
    )
