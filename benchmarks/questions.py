"""The questions of `workbench.runes` over a made-up history of N events, and the reading of it.

Aims at 20 million events: reading at 0.7 of DuckDB's bare read, a question of one rune within 1 s,
of all runes within 15 s. One of 210,000 runes has 15 % of the events: it is asked about, and so is
the hundredth by its events.
Beside each question stands Polars, written the straightforward way. Every measurement runs in a
process of its own, forked beside the tables; memory is what it needs beyond them.

    python -m benchmarks.questions --events 20000000

With --stored the tables stay in their files, for more rows than the memory holds.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks._runes_tables import write_batch
from workbench import runes
from workbench.runes.batch import Batch, load_batch, save_batch
from workbench.runes.evidence import evidence_of
from workbench.runes.stored import StoredBatch, open_batch

SEED = 866_342
MOST_EVENTS = 100_000_000
NDJSON_EVENTS = 300_000
"""A document may have 1 GiB; an event comes with about 900 bytes of it."""
LIMIT_S, READING_LIMIT_S = 90, 900
READ_AIM, ONE_AIM_S, ALL_AIM_S = 0.7, 1.0, 15.0

ONE_RUNE = ("holders", "cohort", "fragmentation")
BOTH = (
    *("reconcile", "supply", "mint_status", "mint_velocity", "mint_fairness", "burns", "wasted"),
    *("concentration", "volume", "anomalies"),
)
NO_RUNE = ("block_share", "name_market")
Work = Callable[[], Any]
Asked = Batch | StoredBatch
_RANKED = """
SELECT rune_id, count(*) AS events, (SELECT count(*) FROM {events}) AS of_all,
  (SELECT count(DISTINCT rune_id) FROM {events}) AS runes
FROM {events} GROUP BY rune_id ORDER BY events DESC, rune_id LIMIT 1 OFFSET {place}
"""
PLACES = {"the largest rune": 0, "the hundredth rune": 99}


def measured(work: Work, limit_s: int = LIMIT_S) -> dict[str, Any]:
    """Seconds, CPU seconds and MB beyond what is there, of work in a process of its own."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_timed, args=(work, theirs))
    child.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(limit_s) else {"error": f"no answer within {limit_s} s"}
    except EOFError:
        return {"error": "died, perhaps for want of memory"}
    finally:
        child.kill()
        child.join()


def _timed(work: Work, answer: Any) -> None:
    with contextlib.suppress(OSError):  # where it is refused the peak is that of the parent too
        Path("/proc/self/clear_refs").write_text("5")
    before = _memory_mb("VmRSS")
    start, cpu = time.perf_counter(), time.process_time()
    try:
        said = work()
    except Exception as error:  # a question may refuse: that is a line of the table
        answer.send({"error": f"{type(error).__name__}: {error}"[:200]})
        return
    took, cpu = time.perf_counter() - start, time.process_time() - cpu
    mb = _memory_mb("VmHWM") - before
    answer.send({"s": took, "cpu_s": cpu, "mb": mb, "said": said})


def _memory_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def _shown(found: dict[str, Any]) -> str:
    if "error" in found:
        return str(found["error"])
    return f"{found['s']:8.2f} s  {found['cpu_s']:8.2f} CPU s  {found['mb']:8,.0f} MB"


