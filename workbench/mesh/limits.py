"""What a mesh node allows: how much, and how long."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds and bytes."""

    heartbeat_s: float = 15.0
    silence_s: float = 60.0
    slow_reader_s: float = 60.0
    drain_s: float = 10.0
    stop_s: float = 5.0
    """After a drain's time: how long stopping what still runs may take."""
    tick_s: float = 0.5
    input_bytes: int = 100_000_000
    runes: int = 5000
    kept_inputs_bytes: int = 8 << 30
    upload_disk_bytes: int = 16 << 30
    functions_disk_bytes: int = 4 << 30
