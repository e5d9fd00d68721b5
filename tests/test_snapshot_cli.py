"""`workbench runes snapshot`: create, verify, load, as somebody types them."""

from __future__ import annotations

import io
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runes.dumps import TAKEN, computed, dump_of, history, write_blocks, write_dump
from workbench import cli, runes

LAST = 1_211


@pytest.fixture
def blocks(tmp_path: Path) -> str:
    return write_blocks(tmp_path / "blocks")


def run(step: str, *arguments: Any) -> int:
    """A dump does not say of which network it is; blocks do."""
    made = ("--network", "regtest") if step == "create" and "--dump" in arguments else ()
    return cli.main(["runes", "snapshot", step, *map(str, arguments), *made])


def index_at(path: Path) -> runes.Index:
    return runes.Index.restore(path.read_bytes())


@pytest.fixture
def taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A snapshot of what a dump says."""
    path = tmp_path / "taken.snapshot"
    assert run("create", path, "--dump", *write_dump(tmp_path), "--height", TAKEN) == 0
    capsys.readouterr()
    return path


def test_blocks_give_a_snapshot_that_they_prove(
    blocks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runes.snapshot"
    assert run("create", path, "--blocks", blocks, "--from-start") == 0
    said = capsys.readouterr()
    assert f"state hash    {computed(LAST).state_hash()}" in said.out
    assert "100 %  applying\n" in said.err
    assert index_at(path).state_hash() == computed(LAST).state_hash()
    assert run("verify", path) == 0
    assert "that it is the state of the chain is not proved" in capsys.readouterr().out
    assert run("verify", path, "--blocks", blocks) == 0  # it was told once
    said = capsys.readouterr()
    assert "nobody held runes before block 1200" in said.out
    assert "every rune and every output agrees with blocks 1200 to 1211" in said.out


def test_a_dump_is_carried_on_marked_and_then_proved(
    blocks: str, taken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    on, batch, proved = tmp_path / "on", tmp_path / "on.json", tmp_path / "proved"
    mark = f"state trusted from sha256:{index_at(taken).trusted}"
    assert run("load", taken, "--blocks", blocks, "--save", on, "--batch", batch) == 0
    assert f"trust         {mark}" in capsys.readouterr().out
    assert mark in repr(runes.reconcile(runes.load_batch(batch)))
    assert run("load", on, "--blocks", blocks, "--save", tmp_path / "none") == 0
    said = "nothing is new: the snapshot is at block 1211, and the last block of the files is"
    assert f"{said} 1211; nothing was written\n" in capsys.readouterr().out
    verified = run("verify", on, "--blocks", blocks, "--from-start", "--save", proved)
    assert verified == 0
    assert index_at(on).trusted is not None
    assert index_at(proved).trusted is None
    assert index_at(proved).state_hash() == computed(LAST).state_hash()


def test_a_snapshot_is_carried_on_one_block_after_another(
    blocks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, whole = tmp_path / "first", tmp_path / "whole"
    assert run("create", first, "--blocks", blocks, "--from-start", "--until", 1_205) == 0
    assert run("load", first, "--blocks", blocks, "--save", whole) == 0
    assert index_at(whole).snapshot() == computed(LAST).snapshot()
    assert run("load", whole) == 0
    assert "blocks        1200 to 1211" in capsys.readouterr().out


def test_a_dump_that_is_wrong_is_found_by_replay_with_both_values(
    blocks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries, balances = dump_of(computed())
    rune = next(each for each in entries["runes"].values() if each["rune"] in balances["runes"])
    rune["burned"] += 7
    next(iter(balances["runes"][rune["rune"]].values()))["amount"] -= 7
    paths = write_dump(tmp_path, (entries, balances))
    path = tmp_path / "wrong.snapshot"
    assert run("create", path, "--dump", *paths, "--height", TAKEN) == 0
    assert run("verify", path, "--dump", *paths) == 0
    assert "agrees with the dump" in capsys.readouterr().out
    proved = tmp_path / "proved"
    code = run("verify", path, "--blocks", blocks, "--from-start", "--save", proved)
    said = capsys.readouterr().out
    assert code == 1
    named = f"rune {rune['id']}, burned: the snapshot has {rune['burned']}, by blocks 1200 to 1208"
    assert f"{named} it is {rune['burned'] - 7}\n" in said
    assert "the snapshot does not agree with blocks 1200 to 1208: 2 values differ" in said
    assert not proved.exists()


def test_another_dump_than_the_one_taken_over_is_refused(
    taken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    paths = write_dump(folder)
    Path(paths[0]).write_text(Path(paths[0]).read_text() + "\n")
    assert run("verify", taken, "--dump", *paths) == 2
    assert "give the dump it was made from" in capsys.readouterr().err


def refusal(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("workbench: ")
    return said.splitlines()[-1].removeprefix("workbench: ")


def test_what_cannot_be_done_is_a_sentence(
    blocks: str, taken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new"
    late = refusal(capsys, "create", new, "--blocks", blocks)
    assert late.startswith("the blocks begin at 1200, after the first block of runes at 0")
    there = refusal(capsys, "create", taken, "--blocks", blocks)
    assert there == f"{taken} is there already: give another name, or remove it"
    assert "either --blocks or --dump" in refusal(capsys, "create", new)
    dump = tmp_path / "runes.json"
    assert "give --height" in refusal(capsys, "create", new, "--dump", dump)
    assert "not both" in refusal(capsys, "verify", taken, "--blocks", blocks, "--dump", dump)
    gone = refusal(capsys, "load", tmp_path / "gone")
    assert gone == f"{tmp_path / 'gone'} cannot be read: No such file or directory"
    assert "no snapshot of a Runes index" in refusal(capsys, "verify", dump)
    damaged = bytearray(taken.read_bytes())
    damaged[-1] ^= 1
    new.write_bytes(damaged)
    assert "is damaged" in refusal(capsys, "verify", new)
    nowhere = tmp_path / "runes.json" / "x"
    assert "cannot be written" in refusal(
        capsys, "create", nowhere, "--blocks", blocks, "--from-start"
    )


def test_blocks_that_do_not_reach_the_snapshot_prove_nothing(
    blocks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tmp_path / "whole"
    assert run("create", whole, "--blocks", blocks, "--from-start") == 0
    few = tmp_path / "few"
    few.mkdir()
    for block in history()[:3]:
        (few / f"{block.height}.bin").write_bytes(block.raw)
    assert run("verify", whole, "--blocks", few, "--from-start") == 1
    assert "nothing is proved: the blocks lead to 1202, not to 1211" in capsys.readouterr().err


class Impatient(io.StringIO):
    """A person who presses Ctrl-C at the first sign of progress."""

    def write(self, text: str) -> int:
        if "applying" in text and "stopped" not in self.getvalue():
            signal.raise_signal(signal.SIGINT)
        return super().write(text)


def test_ctrl_c_keeps_what_was_done(
    blocks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, whole = tmp_path / "part", tmp_path / "whole"
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stderr := Impatient())
        assert run("create", path, "--blocks", blocks, "--from-start") == 130
    assert signal.getsignal(signal.SIGINT) is before
    stopped = index_at(path).height
    assert stopped is not None and stopped < LAST
    assert f"stopped after block {stopped}\n" in stderr.getvalue()
    assert run("load", path, "--blocks", blocks, "--save", whole) == 0
    assert index_at(whole).snapshot() == computed(LAST).snapshot()


def test_every_step_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    for step in ("create", "verify", "load"):
        with pytest.raises(SystemExit):
            cli.main(["runes", "snapshot", step, "--help"])
        assert "--blocks PATH" in capsys.readouterr().out
