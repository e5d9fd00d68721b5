"""A notebook run again in a fresh kernel: the same to the last digit, or what differs, by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import workbench
from workbench import runes
from workbench.clients.answer import QueryResult
from workbench.errors import HIDDEN, InputError, TaskError
from workbench.runes.records import CHANGED, RECORDS, Given, Input, Records, table_digest
from workbench.session.comparing import Difference, differences, outputs
from workbench.session.reproducing import Reproduction
from workbench.session.run import RunResult
from workbench.session.snapshots import Record, beside, read_record

SMALL = Path(__file__).parents[2] / "data" / "samples" / "small.json"
PARAMETERS = 'source = "small.json"\napi_token = "abc"'
ASK = (
    "from workbench import runes\nanswer = runes.reconcile(runes.load_batch(source))\nprint(answer)"
)
SNAPSHOT = 'import workbench\nworkbench.snapshot("tiny.ipynb", seeds={"numpy": 7})'


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    RECORDS.forget()
    yield
    RECORDS.forget()


def cell(source: str, *tags: str, **more: Any) -> dict[str, Any]:
    return {
        "cell_type": "code", "execution_count": None, "id": f"c{abs(hash(source)) % 10**8}",
        "metadata": {"tags": list(tags)} if tags else {}, "outputs": [], "source": source, **more,
    }  # fmt: skip


def write(path: Path, *cells: dict[str, Any]) -> Path:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    document = {"cells": list(cells), "metadata": {"kernelspec": kernel}}
    path.write_text(json.dumps({**document, "nbformat": 4, "nbformat_minor": 5}))
    return path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A notebook that was run once, with its outputs and its snapshot."""
    folder = tmp_path_factory.mktemp("notebook")
    shutil.copy(SMALL, folder / "small.json")
    path = write(folder / "tiny.ipynb", cell(PARAMETERS, "parameters"), cell(ASK), cell(SNAPSHOT))
    import papermill  # seconds, which only whoever runs these tests should pay

    papermill.execute_notebook(
        str(path), str(path), progress_bar=False, resources={"metadata": {"path": str(folder)}}
    )
    return path


def test_the_snapshot_of_a_notebook_names_its_inputs_and_no_secret(ran: Path) -> None:
    """That it gives the same again is what the page about it runs."""
    record = read_record(beside(ran))
    assert [each.name for each in record.inputs] == ["small.json"]
    assert record.parameters == {"source": "small.json", "api_token": HIDDEN}
    assert record.seeds == {"numpy": 7}
    assert {"python", "duckdb", "runes-workbench"} <= set(record.versions)
    assert [each.question for each in record.results] == ["reconcile"]
    assert str(ran.parent) not in beside(ran).read_text()


