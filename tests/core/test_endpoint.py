"""The document that names endpoints, and the choice among them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workbench.core.endpoint import (
    Endpoint,
    Outcome,
    read_endpoints,
    tokens_by_url,
    tokens_of_variables,
)
from workbench.core.endpoint_choice import Choice
from workbench.errors import InputError

LAB = Endpoint(name="lab", url="wss://lab.example.org/mesh", token="secret-canary")
SPARE = Endpoint(name="spare", url="wss://spare.example.org/mesh")
FAILED = Outcome(kind="failed", reason="gone")
CONNECTED = Outcome(kind="connected")


def read(document: Any) -> list[Any]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_endpoints(body, toml=False, token=tokens_of_variables({"MESH_TOKEN_LAB": "t"}))


def of(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"endpoints": list(entries)}


def test_toml_and_json_say_the_same() -> None:
    toml = b"""
        [[endpoints]]
        name = "lab"
        url = "wss://lab.example.org/mesh"
        token_env = "MESH_TOKEN_LAB"

        [[endpoints]]
        name = "local"
    """
    token = tokens_of_variables({"MESH_TOKEN_LAB": "t"})
    wanted = [Endpoint(name="lab", url="wss://lab.example.org/mesh", token="t"), "local"]
    assert read_endpoints(toml, toml=True, token=token) == wanted
    lab = {"name": "lab", "url": LAB.url, "token_env": "MESH_TOKEN_LAB"}
    assert read(of(lab, {"name": "local"})) == wanted


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (b"{", "the list of endpoints is no JSON: Input data was truncated"),
        (b"[" * 100_000, "the list of endpoints has more than 65536 bytes; allowed: up to that"),
        (b"[" * 60_000, "the list of endpoints is nested too deeply"),
        (of(), "endpoints is []; allowed: array of length >= 1"),
        (of(*[{"name": "local"}] * 33), "endpoints is"),
        (of({"name": "local"}, {"name": "local"}), "endpoints.name is 'local'; allowed: each name"),
        (of({"name": "lab"}), "endpoints.name is 'lab'; allowed: local, remote, custom, or any"),
        (of({"name": "local", "url": LAB.url}), "allowed: another name: local is the client's own"),
        (of({"name": "a b", "url": LAB.url}), "name is 'a b'; allowed: str matching regex"),
        (of({"name": "ab\n", "url": LAB.url}), "allowed: str matching regex"),
        (of({"name": "lab", "url": "ws://lab.example.org"}), "lab.example.org is not this machine"),
        (of({"name": "lab", "url": "https://lab.example.org"}), "endpoint is 'https://lab"),
        (of({"name": "lab", "url": "wss://lab.example.org/a b"}), "allowed: an address without sp"),
        (of({"name": "lab", "url": LAB.url, "token": "x"}), "allowed: no field of this name"),
        (of({"name": "lab", "url": LAB.url, "token_env": "HOME"}), "token_env is 'HOME'; allowed:"),
        (of({"name": "lab", "url": LAB.url, "token_env": "MESH_TOKEN_X"}), "MESH_TOKEN_X, which"),
        (of({"name": "local", "token_env": "MESH_TOKEN_LAB"}), "allowed: only beside a url"),
    ],
)
def test_a_document_is_refused_with_what_is_wrong(document: Any, sentence: str) -> None:
    with pytest.raises(InputError) as refusal:
        read(document)
    assert sentence in str(refusal.value)


def test_a_token_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(InputError) as refusal:
        read(of({"name": "lab", "url": "wss://lab.example.org/mesh?token=secret-canary"}))
    assert str(refusal.value) == (
        "the url of endpoint lab holds a token; allowed: its name in token_env"
    )


def test_a_repr_shows_no_token() -> None:
    assert repr(LAB) == "Endpoint(name='lab', url='wss://lab.example.org/mesh')"
    assert "canary" not in repr(Endpoint(name="a", url="wss://u:canary@h/?token=canary"))


def test_a_service_can_name_no_variable_and_lead_no_token_elsewhere() -> None:
    token = tokens_by_url({LAB.url: "mine"})
    body = json.dumps(of({"name": "lab", "url": LAB.url}, {"name": "b", "url": SPARE.url}))
    found = read_endpoints(body.encode(), toml=False, token=token)
    assert [each.token for each in found if isinstance(each, Endpoint)] == ["mine", None]
    body = json.dumps(of({"name": "lab", "url": LAB.url, "token_env": "MESH_TOKEN_LAB"}))
    with pytest.raises(InputError, match="allowed: only in a file of this machine"):
        read_endpoints(body.encode(), toml=False, token=token)


def test_the_first_that_has_not_failed_twice_is_preferred() -> None:
    choice = Choice(hold_s=60)
    assert choice.preferred(0) is None
    choice.offer([LAB, SPARE])
    choice.report(LAB, FAILED, 0)
    assert choice.preferred(0) == LAB
    choice.report(LAB, FAILED, 2)
    assert (choice.preferred(2), choice.next_at(2)) == (SPARE, 62)
    assert choice.preferred(61.9) == SPARE
    assert choice.preferred(62) == LAB
    choice.report(LAB, FAILED, 63)
    assert (choice.preferred(182), choice.preferred(183)) == (SPARE, LAB)


def test_what_is_not_tried_again_soon_is_passed_over_at_once() -> None:
    choice = Choice(hold_s=60)
    choice.offer([LAB, SPARE])
    choice.report(LAB, Outcome(kind="failed", final=True), 0)
    assert choice.preferred(0) == SPARE


def test_only_a_stable_connection_makes_good_for_failures() -> None:
    choice = Choice(hold_s=60)
    choice.offer([LAB, SPARE])
    for now in (0, 10):
        choice.report(LAB, CONNECTED, now)
        choice.report(LAB, FAILED, now + 5)
    assert choice.preferred(15) == SPARE
    choice.report(LAB, CONNECTED, 20)
    assert choice.preferred(20) == LAB
    choice.report(LAB, FAILED, 80)
    assert choice.preferred(80) == LAB


def test_while_all_are_down_the_choice_stays_where_it_is() -> None:
    choice = Choice(hold_s=60)
    choice.offer([LAB, SPARE])
    seen = []
    for now in range(0, 40, 2):
        preferred = choice.preferred(now)
        assert preferred is not None
        choice.report(preferred, FAILED, now)
        seen.append(preferred)
    assert seen == [LAB, LAB] + [SPARE] * 18


def test_an_endpoint_with_another_address_begins_anew_and_one_that_left_counts_no_more() -> None:
    choice = Choice(hold_s=60)
    choice.offer([LAB, SPARE])
    choice.report(LAB, Outcome(kind="failed", final=True), 0)
    moved = Endpoint(name="lab", url="wss://lab2.example.org/mesh")
    choice.offer([moved, SPARE])
    choice.report(LAB, Outcome(kind="failed", final=True), 0)
    assert choice.preferred(0) == moved
