"""What the mesh board lists, and how often it draws."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from workbench.boards.home import Coalesced, Home
from workbench.boards.samples import list_samples, sample_kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("small.json", "batch"),
        ("large.json.gz", "batch"),
        ("rows.ndjson", "batch"),
        ("block-sim.bin", "block"),
        ("866342.bin.xz", "block"),
        ("block-sim.spent.json.gz", "spent"),
        ("README.md", ""),
    ],
)
def test_a_sample_is_told_by_its_name(name: str, kind: str) -> None:
    assert sample_kind(Path(name)) == kind


def test_samples_are_named_as_the_node_takes_them(tmp_path: Path) -> None:
    assert list_samples(tmp_path) == []
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "small.json").write_bytes(b"{}")
    (tmp_path / "samples" / "notes.txt").write_bytes(b"")
    expected = [{"path": "samples/small.json", "bytes": 2, "kind": "batch"}]
    assert list_samples(tmp_path) == expected


async def test_many_asks_are_drawn_once_and_none_is_lost() -> None:
    drawn = asyncio.Event()
    times = 0

    def draw() -> None:
        nonlocal times
        times += 1
        drawn.set()

    drawing = Coalesced(Home(), draw, interval_s=0.5)
    await asyncio.to_thread(lambda: [drawing.ask() for _ in range(1000)])
    async with asyncio.timeout(30):
        await drawn.wait()
        drawn.clear()
        drawing.ask()
        await drawn.wait()
    assert times <= 4


def test_work_for_a_kernel_that_is_gone_is_dropped() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    Home(loop).call(lambda: None)
