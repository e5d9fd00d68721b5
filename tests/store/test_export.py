"""An export is a Parquet file and a page that says what it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.store.rows import amounts, metric, task
from workbench.errors import InputError
from workbench.store import Store
from workbench.store.export import unit_of

BIG = [2**64 + 1, 2**100 + 3, 2**127, 2**128 - 1]


async def test_128_bit_pairs_survive_an_export(store: Store, tmp_path: Path) -> None:
    await store.write_side_file("batches", "b1_aa", {"events": amounts(*BIG)}, b"{}")
    done = await store.export("b1_aa.events", tmp_path / "out" / "events.parquet")
    back = pq.read_table(done.path)
    pairs = zip(back["amount_high"].to_pylist(), back["amount_low"].to_pylist(), strict=True)
    assert [high * 2**64 + low for high, low in pairs] == BIG
    page = json.loads(done.page.read_text())
    assert page["amounts"] == {"amount": "amount_high * 2**64 + amount_low"}
    assert page["columns"][0] == {"name": "amount_high", "type": "uint64"}


async def test_the_page_says_what_the_file_is(store: Store, tmp_path: Path) -> None:
    await store.append({"tasks": [task("a"), task("b")]})
    sql = "SELECT task_id, 1.5 AS wait_s, submitted_at FROM tasks ORDER BY task_id"
    done = await store.export(sql, tmp_path / "tasks.parquet")
    page = json.loads((tmp_path / "tasks.parquet.json").read_text())
    assert page["sha256"] == done.sha256 == hashlib.sha256(done.path.read_bytes()).hexdigest()
    assert (page["format"], page["sql"], page["rows"]) == ("workbench-export/1", sql, 2)
    assert page["asOf"] == done.as_of.isoformat()
    assert [column.get("unit") for column in page["columns"]] == [None, "seconds", "instant, UTC"]
    assert set(page["versions"]) == {"workbench", "duckdb", "pyarrow", "python"}
    assert pq.read_table(done.path)["task_id"].to_pylist() == ["a", "b"]


async def test_an_export_is_of_all_that_is_acknowledged(store: Store, tmp_path: Path) -> None:
    for count in (1, 2):
        await store.append({"metrics": [metric(count)] * 20_000})
        done = await store.export("metrics", tmp_path / "metrics.parquet")
        assert done.rows == pq.read_metadata(done.path).num_rows == count * 20_000


async def test_a_failed_export_leaves_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the query failed: "):
        await store.export("no_such_table", tmp_path / "out" / "x.parquet")
    assert list((tmp_path / "out").iterdir()) == []


async def test_the_target_must_be_parquet(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"allowed: a path that ends in \.parquet"):
        await store.export("tasks", tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("column", "unit"),
    [("fee_sat", "satoshi"), ("taken_at", "instant, UTC"), ("vsize", "virtual bytes"),
     ("elapsed_ms", "milliseconds"), ("size_bytes", "bytes"), ("edicts", None), ("name", None)],
)  # fmt: skip
def test_a_unit_is_read_from_a_columns_name(column: str, unit: str | None) -> None:
    assert unit_of(column) == unit
