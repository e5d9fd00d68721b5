"""A name is committed to by a push in a tapscript, wherever it stands, of an output old enough."""

from __future__ import annotations

import pytest

from tests.runes.small_chain import NAME, PAY, coin
from workbench.core.rune import commitment
from workbench.runes.commitments import Commitment, commits
from workbench.runes.simulation import chain
from workbench.runes.simulation.chain import Lock

WORD = commitment(NAME)
SIZE = len(WORD)
P2TR = b"\x51\x20" + b"\x07" * 32
CONTROL = b"\xc0" + b"\x07" * 32


def verdict(*witness: bytes, known: bool = True) -> Commitment:
    """Of an input with this witness, which spends a P2TR output of block 1 in block 100."""
    put = coin(Lock(P2TR, witness))
    spent = {put.outpoint: put.spent} if known else {}
    return commits(chain.transaction([put], [(546, PAY)]), NAME, 100, spent)


@pytest.mark.parametrize(
    "script",
    [
        bytes([SIZE]) + WORD,
        bytes([0x4C, SIZE]) + WORD,
        bytes([0x4D, SIZE, 0]) + WORD,
        bytes([0x4E, SIZE, 0, 0, 0]) + WORD,
        b"\x4f" + bytes([SIZE]) + WORD,
        b"\x00\x60\xff" + bytes([SIZE]) + WORD + b"\x75",
        b"\x4c\x00" + bytes([SIZE]) + WORD,
    ],
)
def test_a_push_of_each_kind_may_end_the_script(script: bytes) -> None:
    assert verdict(script, CONTROL) == "valid"


@pytest.mark.parametrize(
    "script",
    [
        bytes([SIZE]) + WORD[:-1],
        bytes([0x4C]),
        bytes([0x4D, SIZE]) + WORD,
        b"\x4e\x01\x00",
        b"\x05" + bytes([SIZE]) + WORD[:3],
    ],
)
def test_a_push_that_runs_past_the_end_says_nothing(script: bytes) -> None:
    assert verdict(script, CONTROL) == "missing"


def test_an_annex_is_no_part_of_the_stack() -> None:
    script = bytes([SIZE]) + WORD
    assert verdict(script, CONTROL, b"\x50annex") == "valid"
    assert verdict(script, b"\x50annex") == "missing"
    assert verdict(script) == "missing"


def test_an_output_that_nobody_knows_may_have_committed() -> None:
    script = bytes([SIZE]) + WORD
    assert verdict(script, CONTROL, known=False) == "unknown"
    assert verdict(b"\x51", CONTROL, known=False) == "missing"
    put = coin(Lock(P2TR, (script, CONTROL)))
    made = chain.transaction([put], [(546, PAY)])
    assert commits(made, NAME, 100, None) == "unknown"
