"""A data folder that is not as it should be: a sentence says so, and nothing in it is touched."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.store.rows import amounts, log
from workbench.errors import StoreError
from workbench.store import Store
from workbench.store.backup import at_rest
from workbench.store.compact import compact
from workbench.store.owner import Owner
from workbench.store.place import FILE
from workbench.store.restore import restore
from workbench.store.salvage import salvage
from workbench.store.status import examine


def quiet(template: str, /, **values: object) -> None:
    template.format(**values)


def back_up(data: Path) -> None:
    with at_rest(data):
        pass


LOOKING: dict[str, Callable[[Path], object]] = {
    "status": examine,
    "backup": back_up,
    "compact": lambda data: compact(data, quiet),
    "salvage": lambda data: salvage(data, quiet),
}


@pytest.mark.parametrize("verb", LOOKING)
def test_looking_for_a_store_makes_none(tmp_path: Path, verb: str) -> None:
    data = tmp_path / "nowhere"
    with pytest.raises(StoreError, match=f"there is no store at {data}: name its data folder"):
        LOOKING[verb](data)
    assert not data.exists()


@pytest.mark.parametrize("name", [f"{FILE}.wal", "workbench.lock", FILE])
def test_a_folder_in_a_files_place_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(StoreError) as refused:
        Owner(tmp_path)
    assert str(tmp_path) in str(refused.value)
    assert name in str(refused.value)
    assert (tmp_path / name).is_dir()


def test_a_file_in_the_data_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(StoreError, match=r"the data folder .*/data cannot be used: File exists"):
        Owner(tmp_path / "data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_log_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    with Owner(tmp_path):
        pass
    (tmp_path / f"{FILE}.wal").write_bytes(b"d")
    (tmp_path / f"{FILE}.wal").chmod(0)
    with pytest.raises(StoreError, match="cannot be used: Permission denied"):
        Owner(tmp_path)


async def test_what_the_store_makes_is_its_owners_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    old = os.umask(0o022)
    try:
        async with await Store.open(data) as store:
            for _ in range(2):
                await store.append({"task_logs": [log("t", 1, "private")]})
                assert (data / f"{FILE}.wal").stat().st_size
                assert open_to_others(data) == []
                async for _frame in store.query("SELECT 1", fresh=True):  # with a checkpoint
                    pass
            await store.write_side_file("results", "t_1", {"x": amounts(1)}, b"{}")
        compact(data, quiet)
    finally:
        os.umask(old)
    assert open_to_others(data) == []


def open_to_others(data: Path) -> list[str]:
    return [str(path) for path in (data, *data.rglob("*")) if path.stat().st_mode & 0o077]


def test_a_folder_that_was_there_keeps_its_mode_and_a_file_of_before_is_closed(
    tmp_path: Path,
) -> None:
    with Owner(tmp_path):
        pass
    tmp_path.chmod(0o750)
    (tmp_path / FILE).chmod(0o644)
    with Owner(tmp_path):
        assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert tmp_path.stat().st_mode & 0o777 == 0o750


async def test_odd_signs_in_the_path_are_fine(tmp_path: Path) -> None:
    data = tmp_path / "a%20b#'c\"*[d] ü\n;{x}:=&"
    async with await Store.open(data) as store:
        await store.append({"task_logs": [log("t", 1, "x")]})
        await store.write_side_file("results", "t_1", {"x": amounts(1)}, b"{}")
        frames = [frame async for frame in store.query("SELECT count(*) FROM t_1.x", fresh=True)]
    assert frames
    assert examine(data).tables["task_logs"].rows == 1
    assert compact(data, quiet).rows > 0


@pytest.mark.parametrize("sign", ["?", "\\"])
def test_signs_that_duckdb_takes_for_something_else_are_refused_before_anything_is_made(
    tmp_path: Path, sign: str
) -> None:
    data = tmp_path / f"a{sign}b"
    with pytest.raises(StoreError) as refused:
        Owner(data)
    assert str(refused.value) == (
        f"the path of the data folder {data} holds {sign}, which DuckDB takes for something else: "
        "rename that folder, or name another one"
    )
    assert not data.exists()


@pytest.mark.parametrize("verb", LOOKING)
def test_a_linked_database_is_refused_and_stays_a_link(tmp_path: Path, verb: str) -> None:
    with Owner(tmp_path / "real"):
        pass
    (tmp_path / "data").mkdir()
    link = tmp_path / "data" / FILE
    link.symlink_to(tmp_path / "real" / FILE)
    with pytest.raises(StoreError, match=f"workbench.duckdb is a link to {tmp_path}/real/"):
        LOOKING[verb](tmp_path / "data")
    assert link.is_symlink()


def test_a_linked_data_folder_works(tmp_path: Path) -> None:
    with Owner(tmp_path / "real"):
        pass
    (tmp_path / "data").symlink_to(tmp_path / "real")
    assert compact(tmp_path / "data", quiet).rows > 0
    assert (tmp_path / "data").is_symlink()


def test_a_backup_is_not_restored_where_no_store_could_open(tmp_path: Path) -> None:
    from workbench.store.backup import write_backup

    with Owner(tmp_path / "data"):
        pass
    with at_rest(tmp_path / "data") as database:
        write_backup(tmp_path / "data", database, tmp_path / "backup", quiet)
    with pytest.raises(StoreError, match=r"holds \?, which DuckDB takes for something else"):
        restore(tmp_path / "backup", tmp_path / "a?b", quiet)
    assert not (tmp_path / "a?b").exists()
