"""Models of other programs: found where they lie, under their owner's name, and not trusted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.llm.tiny_model import tiny_model
from workbench.errors import InputError
from workbench.llm.model_files import Folders
from workbench.llm.places import OLLAMA_MODEL, Found, Place, Shelves, found

COMMIT, OLDER = "a" * 40, "b" * 40


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return tiny_model(tmp_path_factory.mktemp("made")).read_bytes()


@pytest.fixture
def put(tmp_path: Path, model: bytes) -> Callable[[str], Path]:
    def at(place: str) -> Path:
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model)
        return path

    return at


def look(home: Path, env: dict[str, str] | None = None) -> Found:
    return Found(found(home, env or {}, system=home / "nowhere"))


def manifest(models: Path, name: str, layers: Any) -> Path:
    path = models / "manifests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"schemaVersion": 2, "config": {"digest": "x"}, "layers": layers}))
    return path


def blob(models: Path, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    path = models / "blobs" / f"sha256-{digest}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"mediaType": OLLAMA_MODEL, "digest": f"sha256:{digest}", "size": len(content)}


def reasons(shelf: Found) -> dict[str, str]:
    return {id_: str(error) for id_, _, error in shelf.broken()}


def test_a_machine_without_such_programs_has_no_places(tmp_path: Path) -> None:
    assert found(tmp_path, {}, system=tmp_path / "nowhere") == []


def test_lm_studio_is_found_in_both_of_its_folders(
    tmp_path: Path, put: Callable[[str], Path]
) -> None:
    new = put(".lmstudio/models/org/name/new.gguf")
    old = put(".cache/lm-studio/models/org/name/old.gguf")
    models = look(tmp_path).scan()
    assert {id_: file.path for id_, file in models.items()} == {
        "lmstudio/org/name/new": new,
        "lmstudio/org/name/old": old,
    }


def test_lm_studio_is_followed_to_the_folder_of_its_settings(
    tmp_path: Path, put: Callable[[str], Path]
) -> None:
    put("big disk/models/org/name/far.gguf")
    (tmp_path / "moved").mkdir()
    (tmp_path / ".lmstudio-home-pointer").write_text(f"{tmp_path}/moved\n")
    chosen = {"downloadsFolder": str(tmp_path / "big disk" / "models"), "other": [1]}
    (tmp_path / "moved" / "settings.json").write_text(json.dumps(chosen))
    assert list(look(tmp_path).scan()) == ["lmstudio/org/name/far"]


@pytest.mark.parametrize("settings_", ["", "[" * 100_000, '{"downloadsFolder": 7}', "\udcff", "{"])
def test_settings_of_lm_studio_that_cannot_be_read_change_nothing(
    tmp_path: Path, put: Callable[[str], Path], settings_: str
) -> None:
    put(".lmstudio/models/org/name/here.gguf")
    text = settings_.encode(errors="surrogateescape")
    (tmp_path / ".lmstudio" / "settings.json").write_bytes(text)
    (tmp_path / ".lmstudio-home-pointer").write_bytes(b"\x00\xff")
    assert list(look(tmp_path).scan()) == ["lmstudio/org/name/here"]


def test_ollama_is_read_from_manifest_to_blob(tmp_path: Path, model: bytes) -> None:
    models = tmp_path / ".ollama" / "models"
    weights = blob(models, model)
    template = {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:0"}
    manifest(models, "registry.ollama.ai/library/llama3/8b", [template, weights])
    manifest(models, "registry.ollama.ai/someone/tuned/latest", [weights])
    manifest(models, "hf.co/org/name/Q4_K_M", [weights])
    shelf = look(tmp_path)
    assert sorted(shelf.scan()) == [
        "ollama/hf.co/org/name:Q4_K_M",
        "ollama/llama3:8b",
        "ollama/someone/tuned:latest",
    ]
    file = shelf.find("ollama/llama3:8b")
    assert file is not None
    assert file.path.read_bytes() == model
    assert file.header.architecture == "llama"
    assert shelf.owner_of("ollama/llama3:8b") == "ollama"
    assert shelf.owner_of("mine/llama3") is None


def test_ollama_is_found_where_its_variable_and_its_service_keep_it(
    tmp_path: Path, model: bytes
) -> None:
    for place in ("elsewhere", "service"):
        manifest(
            tmp_path / place,
            f"registry.ollama.ai/library/{place}/1b",
            [blob(tmp_path / place, model)],
        )
    env = {"OLLAMA_MODELS": str(tmp_path / "elsewhere")}
    shelf = Found(found(tmp_path / "home", env, system=tmp_path / "service"))
    assert sorted(shelf.scan()) == ["ollama/elsewhere:1b", "ollama/service:1b"]


def test_a_model_that_runs_elsewhere_is_none_of_ollamas_files(tmp_path: Path) -> None:
    manifest(tmp_path / ".ollama" / "models", "registry.ollama.ai/library/gpt/cloud", [])
    shelf = look(tmp_path)
    assert (shelf.scan(), reasons(shelf)) == ({}, {})


@pytest.mark.parametrize(
    "digest", ["sha256:../../../../secret", "sha256-" + "0" * 63, "", "sha512:" + "0" * 64, "/etc"]
)
def test_a_digest_that_leads_elsewhere_is_refused(
    tmp_path: Path, put: Callable[[str], Path], digest: str
) -> None:
    put("secret")
    models = tmp_path / ".ollama" / "models"
    layer = {"mediaType": OLLAMA_MODEL, "digest": digest, "size": 1}
    manifest(models, "registry.ollama.ai/library/bad/1b", [layer])
    shelf = look(tmp_path)
    assert shelf.scan() == {}
    assert "one sha256 digest" in reasons(shelf)["ollama/bad:1b"]
    with pytest.raises(InputError, match="fetch the model again with Ollama"):
        shelf.find("ollama/bad:1b")


def test_a_blob_that_is_cut_short_or_gone_is_said(tmp_path: Path, model: bytes) -> None:
    models = tmp_path / ".ollama" / "models"
    weights = blob(models, model)
    manifest(models, "registry.ollama.ai/library/short/1b", [{**weights, "size": 10**9}])
    manifest(
        models, "registry.ollama.ai/library/gone/1b", [{**weights, "digest": "sha256:" + "0" * 64}]
    )
    manifest(models, "registry.ollama.ai/library/two/1b", [weights, weights])
    assert reasons(look(tmp_path)) == {
        "ollama/gone:1b": "the weights of gone:1b are not there; fetch the model again with Ollama",
        "ollama/short:1b": f"the weights of short:1b have {len(model)} bytes of 1000000000; "
        "fetch the model again with Ollama",
        "ollama/two:1b": "the manifest of two:1b names "
        + repr([weights["digest"]] * 2)[:119]
        + "… as its weights; allowed: one sha256 digest, so fetch the model again with Ollama",
    }


@given(content=st.binary(max_size=200) | st.sampled_from([b"[" * 9999, b"{}" * 600_000, b"null"]))
@settings(max_examples=60, deadline=None)
def test_whatever_a_manifest_holds_the_outcome_is_a_list(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    home = tmp_path_factory.mktemp("home")
    path = manifest(home / ".ollama" / "models", "registry.ollama.ai/library/odd/1b", [])
    path.write_bytes(content)
    shelf = look(home)
    assert shelf.scan() == {}
    assert set(reasons(shelf)) <= {"ollama/odd:1b"}


def test_hugging_faces_cache_shows_what_main_is_before_older_commits(
    tmp_path: Path, put: Callable[[str], Path], model: bytes
) -> None:
    kept = tmp_path / ".cache" / "huggingface" / "hub" / "models--org--name"
    put(f"{kept}/blobs/1234")
    for commit in (OLDER, COMMIT):
        (kept / "snapshots" / commit).mkdir(parents=True)
        (kept / "snapshots" / commit / "tiny.gguf").symlink_to("../../blobs/1234")
    put(f"{kept}/snapshots/{OLDER}/Q8/only-old.gguf")
    put(f"{kept}/snapshots/not-a-commit/left.gguf")
    put(f"{kept}/snapshots/{COMMIT}/mmproj-F16.gguf")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(COMMIT)
    models = look(tmp_path).scan()
    assert {id_: file.path.parts for id_, file in models.items()} == {
        "huggingface/org/name/tiny": (kept / "snapshots" / COMMIT / "tiny.gguf").parts,
        "huggingface/org/name/Q8/only-old": (
            kept / "snapshots" / OLDER / "Q8" / "only-old.gguf"
        ).parts,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [("HF_HUB_CACHE", "x/hub"), ("HF_HOME", "x"), ("XDG_CACHE_HOME", "cache")],
)
def test_hugging_faces_cache_is_found_by_its_variables(
    tmp_path: Path, put: Callable[[str], Path], name: str, value: str
) -> None:
    root = "cache/huggingface" if name == "XDG_CACHE_HOME" else "x"
    put(f"{root}/hub/models--org--name/snapshots/{COMMIT}/a.gguf")
    models = look(tmp_path, {name: str(tmp_path / value)}).scan()
    assert list(models) == ["huggingface/org/name/a"]


def test_llama_cpp_is_found_with_the_parts_of_a_model_as_one(
    tmp_path: Path, put: Callable[[str], Path]
) -> None:
    put(".cache/llama.cpp/org_name_a.gguf")
    put("other/b-00001-of-00002.gguf")
    put("other/b-00002-of-00002.gguf")
    assert list(look(tmp_path).scan()) == ["llama.cpp/org_name_a"]
    assert list(look(tmp_path, {"LLAMA_CACHE": str(tmp_path / "other")}).scan()) == ["llama.cpp/b"]


def test_a_file_that_is_no_model_is_listed_with_its_reason(
    tmp_path: Path, put: Callable[[str], Path]
) -> None:
    put(".lmstudio/models/org/name/bad.gguf").write_bytes(b"<html>")
    assert "fetch it again" in reasons(look(tmp_path))["lmstudio/org/name/bad"]


def test_a_folder_of_ours_is_not_listed_a_second_time(
    tmp_path: Path, put: Callable[[str], Path]
) -> None:
    ours = put(".lmstudio/models/org/name/a.gguf").parents[2]
    assert found(tmp_path, {}, system=tmp_path / "nowhere", without=[ours]) == []


def test_a_loop_of_links_ends(tmp_path: Path, put: Callable[[str], Path]) -> None:
    models = put(".lmstudio/models/org/name/a.gguf").parents[2]
    (models / "org" / "again").symlink_to(models)
    assert "lmstudio/org/name/a" in look(tmp_path).scan()


def test_nothing_is_written_where_models_are_found(
    tmp_path: Path, put: Callable[[str], Path], model: bytes
) -> None:
    put(".lmstudio/models/org/name/a.gguf")
    models = tmp_path / ".ollama" / "models"
    manifest(models, "registry.ollama.ai/library/llama3/8b", [blob(models, model)])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    shelf = look(tmp_path)
    assert len(shelf.scan()) == 2
    assert list(shelf.broken()) == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_shelves_are_one_and_the_first_keeps_an_id(
    tmp_path: Path, put: Callable[[str], Path]
) -> None:
    ours = put("ours/llama.cpp/a.gguf")
    put("theirs/a.gguf")
    put("theirs/b.gguf")
    theirs = Found([Place("llama.cpp", tmp_path / "theirs")])
    both = Shelves(Folders([tmp_path / "ours"]), theirs)
    assert sorted(both.scan()) == ["llama.cpp/a", "llama.cpp/b"]
    assert both.scan()["llama.cpp/a"].path == ours
    first = both.find("llama.cpp/a")
    assert first is not None
    assert first.path == ours
    assert both.find("llama.cpp/b") is not None
    assert both.find("c") is None
