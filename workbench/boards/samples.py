"""The sample files of a data folder, as the submitter offers them."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

BLOCKS = (".bin", ".dat", ".blk", ".hex")


def list_samples(data: Path) -> list[dict[str, Any]]:
    """The sample files under the data folder of a hub of this machine."""
    folder = data / "samples"
    if not folder.is_dir():
        return []
    return [
        {"path": f"samples/{path.name}", "bytes": path.stat().st_size, "kind": sample_kind(path)}
        for path in sorted(folder.iterdir())
        if path.is_file() and sample_kind(path)
    ]


def sample_kind(path: PurePath) -> str:
    """batch, block, or spent (the outputs that a block spends); empty for anything else."""
    name = path.name.lower().removesuffix(".gz").removesuffix(".xz")
    if "spent" in name or "utxo" in name:
        return "spent"
    if name.endswith(BLOCKS):
        return "block"
    return "batch" if name.endswith((".json", ".ndjson")) else ""
