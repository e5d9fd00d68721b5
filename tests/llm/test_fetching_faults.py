"""A killed process or a full disk leaves a file that is absent, resumable or correct."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.llm.faulty_files import Files, content, files
from workbench.byte_ranges import Ranges
from workbench.core.downloads import RemoteFile
from workbench.llm.fetching import Fetch, Fetched
from workbench.llm.part_file import NoSpace

ROOT = Path(__file__).parent.parent.parent
CHILD = Path(__file__).with_name("fetch_child.py")
SIZE = 24_000_000
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "2"))

pytestmark = pytest.mark.faults


@contextlib.contextmanager
def child(served: Files, folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    declared = [str(len(served.body)), served.sha256]
    process = subprocess.Popen(
        [sys.executable, str(CHILD), served.url, *declared, str(folder), *more],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def fetch(served: Files, folder: Path) -> Fetched | None:
    ranges = Ranges(private_addresses=True, idle_s=5)
    try:
        return Fetch(
            ranges,
            RemoteFile(
                url=served.url,
                name="model.gguf",
                size_bytes=len(served.body),
                sha256=served.sha256,
            ),
            folder / "model.gguf",
            told=lambda told: None,
            stop=threading.Event(),
            keep_free_bytes=0,
        ).run()
    finally:
        ranges.close()


def look(served: Files, folder: Path) -> str:
    """What there is of the file; fails where any of it is wrong."""
    target, part, claim = (
        folder / name for name in ("model.gguf", "model.gguf.part", "model.gguf.part.json")
    )
    if target.exists():
        assert target.read_bytes() == served.body
        return "correct"
    if not claim.exists():
        return "absent"
    have = part.read_bytes()
    for start, end in json.loads(claim.read_bytes())["done"]:
        assert have[start:end] == served.body[start:end], f"bytes {start} to {end} are wrong"
    return "resumable"


@pytest.mark.timeout(60 + 10 * ROUNDS)
def test_a_fetch_that_is_killed_at_any_moment_leaves_nothing_wrong(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    chance, found = random.Random(seed), []
    with files(content(SIZE)) as (served, _):
        for round_ in range(ROUNDS):
            folder = tmp_path / str(round_)
            folder.mkdir()
            for _ in range(3):  # the same file, killed again and again
                served.each_bytes_s = chance.choice([1e6, 4e6, None])
                served.sent_bytes, served.reached_bytes = 0, chance.randrange(1, SIZE)
                served.reached.clear()
                with child(served, folder) as process:
                    while not served.reached.wait(0.02) and process.poll() is None:
                        pass
                    threading.Event().wait(chance.random() * 0.3)  # at a moment of no meaning
                found.append(look(served, folder))
                if found[-1] == "correct":
                    break
            served.each_bytes_s = None
            done = fetch(served, folder)
            assert done is not None
            assert look(served, folder) == "correct"
            assert [path.name for path in folder.iterdir()] == ["model.gguf"]
    print(found)


def test_what_a_killed_fetch_had_claimed_is_not_fetched_again(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        served.each_bytes_s = 4e6
        with child(served, tmp_path) as process:
            while not (tmp_path / "model.gguf.part.json").exists():
                assert process.poll() is None
        claimed = json.loads((tmp_path / "model.gguf.part.json").read_bytes())["done"]
        served.each_bytes_s = None
        fetch(served, tmp_path)
        assert served.asked[-1] == f"bytes={claimed[0][1]}-"
    assert look(served, tmp_path) == "correct"


def test_a_disk_that_takes_no_such_file_is_said(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _), child(served, tmp_path, "1000000") as process:
        said, _ = process.communicate(timeout=20)
        assert said == (
            "no-space the disk takes no file as large as model.gguf: use another folder, "
            "then resume\n"
        )
        assert look(served, tmp_path) == "absent"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_pauses_and_what_was_there_is_kept(small_disk: Path) -> None:
    with files(content(18_000_000)) as (served, _):
        served.each_bytes_s = 8e6
        begun = threading.Event()

        def fill() -> None:
            served.reached.wait(10)
            with contextlib.suppress(OSError), (small_disk / "other").open("wb") as other:
                begun.set()
                while True:
                    other.write(bytes(100_000))
                    other.flush()

        served.reached_bytes = 3_000_000
        filler = threading.Thread(target=fill)
        filler.start()
        with pytest.raises(NoSpace, match="free some of it, then resume"):
            fetch(served, small_disk)
        filler.join()
        assert begun.is_set()
        assert look(served, small_disk) in ("absent", "resumable")
        (small_disk / "other").unlink()
        served.each_bytes_s = None
        fetch(served, small_disk)
        assert look(served, small_disk) == "correct"
