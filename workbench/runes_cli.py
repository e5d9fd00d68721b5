"""`workbench runes`: a real block fetched, checked and stored; a raw block decoded."""

# ruff: noqa: T201  # printing is what a command line does
from __future__ import annotations

import asyncio
import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from workbench.core.sentence import filled
from workbench.errors import InputError, LinkError, ProtocolError, SettingsError

if TYPE_CHECKING:
    from workbench.http import Http
    from workbench.runes.fetch import FetchedBlock, Source
    from workbench.settings import Settings

ESPLORA = "https://mempool.space/api"
RPC_PORTS = frozenset({8332, 18332, 18443, 38332, 48332})
"""Bitcoin Core's ports for RPC, one for each network."""

NO_ADDRESS = (
    "--source is no address; allowed: http(s)://host/path of an Esplora server, or "
    "http://user:password@host:8332 of a Bitcoin node's RPC"
)
AWAY = (
    "{reason}. Check the network, or name another Esplora server or a Bitcoin node's RPC with "
    "--source URL; the sample block samples/block-sim.bin in the data folder needs no network"
)


def fetch(given: Namespace, settings: Settings) -> int:
    """Get one block with the outputs that it spends; say where it lies."""
    try:
        stored = asyncio.run(_fetch(given, settings))
    except ProtocolError:
        raise
    except LinkError as error:
        raise LinkError(AWAY, reason=str(error)) from None
    print(f"block {given.height} is at {stored.block}")
    if stored.spent is not None:
        print(f"the outputs that it spends are at {stored.spent}")
    return 0


async def _fetch(given: Namespace, settings: Settings) -> FetchedBlock:
    from workbench.http import Http
    from workbench.runes.fetch import fetch_block

    if given.height < 0:
        raise InputError.field("--height", given.height, "an integer from 0")
    # Whoever names a source by hand may mean their own machine.
    async with Http(private_addresses=given.source is not None) as http:
        return await fetch_block(
            source(given.source or ESPLORA, http),
            given.height,
            settings.data / "blocks",
            _report,
            spent=not given.no_spent,
            network=given.network,
        )


def source(url: str, http: Http) -> Source:
    """A node's RPC where the address carries a password or one of Bitcoin Core's ports."""
    from workbench.chain.esplora import Esplora
    from workbench.chain.node_rpc import NodeRpc

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError(NO_ADDRESS) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(NO_ADDRESS)
    if parts.password is not None or port in RPC_PORTS:
        return NodeRpc(http, url)
    return Esplora(http, url)


def _report(done: float, total: float, template: str = "", /, **values: object) -> None:
    """Progress on the standard error; on a terminal in one line."""
    line = f"{100 * done / total:3.0f} %  {filled(template, values)}"
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="\n" if done >= total else "", file=sys.stderr, flush=True)
    else:
        print(line, file=sys.stderr)


def decode(given: Namespace) -> int:
    """Print what a raw block holds as JSON; write its batch where asked to."""
    from workbench.runes.batch import save_batch
    from workbench.runes.block import read_block
    from workbench.runes.models.block_import import summary
    from workbench.runes.raw import read_raw_block

    try:
        spent = given.spent.read_bytes() if given.spent else None
        raw = read_raw_block(given.file)
    except OSError as error:
        template = "{path} cannot be read: {reason}"
        path = str(error.filename or given.file)
        raise InputError(template, path=path, reason=error.strerror or str(error)) from None
    reading = read_block(raw, spent, network=given.network)
    if given.save:  # before anything is printed: a closed pipe must not cost the file
        print(f"the batch is at {save_batch(reading.batch, Path(given.save))}", file=sys.stderr)
    for note in reading.notes:
        print(filled(note.template, note.values), file=sys.stderr)
    print(json.dumps(summary(reading), indent=1, ensure_ascii=False))
    return 0
