"""A process that fetches one file, to be killed: `fetch_child.py URL SIZE SHA256 FOLDER [LIMIT]`.

LIMIT is the largest file that the process may write. Prints what came of it.
"""

from __future__ import annotations

import resource
import sys
import threading
from pathlib import Path

from workbench.byte_ranges import Ranges
from workbench.core.downloads import RemoteFile
from workbench.errors import WorkbenchError
from workbench.llm.fetching import Fetch, Pace


def main(url: str, size: str, sha256: str, folder: str, limit: str = "") -> None:
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    fetch = Fetch(
        Ranges(private_addresses=True, idle_s=5),
        RemoteFile(url=url, name="model.gguf", size_bytes=int(size), sha256=sha256),
        Path(folder) / "model.gguf",
        told=lambda told: None,
        stop=threading.Event(),
        keep_free_bytes=0,
        pace=Pace(piece_bytes=1 << 20, save_s=0.03, settle_s=0.1, look_s=0.1, worth_s=0.1),
    )
    try:
        print(fetch.run())
    except WorkbenchError as error:
        print(error.code, error)


if __name__ == "__main__":
    main(*sys.argv[1:])
