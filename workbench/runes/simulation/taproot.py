"""Taproot outputs with one script and no key (BIP 341): real ones, spendable by the script.

The internal key is the point of BIP 341 whose logarithm nobody knows, so that a simulation
needs no signature anywhere.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import NamedTuple

_PRIME = 2**256 - 2**32 - 977
_G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
_NOBODY_X = 0x50929B74C1A04954B78B4B6035E97A5E078A5A0F28EC96D547BFEE9ACE803AC0
_LEAF_VERSION = 0xC0

Point = tuple[int, int]


class Leaf(NamedTuple):
    """An output that `script` can spend, and the control block that proves it."""

    output: bytes
    script: bytes
    control: bytes


def leaf_output(script: bytes, internal_x: int = _NOBODY_X) -> Leaf:
    """The P2TR output with the one script `script` (of at most 252 bytes)."""
    internal = internal_x.to_bytes(32, "big")
    leaf = _tagged("TapLeaf", bytes([_LEAF_VERSION, len(script)]) + script)
    tweak = int.from_bytes(_tagged("TapTweak", internal + leaf), "big")
    x, y = _add(_even(internal_x), _times_g(tweak))
    control = bytes([_LEAF_VERSION | y & 1]) + internal
    return Leaf(b"\x51\x20" + x.to_bytes(32, "big"), script, control)


def _tagged(tag: str, data: bytes) -> bytes:
    """BIP 340's tagged hash."""
    prefix = sha256(tag.encode()).digest()
    return sha256(prefix + prefix + data).digest()


def _even(x: int) -> Point:
    y = pow(x**3 + 7, (_PRIME + 1) // 4, _PRIME)
    return x, y if y % 2 == 0 else _PRIME - y


def _add(a: Point, b: Point) -> Point:
    """The sum of two points that are not each other's negative."""
    if a == b:
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, _PRIME)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, _PRIME)
    x = (slope * slope - a[0] - b[0]) % _PRIME
    return x, (slope * (a[0] - x) - a[1]) % _PRIME


@cache
def _windows() -> list[list[Point]]:
    """For each 4 bits of a number, their 15 multiples of G: an add for 4 bits, no doubling."""
    windows, base = [], _G
    for _ in range(64):
        row = [base]
        for _ in range(14):
            row.append(_add(row[-1], base))
        windows.append(row)
        base = _add(row[-1], base)
    return windows


def _times_g(number: int) -> Point:
    """A positive number times G, in Jacobian coordinates: one inverse at the end, not 64."""
    total: tuple[int, int, int] | None = None
    for place, window in enumerate(_windows()):
        digit = number >> 4 * place & 0xF
        if digit:
            point = window[digit - 1]
            total = (*point, 1) if total is None else _mixed_add(total, point)
    if total is None:
        raise ZeroDivisionError("zero times G is no point")
    x, y, z = total
    inverse = pow(z, -1, _PRIME)
    return x * inverse**2 % _PRIME, y * inverse**3 % _PRIME


def _mixed_add(a: tuple[int, int, int], b: Point) -> tuple[int, int, int]:
    """A Jacobian point plus another affine one."""
    x, y, z = a
    square = z * z % _PRIME
    h = (b[0] * square - x) % _PRIME
    r = (b[1] * square * z - y) % _PRIME
    h2 = h * h % _PRIME
    h3 = h * h2 % _PRIME
    v = x * h2 % _PRIME
    x3 = (r * r - h3 - 2 * v) % _PRIME
    return x3, (r * (v - x3) - y * h3) % _PRIME, h * z % _PRIME
