"""A batch of blocks in which nothing of the kind happened: that is an answer, not a refusal."""

from __future__ import annotations

import pytest

from tests.runes.questions.laid import batch, laid
from workbench import InputError, runes
from workbench.runes.asking import Question
from workbench.runes.batch import Batch

ASH = "850000:1"
SAID = {
    "anomalies": "0 of 1 value lie beyond a robust z of 3.5; nothing moved that could come back "
    "to its sender",
    "burns": "nothing was burned in these blocks",
    "concentration": "nobody holds a rune here",
    "mint_fairness": "there are no mints in these blocks",
    "reconcile": "A•SH adds up to the atomic unit",
    "volume": "nothing of any rune moved",
    "wasted": "there are no Runes messages in these blocks",
}
OF_ONE = {
    "fragmentation": "nobody holds A•SH here",
    "holders": "nobody holds A•SH after block 850000",
}


@pytest.fixture
def quiet() -> Batch:
    """One rune was etched, for nobody; no message, no mint, no transfer."""
    tables = laid(
        etchings=[{"rune_id": ASH, "premine": 0, "terms": False}],
        entries=[{"rune_id": ASH, "mints": 0, "burned": 0, "supply": 0}],
        events=[{"rune_id": ASH, "kind": "etched", "amount": 0}],
        blocks=[{"height": 850_000}],
    )
    return batch(tables, 850_000, 850_000, covers=None)


@pytest.mark.parametrize("name", SAID)
def test_where_nothing_happened_it_says_so(quiet: Batch, name: str) -> None:
    asked: Question = getattr(runes, name)
    assert str(asked(quiet).sentence) == SAID[name]


@pytest.mark.parametrize("name", OF_ONE)
def test_of_a_rune_that_nobody_holds_it_says_so(quiet: Batch, name: str) -> None:
    asked: Question = getattr(runes, name)
    assert str(asked(quiet, rune=ASH).sentence) == OF_ONE[name]


def test_no_transfers_are_not_inputs_that_are_missing(quiet: Batch) -> None:
    missing = runes.anomalies(quiet).explanation.missing
    assert missing == ("a z of etched: all values are the same",)
    assert runes.reconcile(quiet).explanation.missing == ()
    assert runes.reconcile(quiet).facts["transactions"] == 0


def test_no_etchings_are_none_taken() -> None:
    none = batch(laid(blocks=[{"height": 840_000}]), 840_000, 840_000)
    assert runes.name_market(none).facts["taken"] == 0


UNTOLD = {
    "anomalies": "events",
    "burns": "events",
    "mint_fairness": "mints",
    "mint_velocity": "mints",
    "volume": "allocations",
    "wasted": "runestones",
}
"""What a question cannot do without, of a batch that says neither which blocks were read nor what
it speaks of."""


@pytest.fixture
def listed() -> Batch:
    """One rune as a list has it, of which a unit was burned in these very blocks."""
    tables = laid(
        etchings=[{"rune_id": ASH, "premine": 8, "terms": False}],
        balances=[{"rune_id": ASH, "script": "51", "amount": 7}],
        entries=[{"rune_id": ASH, "mints": 0, "burned": 1, "supply": 8}],
    )
    return batch(tables, 850_000, 850_010, covers=None)


@pytest.mark.parametrize("name", UNTOLD)
def test_where_nobody_read_the_blocks_it_does_not_say_that_nothing_happened(
    listed: Batch, name: str
) -> None:
    asked: Question = getattr(runes, name)
    with pytest.raises(InputError) as refused:
        asked(listed)
    assert str(refused.value) == (
        f"{name} needs the table {UNTOLD[name]}, which laid does not have; it has etchings, "
        "balances, entries"
    )


def test_a_rune_without_an_entry_does_not_add_up_by_itself() -> None:
    etched = laid(etchings=[{"rune_id": ASH, "premine": 2**127, "terms": False}])
    with pytest.raises(InputError, match="reconcile needs the table entries"):
        runes.reconcile(batch(etched, 850_000, 850_000, covers=None))
    untold = runes.reconcile(batch(etched, 850_000, 850_000))
    assert untold.facts["unknown"] == 1
    assert str(untold.sentence) == (
        "no rune is off; of 1 of 1 the batch does not hold enough to tell"
    )
    assert str(runes.reconcile(batch(etched, 850_000, 850_000), rune=ASH).sentence) == (
        "whether A•SH adds up the batch does not hold enough to tell"
    )


def test_without_any_rune_nothing_adds_up() -> None:
    with pytest.raises(InputError, match="which laid does not have; it has no rows at all"):
        runes.reconcile(batch({}, 1, 2, covers=None))
    read = batch(laid(blocks=[{"height": 1}]), 1, 1, covers=None)
    assert str(runes.reconcile(read).sentence) == "there are no runes in this batch"
    stated = laid(entries=[{"rune_id": ASH, "mints": 0, "burned": 0, "supply": 0}])
    held = runes.reconcile(batch(stated, 850_000, 850_000, covers=None))
    assert (held.facts["wrong"], held.facts["unknown"]) == (0, 1)
    assert "the balances: what lies on outputs is not known" in held.explanation.missing


def test_a_rune_that_no_message_mints_wastes_nothing(quiet: Batch) -> None:
    said = runes.wasted(quiet, rune=ASH).sentence
    assert str(said) == "no message in these blocks mints A•SH"


def test_what_entries_have_burned_is_not_nothing() -> None:
    tables = laid(
        etchings=[{"rune_id": ASH, "premine": 8, "divisibility": 1, "terms": False}],
        entries=[{"rune_id": ASH, "mints": 0, "burned": 75, "supply": 80}],
        events=[{"height": 850_000, "tx_index": 1, "rune_id": ASH, "kind": "etched", "amount": 8}],
    )
    here = batch(tables, 850_000, 850_000)
    assert str(runes.burns(here).sentence) == (
        "the events of these blocks tell of no burn; by the table entries 1 rune was burned since "
        "its etching"
    )
    assert str(runes.burns(here, rune=ASH).sentence) == (
        "the events of these blocks tell of no burn of A•SH; by the table entries 7.5 were burned "
        "since its etching"
    )


def test_a_list_of_transfers_alone_tells_of_no_burns() -> None:
    party = {"address": "bc1pa", "amount": 7, "amount_dog": 0.00007, "has_dog": True}
    transfer = {"txid": "ab" * 32, "block_height": 850_000, "type": "transfer"}
    dog = runes.read([{**transfer, "senders": [party], "receivers": [party]}])
    with pytest.raises(InputError) as refused:
        runes.burns(dog)
    assert str(refused.value) == (
        "burns needs a source that tells what was burned: dogdata lists transfers alone"
    )


def test_what_moved_from_nobody_known_has_no_share() -> None:
    at = {"height": 850_000, "tx_index": 1, "rune_id": ASH, "amount": 7}
    tables = laid(
        inputs=[at], allocations=[{**at, "output": 1}], events=[{**at, "kind": "transferred"}]
    )
    assert str(runes.anomalies(batch(tables, 850_000, 850_000)).sentence) == (
        "0 of 1 value lie beyond a robust z of 3.5; 0 times runes went from A to B and back within "
        "144 blocks, and whose it was that moved is not known"
    )
