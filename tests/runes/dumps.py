"""What ord prints of an index: `ord runes` and `ord balances`, and the history behind them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from tests.runes.test_block_files import node_file
from workbench import runes
from workbench.runes.simulate import Scale, simulate
from workbench.runes.simulation.world import SimulatedBlock

TAKEN = 1_208
"""The block at which the dump stands; the history goes from 1,200 to 1,211."""


@cache
def history() -> tuple[SimulatedBlock, ...]:
    return tuple(simulate(3, Scale(runes=4, blocks=12, wallets=6, payments=2)))


def computed(last: int = TAKEN) -> runes.Index:
    """An index that applied every block up to `last`."""
    index = runes.Index("regtest")
    for block in history():
        if block.height <= last:
            index.apply_block(block.raw, block.spent)
    return index


def dump_of(index: runes.Index) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two documents, as integers."""
    entries = {entry["spaced_rune"]: _printed(entry) for entry in index.entries()}
    by_id = {entry["id"]: name for name, entry in entries.items()}
    held: dict[str, dict[str, Any]] = {}
    for outpoint, pairs in index.balances().items():
        for rune, amount in pairs:
            entry = entries[by_id[rune]]
            pile = {"amount": int(amount), "divisibility": entry["divisibility"]}
            held.setdefault(by_id[rune], {})[outpoint] = {**pile, "symbol": entry["symbol"]}
    return {"runes": {name.replace("•", ""): each for name, each in entries.items()}}, {
        "runes": held
    }


def _printed(entry: dict[str, Any]) -> dict[str, Any]:
    terms = entry["terms"]
    kept = ("id", "block", "divisibility", "etching", "number", "symbol", "timestamp", "turbo")
    return {
        **{name: entry[name] for name in kept},
        "rune": entry["spaced_rune"],
        "tx": int(entry["id"].partition(":")[2]),
        **{name: int(entry[name]) for name in ("burned", "mints", "premine", "supply")},
        "terms": terms and {**terms, "amount": _int(terms["amount"]), "cap": _int(terms["cap"])},
    }


def opi_of(index: runes.Index) -> tuple[str, str]:
    """The tables of OPI's database, as CSV."""
    entries = [
        "rune_id,rune_name,spacers,burned,divisibility,etching,mints,premine,symbol,turbo,"
        "terms_amount,terms_cap,terms_height_l,terms_height_h,terms_offset_l,terms_offset_h"
    ]
    for entry in index.entries():
        rune = runes.SpacedRune.parse(entry["spaced_rune"])
        terms = entry["terms"] or {
            "amount": None,
            "cap": None,
            "height": (None,) * 2,
            "offset": (None,) * 2,
        }
        row = (
            entry["id"],
            rune.name,
            rune.spacers,
            entry["burned"],
            entry["divisibility"],
            entry["etching"],
            entry["mints"],
            entry["premine"],
            entry["symbol"],
            "t" if entry["turbo"] else "f",
            terms["amount"],
            terms["cap"],
            *terms["height"],
            *terms["offset"],
        )
        entries.append(",".join("" if value is None else str(value) for value in row))
    held = ["outpoint,pkscript,wallet_addr,rune_ids,balances,block_height,spent,spent_block_height"]
    for outpoint, pairs in index.balances().items():
        ids, amounts = zip(*pairs, strict=True)
        held.append(f'{outpoint},51,,"{{{",".join(ids)}}}","{{{",".join(amounts)}}}",1201,f,')
    held.append(f"{'a' * 64}:0,51,,{{1206:1}},{{5}},1201,t,1202")
    return "\n".join(entries) + "\n", "\n".join(held) + "\n"


def _int(text: str | None) -> int | None:
    return None if text is None else int(text)


def write_dump(folder: Path, documents: Iterable[dict[str, Any]] | None = None) -> list[str]:
    """Both documents as files."""
    paths = [folder / "runes.json", folder / "balances.json"]
    for path, document in zip(paths, documents or dump_of(computed()), strict=True):
        path.write_text(json.dumps(document))
    return [str(path) for path in paths]


def write_blocks(folder: Path) -> str:
    """The whole history as a node's folder, the last blocks first."""
    folder.mkdir()
    node_file(folder / "blk00000.dat", [block.raw for block in reversed(history())])
    return str(folder)
