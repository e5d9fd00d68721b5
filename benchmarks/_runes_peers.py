"""Each question as somebody would ask it in Polars, the straightforward way, in a few lines.

Amounts are Int128 there, exact below 2^127; shares and indices are of doubles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

Frames = Mapping[str, pl.DataFrame]
Peer = Callable[[Frames, str | None], pl.DataFrame]
"""Of one rune, or of all where that is None."""

_PLACE = ("height", "tx_index", "rune_id")


def amount(name: str = "amount") -> pl.Expr:
    high, low = (pl.col(f"{name}_{half}").cast(pl.Int128) for half in ("high", "low"))
    return (high * 2**64 + low).alias(name)


def _of(frame: pl.DataFrame, rune: str | None) -> pl.DataFrame:
    return frame if rune is None else frame.filter(pl.col("rune_id") == rune)


def reconcile(of: Frames, rune: str | None) -> pl.DataFrame:
    came = _of(of["inputs"], rune).select(*_PLACE, amount())
    events = _of(of["events"], rune)
    made = events.filter(pl.col("kind").is_in(["minted", "etched"])).select(*_PLACE, amount())
    went = events.filter(pl.col("kind").is_in(["transferred", "burned"])).select(
        *_PLACE, amount() * -1
    )
    moved = pl.concat([came, made, went]).group_by(_PLACE).agg(pl.col("amount").sum())
    held = _of(of["balances"], rune).group_by("rune_id").agg(amount().sum())
    entries = of["entries"].select("rune_id", amount("supply"), amount("burned"))
    runes = held.join(entries, on="rune_id")
    off = runes.filter(pl.col("supply") - pl.col("burned") != pl.col("amount"))
    return pl.concat([moved.filter(pl.col("amount") != 0), off], how="diagonal")


def supply(of: Frames, rune: str | None) -> pl.DataFrame:
    terms = _of(of["etchings"], rune).select("rune_id", amount("premine"), amount(), amount("cap"))
    entries = of["entries"].select("rune_id", amount("mints"), amount("burned"))
    return terms.join(entries, on="rune_id").with_columns(
        current=pl.col("premine") + pl.col("mints") * pl.col("amount"),
        maximum=pl.col("premine") + pl.col("cap") * pl.col("amount"),
    )


def mint_status(of: Frames, rune: str | None) -> pl.DataFrame:
    recent = mint_velocity(of, rune)
    entries = of["entries"].select("rune_id", amount("mints"))
    terms = _of(of["etchings"], rune).select("rune_id", amount("cap"))
    return terms.join(entries, on="rune_id").with_columns(
        is_open=pl.col("mints") < pl.col("cap"), pace=recent["len"].sum() / 144
    )


def mint_velocity(of: Frames, rune: str | None) -> pl.DataFrame:
    mints = _of(of["mints"], rune)
    recent = mints.filter(pl.col("credited") & (pl.col("height") > mints["height"].max() - 144))
    return recent.group_by("height").len().sort("height")


def mint_fairness(of: Frames, rune: str | None) -> pl.DataFrame:
    mints = _of(of["mints"], rune).filter("credited")
    each = mints.group_by("rune_id", "receiver").len()
    share = pl.col("len") / pl.col("len").sum()
    by_rune = each.group_by("rune_id").agg(hhi=(share**2).sum(), largest=share.max())
    receivers = mints.group_by("receiver").len().sort("len", descending=True)
    return pl.concat([receivers, by_rune], how="diagonal")


def burns(of: Frames, rune: str | None) -> pl.DataFrame:
    burned = _of(of["events"], rune).filter(pl.col("kind") == "burned")
    return burned.group_by("rune_id", "cause").agg(amount().sum(), pl.len())


def concentration(of: Frames, rune: str | None) -> pl.DataFrame:
    held = _of(of["balances"], rune).group_by("rune_id", "script").agg(amount().sum())
    held = held.with_columns(pl.col("amount").cast(pl.Float64)).sort("rune_id", "amount")
    share = pl.col("amount") / pl.col("amount").sum()
    rank = pl.int_range(1, pl.len() + 1)
    return held.group_by("rune_id").agg(
        holders=pl.len(),
        hhi=(share**2).sum(),
        top=share.tail(10).sum(),
        gini=(2 * (rank * share).sum() - (pl.len() + 1)) / pl.len(),
        nakamoto=(share.reverse().cum_sum() <= 0.5).sum() + 1,
    )


def block_share(of: Frames, rune: str | None) -> pl.DataFrame:
    said = of["runestones"].group_by("height").agg(pl.len(), pl.col("vsize", "fee_sat").sum())
    return (
        of["blocks"]
        .join(said, on="height", how="left", suffix="_runes")
        .with_columns(
            pl.col("len") / pl.col("transactions"), pl.col("fee_sat") / pl.col("fees_sat")
        )
    )


def holders(of: Frames, rune: str | None) -> pl.DataFrame:
    held = _of(of["balances"], rune).group_by("script").agg(amount().sum(), pl.len())
    return held.sort("amount", descending=True)


def cohort(of: Frames, rune: str | None) -> pl.DataFrame:
    heights = of["blocks"]["height"]
    middle = (heights.min() + heights.max()) // 2
    now = _of(of["balances"], rune).select("script", amount())
    later = pl.col("height") > middle
    got = _of(of["allocations"], rune).filter(later).select("script", amount() * -1)
    gave = _of(of["inputs"], rune).filter(later).select("script", amount())
    then = pl.concat([now, got, gave]).group_by("script").agg(pl.col("amount").sum())
    after = now.group_by("script").agg(pl.col("amount").sum())
    return then.join(after, on="script", how="full", coalesce=True)


def fragmentation(of: Frames, rune: str | None) -> pl.DataFrame:
    made = _of(of["allocations"], rune).select(
        "height", outpoint=pl.col("txid") + ":" + pl.col("output").cast(pl.String)
    )
    lots = _of(of["balances"], rune).join(made, on="outpoint", how="left")
    age = of["blocks"]["height"].max() - pl.col("height")
    coin_days = (amount().cast(pl.Float64) * age / 144).sum().alias("coin_days")
    return lots.group_by("script").agg(pl.len(), amount().sum(), coin_days)


def volume(of: Frames, rune: str | None) -> pl.DataFrame:
    got = _of(of["allocations"], rune).select(*_PLACE, "script", amount())
    gave = _of(of["inputs"], rune).select(*_PLACE, "script", amount() * -1)
    gross = got.group_by("rune_id").agg(pl.col("amount").sum())
    change = pl.concat([got, gave]).group_by(*_PLACE, "script").agg(pl.col("amount").sum())
    net = change.group_by("rune_id").agg(net=pl.col("amount").clip(0).sum())
    return gross.join(net, on="rune_id")


def anomalies(of: Frames, rune: str | None) -> pl.DataFrame:
    """The counts alone: what came back to its sender is no matter of a few lines."""
    counts = _of(of["events"], rune).group_by("height", "kind").len()
    away = pl.col("len") - pl.col("len").median().over("kind")
    z = 0.6745 * away / away.abs().median().over("kind")
    return counts.with_columns(z=z).filter(pl.col("z").abs() > 3.5)


def name_market(of: Frames, rune: str | None) -> pl.DataFrame:
    return (
        of["etchings"]
        .group_by(pl.col("name").str.len_chars())
        .agg(pl.col("name").n_unique().alias("taken"))
    )


PEERS: dict[str, tuple[Peer, tuple[str, ...]]] = {
    "reconcile": (reconcile, ("inputs", "events", "balances", "entries")),
    "supply": (supply, ("etchings", "entries")),
    "mint_status": (mint_status, ("mints", "etchings", "entries")),
    "mint_velocity": (mint_velocity, ("mints",)),
    "mint_fairness": (mint_fairness, ("mints",)),
    "burns": (burns, ("events",)),
    "concentration": (concentration, ("balances",)),
    "block_share": (block_share, ("runestones", "blocks")),
    "holders": (holders, ("balances",)),
    "cohort": (cohort, ("balances", "allocations", "inputs", "blocks")),
    "fragmentation": (fragmentation, ("balances", "allocations", "blocks")),
    "volume": (volume, ("allocations", "inputs")),
    "anomalies": (anomalies, ("events",)),
    "name_market": (name_market, ("etchings",)),
}
"""With the tables that each of them reads."""

NOT_THE_SAME: dict[str, Any] = {
    "mint_fairness": "no fees, no chains",
    "concentration": "shares of doubles",
    "volume": "exact below 2^127",
    "anomalies": "counts alone",
    "mint_status": "the pace of all runes together",
    "fragmentation": "coin-days of doubles",
}
"""What a peer leaves out, or does less exactly."""
