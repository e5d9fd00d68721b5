"""`workbench store`: beside a running hub, without one, and on a store that does not open."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

import workbench
from tests.hub_process import HubProcess, test_environment
from tests.store.killed import Killed
from workbench import cli
from workbench.errors import LinkError
from workbench.store.owner import DATABASE, Owner
from workbench.store.place import FILE
from workbench.store.steps import STEPS, apply_steps
from workbench.store.tables import fingerprints

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("WORKBENCH_DATA", "WORKBENCH_KEEP_LOGS_D"):
        monkeypatch.delenv(name, raising=False)


def rows(folder: Path) -> dict[str, tuple[int, int]]:
    with Owner(folder) as owner:
        return fingerprints(owner.cursor())


def test_beside_a_running_hub(tmp_path: Path, capsys: Printed) -> None:
    data, target = tmp_path / "data", tmp_path / "backup"
    data.mkdir()
    place = ["--data", str(data)]
    with HubProcess(data, WORKBENCH_METRICS_HISTORY="0") as hub:
        assert hub.process is not None
        pid = hub.process.pid
        assert cli.main(["store", "status", "--json", *place]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["ownerPid"], told["schemaStep"], told["problem"]) == (pid, len(STEPS), None)
        assert told["tables"]["schema_steps"]["rows"] == len(STEPS)
        assert told["databaseBytes"] == (data / FILE).stat().st_size
        assert cli.main(["store", "backup", str(target), *place]) == 0
        assert f"are in {target}" in capsys.readouterr().out
        for command in (["compact"], ["salvage"], ["restore", str(target), "--force"]):
            assert cli.main(["store", *command, *place]) == 1
            assert capsys.readouterr().err == (
                f"workbench: a hub runs on {data} (PID {pid}): stop it with `workbench stop "
                f"--data {data}`, then try again; the next notebook or page starts it anew\n"
            )
        told_of_silence(data, hub.process, capsys)
    new = tmp_path / "new"
    assert cli.main(["store", "restore", str(target), "--data", str(new)]) == 0
    assert rows(new) == rows(data)
    assert not (new / "token").exists()


def told_of_silence(data: Path, hub: subprocess.Popen[bytes], capsys: Printed) -> None:
    """A hub that is stopped is named, by every way to it and within a bounded wait."""
    place, sentence = ["--data", str(data)], f"process {hub.pid} holds the store"
    hub.send_signal(signal.SIGSTOP)
    assert cli.main(["store", "status", *place]) == 1
    assert f"problem   {sentence} of {data} but does not answer" in capsys.readouterr().out
    assert cli.main(["store", "backup", str(data.parent / "other"), *place]) == 1
    assert f"let it go on with `kill -CONT {hub.pid}`" in capsys.readouterr().err
    cli.main(["doctor", *place])
    printed = capsys.readouterr().out
    assert f"{sentence} but does not answer" in printed
    assert f"`kill -CONT {hub.pid}` lets it go on" in printed
    with pytest.raises(LinkError, match=rf"\(PID {hub.pid}\) lives and holds its store, but"):
        workbench.connect(data)
    assert cli.main(["stop", *place]) == 0  # although it is stopped
    assert hub.wait(10) == 0


def test_without_a_hub(tmp_path: Path, capsys: Printed) -> None:
    place = ["--data", str(tmp_path / "data")]
    assert cli.main(["store", "status", *place]) == 1
    assert "there is no store at" in capsys.readouterr().out
    assert cli.main(["store", "backup", str(tmp_path / "b"), *place]) == 1
    assert "there is no store at" in capsys.readouterr().err
    with Owner(tmp_path / "data") as owner:
        owner.connection.execute(
            "INSERT INTO side_files VALUES ('t', 'results', 'results/t.duckdb', '', 1, '{}', "
            "NULL, NULL, NULL, TIMESTAMP '2026-01-02 03:04')"
        )
    (tmp_path / "data" / "results").mkdir()
    (tmp_path / "data" / "results" / "orphan.duckdb").touch()
    assert cli.main(["store", "status", *place]) == 0
    printed = capsys.readouterr().out
    assert "open in   nobody" in printed
    assert "1  2026-01-02 03:04 to 2026-01-02 03:04" in printed
    assert "orphans   1 side files: results/orphan.duckdb" in printed
    assert "missing   1 side files: results/t.duckdb" in printed
    assert cli.main(["store", "compact", *place]) == 0
    assert "the database has 0." in capsys.readouterr().out


def test_a_damaged_log_is_named_and_salvaged(tmp_path: Path, capsys: Printed) -> None:
    (tmp_path / "killed").mkdir()
    killed, data = Killed(tmp_path / "killed"), tmp_path / "data"
    log = bytearray(killed.log)
    log[killed.sizes[30] + 90] ^= 1
    killed.lay_out(data, log=bytes(log))
    place = ["--data", str(data)]
    assert cli.main(["hub", "--ws-port", "0", "--mesh-port", "0", *place]) == 1
    assert "run `workbench store salvage`, which first" in capsys.readouterr().err
    assert cli.main(["store", "status", *place]) == 1
    assert "problem   the log of" in capsys.readouterr().out
    assert cli.main(["store", "salvage", *place]) == 0
    printed = capsys.readouterr()
    assert "copying everything aside first" in printed.err
    assert "bytes of the log were cut off, with " in printed.out
    assert f"all as it was before is in {data / 'quarantine'}" in printed.out
    assert cli.main(["store", "salvage", *place]) == 0
    assert "the store is not damaged, and nothing was changed" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["what?", "back\\slash"])
def test_a_folder_in_which_no_store_can_be_is_named(
    tmp_path: Path, capsys: Printed, name: str
) -> None:
    assert cli.main(["store", "status", "--data", str(tmp_path / name)]) == 1
    assert f"holds {name[4]}, which DuckDB takes for something else" in capsys.readouterr().err


def test_a_damaged_main_file_is_a_sentence(tmp_path: Path, capsys: Printed) -> None:
    with Owner(tmp_path) as owner:
        owner.connection.execute(
            "INSERT INTO audit SELECT 'x', repeat('y', 900), now() FROM range(9000)"
        )
        owner.checkpoint()
    main = tmp_path / "workbench.duckdb"
    body = main.read_bytes()
    main.write_bytes(body[: len(body) // 2])
    assert cli.main(["store", "status", "--data", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert "workbench.duckdb is damaged" in printed.out + printed.err


def test_a_newer_schema_is_refused_with_a_sentence_everywhere(
    tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Owner(tmp_path) as owner:
        apply_steps(owner.connection, DATABASE, (*STEPS, "CREATE TABLE later (x INTEGER)"))
    sentence = (
        f"the data was written by a newer workbench (schema step {len(STEPS) + 1}, this one knows "
        f"{len(STEPS)}): update the workbench, or use another data folder"
    )
    place = ["--data", str(tmp_path)]
    for command in (["compact"], ["salvage"], ["backup", str(tmp_path / "b")]):
        assert cli.main(["store", *command, *place]) == 1
        assert capsys.readouterr().err.endswith(f"workbench: {sentence}\n")
    assert cli.main(["store", "status", *place]) == 1
    assert f"problem   {sentence}" in capsys.readouterr().out
    for name, value in test_environment().items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LinkError) as refused:
        workbench.connect(tmp_path)
    assert sentence in str(refused.value)
    assert "Traceback" not in str(refused.value)