def reading(folder: Path, scratch: Path) -> None:
    """Both forms of a batch, checked whole, against DuckDB that checks nothing."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"reading Parquet, {size / 1e6:,.0f} MB")
    _against(lambda: _size(load_batch(folder)), lambda: _bare_parquet(folder))
    small = scratch / "small"
    if not small.exists():
        write_batch(small, min(NDJSON_EVENTS, _events(folder)), SEED)
    lines = save_batch(load_batch(small), scratch / "small.ndjson")
    print(f"reading NDJSON, {_events(small):,} events, {lines.stat().st_size / 1e6:,.0f} MB")
    _against(lambda: _size(load_batch(lines)), lambda: _bare_json(lines))


def _against(ours: Work, bare: Work) -> None:
    base, own = measured(bare, READING_LIMIT_S), measured(ours, READING_LIMIT_S)
    print(f"  DuckDB, bare  {_shown(base)}")
    print(f"  load_batch    {_shown(own)}")
    if "s" in base and "s" in own:
        ratio = base["s"] / own["s"]
        print(f"  {ratio:.2f} of the bare read (aim {READ_AIM}); {own['said']}")


def _events(folder: Path) -> int:
    return int(pq.read_metadata(folder / "events.parquet").num_rows)


def _size(batch: Batch) -> str:
    rows = sum(batch.rows().values())
    held = sum(table.nbytes for table in batch.tables.values())
    events = batch.rows()["events"]
    return f"{rows:,} rows, {held / rows:.0f} bytes a row, {held / events:.0f} an event"


def _bare_parquet(folder: Path) -> int:
    import duckdb

    connection = duckdb.connect()
    files = sorted(folder.glob("*.parquet"))
    tables = [
        connection.sql(f"SELECT * FROM read_parquet('{one}')").to_arrow_table() for one in files
    ]
    return sum(table.num_rows for table in tables)


def _bare_json(lines: Path) -> int:
    import duckdb

    sql = f"SELECT * FROM read_json('{lines}', format = 'newline_delimited', sample_size = -1)"
    return int(duckdb.connect().sql(sql).to_arrow_table().num_rows)


def asked(
    batch: Asked, one: dict[str, str], only: list[str]
) -> Iterator[tuple[str, str | None, Work]]:
    """Every question on hand as (name, rune, what asks it), `one` being runes by what they are."""
    middle = (batch.first_height + batch.last_height) // 2
    known = set(runes.__all__)
    for name in (*ONE_RUNE, *BOTH, *NO_RUNE, "similar_names", "compare_sources"):
        if name not in known or (only and name not in only):
            continue
        more = {"since": middle} if name == "cohort" else {}
        sides = (batch, batch) if name == "compare_sources" else (batch,)
        ask = partial(_said, getattr(runes, name), *sides, **more)
        if name not in NO_RUNE:
            for said, rune in one.items():
                yield f"{name} of {said}", rune, partial(ask, rune=rune)
        if name not in ONE_RUNE:
            yield f"{name} of all", None, ask


def _said(question: Any, *sides: Asked, **parameters: Any) -> str:
    return str(question(*sides, **parameters).sentence)


def _ranked(batch: Asked, place: int) -> dict[str, Any]:
    return evidence_of(batch).one(_RANKED.replace("{place}", str(place)))


def questions(batch: Asked, only: list[str], limit_s: int) -> None:
    import workbench.store.scratch  # noqa: F401 - what a notebook imports once is no part of a question

    one = {}
    for said, place in PLACES.items():
        work = partial(_ranked, batch, place)
        found = measured(work, limit_s)["said"]
        one[said], share = found["rune_id"], found["events"] / found["of_all"]
        print(f"{said} is {one[said]}: {share:.2%} of the events of {found['runes']:,} runes")
    for name, rune, work in asked(batch, one, only):
        own = measured(work, limit_s)
        aim = ONE_AIM_S if rune else ALL_AIM_S
        missed = "  MISSED" if own.get("s", aim + 1) > aim else ""
        print(f"{name} (aim {aim:g} s){missed}")
        print(f"  ours    {_shown(own)}  {own.get('said', '')}"[:200])
        if isinstance(batch, Batch):
            print(f"  Polars  {peer(batch, name.split()[0], rune, limit_s)}")
        print(f"  load {os.getloadavg()[0]:.1f}", flush=True)


def peer(batch: Batch, name: str, rune: str | None, limit_s: int) -> str:
    found = measured(lambda: _peer(batch, name, rune), limit_s)
    if found.get("said", "") is None:
        return "not a matter of a few lines"
    if "said" in found:
        found["s"], found["cpu_s"], note = found["said"]
        return f"{_shown(found)}  {note}"
    return _shown(found)


def _peer(batch: Batch, name: str, rune: str | None) -> tuple[float, float, str] | None:
    """Timed without the way of the tables into Polars."""
    import polars as pl

    from benchmarks._runes_peers import NOT_THE_SAME, PEERS

    if name not in PEERS:
        return None
    ask, tables = PEERS[name]
    frames = {each: pl.DataFrame(pl.from_arrow(batch.tables[each])) for each in tables}
    start, cpu = time.perf_counter(), time.process_time()
    ask(frames, rune)
    took, cpu = time.perf_counter() - start, time.process_time() - cpu
    return took, cpu, NOT_THE_SAME.get(name, "")


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--events", type=int, default=1_000_000, help=f"up to {MOST_EVENTS:,}")
    given.add_argument("--folder", type=Path, help="keep the tables here, and take them from here")
    given.add_argument("--stored", action="store_true", help="leave the tables in their files")
    given.add_argument("--limit", type=int, default=LIMIT_S, help="seconds for a question")
    given.add_argument("--only", nargs="*", default=[], help="these questions, without reading")
    options = given.parse_args()
    if not 1_000 <= options.events <= MOST_EVENTS:
        given.error(f"--events is {options.events}; allowed: 1,000 to {MOST_EVENTS:,}")
    scratch = options.folder or Path(tempfile.mkdtemp())
    try:
        run(scratch, options)
    finally:
        if options.folder is None:
            shutil.rmtree(scratch)


def run(scratch: Path, options: argparse.Namespace) -> None:
    folder = scratch / f"{options.events}"
    if not (folder / "entries.parquet").exists():
        made = measured(lambda: write_batch(folder, options.events, SEED), READING_LIMIT_S)
        print(f"made (seed {SEED}) {_shown(made)}")
    print(f"{_events(folder):,} events; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if options.stored:
        if not options.only:
            checked = measured(lambda: sum(open_batch(folder).rows().values()), READING_LIMIT_S)
            print(f"open_batch    {_shown(checked)}  {checked.get('said', 0):,} rows")
        questions(open_batch(folder, check=False), options.only, options.limit)
    else:
        if not options.only:
            reading(folder, scratch)
        questions(load_batch(folder), options.only, options.limit)
    print(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
