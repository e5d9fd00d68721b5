"""Small blocks written byte by byte, for tests that need one without the shared data.

The serialisation here is written apart from the package's, so that each checks the other.
"""

from __future__ import annotations

from hashlib import sha256

GENESIS = bytes.fromhex(
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b2"
    "7ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c0101000000010000"
    "000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d01044554"
    "68652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f6620"
    "7365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0"
    "fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de"
    "5c384df7ba0b8d578a4c702b6bf11d5fac00000000"
)
"""Block 0 of Bitcoin, as every node has it built in."""

EASY = 0x207FFFFF  # regtest's target: every second hash meets it
MINT = bytes.fromhex("6a5d0414011401")  # OP_RETURN OP_13, a push of 4: mint 1:1
P2TR = bytes.fromhex("5120") + bytes(range(32))

Put = tuple[bytes, int, bytes, list[bytes]]
"""txid (as hashed), output, script, witness."""


def dsha(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()


def compact(number: int) -> bytes:
    if number < 0xFD:
        return bytes([number])
    return b"\xfd" + number.to_bytes(2, "little")


def sized(data: bytes) -> bytes:
    return compact(len(data)) + data


def transaction(puts: list[Put], outputs: list[tuple[int, bytes]], *, witness: bool) -> bytes:
    """One transaction's bytes, with or without its witnesses."""
    segwit = witness and any(stack for *_, stack in puts)
    parts = [(2).to_bytes(4, "little"), b"\0\1" if segwit else b"", compact(len(puts))]
    for txid, vout, script, _ in puts:
        parts += [txid, vout.to_bytes(4, "little"), sized(script), b"\xff\xff\xff\xff"]
    parts.append(compact(len(outputs)))
    for value, script in outputs:
        parts += [value.to_bytes(8, "little"), sized(script)]
    if segwit:
        parts += [compact(len(stack)) + b"".join(map(sized, stack)) for *_, stack in puts]
    return b"".join([*parts, bytes(4)])


def tree(hashes: list[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = [*hashes, hashes[-1]] if len(hashes) % 2 else hashes
        hashes = [dsha(hashes[at] + hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def block(
    *spends: tuple[list[Put], list[tuple[int, bytes]]],
    height: int = 150,
    below: bytes = bytes(32),
    bits: int = EASY,
    paid: int = 5_000_000_000,
) -> bytes:
    """A block with a coinbase and these transactions, mined to its target."""
    whole = [transaction(*spend, witness=True) for spend in spends]
    root = dsha(tree([bytes(32), *map(dsha, whole)]) + bytes(32))
    number = height.to_bytes(4, "little").rstrip(b"\0")
    stated = sized(number + b"\0" if number[-1] & 0x80 else number)
    coinbase = (
        [(bytes(32), 0xFFFFFFFF, stated + b"\1\1", [bytes(32)])],
        [(paid, P2TR), (0, bytes.fromhex("6a24aa21a9ed") + root)],
    )
    bodies = [transaction(*coinbase, witness=True), *whole]
    txids = [dsha(transaction(*each, witness=False)) for each in (coinbase, *spends)]
    head = (0x20000000).to_bytes(4, "little") + below + tree(txids)
    head += (1_700_000_000).to_bytes(4, "little") + bits.to_bytes(4, "little")
    return mined(head, bits) + compact(len(bodies)) + b"".join(bodies)


def mined(head: bytes, bits: int) -> bytes:
    """The 76 bytes with the first nonce that meets the target."""
    goal = (bits & 0xFFFFFF) << 8 * ((bits >> 24) - 3)
    nonces = (head + nonce.to_bytes(4, "little") for nonce in range(2**32))
    return next(tried for tried in nonces if int.from_bytes(dsha(tried), "little") <= goal)


def small_block(**options: object) -> bytes:
    """A coinbase, a mint that spends one taproot output, and a plain payment with a fee."""
    mint = ([(b"\1" * 32, 0, b"", [b"\2" * 64])], [(546, P2TR), (0, MINT)])
    plain = ([(b"\3" * 32, 1, b"\x51", [])], [(10_000, b"\x00\x14" + bytes(20))])
    return block(mint, plain, **options)  # type: ignore[arg-type]
