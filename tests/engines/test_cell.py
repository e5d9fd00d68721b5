"""A cell in its task's process: what it shows, and where it says that it failed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from workbench.clients.by_value import dumps_function
from workbench.clients.link import FRAME_LIMIT
from workbench.core.job import FUNCTION
from workbench.engines.child import RunningContext
from workbench.engines.frames import Order, Raised, Returned
from workbench.engines.perform import DOCUMENT_LIMIT, perform
from workbench.session.cells import definition_of_cell


def done(folder: Path, body: bytes) -> Returned | Raised:
    path = folder / "function"
    path.write_bytes(body)
    target = f"own:{hashlib.sha256(body).hexdigest()}"
    order = Order(
        key="t.1",
        target=target,
        parameters=b"{}",
        inputs={FUNCTION: str(path)},
        timeout_s=10,
        seed=1,
    )
    return perform(order, RunningContext(order, None, None), lambda *table: None)(True)  # type: ignore[arg-type]


def cell(folder: Path, source: str) -> Returned | Raised:
    return done(folder, definition_of_cell(source, {}, []).body)


def test_what_display_shows_as_text_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    end = cell(tmp_path, "display('a', [1, 2])\ndisplay(3, clear=True)\n5")
    assert isinstance(end, Returned)
    assert capsys.readouterr().out == "'a'\n[1, 2]\n3\n"
    end = cell(tmp_path, "def display(x):\n    return x\ndisplay(4)")
    assert isinstance(end, Returned)
    assert end.document == b'{"value":4}'


def test_a_plain_value_that_no_client_takes_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client would ask for it again and again, and never get it."""
    assert DOCUMENT_LIMIT < FRAME_LIMIT - (1 << 20)
    monkeypatch.setattr("workbench.engines.perform.DOCUMENT_LIMIT", 10**6)
    end = cell(tmp_path, "'x' * 2_000_000")
    assert isinstance(end, Raised)
    assert end.template.format(**end.values) == (
        "the model's result is a document of 2 MB; allowed: 1 MB, the rest belongs into tables"
    )


def test_the_traceback_of_a_cell_begins_in_the_cell(tmp_path: Path) -> None:
    end = cell(tmp_path, "x = 0\n1 / x")
    assert isinstance(end, Raised)
    assert end.traceback.splitlines()[1].strip() == 'File "<cell>", line 2, in <module>'
    assert "1 / x" in end.traceback
    assert str(Path(__file__).parents[2]) not in end.traceback
    end = cell(tmp_path, "try:\n    {}['a']\nexcept KeyError:\n    raise ValueError('b')")
    assert isinstance(end, Raised)
    assert str(Path(__file__).parents[2]) not in end.traceback


def test_the_traceback_of_a_function_begins_in_the_function(tmp_path: Path) -> None:
    space: dict[str, object] = {"__name__": "__main__"}
    exec("def f():\n    return {}['gone']", space)  # as a notebook does
    end = done(tmp_path, dumps_function(space["f"], {}, {}))  # type: ignore[arg-type]
    assert isinstance(end, Raised)
    lines = end.traceback.splitlines()
    assert lines[1].strip() == 'File "<own f>", line 2, in f'
    assert "engines" not in end.traceback
