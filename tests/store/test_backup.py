"""A backup is whole, says what it is, and comes back equal; nothing is overwritten unasked."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests.store.rows import amounts, event, log, metric, task
from workbench.errors import InputError, StoreError
from workbench.store import Store
from workbench.store.backup import MANIFEST, Manifest, at_rest, broken_off, write_backup
from workbench.store.owner import Owner
from workbench.store.place import FILE, RESTORING
from workbench.store.restore import restore
from workbench.store.steps import STEPS
from workbench.store.tables import fingerprints

UPLOAD, OTHER = "a" * 64, "b" * 64


def quiet(template: str, /, **values: object) -> None:
    template.format(**values)


def backed_up(data: Path, target: Path) -> Manifest:
    with at_rest(data) as database:
        return write_backup(data, database, target, quiet)


def rows(folder: Path) -> dict[str, tuple[int, int]]:
    with Owner(folder) as owner:
        return fingerprints(owner.cursor())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, less the owner's lock."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "workbench.lock"
    }


async def filled(folder: Path) -> None:
    """A store with rows, side files, an upload that an open task needs, and things of others."""
    async with await Store.open(folder) as store:
        waiting = (*task("open")[:5], f"upload:{UPLOAD}", *task("open")[6:])
        await store.append({"tasks": [task("a"), waiting], "metrics": [metric(1), metric(2)]})
        await store.append(
            {"task_events": [event("a", 2, "done")], "task_logs": [log("a", 3, "x")]}
        )
        side = await store.write_side_file("results", "t_1", {"x": amounts(2**100)}, b'{"a":1}')
        row = ("t_1", "results", side.path, side.sha256, side.bytes, "{}", "a", "m", None)
        await store.append({"side_files": [(*row, task("a")[-1])]})
        await store.write_side_file("batches", "b_1", {"x": amounts(1)}, b"{}")
    for name, text in {
        f"inputs/{UPLOAD}": "needed", f"inputs/{OTHER}": "not needed",
        "functions/f.py": "def f(): ...", "token": "secret-canary",
        "hub.json": "secret-canary", "workbench.toml": "secret-canary",
        "models/m.gguf": "large",
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """That store, and a backup of it."""
    folder = tmp_path_factory.mktemp("made")
    asyncio.run(filled(folder / "data"))
    backed_up(folder / "data", folder / "backup")
    return folder / "data", folder / "backup"


@pytest.fixture
def data(made: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of that store."""
    return Path(shutil.copytree(made[0], tmp_path / "data"))


