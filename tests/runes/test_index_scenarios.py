"""The index against ord: block by block, after any reorganisation, and after any restart."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.runes.scenarios import apply, is_as_expected, scenarios
from workbench.runes import Index

pytestmark = pytest.mark.shared
SEED = 866_342


def test_ends_as_ord_ends_in_every_scenario(shared: Path) -> None:
    for scenario in scenarios(shared):
        index = Index(scenario["network"])
        told = [event for block in scenario["blocks"] for event in apply(index, block)]
        assert told == scenario["expected"]["events"]
        assert is_as_expected(index, scenario)
        assert index.doubts == []


def test_a_reorganisation_leaves_no_trace(shared: Path) -> None:
    """Back by a random number of blocks, other blocks in between, and forth again."""
    random = Random(SEED)
    everything = scenarios(shared)
    for scenario in everything:
        straight, index = Index(scenario["network"]), Index(scenario["network"])
        blocks = scenario["blocks"]
        first = blocks[0]["height"]
        done, back = 0, sorted(random.sample(range(1, len(blocks)), 3))
        while done < len(blocks):
            apply(index, blocks[done])
            done += 1
            if back and done == back[0]:
                done = random.randrange(back.pop(0))
                index.rewind(first + done - 1)
                strange = random.choice(everything)["blocks"][done]
                apply(index, {**strange, "height": first + done})
                index.rewind(first + done - 1)
        for block in blocks:
            apply(straight, block)
        assert index.snapshot() == straight.snapshot()
        assert is_as_expected(index, scenario)


def test_restoring_at_each_height_changes_nothing(shared: Path) -> None:
    for scenario in scenarios(shared):
        straight, index = Index(scenario["network"]), Index(scenario["network"])
        for block in scenario["blocks"]:
            apply(straight, block)
            index = Index.restore(index.snapshot())
            apply(index, block)
            assert index.state_hash() == straight.state_hash()
        assert index.snapshot() == straight.snapshot()
        assert is_as_expected(index, scenario)


def test_every_restored_height_goes_on_to_the_same_state_hashes(shared: Path) -> None:
    scenario = scenarios(shared)[2]
    straight, kept = Index(scenario["network"]), []
    for block in scenario["blocks"]:
        kept.append(straight.snapshot())
        apply(straight, block)
    for done, snapshot in enumerate(kept):
        index = Index.restore(snapshot)
        for block in scenario["blocks"][done:]:
            apply(index, block)
            assert index.state_hash() == straight.state_hash(block["height"])
        assert is_as_expected(index, scenario)
