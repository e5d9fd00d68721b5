"""Each notebook runs from top to bottom against a real hub; an analysis twice, alike to a digit."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runes.sources import documents
from tests.speaking import speaking

pytestmark = pytest.mark.timeout(300)  # a kernel with Arrow, on a busy machine
FOLDER = Path(__file__).parent.parent.parent / "notebooks"
HUB = ("first-batch", "workbench")
"""They go to the hub; the analyses read files, and so can share a kernel."""
EDITION = ".pt-BR"
ANALYSES = sorted(
    path.stem
    for path in FOLDER.glob("*.ipynb")
    if path.stem not in HUB and not path.stem.endswith(EDITION)
)
TOLD = ("first-batch", *ANALYSES)
"""What has a Portuguese edition: the page's own notebook speaks both by itself."""
SWAPPED = str.maketrans(",.", ".,")
QUOTED = re.compile(r"(?<!\^)\b\d(?:[\d,]*\d)?(?:\.\d+)?")


@pytest.fixture(scope="module")
def environment(hub_environment: dict[str, str]) -> Iterator[None]:
    """Kernels of this module find its hub."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in hub_environment.items():
            patch.setenv(name, value)
        yield


def read(name: str) -> Any:
    import nbformat  # takes seconds, and every process that collects tests would pay them

    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def executed(notebook: Any) -> Any:
    import nbclient

    folder = {"metadata": {"path": str(FOLDER)}}
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources=folder
    ).execute()
    return notebook


@functools.cache
def analysed() -> tuple[dict[str, Any], dict[str, Any]]:
    """Every analysis, run twice, each time in one kernel: to start one and to load Arrow takes
    longer than they do."""
    return _analysed(), _analysed()


def _analysed() -> dict[str, Any]:
    import nbformat

    notebooks = {name: read(name) for name in ANALYSES}
    whole = nbformat.v4.new_notebook()
    for notebook in notebooks.values():  # the cells are the same objects, and get the outputs
        whole.cells += [nbformat.v4.new_code_cell("%reset -f"), *notebook.cells]
    executed(whole)
    return notebooks


first_run = functools.cache(lambda name: executed(read(name)))


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def texts(notebook: Any) -> list[str]:
    """What a reader sees of the results, without what differs from run to run."""
    seen = []
    for output in outputs(notebook):
        text = output.get("data", {}).get("text/html", "") + output.get("text", "")
        seen.append(
            re.sub(r"\d+([.,]\d+)? m?s\b|task-[\w-]+|\d{4}-\d\d-\d\d[ T][\d:.]+", "", text)
        )
    return seen


def has_no_error(notebook: Any) -> bool:
    faults = [
        one
        for one in outputs(notebook)
        if one["output_type"] == "error" or one.get("name") == "stderr"
    ]
    return faults == [] and outputs(notebook) != []


@pytest.mark.parametrize("name", HUB)
@pytest.mark.usefixtures("environment")
def test_a_notebook_runs_without_an_error(name: str) -> None:
    assert has_no_error(first_run(name))


@pytest.mark.usefixtures("environment")
def test_the_first_batch_gives_the_same_numbers_again() -> None:
    assert texts(first_run("first-batch")) == texts(executed(read("first-batch")))


@pytest.mark.parametrize("name", ANALYSES)
def test_an_analysis_gives_the_same_outputs_to_the_last_digit(name: str) -> None:
    once, again = (run[name] for run in analysed())
    assert has_no_error(once)
    assert [one.get("data") for one in outputs(once)] == [
        one.get("data") for one in outputs(again)
    ]


@pytest.mark.parametrize("name", ANALYSES)
def test_what_an_analysis_says_of_the_sample_stands_in_its_outputs(name: str) -> None:
    notebook = analysed()[0][name]
    shown = set(QUOTED.findall(json.dumps([one.get("data") for one in outputs(notebook)])))
    for cell in notebook.cells:
        for said in re.findall(r"\*\*In the sample\*\*(.*?)(?:\n\n|\Z)", cell.source, re.DOTALL):
            unseen = [one for one in QUOTED.findall(said) if one not in shown]
            assert unseen == [], f"{said.strip()!r} says what no cell shows"


def test_the_market_of_names_runs_to_its_end_on_a_raw_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And says what such a batch cannot answer. Here without a kernel: it takes no magic."""
    monkeypatch.chdir(FOLDER)
    code = [cell.source for cell in read("name-market").cells if cell.cell_type == "code"]
    parameters, *rest = code
    space: dict[str, Any] = {}
    exec(f'{parameters}\nBATCH = "../data/samples/block-sim.bin"', space)
    for cell in rest:
        exec(cell, space)
    assert "similar_names needs the state" in space["alike"]
    assert space["market"].explain().missing


