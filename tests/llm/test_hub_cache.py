"""What we fetched, as Hugging Face's own library finds it in its cache."""

from __future__ import annotations

import hashlib
from pathlib import Path

from huggingface_hub import scan_cache_dir, try_to_load_from_cache

from workbench.core.downloads import RemoteFile, Wanted
from workbench.llm.hub_cache import cache_folder, hide, show
from workbench.llm.places import Found, Place

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def fetched(models: Path, *names: str) -> tuple[Wanted, list[str | None]]:
    """Files as a download leaves them."""
    files, sums = [], []
    for name in names:
        path = models / "org" / "name" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        sums.append(hashlib.sha256(name.encode()).hexdigest())
        files.append(RemoteFile(url=f"https://h/{name}", name=f"org/name/{name}"))
    wanted = Wanted(model="org/name/a", files=tuple(files), repository="org/name", commit=COMMIT)
    return wanted, list(sums)


def test_the_files_are_found_by_branch_and_by_commit_and_stored_once(tmp_path: Path) -> None:
    cache, models = tmp_path / "hub", tmp_path / "models"
    wanted, sums = fetched(models, "a.gguf", "below/b.gguf")
    for _ in range(2):
        show(cache, wanted, models, sums)
    for revision in ("main", COMMIT):
        for name in ("a.gguf", "below/b.gguf"):
            found = try_to_load_from_cache("org/name", name, cache_dir=cache, revision=revision)
            assert Path(str(found)).resolve() == (models / "org" / "name" / name).resolve()
    (repository,) = scan_cache_dir(cache).repos
    assert repository.repo_id == "org/name"
    assert scan_cache_dir(cache).warnings == []


def test_what_is_there_already_stays(tmp_path: Path) -> None:
    cache, models = tmp_path / "hub", tmp_path / "models"
    wanted, sums = fetched(models, "a.gguf")
    main = cache / "models--org--name" / "refs" / "main"
    blob = cache / "models--org--name" / "blobs" / str(sums[0])
    for path in (main, blob):
        path.parent.mkdir(parents=True)
        path.write_text("its own")
    show(cache, wanted, models, sums)
    assert (main.read_text(), blob.read_text()) == ("its own", "its own")


def test_a_deleted_file_leaves_nothing_behind_and_others_alone(tmp_path: Path) -> None:
    cache, models = tmp_path / "hub", tmp_path / "models"
    wanted, sums = fetched(models, "a.gguf", "b.gguf")
    show(cache, wanted, models, sums)
    gone = models / "org" / "name" / "a.gguf"
    hide(cache, gone)
    gone.unlink()
    assert try_to_load_from_cache("org/name", "a.gguf", cache_dir=cache) is None
    assert try_to_load_from_cache("org/name", "b.gguf", cache_dir=cache)
    assert scan_cache_dir(cache).warnings == []


def test_our_own_files_are_not_found_a_second_time(tmp_path: Path) -> None:
    cache, models = tmp_path / "hub", tmp_path / "models"
    wanted, sums = fetched(models, "a.gguf")
    show(cache, wanted, models, sums)
    place = Place("huggingface", cache)
    assert [id_ for id_, _, _ in Found([place]).broken()] == ["huggingface/org/name/a"]
    assert list(Found([place], without=[models]).broken()) == []


def test_the_folder_is_the_one_that_the_library_reads(tmp_path: Path) -> None:
    assert cache_folder(tmp_path, {}) == tmp_path / ".cache" / "huggingface" / "hub"
    assert cache_folder(tmp_path, {"HF_HOME": "/a"}) == Path("/a/hub")
    assert cache_folder(tmp_path, {"HF_HOME": "/a", "HF_HUB_CACHE": "/b"}) == Path("/b")
