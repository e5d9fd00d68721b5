"""`runes_events` in SQL: the events of every batch, each row with the alias of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests.store.rows import NOON, amounts, ask, rows
from workbench.errors import InputError
from workbench.store import Store, every_batch


async def keep(store: Store, alias: str, tables: Mapping[str, int], row: bytes) -> None:
    """A batch with so many rows in each table, recorded as a task records it."""
    written = await store.write_side_file(
        "batches",
        alias,
        {name: row if count else amounts() for name, count in tables.items()},
        b"{}",
    )
    told = json.dumps(written.rows)
    path = (alias, "batches", written.path, written.sha256, written.bytes, told)
    await store.append({"side_files": [(*path, None, "batch-import", alias, NOON)]})


@pytest.fixture
async def filled(store: Store) -> Store:
    await keep(store, "b1_aa", {"events": 1, "balances": 0}, amounts(2**127))
    await keep(store, "b2_bb", {"events": 1, "balances": 0}, amounts(5))
    await keep(store, "b3_cc", {"other": 1}, amounts(7))
    return store


async def test_a_view_has_the_rows_of_every_batch_with_its_alias(filled: Store) -> None:
    sql = "SELECT batch, amount(amount_high, amount_low) AS amount FROM runes_events ORDER BY batch"
    assert await rows(filled, sql, fresh=True) == [
        {"batch": "b1_aa", "amount": str(2**127)},
        {"batch": "b2_bb", "amount": "5"},
    ]
    (total,) = await rows(
        filled, "SELECT amount_sum(amount_high, amount_low) AS x FROM RUNES_EVENTS"
    )
    assert total == {"x": str(2**127 + 5)}


async def test_a_view_and_a_batch_by_name_go_together(filled: Store) -> None:
    sql = "SELECT count(*) AS n FROM runes_events JOIN b1_aa.events USING (amount_high)"
    assert await rows(filled, sql, fresh=True) == [{"n": 1}]


async def test_a_table_without_a_row_in_any_batch_is_there(filled: Store) -> None:
    answer, _ = await ask(filled, "SELECT * FROM runes_balances", fresh=True)
    assert answer.column_names == ["batch", "amount_high", "amount_low"]
    assert answer.num_rows == 0


async def test_a_name_of_ones_own_may_begin_alike(filled: Store) -> None:
    sql = "WITH runes_held AS (SELECT 1 AS n) SELECT n FROM runes_held"
    assert await rows(filled, sql, fresh=True) == [{"n": 1}]
    attached = "SELECT count(*) AS runes_many FROM duckdb_databases() WHERE NOT internal"
    assert await rows(filled, attached, fresh=True) == [{"runes_many": 2}]


async def test_a_batch_that_is_not_recorded_yet_is_in_no_view(filled: Store) -> None:
    await filled.write_side_file("batches", "b4_dd", {"events": amounts(1)}, b"{}")
    sql = "SELECT count(*) AS n FROM runes_events"
    assert await rows(filled, sql, fresh=True) == [{"n": 2}]


async def test_more_batches_than_one_query_may_read_are_refused(store: Store) -> None:
    count = every_batch.MOST_BATCHES + 1
    lines = [
        (f"b{n}", "batches", f"batches/b{n}.duckdb", "", 1, '{"events": 1}', None, None, None, NOON)
        for n in range(count)
    ]
    await store.append({"side_files": lines})
    with pytest.raises(InputError) as refused:
        await ask(store, "SELECT * FROM runes_events", fresh=True)
    assert str(refused.value) == (
        "runes_events has the rows of 501 batches; allowed: at most 500: name batches, as in "
        "SELECT * FROM alias.events"
    )


async def test_a_view_is_read_and_not_written(filled: Store) -> None:
    with pytest.raises(InputError, match="the query is INSERT, which is refused"):
        await ask(filled, "INSERT INTO runes_events SELECT * FROM runes_events", fresh=True)
