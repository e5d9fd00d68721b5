"""The command line: exit codes, sentences on the standard error, and that it starts fast."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.hub_process import HubProcess, test_environment
from workbench import cli


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workbench.cli", *arguments],
        env={**test_environment(), **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from workbench import cli; cli.build_parser();"
        "heavy = {'duckdb', 'distributed', 'pyarrow', 'pydantic', 'pandas', 'websockets'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_command_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    listed = capsys.readouterr().out
    for command in ("hub", "app", "lab", "doctor", "export", "runes", "store", "stop"):
        assert f"\n    {command} " in listed


def test_no_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "usage: workbench" in capsys.readouterr().out


def test_a_misspelt_variable_is_a_sentence_and_exit_2() -> None:
    done = run("doctor", WORKBENCH_DATTA="x")
    assert done.returncode == 2
    assert done.stderr == (
        "workbench: there is no variable WORKBENCH_DATTA; did you mean WORKBENCH_DATA?\n"
    )


def test_the_doctor_speaks_json(tmp_path: Path) -> None:
    done = run("doctor", "--json", "--data", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert {"Python", "data folder", "hub"} <= {each["what"] for each in json.loads(done.stdout)}


def test_stopping_where_nothing_runs_is_no_error(tmp_path: Path) -> None:
    done = run("stop", "--data", str(tmp_path))
    assert (done.returncode, done.stdout) == (0, f"no hub runs on {tmp_path}\n")


def test_an_export_without_a_hub_reads_the_store(tmp_path: Path) -> None:
    target = tmp_path / "out" / "n.parquet"
    done = run("export", "SELECT 42 AS n", str(target), "--data", str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    assert pq.read_table(target).to_pylist() == [{"n": 42}]
    assert json.loads(target.with_name("n.parquet.json").read_text())["rows"] == 1


def test_faulty_sql_in_an_export_is_a_sentence(tmp_path: Path) -> None:
    target = tmp_path / "n.parquet"
    done = run("export", "SELECT nothing FROM nowhere", str(target), "--data", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith("workbench: the query failed: ")
    assert "Traceback" not in done.stderr
    assert not target.exists()


def test_a_name_that_there_is_not_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    target = tmp_path / "n.parquet"
    done = run("export", "nosuch", str(target), "--data", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith("workbench: there is no table nosuch; tables: alert")
    assert " batches, " in done.stderr
    assert done.stderr.endswith("; newest aliases, as alias.table: none\n")
    done = run("export", "task_histori", str(target), "--data", str(tmp_path))
    assert "did you mean task_history?" in done.stderr
    assert not target.exists()


def test_fetching_without_a_network_says_what_helps(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{unused.getsockname()[1]}"
        done = run(
            *("runes", "fetch", "--height", "840000", "--source", away, "--data", str(tmp_path))
        )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "  0 %  asking for block 840000"
    assert len(lines) == 2
    assert "Check the network, or name another Esplora server" in lines[1]
    assert "--source URL; the sample block samples/block-sim.bin" in lines[1]


@pytest.mark.parametrize("source", ["foo", "ftp://host/x", "http://", "http://host:port"])
def test_a_source_that_is_no_address_is_refused_with_what_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    line = ["runes", "fetch", "--height", "1", "--source", source, "--data", str(tmp_path)]
    assert cli.main(line) == 2
    said = capsys.readouterr().err
    assert "workbench: --source is no address; allowed: http(s)://host/path" in said


@pytest.mark.faults
def test_a_running_hub_is_exported_from_refuses_a_second_and_is_stopped(tmp_path: Path) -> None:
    with HubProcess(tmp_path) as hub:
        target = tmp_path / "range.parquet"
        done = run("export", "FROM range(40000)", str(target), "--data", str(tmp_path))
        assert done.returncode == 0, done.stderr
        assert pq.read_table(target).num_rows == 40_000
        assert (tmp_path / "samples" / "small.json").is_file()  # the first example names it
        second = run("hub", "--data", str(tmp_path), "--ws-port", "0", "--mesh-port", "0")
        assert second.returncode == 1
        assert hub.process is not None
        assert f"PID {hub.process.pid}" in second.stderr
        assert f"`workbench stop --data {tmp_path}`" in second.stderr
        misspelt = run("export", "task_histori", str(target), "--data", str(tmp_path))
        assert "did you mean task_history?" in misspelt.stderr
        assert "Traceback" not in second.stderr
        done = run("stop", "--data", str(tmp_path))
        assert (done.returncode, done.stdout) == (0, "the hub has stopped\n")
        assert hub.process.wait(30) == 0


def test_both_urls_are_printed_with_the_token(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path, "--print-urls", "--token", "a-token-to-print")
    with hub:
        pass  # it is drained: everything it had to say is written
    printed = (tmp_path / "test-hub.log").read_text()
    assert "/ws?token=a-token-to-print\n" in printed
    assert "/mesh?token=a-token-to-print\n" in printed


def test_decoding_what_is_no_block_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "block.bin"
    path.write_bytes(os.urandom(50))
    done = run("runes", "decode", str(path))
    assert done.returncode == 2
    assert done.stderr.startswith("workbench: ")
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    done = run("runes", "decode", str(tmp_path / "gone.bin"))
    assert done.returncode == 2
    assert done.stderr == (
        f"workbench: {tmp_path / 'gone.bin'} cannot be read: No such file or directory\n"
    )
