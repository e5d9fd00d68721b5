"""Writes environment.yml from requirements.lock, so that conda and pip agree to the version."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PIN = re.compile(r"^(?P<pin>[A-Za-z0-9._-]+==[^ \\;]+)(?: ; (?P<marker>[^\\]+?))?\s*\\?$")

HEAD = """\
# Made from requirements.lock by `make lock`; a test keeps the two equal.
# With a GPU, PyTorch besides: pip install "torch>=2.10" (the extra `gpu`), in no lock for its size.
name: runes-workbench
channels:
  - conda-forge
dependencies:
  - python >=3.11,<3.14
  - pip
  - pip:
"""


def environment(lock: str) -> str:
    """The text of environment.yml for the text of a lock."""
    pins = filter(None, map(PIN.match, lock.splitlines()))
    lines = [
        f"      - {pin['pin']}" + (f" ; {pin['marker']}" if pin["marker"] else "") for pin in pins
    ]
    return HEAD + "\n".join([*lines, "      - -e ."]) + "\n"


if __name__ == "__main__":
    lock = (ROOT / "requirements.lock").read_text()
    (ROOT / "environment.yml").write_text(environment(lock))