@pytest.fixture
def backup(made: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of that backup."""
    return Path(shutil.copytree(made[1], tmp_path / "backup"))


async def test_a_backup_comes_back_equal_on_every_table_and_in_every_file(
    data: Path, tmp_path: Path
) -> None:
    made = backed_up(data, tmp_path / "backup")
    assert {file.path for file in made.files} == {
        FILE, "batches/b_1.duckdb", "results/t_1.duckdb", f"inputs/{UPLOAD}", "functions/f.py",
    }  # fmt: skip
    assert made.missing == []
    done = restore(tmp_path / "backup", tmp_path / "new", quiet)
    assert done.quarantine is None
    assert contents(tmp_path / "new") == {
        name: body
        for name, body in contents(tmp_path / "backup").items()
        if name != "manifest.json"
    }
    assert rows(tmp_path / "new") == rows(data)
    assert {name: count for name, (count, _) in rows(data).items()} == made.tables
    async with await Store.open(tmp_path / "new") as store:
        assert await store.read_document("results/t_1.duckdb") == b'{"a":1}'


def test_no_secret_is_in_a_backup(made: tuple[Path, Path]) -> None:
    _, backup = made
    assert not [name for name, body in contents(backup).items() if b"secret-canary" in body]
    assert (backup).stat().st_mode & 0o077 == 0
    assert (backup / FILE).stat().st_mode & 0o077 == 0
    assert (backup / MANIFEST).stat().st_mode & 0o077 == 0


def test_a_backup_overwrites_nothing(data: Path, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    with pytest.raises(StoreError, match="is there already: name a folder that is not there yet"):
        backed_up(data, tmp_path / "backup")


def test_a_backup_that_is_broken_off_leaves_nothing(data: Path, tmp_path: Path) -> None:
    def stop(template: str, /, **values: object) -> None:
        if "files" in template:
            raise KeyboardInterrupt

    with at_rest(data) as database, pytest.raises(KeyboardInterrupt):
        write_backup(data, database, tmp_path / "backup", stop)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_missing_side_file_is_said(data: Path, tmp_path: Path) -> None:
    (data / "results" / "t_1.duckdb").unlink()
    assert backed_up(data, tmp_path / "backup").missing == ["results/t_1.duckdb"]


async def test_a_folder_with_a_store_is_refused_and_forced_into_the_quarantine(
    data: Path, backup: Path, tmp_path: Path
) -> None:
    wanted, there = rows(data), tmp_path / "there"
    async with await Store.open(there) as store:
        await store.append({"metrics": [metric(7)]})
        await store.write_side_file("results", "t_9", {"x": amounts(9)}, b"{}")
    before = contents(there)
    with pytest.raises(StoreError) as refused:
        restore(backup, there, quiet)
    assert str(refused.value) == (
        f"{there} holds a store already (workbench.duckdb, results): name an empty data folder "
        "with --data, or use --force, which keeps what is there in the folder quarantine"
    )
    assert contents(there) == before
    done = restore(backup, there, quiet, force=True)
    assert contents(Path(str(done.quarantine))) == before
    assert rows(there) == wanted
    assert not (there / "results" / "t_9.duckdb").exists()


def test_a_changed_backup_is_refused_before_anything_is_touched(data: Path, backup: Path) -> None:
    path = backup / "results" / "t_1.duckdb"
    body = bytearray(path.read_bytes())
    body[5000] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(body))
    before = contents(data)
    with pytest.raises(InputError, match=r"t_1\.duckdb in the backup .* \(another SHA-256\)"):
        restore(backup, data, quiet, force=True)
    path.unlink()
    with pytest.raises(InputError, match=r"\(it is missing\)"):
        restore(backup, data, quiet, force=True)
    assert contents(data) == before


@pytest.mark.parametrize(
    "name",
    [
        *("../token", "/etc/passwd", "results/../../x", "token", "results/", "inputs/x", "a/b"),
        "workbench.duckdb",  # twice
    ],
)
def test_a_manifest_that_names_other_places_is_refused(
    backup: Path, tmp_path: Path, name: str
) -> None:
    page = backup / "manifest.json"
    told = json.loads(page.read_text())
    told["files"].append({"path": name, "bytes": 1, "sha256": "0" * 64})
    page.write_text(json.dumps(told))
    with pytest.raises(InputError, match="it was not written by `workbench store backup`"):
        restore(backup, tmp_path / "new", quiet)


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no backup: name a folder"):
        restore(tmp_path, tmp_path / "new", quiet)
    (tmp_path / "manifest.json").write_text("[1]")
    with pytest.raises(InputError, match="is no backup: name a folder"):
        restore(tmp_path, tmp_path / "new", quiet)


def test_a_backup_of_a_newer_workbench_is_refused(backup: Path, tmp_path: Path) -> None:
    page = backup / "manifest.json"
    page.write_text(json.dumps({**json.loads(page.read_text()), "schemaStep": len(STEPS) + 1}))
    with pytest.raises(StoreError, match="was written by a newer workbench"):
        restore(backup, tmp_path / "new", quiet)


def test_a_restore_into_the_folder_of_a_running_hub_is_refused(data: Path, backup: Path) -> None:
    with Owner(data), pytest.raises(StoreError, match="is open in another process"):
        restore(backup, data, quiet, force=True)


def test_a_restore_that_a_kill_broke_off_is_no_empty_store(
    data: Path, backup: Path, tmp_path: Path
) -> None:
    wanted = rows(data)
    (data / RESTORING).touch()
    shutil.move(data / FILE, tmp_path / "aside")  # as if killed between two renames
    with pytest.raises(StoreError, match="was broken off: run `workbench store restore BACKUP"):
        Owner(data)
    restore(backup, data, quiet, force=True)
    assert rows(data) == wanted


def test_what_a_killed_backup_left_is_removed_by_the_next_of_its_name_or_named(
    data: Path, tmp_path: Path
) -> None:
    own, other = tmp_path / ".monday.unfinished", tmp_path / ".sunday.unfinished"
    for left in (own, other):
        left.mkdir()
        (left / FILE).write_bytes(b"half a database")
    (tmp_path / ".notes.unfinished").mkdir()  # of somebody else
    backed_up(data, tmp_path / "monday")
    assert not own.exists()
    assert broken_off(tmp_path / "monday") == [other]


@pytest.mark.parametrize("name", ["backup", "results/backup", "../data/x", "linked/x"])
def test_a_backup_into_its_own_data_folder_is_refused(data: Path, name: str) -> None:
    (data.parent / "elsewhere").symlink_to(data)
    target = data.parent / "elsewhere" / "x" if name == "linked/x" else data / name
    before = contents(data)
    with pytest.raises(StoreError, match=r"lies in the data folder .* itself, and would be lost"):
        backed_up(data, target)
    assert contents(data) == before


def test_a_backup_does_not_go_where_a_link_leads_to_nothing(data: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="is there already"):
        backed_up(data, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
