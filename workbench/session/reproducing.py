"""`workbench.reproduce(notebook)`: run it again in a fresh kernel, and say what differs."""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.core import markup
from workbench.core.sentence import Sentence, spoken
from workbench.errors import HIDDEN, InputError, LinkError, TaskError, without_secrets
from workbench.session.comparing import Difference, differences, outputs
from workbench.session.inputs import no_longer_same
from workbench.session.snapshots import Record, beside, read_record
from workbench.session.surroundings import read_notebook, tags

TIMEOUT_S = 600.0
KERNEL = "python3"
_FIRST = "from workbench.session import snapshots\nsnapshots.redirect({target!r}, {notebook!r})"
_LAST = "snapshots.finish()"


@dataclass(frozen=True)
class Reproduction:
    """What came of running a notebook again. `compared` names with what: the snapshot beside it,
    its own outputs, or both. As the last line of a cell it is drawn."""

    notebook: Path
    compared: tuple[str, ...]
    before: Record | None
    after: Record
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether every result and output is as it was, to the last digit."""
        return not any(each.part in ("results", "outputs") for each in self.differences)

    @property
    def sentence(self) -> Sentence:
        values = {
            "notebook": self.notebook.name,
            "results": len(self.after.results),
            "count": len(self.differences),
        }
        if not self.differences and self.before is None:
            return Sentence(
                "{notebook} gives the same outputs again; no snapshot says on which inputs and "
                "versions they rested: run it with workbench.snapshot() in its last cell",
                values,
            )
        if not self.differences:
            return Sentence(
                "{notebook} gives the same again: {results} {results:result|results}, to the last "
                "digit",
                values,
            )
        if self.same:
            return Sentence(
                "{notebook} gives the same {results} {results:result|results} again, to the last "
                "digit, though {count} {count:thing|things} that {results:it rests|they rest} on "
                "{count:differs|differ}",
                values,
            )
        return Sentence(
            "{notebook} does not give the same again: {count} {count:thing differs|things differ}",
            values,
        )

    def __repr__(self) -> str:
        rows = [
            f"  {each.part}: {each.what}: {_dash(each.before)} -> {_dash(each.after)}"
            for each in self.differences
        ]
        return "\n".join([str(self.sentence), *rows])

    def _repr_html_(self) -> str:
        speech = spoken()
        with_what = [speech.say(each) for each in self.compared]
        compared = Sentence(
            "compared with {a} and {b}" if len(with_what) > 1 else "compared with {a}",
            {"a": with_what[0], "b": with_what[-1]},
        )
        head = markup.heading(speech.say(self.sentence), speech.say(compared))
        if not self.differences:
            return head
        rows = [(speech.say(part), *rest) for part, *rest in self.differences]
        return head + markup.table(speech.each("part", "what", "before", "now"), rows)


def reproduce(
    notebook: str | Path,
    *,
    snapshot: str | Path | None = None,
    output: str | Path | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Reproduction:
    """Run a notebook again, in a fresh kernel and with the parameters that its snapshot states,
    and compare inputs, versions, code, results and outputs to the last digit.

    It runs whatever code the notebook holds. `snapshot` is the record to compare with, else the
    one beside the notebook; its saved outputs are compared as well. `output` keeps the notebook
    as it ran. A cell may take `timeout_s`. Raises InputError for what is no notebook or where
    there is nothing to compare with, TaskError where a cell fails.
    """
    if not isinstance(notebook, str | Path):
        raise InputError.field("notebook", notebook, "the path of an .ipynb file")
    path = Path(notebook)
    saved = read_notebook(path)
    record = beside(path) if snapshot is None else Path(snapshot)
    before = read_record(record) if snapshot is not None or record.exists() else None
    has_outputs = any(cell.get("outputs") for cell in saved["cells"])
    if before is None and not has_outputs:
        raise InputError(
            "{notebook} has no {snapshot} beside it and no outputs: run it once with "
            "workbench.snapshot() in its last cell",
            notebook=str(path),
            snapshot=record.name,
        )
    again, after = _run(path, saved, before, timeout_s)
    if output is not None:
        _keep(again, Path(output))
    found = [] if before is None else list(differences(before, after))
    found += list(outputs(saved, again))
    compared = [record.name] if before is not None else []
    compared += ["its outputs"] if has_outputs else []
    return Reproduction(path, tuple(compared), before, after, tuple(found))


def _run(
    path: Path, saved: Mapping[str, Any], before: Record | None, timeout_s: float
) -> tuple[Any, Record]:
    """The notebook as it ran, without the two cells that were put around it, and its record."""
    # A grammar of addresses behind jsonschema takes 2 s to import, and no schema here asks it.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    import nbformat

    parameters = {} if before is None else _parameters(before)
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        target = Path(folder) / "again.json"
        node = nbformat.from_dict(copy.deepcopy(dict(saved)))  # type: ignore[no-untyped-call]
        first = _FIRST.format(target=str(target), notebook=str(path.absolute()))
        for cell in node.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        around = (first, _LAST)
        opening, closing = map(nbformat.v4.new_code_cell, around)
        node.cells = [opening, *node.cells, closing]
        done = _executed(node, parameters, path, timeout_s, before)
        done.cells = [cell for cell in done.cells if cell.source not in around]
        done.metadata.pop("papermill", None)  # the notebook as it was handed over, once more
        return done, read_record(target)


def _parameters(before: Record) -> dict[str, Any]:
    secret = [name for name, value in before.parameters.items() if value == HIDDEN]
    return {name: each for name, each in before.parameters.items() if name not in secret}


def _executed(
    node: Any,
    parameters: Mapping[str, Any],
    path: Path,
    timeout_s: float,
    before: Record | None,
) -> Any:
    import papermill
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    try:
        return papermill.execute_notebook(
            node,
            None,
            parameters=dict(parameters),
            kernel_name=node.metadata.get("kernelspec", {}).get("name", KERNEL),
            language="python",
            progress_bar=False,
            execution_timeout=timeout_s,
            resources={"metadata": {"path": str(path.absolute().parent)}},
        )
    except papermill.PapermillExecutionError as error:
        raise _failed(node, path, before, error) from None
    except (CellTimeoutError, TimeoutError):
        raise LinkError(
            "a cell of {notebook} took more than {timeout_s} s: give it a larger timeout_s",
            notebook=path.name,
            timeout_s=timeout_s,
        ) from None
    except DeadKernelError:
        raise TaskError(
            "the kernel of {notebook} died: look at its log", notebook=path.name
        ) from None
    except NoSuchKernel as error:
        raise InputError(
            "{notebook} asks for the kernel {kernel}, which this machine does not have: choose "
            "another one in JupyterLab and save it",
            notebook=path.name,
            kernel=error.name,
        ) from None


def _failed(node: Any, path: Path, before: Record | None, error: Any) -> TaskError:
    """For a cell that failed, with what of its inputs may be why."""
    values = {
        "notebook": path.name,
        "cell": _place(node, error.source, error.cell_index),
        "kind": error.ename,
        "reason": without_secrets(str(error.evalue))[:500],
    }
    inputs = [] if before is None else no_longer_same(before, path.absolute().parent, node)
    if not inputs:
        return TaskError("{notebook} fails in its code cell {cell}: {kind}: {reason}", **values)
    return TaskError(
        "{notebook} fails in its code cell {cell}: {kind}: {reason}; changed or gone since its "
        "snapshot: {inputs}",
        inputs=", ".join(inputs),
        **values,
    )


def _place(node: Any, source: str, index: int) -> int:
    """Which of the notebook's own cells of code it is, from 1 on. A cell of injected parameters
    may lie before it, so that of equal cells it is the last up to `index`."""
    found = place = 0
    for at, cell in enumerate(node.cells[1:], start=1):
        if cell.cell_type != "code" or "injected-parameters" in tags(cell):
            continue
        place += 1
        if "".join(cell.source) == source and at <= index:
            found = place
    return found


def _keep(node: Any, output: Path) -> None:
    import nbformat

    try:
        nbformat.write(node, output)  # type: ignore[no-untyped-call]
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            "{path} cannot be written: {reason}", path=str(output), reason=reason
        ) from None


def _dash(value: str | None) -> str:
    return "–" if value is None else value
