"""Schema steps are applied once, and a newer schema is refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from workbench.errors import StoreError
from workbench.store.owner import DATABASE, Owner
from workbench.store.steps import STEPS, apply_steps, step_of


def test_steps_are_applied_once_and_recorded(tmp_path: Path) -> None:
    for _ in range(2):
        with Owner(tmp_path) as owner:
            assert apply_steps(owner.connection, DATABASE) == len(STEPS)
            found = owner.connection.execute("SELECT step FROM schema_steps").fetchall()
            assert found == [(number,) for number in range(1, len(STEPS) + 1)]


def test_a_new_step_is_applied_to_old_data(tmp_path: Path) -> None:
    with Owner(tmp_path) as owner:
        owner.connection.execute("INSERT INTO audit VALUES ('kept', NULL, now()::TIMESTAMP)")
    with Owner(tmp_path) as owner:
        more = (*STEPS, "ALTER TABLE audit ADD COLUMN person VARCHAR")
        apply_steps(owner.connection, DATABASE, more)
        found = owner.connection.execute("SELECT action, person FROM audit").fetchall()
        assert found == [("kept", None)]


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    with Owner(tmp_path) as owner:
        apply_steps(owner.connection, DATABASE, (*STEPS, "CREATE TABLE later (x INTEGER)"))
    with pytest.raises(StoreError) as refused:
        Owner(tmp_path)
    assert str(refused.value) == (
        f"the data was written by a newer workbench (schema step {len(STEPS) + 1}, this one knows "
        f"{len(STEPS)}): update the workbench, or use another data folder"
    )
    with pytest.raises(StoreError, match="newer workbench"):  # and the guard was given back
        Owner(tmp_path)


def test_a_failing_step_changes_nothing(tmp_path: Path) -> None:
    with Owner(tmp_path) as owner:
        bad = (*STEPS, "CREATE TABLE half (x INTEGER); SELECT * FROM nowhere")
        with pytest.raises(StoreError, match="failed and nothing was changed"):
            apply_steps(owner.connection, DATABASE, bad)
        assert step_of(owner.connection) == len(STEPS)
        with pytest.raises(duckdb.CatalogException):
            owner.connection.execute("SELECT * FROM half")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "workbench.duckdb").write_bytes(b"this is not a database" * 1000)
    with pytest.raises(StoreError, match=r"workbench\.duckdb is damaged \(IO Error: "):
        Owner(tmp_path)


def test_functions_are_joined_to_the_tasks_that_ran_them(tmp_path: Path) -> None:
    with Owner(tmp_path) as owner:
        run = owner.connection.execute
        for version, at in (("own-1", "10:00"), ("own-2", "11:00"), ("own-1", "12:00")):
            run(
                "INSERT INTO function_entries VALUES ('f', $1, 'F', '', true, NULL, '{}', NULL, "
                "false, 'def f(): ...', 's', 'b', '3.11', '3.1', 'admin', $2)",
                [version, f"2026-01-01 {at}"],
            )
        run(
            "INSERT INTO tasks VALUES ('t', 'f', 'own-1', true, '{}', NULL, NULL, 0, 0, true, "
            "true, 'h', '2026-01-01 10:30')"
        )
        found = run(
            "SELECT task_id, source, defined_at::VARCHAR FROM task_history "
            "JOIN functions ON model = name AND model_version = version"
        ).fetchall()
        assert found == [("t", "def f(): ...", "2026-01-01 12:00:00")]
        (newest,) = run("SELECT arg_max(version, defined_at) FROM functions").fetchall()
        assert newest == ("own-1",)
