"""Raw blocks in files: a node's `blk*.dat`, or one block a file, put into the chain's order.

A node writes blocks as they arrive, so that they lie out of order and stale ones beside them:
the headers are read first, the chain with the most work is followed, and each block is read
when its turn comes. Source of the format: Bitcoin Core, `node/blockstorage.cpp`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workbench.core.bitcoin import double_sha256, opening_height, target
from workbench.core.rune import Network
from workbench.errors import InputError
from workbench.runes.documents import head_of, parts_of
from workbench.runes.raw import MAX_BLOCK_BYTES, is_raw_block, network_of, read_raw_block

MAGIC: dict[Network, bytes] = {
    "mainnet": bytes.fromhex("f9beb4d9"),
    "testnet3": bytes.fromhex("0b110907"),
    "testnet4": bytes.fromhex("1c163f28"),
    "signet": bytes.fromhex("0a03cf40"),
    "regtest": bytes.fromhex("fabfb5da"),
}
"""What stands before each block (Bitcoin Core, kernel/chainparams.cpp)."""

KEY_FILE = "xor.dat"
SPENT = (".spent.json.gz", ".spent.json")
"""How a file ends that holds the outputs which the block of its name spends."""
SPENT_BESIDE = (
    "{path} is JSON and no block: the outputs that a block spends are read from beside it, where "
    "they lie under its name up to the first full stop and .spent.json.gz"
)
_KEY_BYTES = 8
_NODE_FILE = re.compile(r"blk\d+\.dat")
_BEFORE = 8  # the magic and the size
_HEADER = 80
_OPENING = 400  # enough for the header and the coinbase's first push
_EVERY = 2**256


class Record(NamedTuple):
    """Where a block lies, and what its header says. `height` is what its coinbase states."""

    path: Path
    start: int | None
    size: int
    hash: str
    previous: str
    height: int | None
    work: int


class ChainBlock(NamedTuple):
    """One block of the chain; `spent` is the document of the outputs that it spends, where
    such a file lies beside it."""

    height: int
    raw: bytes
    spent: bytes | None


@dataclass(frozen=True)
class BlockChain:
    """The blocks of files in the chain's order. `stale` are the hashes of those left out."""

    network: Network
    first_height: int
    records: tuple[Record, ...]
    stale: tuple[str, ...]

    @property
    def last_height(self) -> int:
        return self.first_height + len(self.records) - 1

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[ChainBlock]:
        """Each block with its height, read when its turn comes."""
        keys = {folder: _key(folder) for folder in {record.path.parent for record in self.records}}
        for place, record in enumerate(self.records):
            raw = _raw(record, keys[record.path.parent])
            if double_sha256(raw[:_HEADER])[::-1].hex() != record.hash:
                raise InputError("{path} changed while it was read", path=record.path.name)
            yield ChainBlock(self.first_height + place, raw, _spent(record))

    def part(self, first: int | None = None, last: int | None = None) -> BlockChain:
        """Only the blocks from `first` to `last`. Raises InputError where it has none of them."""
        low = self.first_height if first is None else max(first, self.first_height)
        high = self.last_height if last is None else min(last, self.last_height)
        if low > high:
            raise InputError(
                "there is no block from {first} to {last}: the files hold {low} to {high}",
                first=low if first is None else first,
                last=high if last is None else last,
                low=self.first_height,
                high=self.last_height,
            )
        kept = self.records[low - self.first_height : high - self.first_height + 1]
        return BlockChain(self.network, low, kept, self.stale)


