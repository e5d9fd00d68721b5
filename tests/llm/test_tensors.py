"""Safetensors that were fetched: seen as models, with the files that belong to them."""

from __future__ import annotations

from pathlib import Path

from workbench.llm import tensors


def put(folder: Path, *names: str) -> None:
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"x" * 10)


def test_a_folder_with_weights_is_one_model_with_what_stands_beside_them(tmp_path: Path) -> None:
    put(tmp_path, "org/one/model.safetensors", "org/one/config.json", "org/one/notes.md")
    put(tmp_path, "org/none/config.json", "loose.safetensors")
    models = tensors.found(tmp_path)
    assert {id_: [file.name for file in files] for id_, files in models.items()} == {
        "org/one/safetensors": ["config.json", "model.safetensors"]
    }
    (card,) = tensors.cards(tmp_path, "workbench")
    assert (card.id, card.title, card.size_bytes, card.backend) == (
        "org/one/safetensors",
        "one",
        20,
        "",
    )


def test_beside_a_gguf_only_the_weights_are_its_files(tmp_path: Path) -> None:
    put(tmp_path, "org/two/a.safetensors", "org/two/b.gguf", "org/two/config.json")
    (files,) = tensors.found(tmp_path).values()
    assert [file.name for file in files] == ["a.safetensors"]


def test_links_and_depths_lead_nowhere(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "deep/model.safetensors")
    models = tmp_path / "models"
    put(models, "1/2/3/4/5/6/model.safetensors")
    (models / "link").symlink_to(tmp_path / "elsewhere")
    assert tensors.found(models) == {}
