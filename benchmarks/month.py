"""A simulated month: how large its file is, how fast the page's questions and the page are on it.

10,000 tasks with steps, logs and results, 1,000 chats, and the metrics of 8 GPUs, a host and two
language models every 2 s for 30 days, rolled up and retired day by day as a hub does by default.
Then `workbench store compact`, the queries that the page asks, the page itself, and a backup,
restored and compared row by row. Aims: below 1 GB after compact, usable within 8 s, equal.

It takes about five minutes on two free cores, needs 1 GB of disk, and ends by itself. Without a
Chromium the page is left out; `--days 3` is a quick look.

    python benchmarks/month.py [--days N] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from page import AIM_S, Start
from playwright.sync_api import sync_playwright

from tests.browser.chromium import FLAGS, find
from workbench.core.metrics import CATALOGUE
from workbench.hub.metrics_history import Retention
from workbench.store import Store
from workbench.store.backup import at_rest, write_backup
from workbench.store.compact import compact
from workbench.store.owner import Owner
from workbench.store.place import FILE
from workbench.store.restore import restore
from workbench.store.retention import retire_metrics
from workbench.store.tables import fingerprints

TASKS, WITH_TABLES, LOG_LINES = 10_000, 400, 25
CHATS, TURNS = 1_000, 10
GPUS = [f"GPU-{number:032x}" for number in range(8)]
MODELS = ["", "qwen3-8b@embedded", "llama-3.3-70b@lmstudio"]
SUBJECTS = {"gpu": GPUS, "host": [""], "model": MODELS}
AIM_BYTES = 1e9
WORDS = (
    "fee", "rate", "block", "rune", "mint", "etching", "mempool", "edict", "supply", "burned",
    "model", "answer", "table",
)  # fmt: skip
NOW = datetime.now(UTC).replace(tzinfo=None, microsecond=0)

# A gauge that wanders as real ones do: noise compresses worse than any metric.
DAY = """
INSERT INTO metrics
SELECT metric, subject,
    round(40 + 30 * sin(tick / 300.0 + hash(metric || subject) % 1000) + random() * 8, 1),
    $begin::TIMESTAMP + to_milliseconds(tick * 2000)
FROM range($ticks) ticks(tick), unnest($series) AS each(pair),
    LATERAL (SELECT pair.metric AS metric, pair.subject AS subject)