def open_blocks(
    source: str | Path | Iterable[str | Path], *, network: Network | None = None
) -> BlockChain:
    """The chain in a node's `blocks` folder, a `blk*.dat`, a raw block, or a folder of these.

    The network is told by what a node writes before each block; of lone blocks regtest's by the
    work that they ask for, and any other is taken for mainnet's where `network` does not say.
    Of several branches the one with the most work is taken. A block that is cut short at the
    end of a file, for the node is still writing it, is left out. Raises InputError.
    """
    given = [source] if isinstance(source, str | Path) else list(source)
    paths = list(_paths(given))
    network = network or (_network_of(paths[0]) if paths else "mainnet")
    records = [record for path in paths for record in _records(path, network)]
    if not records:
        raise InputError("the files hold no block: give blk*.dat or raw blocks")
    chain = _heaviest({record.hash: record for record in records})
    taken = {record.hash for record in chain}
    stale = tuple(dict.fromkeys(each.hash for each in records if each.hash not in taken))
    first = _first_height(chain)
    if not any(_NODE_FILE.fullmatch(path.name) for path in paths):
        _check_gap(records, taken, first)
    return BlockChain(network, first, chain, stale)


def are_blocks(path: Path) -> bool:
    """Whether a file, or a folder's first one, holds raw blocks."""
    if path.is_dir():
        found = [one for one in sorted(path.iterdir()) if one.is_file() and one.name != KEY_FILE]
        named = [one for one in found if not one.name.endswith(SPENT)]
        return any(_NODE_FILE.fullmatch(one.name) for one in found) or (
            bool(named) and are_blocks(named[0])
        )
    return path.is_file() and (bool(_NODE_FILE.fullmatch(path.name)) or is_raw_block(path))


def _paths(given: Iterable[str | Path]) -> Iterator[Path]:
    for each in map(Path, given):
        if each.is_dir():
            found = sorted(one for one in each.iterdir() if one.is_file())
            node = [one for one in found if _NODE_FILE.fullmatch(one.name)]
            skip = (KEY_FILE, *SPENT)
            yield from node or [one for one in found if not one.name.endswith(skip)]
        elif each.is_file():
            yield each
        else:
            raise InputError("{path} is not there: give an existing file", path=str(each))


def _network_of(path: Path) -> Network:
    if not _NODE_FILE.fullmatch(path.name):
        return network_of(_lone(path))
    with path.open("rb") as file:
        plain = _xored(file.read(_BEFORE), _key(path.parent), 0)
    return next((name for name, magic in MAGIC.items() if magic == plain[:4]), "mainnet")


def _records(path: Path, network: Network) -> Iterator[Record]:
    if _NODE_FILE.fullmatch(path.name):
        yield from _node_records(path, network)
        return
    raw = _lone(path)
    found = network_of(raw)
    if "regtest" in (found, network) and found != network:
        raise InputError(
            "{path} is a block of {found}, by the work that its header asks for: say "
            "network={found}, or leave the network out",
            path=path.name,
            found=found,
        )
    yield _record(path, None, len(raw), raw[:_OPENING])


def _lone(path: Path) -> bytes:
    try:
        return read_raw_block(path)
    except InputError as error:
        if head_of(parts_of(path)[0]).lstrip()[:1] in (b"{", b"["):
            raise InputError(SPENT_BESIDE, path=path.name) from None
        raise InputError("{path}: {reason}", path=path.name, reason=str(error)) from None


def _node_records(path: Path, network: Network) -> Iterator[Record]:
    """The blocks of one blk*.dat. The space that a node reserves at its end is zero,
    with its key put on or without."""
    key, end = _key(path.parent), path.stat().st_size
    position = 0
    with path.open("rb") as file:
        while position + _BEFORE + _HEADER <= end:
            file.seek(position)
            found = file.read(_BEFORE + _OPENING)
            plain = _xored(found, key, position)
            if not any(found[:_BEFORE]) or not any(plain[:_BEFORE]):
                return
            size = int.from_bytes(plain[4:_BEFORE], "little")
            if plain[:4] != MAGIC[network] or not _HEADER < size <= MAX_BLOCK_BYTES:
                raise InputError(
                    "{path} byte {offset}: no block of {network} begins there: it is of another "
                    "network, or damaged, or lacks its xor.dat",
                    path=path.name,
                    offset=position,
                    network=network,
                )
            start = position + _BEFORE
            if start + size > end:
                return
            yield _record(path, start, size, plain[_BEFORE : _BEFORE + size])
            position = start + size


