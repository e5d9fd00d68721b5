"""SQL from users reads, and does nothing else: not write, not look around, not go on for ever."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from tests.store.rows import amounts, ask, metric, rows, task
from workbench.errors import InputError, StoreError
from workbench.store import QueryEnd, QueryHead, Store

ENDLESS = """SELECT count(*) FROM range(10000000) a, range(10000000) b
    WHERE a.range * b.range % 7 = 3"""


@pytest.fixture
async def filled(store: Store) -> Store:
    await store.append({"tasks": [task("a"), task("b")]})
    await store.write_side_file("batches", "b1_aa", {"events": amounts(1, 2**100)}, b"{}")
    return store


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Store]:
    async with await Store.open(tmp_path, query_memory_mb=256, query_limit_s=1.5) as opened:
        yield opened


async def test_tables_and_views_are_the_default_schema(filled: Store) -> None:
    found = await rows(filled, "SELECT task_id, state FROM task_history ORDER BY task_id")
    assert found == [{"task_id": "a", "state": "queued"}, {"task_id": "b", "state": "queued"}]


async def test_a_side_file_is_a_schema_named_by_its_alias(filled: Store) -> None:
    found = await rows(filled, "SELECT count(*) AS n FROM B1_AA.events, b1_aa.document")
    assert found == [{"n": 2}]


async def test_a_side_file_that_is_not_named_is_not_attached(filled: Store) -> None:
    sql = "SELECT database_name AS name FROM duckdb_databases() WHERE NOT internal"
    attached = {row["name"] for row in await rows(filled, sql)}
    assert attached == {"memory", "workbench"}


async def test_parameters_are_bound(store: Store) -> None:
    for sql, params, answer in (
        ("SELECT ? + 1 AS v", [41], 42),
        ("SELECT $a || $b AS v", {"a": "x", "b": "y"}, "xy"),
        ("SELECT $d::DATE + 1 AS v", {"d": date(2026, 2, 28)}, date(2026, 3, 1)),
        ("SELECT $big::UHUGEINT AS v", {"big": 2**127 + 1}, str(2**127 + 1)),
    ):
        (row,) = await rows(store, sql, params)
        assert row["v"].date() == answer if hasattr(row["v"], "hour") else row["v"] == answer


async def test_128_bit_integers_nested_or_not_come_as_exact_text(store: Store) -> None:
    top = 2**128 - 1
    (row,) = await rows(store, f"SELECT {top}::UHUGEINT AS a, [{top}::UHUGEINT] AS b, 1 AS c")
    assert row == {"a": str(top), "b": [str(top)], "c": 1}


ANYTHING_ELSE = [
    ("INSERT INTO audit VALUES ('x', NULL, NULL)", "INSERT"),
    ("WITH x AS (INSERT INTO audit VALUES ('x', '', now()) RETURNING *) FROM x", "INSERT"),
    ("WITH x AS (COPY tasks TO '{folder}/out.csv') FROM x", "COPY"),
    ("WITH x AS (COPY tasks TO '{folder}/batches/b1_aa.duckdb') FROM x", "COPY"),
    ("EXPLAIN ANALYZE COPY tasks TO '{folder}/out.csv'", "EXPLAIN"),
    ("COPY tasks TO '{folder}/out.csv'", "COPY"),
    ("CREATE TABLE memory.main.mine AS SELECT 1", "CREATE"),
    ("ATTACH '{folder}/batches/b1_aa.duckdb' AS mine", "ATTACH"),
    ("DETACH b1_aa", "DETACH"),
    ("SET memory_limit = '100GB'", "SET"),
    ("PREPARE p AS COPY tasks TO '{folder}/out.csv'", "PREPARE"),
    ("LOAD httpfs", "LOAD"),
    ("CALL pragma_version()", "CALL"),
    ("SELECT 1; DROP TABLE tasks", "2 statements"),
    ("", "0 statements"),
]


async def test_anything_but_one_select_is_refused(filled: Store) -> None:
    """On one store: each has a process of its own that queries."""
    side = filled.folder / "batches" / "b1_aa.duckdb"
    before = hashlib.sha256(side.read_bytes()).hexdigest()
    for sql, what in ANYTHING_ELSE:
        with pytest.raises(InputError) as refused:
            await ask(filled, sql.replace("{folder}", str(filled.folder)))
        assert str(refused.value) == (
            f"the query is {what}, which is refused: send one SELECT; queries only read"
        )
        assert not (filled.folder / "out.csv").exists(), sql
        assert hashlib.sha256(side.read_bytes()).hexdigest() == before, sql
        assert await rows(filled, "SELECT count(*) AS n FROM audit") == [{"n": 0}], sql


async def test_files_and_addresses_cannot_be_read(store: Store) -> None:
    for sql in (
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd.csv'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_blob('{folder}/workbench.lock')",
        "SELECT * FROM read_json('https://example.org/x.json')",
    ):
        with pytest.raises(InputError, match=r"^the query failed: Permission Error: Cannot access"):
            await ask(store, sql.replace("{folder}", str(store.folder)))


async def test_variables_of_python_are_no_tables(store: Store) -> None:
    for name in ("request", "connection", "sys"):
        with pytest.raises(InputError, match=f"Table with name {name} does not exist"):
            await ask(store, f"SELECT * FROM {name}")


async def test_a_mistake_is_answered_with_the_reason(store: Store) -> None:
    with pytest.raises(InputError) as wrong:
        await ask(store, "SELECT * FROM taskz")
    assert str(wrong.value) == (
        "the query failed: Catalog Error: Table with name taskz does not exist! "
        'Did you mean "tasks"?'
    )
    assert wrong.value.template == "the query failed: {reason}"


async def test_an_amount_beyond_128_bits_is_refused_in_our_words(filled: Store) -> None:
    sql = f"SELECT amount_sum(x, 0) FROM (SELECT {2**64 - 1}::UBIGINT AS x FROM range(2))"
    with pytest.raises(InputError, match=r"^an amount is above 2\^128 - 1, the most that amount"):
        await ask(filled, sql)


async def test_amounts_over_a_window_are_added_up_by_their_halves(filled: Store) -> None:
    """`amount_sum` over one is refused with the words that work."""
    refused = "SELECT amount_sum(amount_high, amount_low) OVER () AS x FROM b1_aa.events"
    with pytest.raises(InputError) as wrong:
        await ask(filled, refused)
    assert str(wrong.value) == (
        "amount and amount_sum take no OVER and no FILTER; allowed: both in the sums of "
        "amount_of_sums(sum(x_high) OVER (...), sum(x_low) OVER (...))"
    )
    running = """SELECT amount_of_sums(sum(amount_high) OVER w, sum(amount_low) OVER w) AS x
        FROM (SELECT * FROM b1_aa.events UNION ALL SELECT 0, 18446744073709551615)
        WINDOW w AS (ORDER BY amount_high, amount_low)"""
    halves = [1, 2**64, 2**64 + 2**100]
    assert await rows(filled, running) == [{"x": str(one)} for one in halves]
    filtered = refused.replace("OVER ()", "FILTER (amount_high > 0)")
    with pytest.raises(InputError, match="take no OVER and no FILTER"):
        await ask(filled, filtered)


async def test_a_query_over_its_time_is_stopped(hasty: Store) -> None:
    with pytest.raises(StoreError) as stopped:
        await ask(hasty, ENDLESS)
    assert str(stopped.value) == (
        "the query ran longer than 1.5 s and was stopped: ask for less, or set "
        "WORKBENCH_QUERY_LIMIT_S higher"
    )
    assert await rows(hasty, "SELECT 1 AS v") == [{"v": 1}]


async def test_a_query_over_its_memory_is_stopped(store: Store) -> None:
    for sql in (
        "SELECT list(range) FROM range(1000000000)",
        "SELECT length(repeat('x', 2000000000) || repeat('y', 2000000000)) AS n",
        "SELECT generate_series(1, 1000000000) AS s",
    ):
        with pytest.raises(StoreError) as stopped:
            await ask(store, sql)
        assert re.fullmatch(
            r"the query('s process ended, most likely at its limit of| needed more than) 512 MB of "
            r"memory( and was stopped)?: ask for less, or set WORKBENCH_QUERY_MEMORY_MB higher",
            str(stopped.value),
        )
        assert await rows(store, "SELECT 1 AS v") == [{"v": 1}]


async def test_max_rows_cuts_the_answer_and_says_so(store: Store) -> None:
    sql = "SELECT range AS n FROM range(40000)"
    for limit, got, truncated in ((0, 0, True), (17_000, 17_000, True), (40_000, 40_000, False)):
        answer, end = await ask(store, sql, max_rows=limit)
        assert (answer.num_rows, end.rows, end.truncated) == (got, got, truncated)
        assert answer["n"].to_pylist() == list(range(got))


async def test_the_chunks_are_one_arrow_stream_of_16_000_rows_each(store: Store) -> None:
    async with aclosing(store.query("SELECT range AS n FROM range(50000)")) as frames:
        got = [frame async for frame in frames]
    chunks = [frame for frame in got if isinstance(frame, bytes)]
    sizes = [batch.num_rows for batch in pa.ipc.open_stream(b"".join(chunks))]
    assert sum(sizes) == 50_000
    assert max(sizes) <= 16_000
    assert isinstance(got[0], QueryHead)
    assert isinstance(got[-1], QueryEnd)


async def test_chunks_of_few_bytes_come_together(store: Store) -> None:
    """Each frame costs its way through the hub and the client: a million numbers have few."""
    frames = [frame async for frame in store.query("SELECT range AS n FROM range(1_000_000)")]
    chunks = [frame for frame in frames if isinstance(frame, bytes)]
    assert len(chunks) < 15
    assert max(map(len, chunks)) < 2 << 20
    with pa.ipc.open_stream(b"".join(chunks)) as stream:
        assert stream.read_all()["n"].to_pylist() == list(range(1_000_000))


async def test_wide_rows_come_in_smaller_chunks(store: Store) -> None:
    """A client takes messages of a bounded size: 9,000 rows of 16 kB would have been one."""
    sql = "SELECT repeat('x', 16_000) || i AS long FROM range(9_000) t(i)"
    frames = [frame async for frame in store.query(sql)]
    chunks = [frame for frame in frames if isinstance(frame, bytes)]
    assert max(map(len, chunks)) < 10 << 20
    with pa.ipc.open_stream(b"".join(chunks)) as stream:
        assert stream.read_all()["long"].to_pylist()[8_999] == "x" * 16_000 + "8999"


async def test_a_row_that_no_message_carries_is_refused(store: Store) -> None:
    with pytest.raises(
        InputError, match=r"a row of the answer has 4\d{7} bytes; allowed: 33554432"
    ):
        await rows(store, "SELECT repeat('x', 40_000_000) AS long")
    assert await rows(store, "SELECT 1 AS n") == [{"n": 1}]


async def test_an_empty_answer_has_its_columns(store: Store) -> None:
    answer, end = await ask(store, "SELECT task_id, priority FROM tasks")
    assert (answer.column_names, answer.num_rows, end.rows) == (["task_id", "priority"], 0, 0)


async def test_a_query_left_early_is_stopped_and_the_next_one_works(store: Store) -> None:
    async with aclosing(store.query("SELECT range FROM range(100000000)")) as frames:
        async for frame in frames:
            if isinstance(frame, bytes):
                break
    assert await rows(store, "SELECT 1 AS v") == [{"v": 1}]


async def test_a_cancelled_query_gives_its_place_back(store: Store) -> None:
    for _ in range(3):
        asked = asyncio.ensure_future(ask(store, ENDLESS))
        await store.append({"metrics": [metric(1)]})
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    assert await rows(store, "SELECT 1 AS v") == [{"v": 1}]


async def test_queries_beyond_the_workers_wait_their_turn(store: Store) -> None:
    answers = await asyncio.gather(*(rows(store, f"SELECT {n} AS v") for n in range(12)))
    assert answers == [[{"v": n}] for n in range(12)]


async def test_queries_beyond_the_queue_are_refused(store: Store) -> None:
    asked = [rows(store, "SELECT 1 AS v") for _ in range(40)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    refused = [str(outcome) for outcome in outcomes if isinstance(outcome, StoreError)]
    assert set(refused) == {"32 queries wait already: try again when some are done"}
    assert len(refused) + outcomes.count([{"v": 1}]) == 40


async def test_a_worker_that_dies_is_replaced(store: Store) -> None:
    await rows(store, "SELECT 1 AS v")
    store._user_sql._idle[0].kill()
    with pytest.raises(StoreError, match="the query's process ended"):
        await rows(store, "SELECT 1 AS v")
    assert await rows(store, "SELECT 1 AS v") == [{"v": 1}]


async def test_for_tables_that_are_written_a_worker_is_made_ready(store: Store) -> None:
    await store.write_side_file("results", "t_1", {"x": amounts(1, 2)}, b"{}")
    started = store._user_sql._first
    assert started is not None
    await started
    (worker,) = store._user_sql._idle
    assert await rows(store, "SELECT count(*) AS v FROM t_1.x") == [{"v": 2}]
    assert store._user_sql._idle == [worker]


async def test_a_store_closes_while_a_worker_is_made_ready(store: Store) -> None:
    await store.write_side_file("results", "t_1", {"x": amounts(1)}, b"{}")
    started = store._user_sql._first
    assert started is not None
    await store.close()
    assert started.done()
