"""Small documents of each producer, written by hand: DOG and 1:0, with what lies where."""

from __future__ import annotations

from typing import Any

TXID = "e79134080a83fe3e0e06ed6990c5a9b63b362313341745707a2bff7d788a1375"
OTHER = "ab" * 32
DOG = "DOG•GO•TO•THE•MOON"
FEHU = "Z•Z•Z•Z•Z•FEHU•Z•Z•Z•Z•Z"
PREMINE = 10**16
MOST = 2**128 - 1
ADDRESS = "bc1plzs2lltvv29k603w5m0aqma5e8w0n3pc77dt89l5w9hurmdfgd0swdhspn"
SCRIPT = "5120" + "cd" * 32


def ord_entry(**other: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "block": 840_000, "burned": 2_348_699_167_000, "divisibility": 5, "etching": TXID,
        "mints": 0, "number": 3, "premine": PREMINE, "spaced_rune": DOG, "symbol": "🐕",
        "terms": None, "timestamp": 1_713_571_767, "turbo": False,
    }  # fmt: skip
    return {**entry, **other}


def uncommon_entry() -> dict[str, Any]:
    terms = {"amount": 1, "cap": MOST, "height": [840_000, 1_050_000], "offset": [None, None]}
    return ord_entry(
        block=1, burned=0, divisibility=0, etching="0" * 64, number=0, premine=0,
        spaced_rune="UNCOMMON•GOODS", symbol="⧉", terms=terms, timestamp=0, turbo=True,
    )  # fmt: skip


ORD_RUNE = {"entry": ord_entry(), "id": "840000:3", "mintable": False, "parent": f"{TXID}i0"}
ORD_RUNES = {
    "entries": [["1:0", uncommon_entry()], ["840000:3", ord_entry()]],
    "more": False, "prev": None, "next": None,
}  # fmt: skip


def printed(entry: dict[str, Any], rune_id: str, supply: int) -> dict[str, Any]:
    kept = {name: each for name, each in entry.items() if name != "spaced_rune"}
    tx = int(rune_id.partition(":")[2])
    return {**kept, "id": rune_id, "rune": entry["spaced_rune"], "supply": supply, "tx": tx}


ORD_CLI_RUNES = {
    "runes": {
        "DOGGOTOTHEMOON": printed(ord_entry(), "840000:3", PREMINE),
        "UNCOMMONGOODS": printed(uncommon_entry(), "1:0", 0),
    }
}


def pile(amount: int) -> dict[str, Any]:
    return {"amount": amount, "divisibility": 5, "symbol": "🐕"}


ORD_CLI_BALANCES = {"runes": {DOG: {f"{TXID}:1": pile(88_980_600_000), f"{OTHER}:0": pile(7)}}}
ORD_OUTPUT = {
    "address": ADDRESS, "confirmations": 1, "indexed": True, "inscriptions": [],
    "outpoint": f"{OTHER}:0", "runes": {DOG: pile(100)}, "sat_ranges": None,
    "script_pubkey": SCRIPT, "spent": False, "transaction": OTHER, "value": 546,
}  # fmt: skip
ORD_ADDRESS = {
    "outputs": [f"{OTHER}:0"], "inscriptions": [], "sat_balance": 546,
    "runes_balances": [[DOG, "1.5", "🐕"]], "address": ADDRESS,
}  # fmt: skip

HIRO_ETCHING = {
    "id": "840000:1", "name": "ZZZZZFEHUZZZZZ", "spaced_name": FEHU, "number": 1,
    "divisibility": 2, "symbol": "ᚠ", "turbo": False,
    "mint_terms": {
        "amount": "1.00", "cap": "11111.11", "height_start": None, "height_end": None,
        "offset_start": None, "offset_end": None,
    },
    "supply": {
        "current": "110000301.00", "minted": "250.00", "total_mints": "250",
        "mint_percentage": "0.0225", "mintable": True, "burned": "51.00", "total_burns": "17",
        "premine": "110000000.00",
    },
    "location": {
        "block_hash": "00" * 32, "block_height": 840_000, "tx_id": OTHER, "tx_index": 1,
        "timestamp": 1_713_571_767,
    },
}  # fmt: skip


def hiro_activity(operation: str, amount: str | None = "1.00", **location: Any) -> dict[str, Any]:
    place = {"block_height": 840_002, "tx_id": TXID, "tx_index": 9, "output": f"{TXID}:1"}
    return {
        "rune": {"id": "840000:1", "number": 1, "name": "x", "spaced_name": "x"},
        "address": ADDRESS,
        "amount": amount,
        "operation": operation,
        "location": {**place, "vout": 1, "timestamp": 1_713_571_767, **location},
    }


