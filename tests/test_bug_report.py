"""`workbench doctor --bundle`: what goes in, what stays out; with a hub see test_canaries.py."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path

import pytest

from workbench import bug_report, cli
from workbench.errors import InputError
from workbench.settings import Settings

SECRET = "canary-7b21"


async def test_a_bundle_needs_no_hub_and_lists_what_is_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    data = home / "data"
    data.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MY_API_KEY", f"{SECRET}-variable")
    (data / "token").write_text(f"{SECRET}-file\n")
    lines = [f"line {number} of {home}/x" for number in range(bug_report.LOG_LINES + 5)]
    said = [*lines, f"ws://x?token={SECRET}", f"{SECRET}-file {SECRET}-variable {SECRET}-setting"]
    (data / "hub.log").write_text("\n".join(said))
    settings = Settings(data=data, token=f"{SECRET}-setting", llm_servers="a=http://u:p@h")
    texts = await bug_report.collect(settings)
    assert list(texts) == ["manifest.json", *bug_report.WHAT]
    assert json.loads(texts["manifest.json"])["files"].keys() == bug_report.WHAT.keys()
    shown = json.loads(texts["settings.json"])
    assert (shown["token"], shown["view_token"]) == ("***", None)
    assert shown["llm_servers"] == ["a=http://***@h"]
    assert json.loads(texts["hub.json"]) == {"running": False}
    log = texts["hub.log"].splitlines()
    assert len(log) == bug_report.LOG_LINES
    assert log[-1] == "*** *** ***"
    assert log[-3] == f"line {bug_report.LOG_LINES + 4} of ~/x"
    everything = "".join(texts.values())
    assert SECRET not in everything
    assert str(home) not in everything


def test_what_is_inside_is_said_before_it_is_written_and_no_file_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "report.zip"
    assert cli.main(["doctor", "--data", str(tmp_path / "data"), "--bundle", str(target)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("manifest.json")
    assert said[-1] == f"written to {target}: look through it before you send it"
    with zipfile.ZipFile(target) as bundle:
        assert [line.split()[0] for line in said[:-1]] == bundle.namelist()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert not (tmp_path / "data").exists()
    with pytest.raises(InputError, match=r"report\.zip cannot be written: File exists"):
        bug_report.write({}, target)


def test_a_wrong_setting_is_in_the_report_instead_of_in_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "hub.log").write_text("the last line\n")
    monkeypatch.setenv("WORKBENCH_SLOTS", "many")
    monkeypatch.setenv("WORKBENCH_TOKEN", f"{SECRET}-token")
    target = tmp_path / "report.zip"
    assert cli.main(["doctor", "--data", str(data), "--bundle", str(target)]) == 0
    assert "settings.json" in capsys.readouterr().out
    with zipfile.ZipFile(target) as bundle:
        texts = {name: bundle.read(name).decode() for name in bundle.namelist()}
    assert "WORKBENCH_SLOTS is 'many'" in json.loads(texts["settings.json"])["refused"]
    assert "WORKBENCH_SLOTS is 'many'" in json.loads(texts["findings.json"])[0]["detail"]
    assert texts["hub.log"] == "the last line\n"
    assert SECRET not in "".join(texts.values())
