"""`neuro-embed` puts runes that are alike side by side, and says what its numbers are."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from tests.runes import intents
from tests.runes.intents import made as planted
from tests.runes.test_cypher import FIRST, Bench, batch
from workbench.errors import InputError
from workbench.runes.models.embed import neuro_embed
from workbench.runes.models.embed_vectors import neighbours, normalized, reduced, spelling


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return batch(tmp_path_factory.mktemp("batch"))


@pytest.fixture(scope="module")
def data(made: Path) -> dict[str, Any]:
    return neuro_embed(Bench(made)).data


def vectors(data: dict[str, Any]) -> np.ndarray:
    return np.array([rune["vector"] for rune in data["runes"]])


def test_runes_that_were_made_alike_come_together(tmp_path: Path) -> None:
    document, labels = planted(5, 30, (intents.team, intents.crowd, intents.farm))
    path = tmp_path / "planted.json"
    path.write_text(json.dumps(document))
    data = neuro_embed(Bench(path)).data
    kinds = [labels[rune["runeId"]] for rune in data["runes"]]
    groups = KMeans(3, n_init=10, random_state=1).fit_predict(vectors(data))
    assert adjusted_rand_score(kinds, groups) >= 0.9
    near = {rune["runeId"]: rune["neighbours"][0]["runeId"] for rune in data["runes"]}
    assert np.mean([labels[one] == labels[other] for one, other in near.items()]) >= 0.9


def test_neighbours_are_the_nearest_by_cosine_and_never_the_rune_itself(
    data: dict[str, Any],
) -> None:
    unit = vectors(data)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    for row, rune in enumerate(data["runes"]):
        cosines = sorted(np.delete(unit @ unit[row], row), reverse=True)[:10]
        assert [one["similarity"] for one in rune["neighbours"]] == pytest.approx(cosines, abs=1e-6)
        assert rune["runeId"] not in [one["runeId"] for one in rune["neighbours"]]


def test_fewer_features_than_dimensions_leave_zeros_and_a_smaller_vector_is_a_larger_ones_head(
    made: Path,
) -> None:
    small, large = (
        neuro_embed(Bench(made), embeddingDimension=size, normalization="none").data
        for size in (64, 512)
    )
    assert small["rank"] == large["rank"] <= 40
    assert large["keptShare"] == pytest.approx(1)
    assert not vectors(large)[:, large["rank"] :].any()
    assert np.array_equal(vectors(small), vectors(large)[:, :64])


@pytest.mark.parametrize("how", ["l1", "l2"])
def test_a_normalized_vector_has_length_one(made: Path, how: str) -> None:
    found = vectors(neuro_embed(Bench(made), normalization=how).data)
    lengths = np.linalg.norm(found, ord=1 if how == "l1" else 2, axis=1)
    assert lengths == pytest.approx(np.ones(40), abs=1e-5)


def test_a_row_without_anything_stays_zero() -> None:
    assert normalized(np.zeros((1, 3)), "l2").tolist() == [[0.0, 0.0, 0.0]]
    assert neighbours(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]))[1].tolist() == [
        [0.0, 0.0],
        [1.0, 0.0],
        [1.0, 0.0],
    ]


def test_of_equally_near_rows_the_first_of_the_batch_are_taken_in_its_order() -> None:
    values = np.ones((40, 2))
    values[::4] = [1.0, 0.0]
    near, alike = neighbours(values)
    assert near[1].tolist() == [2, 3, 5, 6, 7, 9, 10, 11, 13, 14]
    assert near[8].tolist() == [0, 4, 12, 16, 20, 24, 28, 32, 36, 1]
    assert set(alike[1]) == {1.0} and alike[8].round(4).tolist() == [1.0] * 9 + [0.7071]


def test_names_that_share_letters_are_alike_and_spacers_do_not_count() -> None:
    names = pd.Series(["DOG•GO•TO•THE•MOON", "DOGGOTOTHEMOON", "DOGGOTOTHEMOOM", "QUARTZ", None])
    rows = spelling(names)
    alike = (rows @ rows.T).toarray()
    assert alike[0, 1] == pytest.approx(1) and 0.7 < alike[0, 2] < 1
    assert alike[0, 3] == 0 and not alike[4].any()


def test_the_two_ways_to_decompose_agree() -> None:
    numbers = np.random.default_rng(3).normal(size=(200, 6)) * [32, 16, 8, 4, 2, 1]
    letters = spelling(pd.Series([f"RUNE{'ABCDEFGH'[n % 8] * 6}" for n in range(200)]))
    exact = reduced(numbers, letters, 3, seed=1).values[:, :3]
    again = reduced(numbers, letters, 3, seed=1, exact_cells=0).values[:, :3]
    assert again == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("form", ["json", "vector_db", "csv"])
def test_the_same_batch_gives_the_same_answer(made: Path, form: str) -> None:
    first, second = (neuro_embed(Bench(made), outputFormat=form) for _ in range(2))
    assert first.data == second.data and first.figures == second.figures
    assert all(first.tables[name].equals(second.tables[name]) for name in first.tables)
    json.dumps([first.data, first.figures], allow_nan=False)


def test_points_have_ids_that_every_vector_database_takes(made: Path) -> None:
    answer = neuro_embed(Bench(made), outputFormat="vector_db", includeMetadata=False).data
    assert answer["distance"] == "cosine" and len(answer["points"]) == 40
    first = answer["points"][0]
    assert UUID(first["id"]).version == 5 and len(first["vector"]) == answer["dimension"] == 128
    assert first["payload"] == {
        "runeId": f"{FIRST}:1",
        "name": "RUNEAAAAAAAAA",
        "network": "mainnet",
    }


def test_the_text_is_a_table_that_any_reader_of_csv_takes(made: Path, data: dict[str, Any]) -> None:
    answer = neuro_embed(Bench(made), outputFormat="csv").data
    rows = list(csv.DictReader(io.StringIO(answer["csv"])))
    assert [row["rune_id"] for row in rows] == [rune["runeId"] for rune in data["runes"]]
    assert [float(rows[5][f"v{place}"]) for place in range(128)] == data["runes"][5]["vector"]
    assert float(rows[5]["mints"]) == data["runes"][5]["metadata"]["mints"]


def test_the_tables_hold_every_vector_and_every_pair(made: Path) -> None:
    tables = neuro_embed(Bench(made)).tables
    assert tables["vectors"].num_rows == 40 and len(tables["vectors"]["vector"][0]) == 128
    assert tables["neighbours"].num_rows == 400
    assert tables["neighbours"]["rank"].to_pylist()[:11] == [*range(1, 11), 1]


def test_metadata_can_be_left_out(made: Path) -> None:
    bare = neuro_embed(Bench(made), includeMetadata=False)
    assert "metadata" not in bare.data["runes"][0]
    assert bare.tables["vectors"].schema.names == ["rune_id", "name", "vector", "x", "y"]


def test_progress_is_finished_work_over_all_work(made: Path) -> None:
    bench = Bench(made)
    neuro_embed(bench)
    assert bench.shares == sorted(bench.shares)
    assert bench.shares[0] == 0 and bench.shares[-1] == 1


def test_too_few_runes_are_refused_with_the_number(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        neuro_embed(Bench(batch(tmp_path, runes=2)))
    assert str(refused.value) == (
        "the batch holds 2 runes; allowed: at least 3, fewer have no neighbours"
    )


def test_a_dimension_that_is_not_offered_is_refused_by_name() -> None:
    with pytest.raises(InputError) as refused:
        neuro_embed.validate({"embeddingDimension": 100})
    assert str(refused.value) == "parameters.embeddingDimension is 100; allowed: 64, 128, 256, 512"


def test_a_batch_without_blocks_is_placed_over_its_range(made: Path, tmp_path: Path) -> None:
    document = json.loads(made.read_text())
    whole = neuro_embed(Bench(made)).data
    document["tables"].pop("blocks", None)
    path = tmp_path / "bare.json"
    path.write_text(json.dumps(document))
    bare = neuro_embed(Bench(path)).data
    assert len(bare["runes"]) == 40 and bare["features"] == whole["features"]


def test_what_a_source_does_not_speak_of_is_no_feature(made: Path, tmp_path: Path) -> None:
    document = json.loads(made.read_text())
    document["tables"] = {"etchings": document["tables"]["etchings"]}
    document["covers"] = ["etchings", "entries", "balances"]
    path = tmp_path / "dump.json"
    path.write_text(json.dumps(document))
    dropped = {one["feature"]: one["why"] for one in neuro_embed(Bench(path)).data["dropped"]}
    counted = ("mints", "edicts", "transfers", "burns", "outputs", "active_blocks")
    assert {dropped[name] for name in counted} == {"the batch does not hold it"}


def test_an_empty_batch_is_refused_in_a_sentence(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "empty.json"
    path.write_text(json.dumps({**json.loads(made.read_text()), "tables": {}}))
    with pytest.raises(InputError, match="the batch holds 0 runes; allowed: at least 3"):
        neuro_embed(Bench(path))
