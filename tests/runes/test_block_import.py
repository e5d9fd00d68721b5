"""The model `block-import`, run as its node runs it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.runes.fakes import RecordingContext
from workbench.core.model import Result
from workbench.core.spent import spent_document
from workbench.errors import InputError
from workbench.runes.batch import batch_of
from workbench.runes.models import block_figures
from workbench.runes.models.block_import import block_import
from workbench.runes.simulate import Scale, simulate
from workbench.runes.simulation.world import SimulatedBlock

OKABE_ITO = {"#0072B2", "#009E73", "#CC79A7", "#D55E00"}


@pytest.fixture(scope="module")
def block() -> SimulatedBlock:
    scale = Scale(runes=30, blocks=12, wallets=20, payments=5)
    return max(simulate(5, scale), key=lambda one: len(one.raw))


def run(folder: Path, block: SimulatedBlock, *, spent: bool) -> tuple[Result, RecordingContext]:
    inputs = {"batch": folder / "raw"}
    inputs["batch"].write_bytes(block.raw)
    if spent:
        inputs["spentOutputsURL"] = folder / "spent"
        inputs["spentOutputsURL"].write_bytes(gzip.compress(spent_document(block.spent)))
    context = RecordingContext(inputs)
    return block_import(context), context


def test_a_block_with_its_spent_outputs_reconciles(tmp_path: Path, block: SimulatedBlock) -> None:
    result, context = run(tmp_path, block, spent=True)
    data = result.data
    assert data["feesSat"] == data["claimedFeesSat"] > 0
    assert data["feesAgree"] is True
    assert data["height"] == block.height
    assert result.batch == data["batch"]["id"] == f"b{block.height}_{data['batch']['id'][-8:]}"
    assert sum(data["kinds"].values()) == data["transactions"]
    assert context.steps[-1] == (data["transactions"], data["transactions"])
    assert context.lines[2] == (
        "info",
        f"block {block.height}: {data['transactions']} transactions, "
        f"{data['runestones']} with a Runes message",
    )


def test_without_spent_outputs_it_answers_none_and_notes_why(
    tmp_path: Path, block: SimulatedBlock
) -> None:
    result, context = run(tmp_path, block, spent=False)
    data = result.data
    assert (data["feesSat"], data["feesAgree"], data["sharePct"]["fees"]) == (None, None, None)
    assert data["notes"][-1] == {
        "template": "fees per transaction and commitments are unknown: "
        "the outputs that the block spends were not given",
        "values": {},
    }
    assert context.lines[-1][0] == "warning"


def test_the_same_block_gives_the_same_result(tmp_path: Path, block: SimulatedBlock) -> None:
    first, _ = run(tmp_path, block, spent=True)
    second, _ = run(tmp_path, block, spent=True)
    assert (first.data, first.figures) == (second.data, second.figures)
    assert all(first.tables[name].equals(second.tables[name]) for name in first.tables)


def test_the_tables_make_the_batch_again(tmp_path: Path, block: SimulatedBlock) -> None:
    result, _ = run(tmp_path, block, spent=True)
    batch = batch_of(result.data["batch"], result.tables)
    assert batch.id == result.batch
    assert batch.rows() == {name: table.num_rows for name, table in result.tables.items()}


def test_its_answer_is_plain_json(tmp_path: Path, block: SimulatedBlock) -> None:
    result, _ = run(tmp_path, block, spent=True)
    assert json.loads(msgspec.json.encode(result.data)) == result.data
    assert json.loads(msgspec.json.encode(result.figures)) == result.figures


def test_figures_use_colours_for_both_themes_and_titles_of_the_catalogue(
    tmp_path: Path, block: SimulatedBlock
) -> None:
    result, _ = run(tmp_path, block, spent=True)
    titles = [figure["layout"]["title"]["text"] for figure in result.figures]
    assert titles == [
        "What the block's transactions are",
        "The most minted runes of the block",
        "What the Runes take of the block",
    ]
    assert _colours(result.figures) <= OKABE_ITO
    assert "template" not in result.figures[0]["layout"]


def _colours(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set().union(*map(_colours, value.values()))
    if isinstance(value, list):
        return set().union(*map(_colours, value))
    return {value} if isinstance(value, str) and value.startswith("#") else set()


def test_a_share_that_is_unknown_is_not_drawn() -> None:
    figure = block_figures.shares({"share of transactions": 40.0, "share of fees": None})
    assert [trace["y"] for trace in figure["data"]] == [[40.0], [60.0]]
    assert "xaxis2" not in figure["layout"]


def test_what_is_no_block_is_refused_with_its_byte(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.write_bytes(b"\x00" * 40)
    with pytest.raises(InputError, match="the block is cut short: it ends at byte 40"):
        block_import(RecordingContext({"batch": path}))


def test_its_parameters_are_a_network_and_a_second_input() -> None:
    assert block_import.name == "block-import"
    assert block_import.extra_inputs == ("spentOutputsURL",)
    assert block_import.validate({}) == {"spentOutputsURL": None, "network": "auto"}
    with pytest.raises(InputError, match=r"parameters\.network is 'moon'; allowed: auto, mainnet"):
        block_import.validate({"network": "moon"})


@pytest.mark.parametrize(
    ("counts", "title"), [((90, 1), "mints (logarithmic scale)"), ((9, 1), "mints")]
)
def test_a_logarithmic_axis_says_that_it_is_one(counts: tuple[int, int], title: str) -> None:
    figure = block_figures.top_mints([("1:0", counts[0]), ("2:1", counts[1])])
    assert figure["layout"]["xaxis"]["title"]["text"] == title
