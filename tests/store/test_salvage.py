"""A damaged log: the store says so, and salvage keeps everything that stood before the damage."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.store.killed import Killed
from workbench.errors import StoreError
from workbench.store import Store, wal
from workbench.store.compact import compact
from workbench.store.damage import DamagedFile, DamagedLog, LostLog
from workbench.store.owner import Owner
from workbench.store.place import FILE
from workbench.store.salvage import salvage
from workbench.store.status import examine


def quiet(template: str, /, **values: object) -> None:
    template.format(**values)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    return Killed(tmp_path_factory.mktemp("killed"))


def kept(folder: Path) -> set[str]:
    """The tasks that are there; each came in one commit with its event and its line."""
    with Owner(folder) as owner:
        cursor = owner.cursor()
        found = [
            {name for (name,) in cursor.execute(f"SELECT task_id FROM {table}").fetchall()}
            for table in ("tasks", "task_events", "task_logs")
        ]
    assert found[0] == found[1] == found[2], "a commit came back in part"
    return found[0]


def damaged(log: bytes, kind: str, source: random.Random) -> tuple[bytes, int]:
    """A damaged log, and the first byte that is wrong."""
    found, at = bytearray(log), source.randrange(len(log))
    if kind == "flip":
        found[at] ^= 1 << source.randrange(8)
    elif kind == "zeros":
        found[at : at + 512] = bytes(len(found[at : at + 512]))
    elif kind == "noise":
        found[at : at + 3000] = source.randbytes(len(found[at : at + 3000]))
    elif kind == "cut":
        del found[at:]
    elif kind == "cut and garbage":
        found[at:] = source.randbytes(source.randrange(1, 6000))
    elif kind == "garbage tail":
        at = len(found)
        found += source.randbytes(source.randrange(1, 6000))
    return bytes(found), at


ROUNDS = 60 if os.environ.get("HYPOTHESIS_PROFILE") == "search" else 1
KINDS = ("flip", "zeros", "noise", "cut", "cut and garbage", "garbage tail")


@pytest.mark.parametrize("kind", KINDS)
def test_everything_before_the_damage_is_kept(killed: Killed, tmp_path: Path, kind: str) -> None:
    source = random.Random(f"7 {kind}")
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        log, at = damaged(killed.log, kind, source)
        killed.lay_out(folder, log=log)
        done = salvage(folder, quiet)
        assert killed.before(at) <= kept(folder) <= killed.before(len(log) + 1), (kind, at)
        assert sum(done.rows.values()) > 0
        if not done.healthy:
            aside = Path(str(done.quarantine))
            assert (aside / f"{FILE}.wal").read_bytes() == log
            assert (aside / FILE).read_bytes() == killed.main
            assert done.bytes_cut > 0 or done.head_mended
        shutil.rmtree(folder)


def test_a_store_that_is_not_damaged_is_left_as_it_is(killed: Killed, tmp_path: Path) -> None:
    killed.lay_out(tmp_path)
    done = salvage(tmp_path, quiet)
    assert (done.healthy, done.quarantine, done.bytes_cut) == (True, None, 0)
    assert not (tmp_path / "quarantine").exists()
    assert kept(tmp_path) == killed.before(len(killed.log))


async def test_a_hub_does_not_start_on_a_damaged_log_and_names_the_command(
    killed: Killed, tmp_path: Path
) -> None:
    log = bytearray(killed.log)
    log[killed.sizes[10] + 100] ^= 1
    killed.lay_out(tmp_path, log=bytes(log))
    with pytest.raises(DamagedLog) as refused:
        await Store.open(tmp_path)
    place = refused.value.place
    assert killed.sizes[10] <= place <= killed.sizes[10] + 100
    assert str(refused.value) == (
        f"the log of {tmp_path}/workbench.duckdb is damaged at byte {place}: run `workbench store "
        "salvage`, which first copies everything aside, then keeps all that was written before "
        "that byte"
    )
    assert (tmp_path / f"{FILE}.wal").read_bytes() == bytes(log)  # the refusal changed nothing


def test_a_wrong_size_that_duckdb_passes_over_is_found(killed: Killed, tmp_path: Path) -> None:
    """DuckDB takes it for the unfinished end of a log, opens, and deletes what comes after."""
    log = bytearray(killed.log)
    place = next(at for at in wal.entries(killed.log, killed.sizes[10]))
    log[place + 6] ^= 0x10  # the entry's size: beyond the end of the log
    killed.lay_out(tmp_path, log=bytes(log))
    with pytest.raises(DamagedLog, match=f"damaged at byte {place}"):
        Owner(tmp_path)
    done = salvage(tmp_path, quiet)
    assert done.bytes_cut == len(log) - place
    assert done.entries_cut > 0
    assert kept(tmp_path) == killed.before(place)


@pytest.mark.parametrize("at", [0, 5, 20])
def test_a_damaged_head_costs_nothing(killed: Killed, tmp_path: Path, at: int) -> None:
    """DuckDB takes a log without its head for none, and opens without all that it held."""
    log = bytearray(killed.log)
    log[at] ^= 0x40
    killed.lay_out(tmp_path, log=bytes(log))
    done = salvage(tmp_path, quiet)
    assert (done.head_mended, done.bytes_cut) == (True, 0)
    assert kept(tmp_path) == killed.before(len(log))


def test_a_log_of_another_file_is_not_made_to_fit(killed: Killed, tmp_path: Path) -> None:
    with Owner(tmp_path / "other"):
        pass
    main = (tmp_path / "other" / FILE).read_bytes()
    killed.lay_out(tmp_path / "mixed", main=main)
    done = salvage(tmp_path / "mixed", quiet)
    assert (done.head_mended, done.bytes_cut) == (False, len(killed.log))
    assert kept(tmp_path / "mixed") == set()
    assert (Path(str(done.quarantine)) / f"{FILE}.wal").read_bytes() == killed.log


def test_a_log_that_ends_in_the_midst_of_an_entry_simply_opens(
    killed: Killed, tmp_path: Path
) -> None:
    killed.lay_out(tmp_path, log=killed.log[: killed.sizes[30] + 57])
    assert kept(tmp_path) == killed.before(killed.sizes[30])


def test_a_damaged_main_file_is_refused_and_left_alone(killed: Killed, tmp_path: Path) -> None:
    main = bytearray(killed.main)
    main[12_400:12_464] = bytes(64)
    killed.lay_out(tmp_path, main=bytes(main))
    with pytest.raises(DamagedFile) as refused:
        salvage(tmp_path, quiet)
    assert "restore a backup with `workbench store restore BACKUP --force`" in str(refused.value)
    assert (tmp_path / FILE).read_bytes() == bytes(main)
    assert (tmp_path / f"{FILE}.wal").read_bytes() == killed.log


def test_salvage_leaves_the_store_of_a_running_hub_alone(killed: Killed, tmp_path: Path) -> None:
    killed.lay_out(tmp_path)
    with Owner(tmp_path), pytest.raises(StoreError, match="is open in another process"):
        salvage(tmp_path, quiet)


def test_salvage_without_a_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"there is no store at {tmp_path}"):
        salvage(tmp_path, quiet)


def test_the_checksum_is_that_of_duckdb(killed: Killed) -> None:
    head = wal.head_of(killed.log)
    ends = list(wal.walk(killed.log, head))
    assert ends[-1] == len(killed.log)
    assert list(wal.entries(killed.log, 0)) == [head, *ends[:-1]]
    assert wal.damage(killed.log) is None


@pytest.mark.parametrize("tail", [b"\xff" * 16, b"\xff" * 4000], ids=["short", "long"])
def test_a_size_that_no_memory_has_costs_only_what_follows(
    killed: Killed, tmp_path: Path, tail: bytes
) -> None:
    """DuckDB fails on it as on a fault of its own, and names no byte."""
    killed.lay_out(tmp_path, log=killed.log + tail)
    with pytest.raises(DamagedLog, match=f"damaged at byte {len(killed.log)}: run"):
        Owner(tmp_path)
    done = salvage(tmp_path, quiet)
    assert (done.bytes_cut, done.entries_cut) == (len(tail), 0)
    assert kept(tmp_path) == killed.before(len(killed.log))


def unreadable(killed: Killed, kind: str) -> bytes:
    if kind == "zeros behind the head":
        return killed.log[: wal.head_of(killed.log)] + bytes(4000)
    return bytes(4000) if kind == "zeros" else random.Random(3).randbytes(4000)


UNREADABLE = ("zeros", "noise", "zeros behind the head")


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_log_that_holds_nothing_readable_is_said_and_kept_aside(
    killed: Killed, tmp_path: Path, kind: str
) -> None:
    """DuckDB would delete it without a word."""
    log = unreadable(killed, kind)
    killed.lay_out(tmp_path, log=log)
    with pytest.raises(LostLog) as refused:
        examine(tmp_path)
    assert str(refused.value) == (
        f"the log of {tmp_path}/workbench.duckdb holds nothing readable ({len(log)} bytes): "
        "`workbench store salvage`, or the next start of a hub, puts it into the folder "
        "quarantine and goes on without it"
    )
    assert (tmp_path / f"{FILE}.wal").read_bytes() == log  # looking changed nothing
    done = salvage(tmp_path, quiet)
    assert (done.healthy, done.bytes_cut, done.entries_cut) == (False, len(log), 0)
    assert (Path(str(done.quarantine)) / f"{FILE}.wal").read_bytes() == log
    assert kept(tmp_path) == set()


@pytest.mark.parametrize("main", [True, False], ids=["beside its file", "alone"])
def test_a_hub_starts_without_a_log_of_no_use_and_says_where_it_lies(
    killed: Killed, tmp_path: Path, caplog: pytest.LogCaptureFixture, main: bool
) -> None:
    log = bytes(4000) if main else killed.log
    killed.lay_out(tmp_path, log=log)
    if not main:
        (tmp_path / FILE).unlink()
    assert kept(tmp_path) == set()
    (aside,) = (tmp_path / "quarantine").glob(f"*/{FILE}.wal")
    assert aside.read_bytes() == log
    (told,) = caplog.messages
    begun = "held nothing readable" if main else "was not there, but its log was"
    assert begun in told
    assert str(aside) in told


def test_looking_at_a_log_alone_leaves_it_there(killed: Killed, tmp_path: Path) -> None:
    killed.lay_out(tmp_path)
    (tmp_path / FILE).unlink()
    for looking in (examine, lambda data: salvage(data, quiet), lambda data: compact(data, quiet)):
        with pytest.raises(LostLog, match="is not there, but its log is"):
            looking(tmp_path)
    assert (tmp_path / f"{FILE}.wal").read_bytes() == killed.log
    assert not (tmp_path / FILE).exists()


def test_what_a_writer_leaves_that_was_killed_at_once_is_no_damage(
    killed: Killed, tmp_path: Path
) -> None:
    head = wal.head_of(killed.log)
    for length in (0, 1, 20, head, head + 1, head + 20):
        assert not wal.is_unreadable(killed.log[:length]), length
    killed.lay_out(tmp_path, log=killed.log[: head + 20])
    assert kept(tmp_path) == set()
    assert not (tmp_path / "quarantine").exists()
