"""The laws of the house, as tests: layers, first lines, the lock, no leftovers."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.environment import environment

ROOT = Path(__file__).parent.parent
PACKAGE = sorted((ROOT / "workbench").rglob("*.py"))
CODE = PACKAGE + sorted((ROOT / "tests").rglob("*.py")) + sorted((ROOT / "benchmarks").glob("*.py"))

tracked = subprocess.run(
    ["git", "ls-files", "-co", "--exclude-standard"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout.splitlines()
TEXTS = [ROOT / name for name in tracked if not name.endswith((".bin", ".gz", ".png", ".xz"))]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_import_contract_holds() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_a_broken_contract_is_noticed(tmp_path: Path) -> None:
    copy = tmp_path / "workbench"
    subprocess.run(["cp", "-r", ROOT / "workbench", copy], check=True)
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (copy / "utils.py").write_text('"""A drawer for everything."""\n')
    with (copy / "core" / "task.py").open("a") as task:
        task.write("\nimport asyncio\n")
    lint = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [lint, "--no-cache"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert run.returncode != 0
    assert "workbench.utils" in run.stdout
    assert "workbench.core.task -> asyncio" in run.stdout


@pytest.mark.parametrize("path", [p for p in CODE if p.read_text()], ids=name_of)
def test_a_file_says_its_purpose_in_its_first_line(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, f"{name_of(path)} has no docstring"
    assert re.search(r"[.:?]$", docstring.splitlines()[0]), docstring.splitlines()[0]


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_a_file_stays_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500


def test_nothing_is_left_for_later() -> None:
    leftovers = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
    assert [name_of(p) for p in CODE if leftovers.search(p.read_text())] == []


def test_no_text_names_a_private_path_or_a_registry() -> None:
    forbidden = re.compile(r"/work/(?:main|shared)|/opt/pypi|files\.pythonhosted|pypi\.org/simple")
    here = Path(__file__)
    assert [
        name_of(p) for p in TEXTS if p != here and p.exists() and forbidden.search(p.read_text())
    ] == []


def test_the_lock_pins_and_hashes_every_package() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=\S)", lock.strip())
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)
    assert "http" not in re.sub(r"^\S*http\S*==.*$", "", lock, flags=re.MULTILINE)


def test_the_lock_holds_every_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    locked = set(
        re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    )
    names = {re.split(r"[<>=]", entry)[0].lower() for entry in declared}
    assert names <= locked


def test_conda_and_pip_install_the_same_packages() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert (ROOT / "environment.yml").read_text() == environment(lock)


def test_what_conda_installs_is_what_plain_pip_asks_for() -> None:
    """Every pin of environment.yml is within what the wheel declares, and the Pythons agree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "environment.yml").read_text()
    assert f"  - python {project['requires-python']}\n" in text
    pins = {
        canonicalize_name(name): version
        for name, version in re.findall(r"^      - ([\w.-]+)==([^ \n]+)", text, re.MULTILINE)
    }
    extras = project["optional-dependencies"]
    assert extras.keys() == {"local", "gpu"}  # PyTorch takes GB: who has a GPU installs it
    asked = [*project["dependencies"], *extras["local"]]
    for requirement in map(Requirement, asked):
        pinned = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pinned), f"{requirement} and =={pinned}"


def test_notebooks_carry_no_outputs() -> None:
    import json

    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        assert all(not c.get("outputs") and not c.get("execution_count") for c in cells), path.name


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = {"torch", "pandas", "numpy", "duckdb", "pyarrow", "distributed", "plotly", "ipywidgets"}
    code = f"import sys, workbench; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