def test_who_holds_a_rune_can_be_asked_of_a_list_that_says_neither_its_rune_nor_its_block(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(FOLDER)
    (tmp_path / "page.json").write_text(json.dumps(documents.XVERSE_HOLDERS))
    given = {"BATCH": str(tmp_path / "page.json"), "RUNE": "840000:3", "HEIGHT": 900_000}
    space: dict[str, Any] = {**given, "SINCE": None, "LANGUAGE": "en"}
    code = [cell.source for cell in read("who-holds-a-rune").cells if cell.cell_type == "code"]
    for cell in code[1:]:
        exec(cell, space)
    assert (space["batch"].last_height, space["batch"].rows()["balances"]) == (900_000, 1)


@pytest.mark.parametrize("name", [*ANALYSES, *HUB, *(f"{one}{EDITION}" for one in TOLD)])
def test_a_notebook_is_kept_without_outputs_and_an_analysis_has_parameters(name: str) -> None:
    cells = read(name).cells
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
    given = [cell for cell in cells if "parameters" in cell.metadata.get("tags", ())]
    assert len(given) == (name != "workbench")
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")


@pytest.mark.parametrize("name", TOLD)
def test_the_portuguese_edition_runs_the_same_code_and_says_the_language_once(name: str) -> None:
    """And so gives the same results; in Voilà each leads to the other."""
    english, portuguese = read(name), read(f"{name}{EDITION}")
    assert portuguese.metadata == english.metadata
    for one, other in zip(english.cells, portuguese.cells, strict=True):
        assert (one.id, one.cell_type, one.metadata) == (other.id, other.cell_type, other.metadata)
        if one.cell_type == "code":
            said = one.source.replace('LANGUAGE = "en"', 'LANGUAGE = "pt-BR"')
            assert other.source == said
    code = "".join(cell.source for cell in portuguese.cells if cell.cell_type == "code")
    assert (code.count("LANGUAGE ="), code.count("workbench.language(LANGUAGE)")) == (1, 1)
    assert f"[Em português]({name}{EDITION}.ipynb)" in english.cells[0].source
    assert f"[In English]({name}.ipynb)" in portuguese.cells[0].source


@pytest.mark.parametrize("name", TOLD)
def test_the_portuguese_edition_tells_the_same_story(name: str) -> None:
    """The same headings, code and numbers, these with the signs of the language."""
    number = re.compile(r"\d(?:[\d.,]*\d)?")
    pairs = zip(read(name).cells, read(f"{name}{EDITION}").cells, strict=True)
    for one, other in pairs:
        if one.cell_type == "code":
            continue
        assert other.source != one.source
        headed = [re.findall(r"^#+ ", each.source, re.MULTILINE) for each in (one, other)]
        assert headed[0] == headed[1]
        english = [each.translate(SWAPPED) for each in number.findall(one.source)]
        assert sorted(number.findall(other.source)) == sorted(english)
        code = [re.findall(r"`[^`]+`", each.source) for each in (one, other)]
        assert sorted(code[0]) == sorted(code[1])
        assert one.source.count("**In the sample**") == other.source.count("**Na amostra**")


def test_the_portuguese_edition_draws_its_answers_in_portuguese(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here without a kernel; what it draws is what its text says of the sample."""
    monkeypatch.chdir(FOLDER)
    cells = read(f"mint-fairness{EDITION}").cells
    space: dict[str, Any] = {}
    with speaking("en"):
        for cell in cells:
            if cell.cell_type == "code":
                exec(cell.source, space)
        drawn = space["mints"]._repr_html_()
    assert ">412 cunhagens foram pedidas, para 132 recebedores: o top 10 fica com 45,2 %" in drawn
    assert "412 cunhagens vão para 132 recebedores" in "".join(cell.source for cell in cells)
