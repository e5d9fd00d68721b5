"""Room for connections: a hub asks for more open files than a system allows unasked."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import resource
from workbench.ports import allow_files
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard if {hard} is None else {hard}))
allow_files(150)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
@pytest.mark.parametrize(("hard", "allowed"), [("None", 150), ("120", 120)])
def test_as_many_files_are_allowed_as_the_system_permits(hard: str, allowed: int) -> None:
    command = [sys.executable, "-c", ASK.format(hard=hard)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert int(said.stdout) == allowed