def test_what_differs_is_named_with_both_values(ran: Path, tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    shutil.copytree(ran.parent, folder)
    document = json.loads((folder / "small.json").read_text())
    entry = document["tables"]["entries"][1]
    was = int(entry["burned"])
    entry["burned"] = str(was + 1)
    (folder / "small.json").write_text(json.dumps(document))
    kept, path = tmp_path / "kept.ipynb", folder / "tiny.ipynb"
    before = [each.read_bytes() for each in (path, beside(path))]
    found = workbench.reproduce(path, output=kept)
    assert [each.read_bytes() for each in (path, beside(path))] == before
    assert found.compared == ("tiny.snapshot.json", "its outputs")
    assert not found.same
    parts = {each.part for each in found.differences}
    assert parts == {"inputs", "results", "outputs"}
    burned = next(
        each for each in found.differences if each.what.endswith(f"row {entry['rune_id']}, burned")
    )
    assert (burned.before, burned.after) == (str(was), str(was + 1))
    assert "does not give the same again" in repr(found)
    assert f"row {entry['rune_id']}, burned: {was} -> {was + 1}" in repr(found)
    assert "reconcile of sample_small" in found._repr_html_()
    assert "snapshots.redirect" not in kept.read_text()


def test_a_cell_that_fails_is_named(tmp_path: Path) -> None:
    path = write(
        tmp_path / "broken.ipynb",
        cell("1 + 1"),
        cell("raise ValueError('token=abc is wrong')"),
    )
    document = json.loads(path.read_text())
    document["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "2"}]
    path.write_text(json.dumps(document))
    with pytest.raises(TaskError) as caught:
        workbench.reproduce(path)
    said = str(caught.value)
    assert said == "broken.ipynb fails in its code cell 2: ValueError: token=*** is wrong"


def test_a_missing_input_is_named_as_what_changed(ran: Path, tmp_path: Path) -> None:
    """The file as Jupyter saves it: each cell's source is a list of lines."""
    folder = tmp_path / "moved"
    shutil.copytree(ran.parent, folder)
    path = folder / "tiny.ipynb"
    document = json.loads(path.read_text())
    for each in document["cells"]:
        each["source"] = "".join(each["source"]).splitlines(keepends=True)
    path.write_text(json.dumps(document))
    (folder / "small.json").unlink()
    with pytest.raises(TaskError) as caught:
        workbench.reproduce(path)
    said = str(caught.value)
    assert "tiny.ipynb fails in its code cell 2: InputError: small.json is not there" in said
    assert said.endswith("; changed or gone since its snapshot: small.json")


def test_one_thing_is_no_things(ran: Path) -> None:
    record = read_record(beside(ran))
    one = Reproduction(ran, (), record, record, (Difference("versions", "numpy", "1", "2"),))
    assert str(one.sentence) == (
        "tiny.ipynb gives the same 1 result again, to the last digit, though 1 thing that it "
        "rests on differs"
    )
    changed = replace(one, differences=(Difference("results", "supply", "1", "2"),))
    assert str(changed.sentence) == "tiny.ipynb does not give the same again: 1 thing differs"
    assert "again: 1 result, to" in str(replace(one, differences=()).sentence)
    alone = str(replace(one, differences=(), before=None).sentence)
    assert alone.startswith("tiny.ipynb gives the same outputs again; no snapshot says")


def test_without_anything_to_compare_with_nothing_is_run(tmp_path: Path) -> None:
    path = write(tmp_path / "new.ipynb", cell("open('ran', 'w')"))
    with pytest.raises(InputError, match=r"has no new\.snapshot\.json beside it and no outputs"):
        workbench.reproduce(path)
    assert not (tmp_path / "ran").exists()


def test_what_is_no_notebook_or_no_snapshot_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.ipynb"
    with pytest.raises(InputError, match="cannot be read: No such file"):
        workbench.reproduce(path)
    for body in (b"[]", b'{"cells": 3}', b"\xff", b"[" * 100_000):
        path.write_bytes(body)
        with pytest.raises(InputError, match="is no notebook"):
            workbench.reproduce(path)
    write(path, cell("1"))
    for body in (b"{}x", b'{"schema": "other"}', b'{"inputs": [3]}', b'{"x": 1}'):
        beside(path).write_bytes(body)
        with pytest.raises(InputError, match="is no snapshot of a notebook"):
            workbench.reproduce(path)


def test_a_snapshot_says_what_was_read_and_answered(tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    shutil.copy(SMALL, path)
    answer = runes.reconcile(runes.load_batch(path))
    taken = workbench.snapshot(tmp_path / "my.snapshot.json", seeds={"password": "x"})
    assert taken.path is not None
    again = workbench.snapshot(tmp_path / "again.json", seeds={"password": "x"})
    assert taken.path.read_bytes() == again.path.read_bytes()  # type: ignore[union-attr]
    record = read_record(taken.path)
    assert record.seeds == {"password": HIDDEN}
    (given,) = record.results
    assert (given.said, given.rows) == (str(answer.sentence), answer.table.num_rows)
    assert record.inputs[0].sha256 is not None
    assert "small.json" in taken._repr_html_() and "1 input, 1 result;" in repr(taken)
    path.write_text("other")
    (changed,) = workbench.snapshot().record.inputs
    assert (changed.sha256, changed.note) == (None, CHANGED)
    assert "not written" in repr(workbench.snapshot())
    with pytest.raises(InputError, match="cannot be written"):
        workbench.snapshot(path / "below.json")


def test_a_file_that_another_library_read_is_named_by_hand(tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text("rune,usd\nA,1\n")
    taken = workbench.snapshot(tmp_path / "made.snapshot.json", files=[prices])
    digest = sha256(prices.read_bytes()).hexdigest()
    assert taken.record.inputs == [Input("prices.csv", digest)]
    with pytest.raises(InputError, match=r"files is '.*gone.csv'; allowed: files that can be read"):
        workbench.snapshot(files=str(tmp_path / "gone.csv"))


def test_blocks_and_a_restored_index_are_inputs() -> None:
    chain = runes.open_blocks(SMALL.with_name("block-sim.bin"))
    batch = runes.blocks_batch(chain)
    kept = runes.Index("regtest").snapshot()
    runes.Index.restore(kept)
    assert {(each.name, each.sha256) for each in RECORDS.inputs()} == {
        (batch.id, batch.source.sha256),
        ("an index of regtest", sha256(kept).hexdigest()),
    }


def test_what_is_kept_is_bounded() -> None:
    records = Records(most=2)
    for name in "abc":
        records.read(name, "0" * 64)
    assert [each.name for each in records.inputs()] == ["b", "c"]


def test_a_digest_is_of_the_values_and_not_of_their_place_in_memory() -> None:
    values = ["1", None, "3", ""]
    whole = pa.table({"a": values, "b": [1.5, None, 0.1 + 0.2, -0.0]})
    parts = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    assert table_digest(whole) == table_digest(parts)
    for other in (
        pa.table({"a": ["1", "", "3", ""], "b": whole["b"]}),
        pa.table({"a": values, "b": [1.5, None, 0.3, -0.0]}),
        pa.table({"a": values, "c": whole["b"]}),
        pa.table({"a": values, "b": pa.array([1.5, None, 0.25, 0.0], pa.float32())}),
    ):
        assert table_digest(other) != table_digest(whole)
    lists = pa.table({"a": [[1], [2]]})
    assert table_digest(lists) != table_digest(pa.table({"a": [[1], [3]]}))


def given(**other: Any) -> Given:
    values = {"question": "supply", "of": "b", "parameters": {}, "said": "7", "rows": 1}
    return Given(**{**values, "sha256": "a", "facts": {"n": 7}, "table": "x\n7\n", **other})


def test_each_kind_of_difference_is_told_once() -> None:
    old = Record(
        cells="1", parameters={"p": 1}, versions={"duckdb": "2.0"}, code={"commit": "a"},
        inputs=[Input("f", "a"), Input("g", "b")], results=[given(), given(question="burns")],
    )  # fmt: skip
    new = Record(
        cells="2", parameters={"p": 2}, versions={"duckdb": "2.1"}, code={},
        inputs=[Input("f", "c"), Input("g", "b")],
        results=[given(said="8", facts={"n": 8}, table="x\n8\n", sha256="b")],
    )  # fmt: skip
    assert [tuple(each) for each in differences(old, new)] == [
        ("notebook", "code of the cells", "1", "2"),
        ("notebook", "parameter p", "1", "2"),
        ("versions", "duckdb", "2.0", "2.1"),
        ("code", "commit", "a", None),
        ("inputs", "f", "a", "c"),
        ("results", "burns of b", "7", None),
        ("results", "supply of b", "7", "8"),
        ("results", "supply of b: n", "7", "8"),
        ("results", "supply of b: row 7, x", "7", None),
        ("results", "supply of b: row 8, x", None, "8"),
    ]


def test_a_result_of_a_batch_that_changed_is_held_against_the_one_before() -> None:
    """A batch is called by its content: another name is no other question."""
    old = [given(of="r1_aa"), given(of="same"), given(of="r1_aa", question="burns")]
    new = [given(of="same"), given(of="r1_bb", said="8"), given(of="r2", parameters={"rune": "x"})]
    found = list(differences(Record(results=old), Record(results=new)))
    assert [tuple(each) for each in found] == [
        ("results", "burns of r1_aa", "7", None),
        ("results", "supply of r1_bb", "7", "8"),
        ("results", "supply of r2", None, "7"),
    ]


def test_rows_too_many_to_keep_differ_by_their_digest() -> None:
    old, new = Record(results=[given(table="")]), Record(results=[given(table="", sha256="b")])
    (found,) = differences(old, new)
    assert tuple(found) == ("results", "supply of b: its rows", "a", "b")


def test_of_many_values_a_few_are_named() -> None:
    rows = "x\n" + "1\n" * 50
    old, new = given(table=rows), given(table=rows.replace("1", "2"))
    found = list(differences(Record(results=[old]), Record(results=[new])))
    assert [each.what for each in found][-2:] == [
        "supply of b: row 4, x",
        "supply of b: and further values",
    ]


def test_outputs_are_compared_line_by_line_without_addresses() -> None:
    def with_text(text: str) -> dict[str, Any]:
        shown = {"output_type": "execute_result", "data": {"text/plain": text}, "metadata": {}}
        return {"cells": [cell("x", outputs=[shown])]}

    same = outputs(with_text("<a at 0x7f01>"), with_text("<a at 0x7f02>"))
    assert list(same) == []
    (found,) = outputs(with_text("a\nb\nc"), with_text("a\nx\ny"))
    assert tuple(found) == ("outputs", "code cell 1, line 2", "b", "x")


def test_when_and_how_fast_an_output_came_is_no_difference() -> None:
    def shown(drawn: Any) -> dict[str, Any]:
        output = {"output_type": "execute_result", "data": drawn._repr_mimebundle_()}
        return {"cells": [cell("x", outputs=[output])]}

    def queried(second: int, value: int) -> dict[str, Any]:
        return shown(
            QueryResult(
                pa.table({"height": [840_000], "mints": [value]}),
                truncated=False,
                elapsed_ms=second,
                as_of=datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC),
            )
        )

    def ran_in(ms: int, value: int) -> dict[str, Any]:
        result = {"model": "m", "elapsedMs": ms, "device": "cpu", "data": {"value": value}}
        return shown(RunResult(result))

    for made in (queried, ran_in):
        assert list(outputs(made(1, 5), made(59, 5))) == []
        (found,) = outputs(made(1, 5), made(59, 6))
        assert (found.part, found.before and "5" in found.before) == ("outputs", True)
