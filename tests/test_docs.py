"""Every Python example in the documentation runs, in order, against a real hub."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.reference import REFERENCE, written
from workbench import runes
from workbench.runes.asking import Question
from workbench.store.steps import STEPS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
QUESTIONS = ROOT / "docs" / "reference" / "questions"
HERE = [page for page in PAGES if page.parent == QUESTIONS]
"""They need neither a hub nor a process of their own."""
WITH_CODE = [page for page in PAGES if page not in HERE and FENCE.search(page.read_text())]
AS_A_NOTEBOOK = """
import ast, asyncio, inspect, sys
path = sys.argv[1]
code = compile(open(path).read(), path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
async def run():
    found = eval(code, globals())
    if inspect.iscoroutine(found):
        await found
asyncio.run(run())
"""
"""A cell may await, and so may an example."""


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_the_examples_run(page: Path, hub_environment: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "examples.py"
    script.write_text("\n".join(FENCE.findall(page.read_text())))
    run = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", AS_A_NOTEBOOK, script],
        env=hub_environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("page", HERE, ids=lambda page: page.name)
def test_the_examples_of_a_question_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKBENCH_DATA", str(ROOT / "data"))
    examples = FENCE.findall(page.read_text())
    assert examples
    exec(compile("\n".join(examples), page.name, "exec"), {"__name__": "examples"})


def test_every_question_has_a_page() -> None:
    asked = [name for name in dir(runes) if isinstance(getattr(runes, name), Question)]
    assert {page.stem for page in HERE} == {name.replace("_", "-") for name in asked} | {
        "compare-sources"
    }


def test_every_page_that_a_page_links_to_is_there() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", sorted(REFERENCE.glob("*.md")), ids=lambda page: page.name)
def test_a_made_table_says_what_the_code_says(page: Path) -> None:
    assert page.read_text() == written(page.read_text()), "write it anew: python -m tests.reference"


def test_the_data_format_has_every_column_that_sql_has() -> None:
    page = (REFERENCE / "data-format.md").read_text()
    described = {
        name: re.findall(r"^\| `(\w+)` \| ([A-Z]+) \|", text, re.MULTILINE)
        for name, text in re.findall(r"^### (\w+)\n(.*?)(?=^##)", page, re.MULTILINE | re.DOTALL)
    }
    with duckdb.connect() as store:
        for step in STEPS:
            store.execute(step)
        for name in ("tasks", "task_events", "task_logs", "task_history", "side_files"):
            columns = store.execute(f"DESCRIBE {name}").fetchall()
            assert described[name] == [(column, kind) for column, kind, *_ in columns]
