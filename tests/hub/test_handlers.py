"""`/ws`: each message, its scope, and what a bad one is answered with."""

from __future__ import annotations

import pytest

from tests.hub.endpoint import Endpoint
from workbench.core.hub_kinds import KINDS
from workbench.hub.handlers import LATER, SCOPES


async def test_a_ping_is_answered_by_a_pong_without_data(endpoint: Endpoint) -> None:
    async with endpoint.peer("view") as peer:
        assert await peer.ask("ping") == {"type": "pong"}
        assert await peer.ask("ping", requestId="r1") == {"type": "pong", "requestId": "r1"}


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        ("{", "the message is not valid JSON: Input data was truncated"),
        ("[]", "the message is []; allowed: a JSON object"),
        ('{"type": "task:subscribe"}', "data is missing; allowed: a value, it is required"),
        (
            '{"type": "monitoring:subscribe", "data": {"intervalMs": 1}}',
            "data.intervalMs is 1; allowed: int >= 500",
        ),
        (
            '{"type": "query", "data": {"sql": 5}}',
            "data.sql is 5; allowed: str",
        ),
    ],
)
async def test_a_bad_message_is_answered_and_the_connection_stays_open(
    endpoint: Endpoint, frame: str, sentence: str
) -> None:
    async with endpoint.peer() as peer:
        await peer.raw.send(frame)
        heard = await peer.hear()
        assert heard["type"] == "error"
        assert heard["data"]["message"] == sentence
        assert heard["data"]["code"] == "invalid"
        assert heard["data"]["template"].format(**heard["data"]["values"]) == sentence
        assert await peer.ask("ping") == {"type": "pong"}


async def test_an_unknown_type_is_answered_with_those_there_are(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        heard = await peer.ask("pnig", requestId=7)
        assert heard["requestId"] == 7
        assert heard["data"]["message"].startswith("type is 'pnig'; allowed: ping, monitoring:sub")


async def test_a_binary_frame_is_refused(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        await peer.raw.send(b"\x00")
        heard = await peer.hear()
        assert heard["data"]["message"] == ("binary frames have no meaning here: send JSON as text")


@pytest.mark.parametrize(
    ("kind", "data", "feature"),
    [
        ("terminal:create", {"cols": 80, "rows": 24}, "the terminal"),
        ("terminal:input", {"sessionId": "s", "input": "ls"}, "the terminal"),
    ],
)
async def test_a_feature_that_is_not_built_is_unavailable(
    endpoint: Endpoint, kind: str, data: object, feature: str
) -> None:
    async with endpoint.peer() as peer:
        heard = await peer.ask(kind, data, requestId="r")
        assert heard["requestId"] == "r"
        assert heard["data"]["code"] == "unavailable"
        assert heard["data"]["message"] == (
            f"{feature} is not available in this version of the hub"
        )


async def test_a_view_token_looks_but_does_not_query(endpoint: Endpoint) -> None:
    async with endpoint.peer("view") as peer:
        heard = await peer.ask("query", {"sql": "SELECT 1"})
        assert heard["data"]["code"] == "forbidden"
        assert heard["data"]["message"] == (
            "this needs a token with the scope submit; yours has view"
        )
        assert (await peer.ask("monitoring:subscribe"))["type"] == "monitoring:subscribed"


def test_every_message_has_a_scope_and_a_meaning() -> None:
    assert set(KINDS.values()) == set(SCOPES)
    assert set(LATER) < set(SCOPES)
