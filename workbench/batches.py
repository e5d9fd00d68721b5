"""A batch that the hub keeps, as the input of another task: `batch:<alias>`."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from workbench.errors import InputError, shown
from workbench.http import download
from workbench.runes.batch import batch_document, batch_of
from workbench.store import Store

SCHEME = "batch:"
NO_BATCH = "there is no batch {alias}: import its block first, or look into the table batches"
TOO_LARGE = "batch {alias} has {bytes} bytes as a document; allowed: at most {limit_bytes}"


def fetch_with(store: Store, *, private_addresses: bool) -> Callable[..., Awaitable[None]]:
    """What a node fetches its inputs with: kept batches from the store, the rest over HTTP."""

    async def fetch(url: str, target: Path, **bounds: Any) -> None:
        if url.startswith(SCHEME):
            await write_batch(store, url, target, **bounds)
        else:
            await download(url, target, private_addresses=private_addresses, **bounds)

    return fetch


async def write_batch(
    store: Store,
    url: str,
    target: Path,
    *,
    limit_bytes: int,
    progress: Callable[[int, int | None], None],
) -> None:
    """Write the batch that `batch:<alias>` names as one JSON document."""
    alias = url.removeprefix(SCHEME)
    kept = await store.read("side_file", alias=alias)
    if not kept or kept[0]["folder"] != "batches":
        raise InputError(NO_BATCH, alias=shown(alias))
    path = kept[0]["path"]
    header = msgspec.json.decode(await store.read_document(path))["data"]["batch"]
    names = msgspec.json.decode(kept[0]["tables"])
    streams = {name: await store.read_table(path, name) for name in names}
    body = await asyncio.to_thread(_document, header, streams)
    if len(body) > limit_bytes:
        raise InputError(TOO_LARGE, alias=alias, bytes=len(body), limit_bytes=limit_bytes)
    await asyncio.to_thread(target.write_bytes, body)
    progress(len(body), len(body))


def _document(header: dict[str, object], streams: dict[str, bytes]) -> bytes:
    tables = {
        name: pa.ipc.open_stream(io.BytesIO(stream)).read_all() for name, stream in streams.items()
    }
    return msgspec.json.encode(batch_document(batch_of(header, tables)))
