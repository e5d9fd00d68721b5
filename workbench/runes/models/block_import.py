"""The mesh model `block-import`: a raw block becomes a batch, with what it holds in numbers."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

from msgspec import Meta

from workbench.core.model import Context, DataURL, Result, model
from workbench.runes.batch import Batch, batch_header
from workbench.runes.block import BlockReading, Totals, read_block
from workbench.runes.models import block_figures as figures
from workbench.runes.raw import network_of, read_raw_block

TOP = 10
READ = "{done} of {total} transactions read"


@model(name="block-import", version="1.0.0", title="Import a block")
def block_import(
    context: Context,
    *,
    spentOutputsURL: Annotated[
        DataURL,
        Meta(
            title="Spent outputs",
            description="The outputs that the block spends: without them no fee is known.",
        ),
    ] = None,
    network: Annotated[
        Literal["auto", "mainnet", "testnet3", "testnet4", "signet", "regtest"],
        Meta(title="Network", description="The network that the block is of."),
    ] = "auto",
) -> Result:
    """Read a raw block (raw bytes, xz, gzip or hexadecimal text) into a batch of tables.

    Given the outputs that it spends, fees are counted twice, as inputs - outputs of each
    transaction and as coinbase - subsidy, and held against each other. `auto` takes a block
    of the least possible work for regtest's and any other for mainnet's.
    """
    context.progress(0, 1, "reading the block")
    raw = read_raw_block(context.inputs["batch"])
    context.log("the block has {size} bytes", size=len(raw))
    known = network_of(raw) if network == "auto" else network
    context.log("read as a block of {network}", network=known)
    reading = read_block(raw, _spent(context), network=known, progress=_progress(context))
    data = summary(reading)
    _say(context, reading)
    return Result(
        data=data,
        batch=reading.batch.id,
        tables=dict(reading.batch.tables),
        figures=_figures(reading, data),
    )


def _spent(context: Context) -> bytes | None:
    path = context.inputs.get("spentOutputsURL")
    return None if path is None else path.read_bytes()


def _progress(context: Context) -> Any:
    def report(done: int, total: int) -> None:
        context.progress(done, total, READ, done=done, total=total)

    return report


def _say(context: Context, reading: BlockReading) -> None:
    context.log(
        "block {height}: {transactions} transactions, {runestones} with a Runes message",
        height=reading.height,
        transactions=reading.totals.transactions,
        runestones=reading.totals.runestones,
    )
    for note in reading.notes:
        context.log(note.template, level="warning", **note.values)


def summary(reading: BlockReading) -> dict[str, Any]:
    """The block in numbers: satoshi, vbytes, percent. What cannot be known is None."""
    batch, totals, block = reading.batch, reading.totals, reading.block
    (row,) = batch.tables["blocks"].to_pylist()
    receivers = batch.tables["mints"]["receiver"].drop_null().unique()
    return {
        "batch": batch_header(batch),
        "height": reading.height,
        "hash": block.hash,
        "minedAt": row["mined_at"].isoformat() + "Z",
        "transactions": totals.transactions,
        "sizeBytes": block.size,
        "weight": block.weight,
        "runestones": totals.runestones,
        "kinds": transaction_kinds(batch),
        "etchings": batch.tables["etchings"].num_rows,
        "mints": batch.tables["mints"].num_rows,
        "edicts": batch.tables["edicts"].num_rows,
        "mintReceivers": len(receivers),
        "topMints": [{"runeId": rune, "mints": count} for rune, count in _top_mints(batch)],
        "sharePct": _share_pct(totals),
        "subsidySat": row["subsidy_sat"],
        "coinbaseSat": row["coinbase_sat"],
        "claimedFeesSat": totals.claimed_sat,
        "feesSat": totals.fees_sat,
        "runestoneFeesSat": totals.runestone_fees_sat,
        "feesAgree": totals.fees_agree,
        "notes": [{"template": note.template, "values": note.values} for note in reading.notes],
    }


def transaction_kinds(batch: Batch) -> dict[str, int]:
    """How many transactions are of which kind; one that does several things counts once, as
    the first of: cenotaph, etching, mint, transfer."""
    stones = batch.tables["runestones"].select(["kind", "etches", "mints"]).to_pylist()
    counts = Counter(_kind(stone) for stone in stones)
    total = batch.tables["blocks"]["transactions"][0].as_py()
    counts["without a Runes message"] = total - len(stones)
    return {name: counts[name] for name in figures.KINDS}


def _kind(stone: dict[str, Any]) -> str:
    if stone["kind"] == "cenotaph":
        return "cenotaphs"
    if stone["etches"]:
        return "etchings"
    return "mints" if stone["mints"] else "transfers"


def _top_mints(batch: Batch) -> list[tuple[str, int]]:
    """The most minted runes, ties by id so that the order is always the same."""
    counts = Counter(batch.tables["mints"]["rune_id"].to_pylist())
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:TOP]


def _share_pct(totals: Totals) -> dict[str, float | None]:
    return {
        "transactions": _pct(totals.runestones, totals.transactions),
        "vsize": _pct(totals.runestone_vsize, totals.vsize),
        "fees": _pct(totals.runestone_fees_sat, totals.fees_sat),
    }


def _pct(part: int | None, whole: int | None) -> float | None:
    """A percentage; None where it is unknown, or of nothing."""
    return None if part is None or not whole else round(100 * part / whole, 2)


def _figures(reading: BlockReading, data: dict[str, Any]) -> list[dict[str, Any]]:
    share = data["sharePct"]
    drawn = [figures.transaction_kinds(data["kinds"])]
    if data["mints"]:
        drawn.append(figures.top_mints(_top_mints(reading.batch)))
    measures = {
        "share of transactions": share["transactions"],
        "share of virtual size": share["vsize"],
        "share of fees": share["fees"],
    }
    return [*drawn, figures.shares(measures)]
