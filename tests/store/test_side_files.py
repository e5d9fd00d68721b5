"""Side files: whole or absent, never changed, exact."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.store.rows import amounts, rows, stream, table
from workbench.errors import InputError, StoreError
from workbench.store import Store
from workbench.store.side_files import sweep

BIG = [0, 1, 2**64 - 1, 2**64, 2**64 + 7, 2**100 + 3, 2**127, 2**127 + 1, 2**128 - 1]


async def test_a_side_file_keeps_its_tables_and_its_document(store: Store) -> None:
    made = await store.write_side_file("batches", "b1_aa", {"events": amounts(*BIG)}, b'{"a":1}')
    assert (made.alias, made.path, made.rows) == ("b1_aa", "batches/b1_aa.duckdb", {"events": 9})
    assert made.bytes == (store.folder / made.path).stat().st_size
    assert await store.read_document(made.path) == b'{"a":1}'
    back = table(await store.read_table(made.path, "events"))
    highs, lows = back["amount_high"].to_pylist(), back["amount_low"].to_pylist()
    assert [high * 2**64 + low for high, low in zip(highs, lows, strict=True)] == BIG


async def test_a_small_result_takes_little_room_and_is_read_beside_a_large_one(
    store: Store,
) -> None:
    small = await store.write_side_file("results", "t_s", {"x": amounts(*range(10))}, b"{}")
    large = await store.write_side_file("results", "t_l", {"x": amounts(*range(100_000))}, b"{}")
    assert small.bytes < 100_000 < large.bytes
    sql = "SELECT count(*) AS n FROM t_s.x JOIN t_l.x AS other USING (amount_low)"
    assert await rows(store, sql) == [{"n": 10}]


async def test_the_same_content_again_changes_nothing(store: Store) -> None:
    first = await store.write_side_file("results", "t_1", {"x": amounts(1)}, b"{}")
    before = (store.folder / first.path).stat().st_mtime_ns
    assert await store.write_side_file("results", "t_1", {"x": amounts(1)}, b"{}") == first
    assert (store.folder / first.path).stat().st_mtime_ns == before


async def test_other_content_gets_an_alias_of_its_own(store: Store) -> None:
    await store.write_side_file("results", "t_1", {"x": amounts(1)}, b"{}")
    second = await store.write_side_file("results", "t_1", {"x": amounts(2)}, b"{}")
    assert second.alias == "t_1_2"
    again = await store.write_side_file("results", "t_1", {"x": amounts(2)}, b"{}")
    assert again == second
    assert await rows(store, "SELECT amount_low AS v FROM t_1.x") == [{"v": 1}]
    assert await rows(store, "SELECT amount_low AS v FROM t_1_2.x") == [{"v": 2}]


async def test_types_come_back_as_they_went_in(store: Store) -> None:
    columns = {
        "rune_id": pa.array(["840000:1", None]),
        "mined_at": pa.array([1_700_000_000, None], pa.timestamp("s", tz="UTC")),
        "turbo": pa.array([True, None]),
        "height": pa.array([840_000, None], pa.int64()),
        "fee": pa.array([0.5, None]),
    }
    made = await store.write_side_file("batches", "b2", {"etchings": stream(columns)}, b"{}")
    back = table(await store.read_table(made.path, "etchings"))
    assert back.to_pydict() == pa.table(columns).to_pydict()


async def test_sums_of_128_bit_amounts_are_exact(store: Store) -> None:
    values = [2**100 + n for n in range(1000)]
    await store.write_side_file("batches", "b3", {"events": amounts(*values)}, b"{}")
    (row,) = await rows(
        store,
        "SELECT amount_sum(amount_high, amount_low) AS total, "
        "max(amount(amount_high, amount_low)) AS most FROM b3.events",
    )
    assert (int(row["total"]), int(row["most"])) == (sum(values), max(values))


async def test_amounts_up_to_the_last_bit_reach_a_query_exactly(store: Store) -> None:
    await store.write_side_file("batches", "b4", {"events": amounts(*BIG)}, b"{}")
    found = await rows(store, "SELECT amount(amount_high, amount_low) AS v FROM b4.events")
    assert [int(row["v"]) for row in found] == BIG


@pytest.mark.parametrize("alias", ["", "1a", "A", "a-b", "../x", "main", "a" * 64])
async def test_an_alias_that_is_no_name_is_refused(store: Store, alias: str) -> None:
    with pytest.raises(InputError, match=r"alias is .*; allowed: a-z, 0-9 and _"):
        await store.write_side_file("results", alias, {}, b"{}")


async def test_a_table_cannot_be_called_document(store: Store) -> None:
    with pytest.raises(InputError, match="table is 'document'"):
        await store.write_side_file("results", "t_9", {"document": amounts(1)}, b"{}")


async def test_broken_arrow_leaves_no_file(store: Store) -> None:
    with pytest.raises(StoreError, match="could not be written"):
        await store.write_side_file("results", "t_8", {"x": b"not arrow"}, b"{}")
    assert list((store.folder / "results").iterdir()) == []


async def test_only_files_of_the_data_folder_are_read(store: Store) -> None:
    for path in ("../secret.duckdb", "/etc/passwd", "results/none.duckdb"):
        with pytest.raises(InputError, match="a side file in the data folder"):
            await store.read_document(path)


async def test_an_unknown_table_is_answered_with_the_known_ones(store: Store) -> None:
    made = await store.write_side_file("results", "t_7", {"x": amounts(1)}, b"{}")
    with pytest.raises(InputError, match="table is 'y'; allowed: x"):
        await store.read_table(made.path, "y")


def test_what_a_killed_owner_left_unfinished_is_removed(tmp_path: Path) -> None:
    (tmp_path / "batches").mkdir()
    left = [tmp_path / "batches" / name for name in ("b1.77.tmp", "b1.77.tmp.wal")]
    kept = tmp_path / "batches" / "b1.duckdb"
    for path in [*left, kept]:
        path.touch()
    sweep(tmp_path)
    assert list((tmp_path / "batches").iterdir()) == [kept]
