"""A hub's time of day and its disk, as a test wants them: a preloaded library, built here."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
LAYOUT = struct.Struct("@qq")


def compiler() -> str | None:
    """The C compiler of this machine."""
    return shutil.which("cc") or shutil.which("gcc")


class Shim:
    """What is true for every process that is started with `environment`, from one moment on."""

    def __init__(self, folder: Path, data: Path) -> None:
        """Files below `data` lie on the disk that can be full; `folder` holds the library."""
        self._library, control = folder / "shim.so", folder / "control"
        self._data = data
        command = [compiler() or "cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
        subprocess.run([*command, "-o", str(self._library), str(SOURCE)], check=True, timeout=60)
        control.write_bytes(bytes(LAYOUT.size))
        self._control = control
        file = os.open(control, os.O_RDWR)
        self._shared = mmap.mmap(file, LAYOUT.size)
        os.close(file)
        self._offset_s, self._full = 0, False

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self._library),
            "FAULT_CONTROL": str(self._control),
            "FAULT_FOLDER": str(self._data.resolve()) + "/",
        }

    @property
    def full(self) -> bool:
        return self._full

    def fill(self, full: bool) -> None:
        """Whether the disk has room."""
        self._full = full
        self._tell()

    def jump(self, seconds: int) -> None:
        """The clock is set forward or back."""
        self._offset_s += seconds
        self._tell()

    def _tell(self) -> None:
        LAYOUT.pack_into(self._shared, 0, self._offset_s, self._full)
