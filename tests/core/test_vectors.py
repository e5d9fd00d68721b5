"""Every vector that ord's own crate computed: our codec gives the same answer to each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.vectors_report import VECTORS, ran
from workbench.core.rune import (
    MAX_SPACERS,
    NETWORKS,
    Network,
    RuneId,
    SpacedRune,
    commitment,
    format_pile,
    is_reserved,
    minimum_rune,
    reserved_rune,
    rune_name,
    rune_number,
    unlock_height,
)
from workbench.core.runestone import (
    Edict,
    Etching,
    Runestone,
    Terms,
    VarintError,
    decipher,
    decode_varint,
    encipher,
    encode_varint,
)
from workbench.errors import InputError

pytestmark = pytest.mark.shared
Case = dict[str, Any]
OURS: dict[str, Network] = {"testnet": "testnet3", **dict(zip(NETWORKS, NETWORKS, strict=True))}


@pytest.fixture(scope="module")
def protocol(shared: Path) -> dict[str, list[Case]]:
    document: dict[str, list[Case]] = json.loads(
        (shared / "data" / "runes" / "vectors" / "protocol.json").read_text()
    )
    return document


def check_decipher(case: Case) -> None:
    artifact = decipher([bytes.fromhex(script) for script in case["outputs"]])
    assert (artifact and artifact.to_json()) == case["artifact"]


def runestone_of(shape: Case) -> Runestone:
    etching, terms = shape["etching"], shape["etching"] and shape["etching"]["terms"]
    if terms:
        terms = Terms(
            amount=terms["amount"],
            cap=terms["cap"],
            height=tuple(terms["height"]),
            offset=tuple(terms["offset"]),
        )
    if etching:
        rune = etching["rune"]
        etching = Etching(
            **{**etching, "terms": terms, "rune": None if rune is None else rune_number(rune)}
        )
    return Runestone(
        edicts=tuple(
            Edict(RuneId.parse(edict["id"]), edict["amount"], edict["output"])
            for edict in shape["edicts"]
        ),
        etching=etching,
        mint=shape["mint"] and RuneId.parse(shape["mint"]),
        pointer=shape["pointer"],
    )


def check_encipher(case: Case) -> None:
    assert encipher(runestone_of(case["runestone"])).hex() == case["script"]


def check_varint_encode(case: Case) -> None:
    assert encode_varint(int(case["n"])).hex() == case["hex"]


def check_varint_decode(case: Case) -> None:
    expected = case["expect"]
    if "error" in expected:
        with pytest.raises(VarintError, match=expected["error"]):
            decode_varint(bytes.fromhex(case["hex"]))
    else:
        decoded = decode_varint(bytes.fromhex(case["hex"]))
        assert decoded == (int(expected["n"]), expected["len"])


def check_rune(case: Case) -> None:
    number = int(case["n"])
    assert rune_name(number) == case["name"]
    assert rune_number(case["name"]) == number
    assert commitment(number).hex() == case["commitment"]
    assert is_reserved(number) is case["reserved"]
    for network, height in case["unlock"].items():
        assert unlock_height(number, OURS[network]) == height


def check_rune_parse(case: Case) -> None:
    expected = case["expect"]
    if "error" in expected:
        with pytest.raises(InputError, match=expected["error"].split(" `")[0].split("name ")[-1]):
            rune_number(case["s"])
    else:
        assert rune_number(case["s"]) == int(expected["n"])


def check_minimum_at_height(case: Case) -> None:
    for network in ("mainnet", "regtest", "signet", "testnet"):
        number, name = case[network]
        minimum = minimum_rune(case["height"], OURS[network])
        assert (str(minimum), rune_name(minimum)) == (number, name)


def check_reserved(case: Case) -> None:
    number = reserved_rune(RuneId(int(case["block"]), case["tx"]))
    assert (str(number), rune_name(number)) == (case["n"], case["name"])


def check_spaced_parse(case: Case) -> None:
    expected = case["expect"]
    if "error" in expected:
        with pytest.raises(InputError, match=r"spacer|invalid character"):
            SpacedRune.parse(case["s"])
    else:
        spaced = SpacedRune.parse(case["s"])
        assert (str(spaced.rune), spaced.name) == (expected["n"], expected["name"])
        assert (str(spaced), spaced.spacers) == (expected["display"], expected["spacers"])


def check_spaced_display(case: Case) -> None:
    assert str(SpacedRune(int(case["n"]), case["spacers"])) == case["display"]


def check_rune_id_parse(case: Case) -> None:
    expected = case["expect"]
    if "error" in expected:
        with pytest.raises(InputError, match="BLOCK:TX"):
            RuneId.parse(case["s"])
    else:
        assert RuneId.parse(case["s"]) == RuneId(int(expected["block"]), expected["tx"])


def check_rune_id_delta(case: Case) -> None:
    delta = RuneId.parse(case["a"]).delta(RuneId.parse(case["b"]))
    assert (delta and [str(part) for part in delta]) == case["delta"]


def check_rune_id_next(case: Case) -> None:
    following = RuneId.parse(case["a"]).next(int(case["block"]), int(case["tx"]))
    assert (following and str(following)) == case["next"]


def check_pile(case: Case) -> None:
    printed = format_pile(int(case["amount"]), case["divisibility"], case["symbol"])
    assert printed == case["display"]


def check_etching_supply(case: Case) -> None:
    numbers = {
        name: None if case[name] is None else int(case[name])
        for name in ("amount", "cap", "premine")
    }
    terms = Terms(amount=numbers["amount"], cap=numbers["cap"]) if case["has_terms"] else None
    supply = Etching(premine=numbers["premine"], terms=terms).supply
    assert (None if supply is None else str(supply)) == case["supply"]


CHECKS: dict[str, Callable[[Case], None]] = {
    name.removeprefix("check_"): check
    for name, check in list(globals().items())
    if name.startswith("check_")
} | dict.fromkeys(("decipher_ord_tests", "decipher_real", "decipher_fuzz"), check_decipher)


@pytest.mark.parametrize("vectors", VECTORS)
def test_our_answer_is_ords_answer(vectors: str, protocol: dict[str, list[Case]]) -> None:
    cases = protocol[vectors]
    for place, case in enumerate(cases):
        try:
            CHECKS[vectors](case)
        except AssertionError as error:
            raise AssertionError(f"case {place} of {vectors}: {case}") from error
    assert len(cases) == VECTORS[vectors]
    ran(vectors, len(cases))


def test_no_group_of_vectors_is_forgotten(protocol: dict[str, Any]) -> None:
    assert set(protocol) - {"meta", "constants"} == set(VECTORS)
    assert protocol["constants"]["max_spacers"] == MAX_SPACERS