def _record(path: Path, start: int | None, size: int, opening: bytes) -> Record:
    header = opening[:_HEADER]
    bits = int.from_bytes(header[72:76], "little")
    return Record(
        path,
        start,
        size,
        double_sha256(header)[::-1].hex(),
        header[4:36][::-1].hex(),
        opening_height(opening),
        _EVERY // (target(bits) + 1),
    )


def _key(folder: Path) -> bytes:
    """The key that a node since 28.0 writes its files with; none is all zeros."""
    path = folder / KEY_FILE
    if not path.is_file():
        return bytes(_KEY_BYTES)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise InputError.field(KEY_FILE, f"{len(key)} bytes", f"{_KEY_BYTES} bytes")
    return key


def _xored(data: bytes, key: bytes, position: int) -> bytes:
    """The bytes at `position` of a file with its key taken off."""
    if not any(key):
        return data
    turned = np.roll(np.frombuffer(key, np.uint8), -(position % _KEY_BYTES))
    return bytes(np.frombuffer(data, np.uint8) ^ np.resize(turned, len(data)))


def _raw(record: Record, key: bytes) -> bytes:
    if record.start is None:
        return read_raw_block(record.path)
    with record.path.open("rb") as file:
        file.seek(record.start)
        return _xored(file.read(record.size), key, record.start)


def _spent(record: Record) -> bytes | None:
    """The document that `workbench runes fetch` stores beside a block."""
    stem = record.path.name.partition(".")[0]
    beside = [record.path.with_name(stem + ending) for ending in SPENT]
    found = [path for path in beside if record.start is None and path.is_file()]
    return found[0].read_bytes() if found else None


def _heaviest(records: dict[str, Record]) -> tuple[Record, ...]:
    """The branch with the most work, from the oldest block at hand to its tip."""
    sums: dict[str, int] = {}
    for record in records.values():
        branch = []
        at: Record | None = record
        while at is not None and at.hash not in sums:
            branch.append(at)
            at = records.get(at.previous)
        below = 0 if at is None else sums[at.hash]
        for each in reversed(branch):
            below = sums[each.hash] = below + each.work
    tip: Record | None = records[max(sums, key=lambda each: sums[each])]
    chain = []
    while tip is not None:
        chain.append(tip)
        tip = records.get(tip.previous)
    return tuple(reversed(chain))


def _check_gap(records: list[Record], taken: set[str], first: int) -> None:
    """Blocks below the chain's first, or above its last, belong to it, were none missing: a folder
    was not copied whole. In a node's own files, of which it deletes the oldest and which it writes
    ahead, that is as it should be."""
    beside = [each.height for each in records if each.hash not in taken and each.height is not None]
    last = first + len(taken) - 1
    lower = [height for height in beside if height < first]
    if lower:
        raise InputError(
            "block {missing} is missing, or is not the one that block {first} follows: the files "
            "hold {low} to {high} and those from {first} on",
            missing=str(first - 1),
            first=str(first),
            low=str(min(lower)),
            high=str(max(lower)),
        )
    higher = [height for height in beside if height > last]
    if higher:
        raise InputError(
            "block {missing} is missing, or does not follow block {last}: the files hold those up "
            "to {last} and {low} to {high}",
            missing=str(last + 1),
            last=str(last),
            low=str(min(higher)),
            high=str(max(higher)),
        )


def _first_height(chain: tuple[Record, ...]) -> int:
    """The height of the oldest block: as the newest one that states its height counts back."""
    for place in reversed(range(len(chain))):
        height = chain[place].height
        if height is not None:
            return height - place
    if chain[0].previous == "0" * 64:
        return 0
    raise InputError(
        "no block of the files states its height: blocks before BIP 34 need those from block 0 on"
    )
