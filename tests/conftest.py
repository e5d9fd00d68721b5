"""What several tests share: a real hub in a process of its own, and the data beside the clone."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis  # imported late, inside pytest's rewriting, it can fail to compile
import pytest

from tests.hub_process import HubProcess, test_environment
from tests.llm.tiny_model import tiny_model

ROOT = Path(__file__).parent.parent

# A grammar of addresses that jsonschema would load, in 2 s, and that no test of ours asks.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

# A shell's background job ignores it, and so would whatever these tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ("tests.vectors_report", "tests.collectors.fake_nvml")

# Seeds are fixed, so that a run says the same twice; HYPOTHESIS_PROFILE=search looks for more.
# Timings never decide a test: there is no deadline.
hypothesis.settings.register_profile(
    "fixed", derandomize=True, deadline=None, print_blob=True, max_examples=50
)
hypothesis.settings.register_profile("search", deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.fixture(scope="module")
def hub_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which `workbench.connect()` finds a hub of this test module."""
    data = tmp_path_factory.mktemp("data")
    shutil.copytree(ROOT / "data" / "samples", data / "samples")
    (data / "models").mkdir()
    tiny_model(data / "models")
    with HubProcess(data, WORKBENCH_LLM_DISCOVER="0"):
        yield {**test_environment(), "WORKBENCH_DATA": str(data)}


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real blocks and vectors; a test that needs it is skipped where it is not."""
    folder = Path(os.environ.get("WORKBENCH_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        if "WORKBENCH_SHARED" in os.environ:
            pytest.fail(f"WORKBENCH_SHARED is set by hand, but {folder} is not there")
        pytest.skip(f"no shared data at {folder}: set WORKBENCH_SHARED")
    return folder


if sys.platform != "linux":
    collect_ignore_glob = ["faults/*"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files of browser tests are spread among the others: each keeps all cores busy, while the
    others wait, for a process or a socket, much of their time."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    kinds: dict[bool, list[Path]] = {True: [], False: []}
    for path in files:
        kinds["browser" in path.parts].append(path)
    for several in kinds.values():
        several.sort(key=lambda path: path.relative_to(ROOT / "tests").as_posix() not in LONG)
    places = {
        path: (number + 0.5) / len(several)
        for several in kinds.values()
        for number, path in enumerate(several)
    }
    items[:] = [item for path in sorted(files, key=places.__getitem__) for item in files[path]]
    if config.getoption("--second-try"):
        for item in items:
            folder, name = item.path.relative_to(ROOT / "tests").parts[0], item.path.name
            if folder in BUSY or (folder == name and name != "test_house.py"):
                item.add_marker(pytest.mark.flaky(reruns=1))


LONG = {
    *("browser/test_chat_voila.py", "browser/test_chat_widget.py", "browser/test_gpu_voila.py"),
    *("browser/test_gpu_widget.py", "browser/test_lab.py", "browser/test_mesh_voila.py"),
    *("browser/test_page.py", "browser/test_two_environments.py"),
    *("engines/test_dask.py", "faults/test_chat.py", "faults/test_storm.py", "test_docs.py"),
}
"""Files of minutes come first, or one worker would be busy alone at the end."""

BUSY = {
    *("boards", "browser", "chain", "clients", "collectors", "engines", "faults", "hub", "llm"),
    *("mesh", "notebooks", "session", "store"),
}
"""Folders of tests that wait for processes, sockets and pages: by chance for too long."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--second-try", action="store_true", help="for a test that waited in vain")
