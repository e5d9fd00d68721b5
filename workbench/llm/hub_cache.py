"""Hugging Face's cache: what we fetched is shown there, so that transformers and vLLM find it.

Its layout (huggingface_hub's documentation, "Understand caching"): `models--org--name` with
`blobs/<sha256>`, `snapshots/<commit>/<file>` that link to them, and `refs/main`. Our blobs are
links to the files of the models folder: nothing is there twice.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.core.downloads import Wanted


def cache_folder(home: Path, env: Mapping[str, str]) -> Path:
    """Where it is, by the variables that Hugging Face's own library reads."""
    cache = Path(env.get("XDG_CACHE_HOME") or home / ".cache").expanduser()
    kept = Path(env.get("HF_HOME") or cache / "huggingface").expanduser()
    named = env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE")
    return Path(named).expanduser() if named else kept / "hub"


def show(cache: Path, wanted: Wanted, models: Path, sums: Sequence[str | None]) -> None:
    """Link the verified files of a download into the cache; `models` is the folder they are in,
    `sums` is the sha256 of each. What stands there already stays. Raises OSError."""
    if not wanted.repository or not wanted.commit:
        return
    place = cache / f"models--{wanted.repository.replace('/', '--')}"
    snapshot = place / "snapshots" / wanted.commit
    for file, sha256 in zip(wanted.files, sums, strict=True):
        if sha256 is None:
            continue
        blob = place / "blobs" / sha256
        shown = snapshot / file.name.removeprefix(f"{wanted.repository}/")
        _link(blob, (models / file.name).absolute())
        _link(shown, Path(os.path.relpath(blob, shown.parent)))
    main = place / "refs" / "main"
    if not main.exists():
        main.parent.mkdir(parents=True, exist_ok=True)
        main.write_text(wanted.commit)


def hide(cache: Path, path: Path) -> None:
    """Take the links to a file that is about to be deleted out of the cache."""
    target = path.absolute()
    for blob in cache.glob("models--*/blobs/*"):
        if not blob.is_symlink() or blob.readlink() != target:
            continue
        for shown in (blob.parents[1] / "snapshots").glob("**/*"):
            if shown.is_symlink() and _end(shown) == blob:
                shown.unlink()
        blob.unlink()


def _end(link: Path) -> Path:
    """Where a link leads, without following the next."""
    return Path(os.path.normpath(link.parent / link.readlink()))


def _link(path: Path, target: Path) -> None:
    """A link at `path`; one that leads nowhere any more is made anew."""
    if path.is_symlink() and not path.exists():
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.symlink_to(target)