"""


def say(template: str, /, **values: Any) -> None:
    print(f"  {template.format(**values)}", file=sys.stderr, flush=True)


def show(label: str, value: str) -> None:
    print(f"{label:38}{value:>13}", flush=True)


def metrics(folder: Path, days: int) -> None:
    series = [
        {"metric": metric.name, "subject": subject}
        for metric in CATALOGUE.values()
        for subject in SUBJECTS[metric.of]
    ]
    kept = Retention()
    with Owner(folder) as owner:
        for day in range(days, 0, -1):
            begin = NOW - timedelta(days=day)
            cursor = owner.cursor()
            cursor.execute(DAY, {"begin": begin, "ticks": 43_200, "series": series})
            cursor.close()
            end = begin + timedelta(days=1)
            retire_metrics(
                owner, end, raw_h=kept.raw_h, minutes_d=kept.minutes_d, hours_d=kept.hours_d
            )
            owner.checkpoint()


def text(source: random.Random, words: int) -> str:
    return " ".join(source.choices(WORDS, k=words))


def stream(source: random.Random, rows: int) -> bytes:
    table = pa.table(
        {
            "rune_id": [f"{840_000 + n}:{n % 90}" for n in range(rows)],
            "amount_high": pa.array([0] * rows, pa.uint64()),
            "amount_low": pa.array([source.getrandbits(60) for _ in range(rows)], pa.uint64()),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


async def tasks(store: Store, source: random.Random) -> None:
    body = stream(source, 500)
    for first in range(0, TASKS, 500):
        rows: dict[str, list[tuple[Any, ...]]] = {
            name: [] for name in ("tasks", "task_events", "task_logs", "side_files")
        }
        for number in range(first, first + 500):
            await one_task(store, rows, number, source, body)
        await store.append(rows)


async def one_task(
    store: Store, rows: dict[str, Any], number: int, source: random.Random, table: bytes
) -> None:
    name = f"{source.getrandbits(128):032x}"
    at = NOW - timedelta(seconds=source.random() * 29.9 * 86_400)
    later = [at + timedelta(seconds=seconds) for seconds in (0.01, 0.05, 40)]
    data = {"points": [source.random() for _ in range(60)], "said": text(source, 40)}
    result: dict[str, Any] = {
        "model": "cypher-v1", "version": "1", "elapsedMs": 40_000, "tables": {}, "alias": None,
        "file": None, "data": data, "figures": [],
    }  # fmt: skip
    if number % (TASKS // WITH_TABLES) == 0:
        alias = f"t_{name[:12]}"
        side = await store.write_side_file("results", alias, {"moves": table}, b'{"data":1}')
        result |= {"alias": alias, "file": side.path, "tables": {"moves": {"rows": 500}}}
        rows["side_files"].append(
            (alias, "results", side.path, side.sha256, side.bytes, '{"moves":500}', name,
             "cypher-v1", None, later[2])
        )  # fmt: skip
    parameters = msgspec.json.encode({"clusters": 8, "months": 3, "seed": number}).decode()
    rows["tasks"].append(
        (name, "cypher-v1", "1", True, parameters, "upload:" + name * 2, None, 0, 600_000, True,
         True, f"{number:064x}", at)
    )  # fmt: skip
    kind = "failed" if number % 29 == 0 else "done"
    ended = (
        {"error": "it broke: 5", "template": "it broke: {n}", "values": {"n": 5}}
        if kind == "failed"
        else {"result": result, "cacheKey": f"{number:064x}", "kept": result["file"] is not None}
    )
    events = [("fetching", {"lost": 0}), ("running", {"lost": 0}), (kind, ended)]
    for seq, ((step, body), moment) in enumerate(zip(events, later, strict=True), start=2):
        seq = seq if step != kind else LOG_LINES + 5
        rows["task_events"].append((name, seq, 1, step, msgspec.json.encode(body).decode(), moment))
    for line in range(LOG_LINES):
        content = f"unit {line} of {LOG_LINES}: {text(source, 12)}"
        moment = at + timedelta(seconds=1 + line)
        rows["task_logs"].append((name, line + 4, 1, "info", content, None, None, moment))


async def chats(store: Store, source: random.Random) -> None:
    message_id = 0
    for conversation in range(1, CHATS + 1):
        at = NOW - timedelta(seconds=source.random() * 29.9 * 86_400)
        rows: dict[str, Any] = {"message_entries": [], "conversation_entries": []}
        entry = (text(source, 5), "qwen3-8b", "", "{}", at, at)
        rows["conversation_entries"].append((conversation, 1, *entry))
        for turn in range(TURNS):
            asked = at + timedelta(minutes=turn)
            for role, words in (("user", 30), ("assistant", 220)):
                message_id += 1
                rows["message_entries"] += entries(
                    source, message_id, conversation, role, words, asked
                )
        await store.append(rows)


def entries(
    source: random.Random, number: int, conversation: int, role: str, words: int, at: datetime
) -> list[tuple[Any, ...]]:
    """As a hub writes them: an answer first without its text, then whole."""

    def entry(revision: int, content: str, status: str) -> tuple[Any, ...]:
        return (
            number, revision, conversation, role, content, "", status, "qwen3-8b", "embedded",
            None, None, None, None, 400, 260, 210.0, 42.0, 6000.0, "stop", 0, None, at, at,
        )  # fmt: skip

    whole = entry(2 if role == "assistant" else 1, text(source, words), "done")
    return [whole] if role == "user" else [entry(1, "", "streaming"), whole]


async def fill(folder: Path, days: int) -> None:
    source = random.Random(6)
    await asyncio.to_thread(metrics, folder, days)
    async with await Store.open(folder) as store:
        await tasks(store, source)
        await chats(store, source)


async def ask(folder: Path) -> dict[str, float]:
    """Milliseconds of what the page asks, the median of five."""
    hour, week = NOW - timedelta(hours=1), NOW - timedelta(days=7)
    names = ["gpu.utilization", "gpu.memory_used_pct", "gpu.temperature", "gpu.power"]
    span = {"metrics": names, "subjects": None, "until": NOW}
    hour_of = {"resolution": "raw", "since": hour, "step_ms": 10_000}
    week_of = {"resolution": "minute", "since": week, "step_ms": 1_800_000}
    chat = {"conversation_id": 500, "limit": 50, "characters": 1_000_000}
    listed = {"before": None, "limit": 51}
    async with await Store.open(folder) as store:
        (newest,) = await store.read("task_history", before=None, limit=1, state=None)
        one = {"task_id": newest["task_id"]}
        asked: dict[str, tuple[str, dict[str, Any]]] = {
            "start: ids of all tasks": ("all_task_ids", {"limit": 1_000_000}),
            "start: open tasks": ("tasks_open", {}),
            "start: numbers of chats": ("chat_numbers", {"own": 1 << 50}),
            "start: unfinished answers": ("chat_unfinished", {}),
            "tasks, newest 50": ("task_history", {"before": None, "limit": 51, "state": None}),
            "tasks, failed": ("task_history", {"before": None, "limit": 51, "state": "failed"}),
            "a task's messages": ("task_events", {**one, "after": 0}),
            "a task's log": ("task_logs", {**one, "after": 0, "limit": 500}),
            "a task's times": ("task_times", one),
            "cached result": ("cached_result", {"content_hash": "0" * 64, "since": None}),
            "newest chat": ("conversation_latest", {}),
            "one chat": ("conversation", {"conversation_id": 500}),
            "chats, newest 50": ("conversation_list", {"search": "", **listed}),
            "chats, searched": ("conversation_list", {"search": "etching mem", **listed}),
            "a chat's messages": ("chat_history", chat),
            "metrics, an hour": ("metrics_series", {**span, **hour_of}),
            "metrics, a week": ("metrics_series", {**span, **week_of}),
            "alerts": ("alerts_active", {}),
        }  # fmt: skip
        return {label: await took_ms(store, *query) for label, query in asked.items()}


async def took_ms(store: Store, query: str, params: dict[str, Any]) -> float:
    took = []
    for _ in range(5):
        began = time.perf_counter()
        await store.read(query, **params)
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def page(folder: Path) -> dict[str, float]:
    """Seconds until the page is usable on this data, and on none: what a busy machine costs."""
    found = {}
    (folder / "empty").mkdir()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=list(FLAGS))
        try:
            for _ in range(2):  # the second time the disk's cache is warm
                for name, place in (("an empty store", folder / "empty"), ("the month", folder)):
                    start = Start(browser, place)
                    try:
                        found[f"page, second start on {name}"] = start.app()
                    finally:
                        start.stop_hub()
        finally:
            browser.close()
    return found


def sizes(data: Path) -> int:
    results = sum(path.stat().st_size for path in (data / "results").glob("*.duckdb"))
    show("side files of results", f"{results / 1e6:.1f} MB")
    return (data / FILE).stat().st_size


def equal(data: Path, folder: Path) -> bool:
    with at_rest(data) as database:
        write_backup(data, database, folder / "backup", say)
    restore(folder / "backup", folder / "restored", say)
    with Owner(data) as one, Owner(folder / "restored") as other:
        return fingerprints(one.cursor()) == fingerprints(other.cursor())


def measure(folder: Path, days: int) -> None:
    data = folder / "data"
    began = time.perf_counter()
    asyncio.run(fill(data, days))
    show("filling it", f"{time.perf_counter() - began:.1f} s")
    show("file before compact", f"{sizes(data) / 1e6:.1f} MB")
    began, kept = time.perf_counter(), Retention()

    def first(owner: Owner) -> None:
        retire_metrics(owner, NOW, raw_h=kept.raw_h, minutes_d=kept.minutes_d, hours_d=kept.hours_d)

    after = compact(data, say, first=first).bytes_after
    show("compact", f"{time.perf_counter() - began:.1f} s")
    show("file after compact", f"{after / 1e6:.1f} MB")
    show("over the aim of 1 GB", f"{after / AIM_BYTES:.2f} x")
    for label, took in asyncio.run(ask(data)).items():
        show(label, f"{took:.1f} ms")
    began = time.perf_counter()
    same = equal(data, folder)
    took_s = time.perf_counter() - began
    show("backup and restore, equal: " + str(same), f"{took_s:.1f} s")
    try:
        shown = page(folder)
    except Exception as error:
        print(f"the page was left out: {error}", file=sys.stderr)
        return
    for label, took in shown.items():
        show(label, f"{took:.2f} s")
    empty_s, month_s = shown.values()
    show(f"the month over the aim of {AIM_S:g} s", f"{month_s / AIM_S:.2f} x")
    show("the month over an empty store", f"{month_s / empty_s:.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--keep", type=Path, help="leave everything in this new folder")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        measure(folder, given.days)
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
