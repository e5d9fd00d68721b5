"""The kernel's small files: what cannot be read is None, never an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.collectors.kernel_files import content, names, number, text


@pytest.mark.parametrize(
    ("told", "found"), [("42\n", 42.0), (" -7 ", -7.0), ("max", None), ("", None), ("1.5", None)]
)
def test_only_a_whole_number_is_a_number(tmp_path: Path, told: str, found: float | None) -> None:
    (tmp_path / "file").write_text(told)
    assert number(tmp_path / "file") == found


def test_a_number_comes_in_the_unit_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "power").write_text("183000000\n")
    assert number(tmp_path / "power", 1e6) == 183.0


def test_a_text_comes_without_the_white_space_around_it(tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(b" Radeon\xff PRO \n")
    assert text(tmp_path / "name") == "Radeon\ufffd PRO"
    (tmp_path / "name").write_text(" \n")
    assert text(tmp_path / "name") is None


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert (number(gone), text(gone), names(gone)) == (None, None, [])
    assert (number(tmp_path), text(tmp_path)) == (None, None)
    with pytest.raises(FileNotFoundError):
        content(gone)


def test_a_folder_lists_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").mkdir()
    assert sorted(names(tmp_path)) == ["a", "b"]
