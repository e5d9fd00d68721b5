"""A hub in a process of its own, as a user has it: started, killed and started again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import psutil

MODELS = Path(__file__).parent / "mesh_models"
PATIENCE_S = 30.0


def test_environment() -> dict[str, str]:
    """This environment less its workbench settings, plus the test models' entry points."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WORKBENCH_")}
    return {**kept, "PYTHONPATH": str(MODELS)}


test_environment.__test__ = False  # type: ignore[attr-defined]  # pytest takes it for a test


class HubProcess:
    """`with HubProcess(data) as hub:` gives a ready hub on free ports; it is drained at the end."""

    def __init__(self, data: Path, *arguments: str, **settings: str) -> None:
        self.data = data
        self.arguments = arguments
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> dict[str, Any]:
        """Starts it and gives what it says of itself in hub.json."""
        with (self.data / "test-hub.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "workbench.cli", "hub", "--data", self.data),
                    *("--ws-port", "0", "--mesh-port", "0"),
                    *self.arguments,
                ],
                env={**test_environment(), **self.settings},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                said: dict[str, Any] = json.loads((self.data / "hub.json").read_text())
                if said["pid"] == self.process.pid:
                    return said
            time.sleep(0.02)
        self.kill()
        log_text = (self.data / "test-hub.log").read_text(errors="replace")
        raise AssertionError(f"the hub did not start:\n{log_text[-4000:]}")

    def children(self) -> list[psutil.Process]:
        """Every process below the hub."""
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill(self) -> None:
        """kill -9 of the hub alone: what it started has to notice by itself."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM, which drains; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            if self.process.poll() is None:
                self.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
