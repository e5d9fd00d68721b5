"""`runes.read`: any source that analysts hold, as one batch.

from workbench import runes
batch = runes.read("exports/")                     # every file of a folder
batch = runes.read("exports/", onto=batch)         # and later only the new ones
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from workbench.core.rune import NETWORKS, Network, RuneId
from workbench.errors import InputError, shown
from workbench.runes import faults, packing
from workbench.runes.batch import Batch, Source, load_batch
from workbench.runes.block_batches import blocks_batch, useful
from workbench.runes.block_files import are_blocks, open_blocks
from workbench.runes.documents import (
    Document,
    Part,
    Progress,
    head_of,
    opened,
    parts_of,
    read_documents,
)
from workbench.runes.gathering import Gathering
from workbench.runes.index import Index
from workbench.runes.kinds import MAX_HEIGHT
from workbench.runes.merging import PLACE, merged, not_before
from workbench.runes.records import RECORDS
from workbench.runes.repeats import told_twice
from workbench.runes.snapshot import FORMAT
from workbench.runes.sources import SHAPES, check_producer
from workbench.runes.sources.bestinslot import OPI
from workbench.runes.sources.opi_columns import COLUMNS, fast_events
from workbench.runes.state import index_batch
from workbench.runes.tables import ARROW, TABLES

_OF_ANY_VERSION = re.compile(rb'"schema"\s*:\s*"runes-batch/')
"""One of a later version is a batch, too: `load_batch` says which it reads."""
_OWN = ("events", "mints", "inputs", "allocations")


def read(
    source: str | Path | bytes | Iterable[Any],
    *,
    producer: str | None = None,
    network: Network | None = None,
    rune: str | None = None,
    height: int | None = None,
    onto: Batch | None = None,
    progress: Progress | None = None,
) -> Batch:
    """A batch at the `state` level from the documents of one producer.

    A runes-batch/1 comes back as `load_batch` gives it, a snapshot of an index as `index_batch`
    does; raw blocks as `blocks_batch` does, with `progress` told blocks. They know their
    `producer`, `network` and last `height`, and others are refused, as `rune` and `onto` are;
    exports are of mainnet where it is not given. Otherwise `source` is a file, a folder, several
    paths, bytes, or documents that are parsed already (with integers as int and fractions as
    Decimal).
    `producer` is told from the documents where it is None. `rune` (BLOCK:TX) is whose they
    are, where they do not say it; `height` the block at which the producer stood, else the
    last one that they mention.

    With `onto`, a batch of the same producer, only files that it was not made of are read,
    and the answer holds both. `progress` is told bytes done and in all. Raises InputError
    for a faulty document, naming its place, field and value; nothing is half read.
    """
    if hasattr(source, "__arrow_c_stream__"):
        frame = "a file, a folder, bytes or documents; what is a frame, runes.from_frame takes"
        raise InputError.field("source", type(source).__name__, frame)
    if source == "":
        raise InputError.field("source", source, "a file, a folder, bytes or documents")
    check_producer(producer)
    _check(network, rune, height, onto)
    gathering = Gathering(producer or _producer_of(onto), rune)
    if onto is not None:
        gathering.know(onto.tables["etchings"])
    asked = Asked(producer, network, rune, height, onto)
    if isinstance(source, str | Path | bytes):
        kind = _own_kind(source)
        if kind == "batch":
            return asked.of(load_batch(source))
        if kind == "state":
            state = source if isinstance(source, bytes) else Path(source).read_bytes()
            return asked.of(index_batch(Index.restore(state)))
    if _hold_blocks(source):
        return _read_blocks(source, asked, progress)
    if isinstance(source, str | Path | bytes) or _are_paths(source):
        parts = _read_files(parts_of(source), gathering, onto, progress)
    else:
        parts = _read_parsed(source, gathering)
    if onto is not None and not parts:
        return onto
    known = network or (onto.network if onto is not None else "mainnet")
    return _batch(gathering, parts, known, height, onto)


class Asked(NamedTuple):
    """What is told of documents that do not say it. A source that does say it takes nothing else:
    it would be dropped."""

    producer: str | None
    network: Network | None
    rune: str | None
    height: int | None
    onto: Batch | None

    def of(self, batch: Batch) -> Batch:
        """The batch, where it is as asked."""
        if self.network not in (None, batch.network):
            raise InputError.field("network", self.network, f"{batch.network}, that of {batch.id}")
        made_by = batch.source.producer
        if self.producer not in (None, made_by):
            raise InputError.field("producer", self.producer, f"{made_by}, that of {batch.id}")
        self.refuse(batch.id, batch.last_height)
        return batch

    def refuse(self, whose: str, last: int) -> None:
        if self.height not in (None, last):
            raise InputError.field("height", self.height, f"{last}, that of {whose}")
        if self.rune is not None:
            raise InputError.field("rune", self.rune, f"none, as {whose} says of which runes it is")
        if self.onto is not None:
            raise InputError.field(
                "onto", self.onto.id, f"none, as {whose} is no producer's export"
            )


def _check(network: str | None, rune: str | None, height: int | None, onto: Batch | None) -> None:
    if network is not None and network not in NETWORKS:
        raise InputError.field("network", network, ", ".join(NETWORKS))
    if onto is not None and network not in (None, onto.network):
        raise InputError.field("network", network, f"{onto.network}, that of `onto`")
    if rune is not None:
        RuneId.parse(rune)
    if height is not None and not (type(height) is int and 0 <= height <= MAX_HEIGHT):
        raise InputError.field("height", height, f"integer from 0 to {MAX_HEIGHT}")


def _producer_of(onto: Batch | None) -> str | None:
    if onto is None:
        return None
    check_producer(onto.source.producer)
    return onto.source.producer


def says_its_runes(source: Any) -> bool:
    """Whether a source names the runes that it is about, so that `read` takes no `rune`: a batch,
    the snapshot of an index, blocks."""
    is_own = isinstance(source, str | Path | bytes) and _own_kind(source) is not None
    return is_own or _hold_blocks(source)


def _hold_blocks(source: Any) -> bool:
    if isinstance(source, str | Path):
        return are_blocks(Path(source))
    return _are_paths(source) and bool(source) and are_blocks(Path(source[0]))


def _read_blocks(source: Any, asked: Asked, progress: Progress | None) -> Batch:
    chain = useful(open_blocks(source, network=asked.network))
    if asked.producer is not None:
        raise InputError.field("producer", asked.producer, "none, as the source holds blocks")
    asked.refuse("the source", chain.last_height)
    return blocks_batch(chain, progress=progress)


def _are_paths(source: Any) -> bool:
    return isinstance(source, list | tuple) and all(isinstance(one, str | Path) for one in source)


def _own_kind(source: str | Path | bytes) -> Literal["batch", "state"] | None:
    """Whether it is a runes-batch/1 already (a file, bytes or a folder of Parquet), the snapshot of
    an index, or neither."""
    if not isinstance(source, bytes) and Path(source).is_dir():
        return "batch" if (Path(source) / packing.HEADER_FILE).is_file() else None
    head = head_of(parts_of(source)[0])
    if head.startswith(FORMAT):
        return "state"
    return "batch" if _OF_ANY_VERSION.search(head) else None


def _read_files(
    parts: list[Part], gathering: Gathering, onto: Batch | None, progress: Progress | None
) -> list[str]:
    """The sha256 of each file read: of those that `onto` was not made of."""
    known = _parts(onto)
    digests = {part.sha256(): part for part in parts}  # the same content twice is read once
    for digest, part in digests.items():
        RECORDS.read(part.name, digest)
    new = {digest: part for digest, part in digests.items() if digest not in known}
    total, done = sum(part.size for part in new.values()), 0
    for part in new.values():

        def tell(read: int, before: int = done) -> None:
            if progress:
                progress(min(before + read, total), total)

        _read_part(part, gathering, tell)
        done += part.size
        tell(0, done)
    return list(new)


def _read_part(part: Part, gathering: Gathering, tell: Callable[[int], None]) -> None:
    names = head_of(part).partition(b"\n")[0].decode(errors="replace").strip().split(",")
    if gathering.producer in (None, OPI) and set(COLUMNS) <= set(names):
        with opened(part) as file:
            tables = fast_events(file)
        if tables is not None:
            gathering.take_tables(next(each for each in SHAPES if each.producer == OPI), tables)
            return
    for document in read_documents(part, tell):
        gathering.take(document)


def _read_parsed(source: Any, gathering: Gathering) -> list[str]:
    documents = [source] if isinstance(source, Mapping) else source
    digest = hashlib.sha256()
    try:
        for place, value in enumerate(documents):
            digest.update(msgspec.json.encode(_plain(value)))
            gathering.take(Document(f"document {place}", value))
    except TypeError as error:
        raise InputError.field(
            "source", shown(source), f"paths, bytes or documents ({error})"
        ) from None
    RECORDS.read("documents", digest.hexdigest())
    return [digest.hexdigest()]


def _plain(value: Any) -> Any:
    """The value with big integers as text: only for its sha256."""
    return msgspec.to_builtins(value, str_keys=True, enc_hook=str)


def _parts(onto: Batch | None) -> tuple[str, ...]:
    if onto is None:
        return ()
    source = onto.source
    return source.parts or ((source.sha256,) if source.sha256 else ())


def _batch(
    gathering: Gathering,
    parts: list[str],
    network: str,
    height: int | None,
    onto: Batch | None,
) -> Batch:
    tables = gathering.tables()
    if gathering.producer is None:
        raise InputError("the source holds no document: give one that has any")
    if onto is not None:
        tables = {name: _both(name, onto, tables) for name in TABLES}
    tables = {name: merged(name, table) for name, table in tables.items()}
    whole = {name: tables.get(name, ARROW[name].empty_table()) for name in TABLES}
    first, last = _range(whole, height, gathering.height, onto)
    faults.refuse(faults.meaning_faults(whole, first, last, "state"))
    faults.refuse(told_twice(gathering.producer, whole["events"]))
    digests = sorted({*_parts(onto), *parts})
    digest = digests[0] if len(digests) == 1 else _digest(digests)
    covers = {*gathering.covers, *((onto.covers or ()) if onto else ())} - _untold(whole)
    return Batch(
        id=f"r{last}_{digest[:8]}",
        network=network,
        source=Source(
            producer=gathering.producer,
            sha256=digest,
            parts=tuple(digests) if len(digests) > 1 else None,
        ),
        completeness="state",
        first_height=first,
        last_height=last,
        tables=whole,
        covers=tuple(name for name in TABLES if name in covers),
    )


def _untold(tables: Mapping[str, pa.Table]) -> set[str]:
    """What transfers without an output do not tell, such as those of OPI's events that were
    exported without their outpoints: where they went to."""
    went = pc.equal(tables["events"]["kind"], "transferred")
    return {"allocations"} if not tables["allocations"].num_rows and pc.any(went).as_py() else set()


def _digest(digests: list[str]) -> str:
    return hashlib.sha256("".join(f"{each}\n" for each in digests).encode()).hexdigest()


def _both(name: str, onto: Batch, tables: Mapping[str, pa.Table]) -> pa.Table:
    before = onto.tables[name]
    if name not in tables:
        return before
    if PLACE not in tables[name].column_names:
        added = packing.shaped(name, tables[name])
        return pa.concat_tables([before, not_before(before, added) if name in _OWN else added])
    places = tables[name][PLACE]
    added = packing.shaped(name, tables[name].drop_columns([PLACE])).append_column(PLACE, places)
    unplaced = pa.nulls(before.num_rows, pa.string())
    return pa.concat_tables([before.append_column(PLACE, unplaced), added])


def _range(
    tables: Mapping[str, pa.Table], height: int | None, stated: int | None, onto: Batch | None
) -> tuple[int, int]:
    """The first and the last block that the batch is about: of a list of holders, the last one
    that it must have seen, that of its newest rune."""
    heights = [pc.min_max(tables[name]["height"]).as_py() for name in _OWN if tables[name].num_rows]
    newest = max((RuneId.parse(rune).block for rune in _rune_ids(tables)), default=0)
    before = [] if onto is None else [onto.last_height]
    last = max([each["max"] for each in heights] + [newest, stated or 0, *before])
    if height is not None:
        if height < last:
            raise InputError.field("height", height, f"integer from {last}, a block mentioned")
        last = height
    firsts = [each["min"] for each in heights] + ([] if onto is None else [onto.first_height])
    return min(firsts, default=last), min(last, MAX_HEIGHT)


def _rune_ids(tables: Mapping[str, pa.Table]) -> set[str]:
    columns = (tables[name][column] for name, column in faults.rune_columns())
    return {rune for column in columns for rune in pc.unique(column).to_pylist() if rune}