HIRO_ACTIVITY = {
    "limit": 20, "offset": 0, "total": 4,
    "results": [hiro_activity(each) for each in ("mint", "send", "receive", "burn")],
}  # fmt: skip
HIRO_HOLDERS = {
    "limit": 20, "offset": 0, "total": 1, "results": [{"address": ADDRESS, "balance": "11.05"}],
}  # fmt: skip

XVERSE_ACTIVITY = {
    "offset": 0, "limit": 2,
    "items": [
        {"blockHeight": 840_002, "blockTime": "2024-04-20T00:30:00Z", "txid": TXID, "index": 1,
         "type": kind, "amount": "500", "address": ADDRESS}
        for kind in ("mint", "send", "receive")
    ],
}  # fmt: skip
XVERSE_HOLDERS = {
    "offset": 0, "limit": 1, "total": 1, "items": [{"address": ADDRESS, "amount": str(MOST)}],
}  # fmt: skip
XVERSE_INFO = {
    "chain": "bitcoin", "runeName": "DOGGOTOTHEMOON", "symbol": "🐕", "runeId": "840000:3",
    "spacedRuneName": DOG, "amount": None, "cap": None, "divisibility": 5,
    "premine": str(PREMINE), "turbo": False, "genesisBlock": 840_000, "holders": 86_037,
    "supply": str(PREMINE), "inscriptionId": f"{TXID}i0",
}  # fmt: skip
UNISAT_BALANCES = {
    "code": 0, "msg": "",
    "data": {
        "start": 0, "total": 1,
        "detail": [
            {"amount": "10000", "runeid": "840000:3", "rune": "DOGGOTOTHEMOON",
             "spacedRune": DOG, "symbol": "🐕", "divisibility": 5}
        ],
    },
}  # fmt: skip

BIS_TICKER = {
    "rune_id": "840000:1", "rune_number": "1", "rune_name": "ZZZZZFEHUZZZZZ",
    "spaced_rune_name": FEHU, "symbol": "ᚠ", "decimals": 2, "per_mint_amount": "100",
    "mint_cnt": "1111111", "mint_cnt_limit": "1111111", "premined_supply": "11000000000",
    "total_minted_supply": "11111111100", "burned_supply": "46300",
    "circulating_supply": "11111064800", "mint_progress": 100, "mint_start_block": None,
    "mint_end_block": None, "genesis_block": 840_000, "deploy_ts": "2024-04-20T00:09:27.000Z",
    "deploy_txid": OTHER, "auto_upgrade": True, "holder_count": 22_865, "event_count": 3_033_717,
    "mintable": False,
}  # fmt: skip
BIS_HOLDERS = {
    "data": [
        {"pkscript": SCRIPT, "wallet_addr": ADDRESS, "rune_id": "1:0", "total_balance": "10000",
         "rune_name": "UNCOMMONGOODS", "spaced_rune_name": "UNCOMMON•GOODS", "decimals": 0}
    ],
    "block_height": 847_620,
}  # fmt: skip

OPI_COLUMNS = (
    "event_type", "txid", "outpoint", "pkscript", "wallet_addr", "rune_id", "amount",
    "block_height",
)  # fmt: skip


def opi(kind: int, amount: int, output: int | None = 0) -> tuple[str, ...]:
    outpoint = "" if output is None else f"{TXID}:{output}"
    return (str(kind), TXID, outpoint, SCRIPT, ADDRESS, "840000:3", str(amount), "840005")


def opi_csv(*rows: tuple[str, ...]) -> bytes:
    return "".join(",".join(row) + "\n" for row in (OPI_COLUMNS, *rows)).encode()


OPI_EVENTS = opi_csv(opi(0, MOST), opi(1, 5, None), opi(2, 6), opi(3, MOST), opi(4, 8, None))

OKX = {
    "runesId": "840000:1", "name": "ZZZZZFEHUZZZZZ", "spacename": FEHU, "maxMintNumber": "1111111",
    "mintedNumber": "1111111", "limitPerMint": "100", "deployedTime": "1713571767",
    "startBlock": "", "endBlock": "", "symbol": "ᚠ", "divisibility": 2, "holders": "22865",
    "salesCount": "3",
}  # fmt: skip
MAESTRO = {
    "id": "840000:3", "name": "DOGGOTOTHEMOON", "spaced_name": DOG, "symbol": "🐕",
    "divisibility": 5, "etching_tx": TXID, "etching_height": 840_000, "premine": str(PREMINE),
    "terms": {"amount": None, "cap": None, "start_height": None, "end_height": None},
}  # fmt: skip
ALLIUM = {
    "rune_id": "840000:3", "divisibility": 5, "premine": PREMINE, "spaced_rune": DOG,
    "symbol": "🐕", "mint_terms": None, "rune_number": 3, "num_burned": 7, "num_mints": 0,
}  # fmt: skip
