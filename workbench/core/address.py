"""Addresses of locking scripts: base58 (P2PKH, P2SH) and bech32 (BIP 173, BIP 350)."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from workbench.core.rune import Network

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_PREFIXES: dict[Network, str] = {"mainnet": "bc", "regtest": "bcrt"}


@lru_cache(maxsize=65_536)  # mints pay the same few scripts thousands of times in a block
def address_of(script: bytes, network: Network = "mainnet") -> str | None:
    """The address that pays `script`; None where it has none (OP_RETURN, bare keys, others)."""
    main = network == "mainnet"
    if len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return _base58(bytes([0 if main else 111]) + script[3:23])
    if len(script) == 23 and script[:2] == b"\xa9\x14" and script[22] == 0x87:
        return _base58(bytes([5 if main else 196]) + script[2:22])
    return _segwit(script, _PREFIXES.get(network, "tb"))


def _segwit(script: bytes, prefix: str) -> str | None:
    """A witness program's address: version OP_0 or OP_1 to OP_16, then one push of 2 to 40."""
    if not 4 <= len(script) <= 42 or script[1] != len(script) - 2:
        return None
    version = script[0] - 0x50 if script[0] else 0
    if not 0 <= version <= 16 or (version == 0 and len(script) not in (22, 34)):
        return None
    values = [version, *_fives(script[2:])]
    constant = 0x2BC830A3 if version else 1
    spread = [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]
    checksum = _polymod([*spread, *values, 0, 0, 0, 0, 0, 0]) ^ constant
    values += [checksum >> 5 * (5 - place) & 31 for place in range(6)]
    return prefix + "1" + "".join(_BECH32[value] for value in values)


def _fives(data: bytes) -> list[int]:
    """The bits of `data` in groups of five, zero-padded at the end."""
    bits = len(data) * 8
    padding = -bits % 5
    number = int.from_bytes(data, "big") << padding
    return [number >> shift & 31 for shift in range(bits + padding - 5, -1, -5)]


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for place in range(5):
            if top >> place & 1:
                checksum ^= _GENERATOR[place]
    return checksum


def _base58(payload: bytes) -> str:
    whole = payload + sha256(sha256(payload).digest()).digest()[:4]
    number = int.from_bytes(whole, "big")
    letters = []
    while number:
        number, digit = divmod(number, 58)
        letters.append(_BASE58[digit])
    zeros = len(whole) - len(whole.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(letters))
