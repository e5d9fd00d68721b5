"""`workbench runes snapshot`: the state of the Runes kept in a file, checked, and carried on."""

# ruff: noqa: T201  # printing is what a command line does
from __future__ import annotations

import signal
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError

if TYPE_CHECKING:
    from workbench.core.rune import Network
    from workbench.runes.block_files import BlockChain
    from workbench.runes.index import Index

MOST_BYTES = 16 << 30
SHOWN_DIFFERENCES = 10
BEGINS_LATE = (
    "the blocks begin at {first}, after the first block of runes at {start}: what was held before "
    "is not known. Give the blocks from there on, say --from-start where nobody held runes "
    "before, or take over a producer's state with --dump"
)


def create(given: Namespace) -> int:
    """Write the state after raw blocks, or the one that a producer's dump says."""
    _free(given.file)
    if (given.blocks is None) == (given.dump is None):
        raise InputError("give either --blocks or --dump: what the state is made from")
    if given.dump is not None:
        index = _dumped(given, given.network)
        return _keep(index, given.file)
    with _stoppable() as stopped:
        index, whole = _replayed(given, given.network, stopped, given.until, given.window)
    return _keep(index, given.file) or (0 if whole else 130)


def verify(given: Namespace) -> int:
    """Check a snapshot by itself; against blocks, computed again; against the dump it is from."""
    index = _read(given.file)
    if given.blocks is not None and given.dump is not None:
        raise InputError("give --blocks or --dump, not both: each is a check of its own")
    _say(index)
    print(
        "the file is whole: its checksum holds, every rune's supply is what is held and burned, "
        "and the blocks that can be taken back give their state hashes"
    )
    if given.blocks is not None:
        return _verify_by_blocks(given, index)
    if given.dump is not None:
        given.height, given.producer, given.window = index.first_height, None, index.window
        same = index.height == index.first_height
        other = _dumped(given, index.network)
        if not same or other.trusted != index.trusted:
            raise InputError(
                "the dump is sha256:{dump}, the snapshot rests on sha256:{trusted} and ends "
                "{blocks} blocks later: give the dump it was made from, and a snapshot of it alone",
                dump=other.trusted,
                trusted=index.trusted or "none",
                blocks=(index.height or 0) - (index.first_height or 0),
            )
        return _compared(index, other, "the dump")
    print("that it is the state of the chain is not proved: --blocks computes it again")
    return 0


def load(given: Namespace) -> int:
    """Go on from a snapshot: apply the blocks that follow, and keep what comes out."""
    from workbench.runes.batch import save_batch
    from workbench.runes.block_batches import blocks_batch
    from workbench.runes.block_files import open_blocks

    index = _read(given.file)
    for target in (given.save, given.batch):
        _free(target)
    if given.blocks is None:
        _say(index)
        return 0
    chain = open_blocks(given.blocks, network=index.network)
    _remember(index, chain)
    if chain.last_height <= (index.height or 0):
        print(
            f"nothing is new: the snapshot is at block {index.height}, and the last block of the "
            f"files is {chain.last_height}; nothing was written"
        )
        _say(index)
        return 0
    follows = chain.part((index.height or 0) + 1, given.until)
    if given.batch is not None:
        batch = blocks_batch(follows, onto=index, progress=_progress("reading"))
        print(f"the batch is at {save_batch(batch, given.batch)}")
    with _stoppable() as stopped:
        whole = _advance(index, follows, stopped)
    if given.save is None:
        _say(index)
        return 0 if whole else 130
    return _keep(index, given.save) or (0 if whole else 130)


def _verify_by_blocks(given: Namespace, index: Index) -> int:
    _free(given.save)
    with _stoppable() as stopped:
        began = None if index.trusted else index.first_height
        again, whole = _replayed(given, index.network, stopped, index.height, index.window, began)
    if not whole or again.height != index.height:
        print(
            f"nothing is proved: the blocks lead to {again.height}, not to {index.height}",
            file=sys.stderr,
        )
        return 1 if whole else 130
    code = _compared(index, again, f"blocks {again.first_height} to {again.height}")
    if code or given.save is None:
        return code
    return _keep(again, given.save)


