"""A data folder of one's own has the samples that the first example names."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from workbench import samples
from workbench.samples import place_samples


def test_a_folder_without_samples_gets_them_and_one_with_its_own_is_left_alone(
    tmp_path: Path,
) -> None:
    place_samples(tmp_path)
    assert (tmp_path / "samples" / "small.json").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"samples"}
    own = tmp_path / "own"
    (own / "samples").mkdir(parents=True)
    place_samples(own)
    assert list((own / "samples").iterdir()) == []


def test_without_room_there_are_none_and_no_half_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(source: Path, target: Path) -> None:
        (target / "small.json").parent.mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(samples.shutil, "copytree", full)
    place_samples(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert "No space left" in caplog.text


def test_an_installed_notebook_finds_the_samples_where_it_does_in_a_clone() -> None:
    """`../data/samples` is what the analyses read unless they are given something else."""
    clone = samples.PACKAGE.parent
    shipped = tomllib.loads((clone / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    placed = {name: clone / at for name, at in shipped["targets"]["wheel"]["force-include"].items()}
    assert placed["data/samples"] == placed["notebooks"].parent / "data" / "samples"
    assert placed["data/samples"] in samples.SOURCES
