"""One download in a process of its own, for downloads.py: `ours|hub URL SIZE SHA256 FOLDER`."""

from __future__ import annotations

import sys
import threading
from pathlib import Path


def ours(url: str, size: int, sha256: str, folder: Path) -> None:
    from workbench.byte_ranges import Ranges
    from workbench.core.downloads import RemoteFile
    from workbench.llm.fetching import Fetch

    found = Fetch(
        Ranges(private_addresses=True),
        RemoteFile(url=url, name="model.gguf", size_bytes=size, sha256=sha256),
        folder / "model.gguf",
        told=lambda told: None,
        stop=threading.Event(),
    ).run()
    assert found is not None
    assert found.sha256 == sha256


def hub(url: str, size: int, sha256: str, folder: Path) -> None:
    from huggingface_hub import hf_hub_download

    endpoint = url.split("/org/", 1)[0]
    path = hf_hub_download(
        "org/model", "model.gguf", endpoint=endpoint, cache_dir=folder, token=False
    )
    assert Path(path).stat().st_size == size


if __name__ == "__main__":
    {"ours": ours, "hub": hub}[sys.argv[1]](
        sys.argv[2], int(sys.argv[3]), sys.argv[4], Path(sys.argv[5])
    )
