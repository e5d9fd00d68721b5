"""Environments of their own without an installation: links to the packages of this one."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
OURS = ("runes_workbench", "workbench", "_editable", "__editable")


def built_wheel(folder: Path) -> Path:
    """The wheel as it is published."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return wheel


def environment(folder: Path, *, without: Sequence[str] = (), wheel: Path | None = None) -> Path:
    """The Python of a new environment with what is installed here, but for us and what begins
    with `without`; `wheel` is installed in it."""
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.lower().startswith((*OURS, *without)):
            (packages / entry.name).symlink_to(entry)
    if wheel is not None:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(packages)
    return folder / "bin" / "python"