def _compared(index: Index, other: Index, what: str) -> int:
    from workbench.runes.trust import state_differences

    found = list(islice(state_differences(index, other), SHOWN_DIFFERENCES + 1))
    for each in found[:SHOWN_DIFFERENCES]:
        field = f", {each.field}" if each.field else ""
        print(f"{each.what}{field}: the snapshot has {each.ours}, by {what} it is {each.theirs}")
    hashes = index.trusted != other.trusted or index.state_hash() == other.state_hash()
    if found or not hashes:
        more = "more than " if len(found) > SHOWN_DIFFERENCES else ""
        count = min(len(found), SHOWN_DIFFERENCES)
        print(f"the snapshot does not agree with {what}: {more}{count} values differ")
        return 1
    print(f"every rune and every output agrees with {what}")
    return 0


def _replayed(
    given: Namespace,
    network: Network | None,
    stopped: list[bool],
    until: int | None,
    window: int,
    began: int | None = None,
) -> tuple[Index, bool]:
    """An index of the blocks from the first runes on, and whether it got to their end. From
    `began` on, too: who made that snapshot said then that nobody held runes before."""
    from workbench.core.rune import first_rune_height
    from workbench.runes.block_batches import useful
    from workbench.runes.block_files import open_blocks
    from workbench.runes.index import Index

    chain = useful(open_blocks(given.blocks, network=network)).part(last=until)
    start = first_rune_height(chain.network)
    late = chain.first_height > start and not given.from_start
    if late and chain.first_height == began:
        print(f"the snapshot was made with --from-start: nobody held runes before block {began}")
    elif late:
        raise InputError(BEGINS_LATE, first=chain.first_height, start=start)
    index = Index(chain.network, window=window)
    return index, _advance(index, chain, stopped)


def _advance(index: Index, chain: BlockChain, stopped: list[bool]) -> bool:
    """Apply the blocks one by one; False where it was told to stop."""
    told = _progress("applying")
    for done, block in enumerate(chain, start=1):
        index.apply_block(block.raw, block.spent)
        told(done, len(chain))
        if stopped:
            print(f"\nstopped after block {block.height}", file=sys.stderr)
            return done == len(chain)
    return True


def _remember(index: Index, chain: BlockChain) -> None:
    """The blocks at and below a state that was just taken over: their outputs may be spent."""
    at = index.height or 0
    if index.trusted is None or at != index.first_height or chain.first_height > at:
        return
    for block in chain.part(at - index.window + 1, at):
        index.remember(block.raw)


def _dumped(given: Namespace, network: Network | None) -> Index:
    from workbench.runes.reading import read
    from workbench.runes.trust import trusted_index

    if given.height is None:
        raise InputError("give --height: the block at which the dump stood")
    batch = read(
        list(given.dump) if len(given.dump) > 1 else given.dump[0],
        producer=given.producer,
        network=network,
        height=given.height,
        progress=_progress("reading"),
    )
    return trusted_index(batch, given.height, window=given.window)


def _read(path: Path) -> Index:
    from workbench.runes.index import Index

    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            allowed = f"a snapshot of up to {MOST_BYTES >> 30} GiB"
            raise InputError.field(path.name, f"{size >> 30} GiB", allowed)
        return Index.restore(path.read_bytes())
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError("{path} cannot be read: {reason}", path=str(path), reason=reason) from None


def _free(path: Path | None) -> None:
    """Raises InputError where a file cannot be written: hours later it would be too late."""
    if path is None:
        return
    if path.exists():
        raise InputError("{path} is there already: give another name, or remove it", path=str(path))
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            "{path} cannot be written: {reason}", path=str(path), reason=reason
        ) from None


def _keep(index: Index, path: Path) -> int:
    from workbench.runes.packing import write_file

    with _writing(path):
        write_file(path, index.snapshot())
    _say(index)
    print(f"the snapshot is at {path}")
    return 0


def _say(index: Index) -> None:
    for name, said in index.facts().items():
        print(f"{name:13} {said}")


def _progress(verb: str) -> Any:
    """Tells each percent on the standard error; on a terminal in one line."""
    last = -1

    def told(done: int, total: int) -> None:
        nonlocal last
        percent = 100 * done // max(total, 1)
        if percent == last:
            return
        last = percent
        if sys.stderr.isatty():
            end = "\n" if done >= total else ""
            print(f"\r\x1b[K{percent:3} %  {verb}", end=end, file=sys.stderr, flush=True)
        elif percent % 10 == 0:
            print(f"{percent:3} %  {verb}", file=sys.stderr)

    return told


@contextmanager
def _stoppable() -> Iterator[list[bool]]:
    """The first Ctrl-C lets the block at hand be finished, so that what was done can be kept;
    the second one ends at once."""
    stopped: list[bool] = []

    def stop(number: int, frame: Any) -> None:
        if stopped:
            raise KeyboardInterrupt
        stopped.append(True)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)
