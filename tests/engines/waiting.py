"""Waiting for what another process does: looked at until a deadline, never slept for."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil


def until(true: Callable[[], bool], *, limit_s: float) -> float:
    """Seconds until `true()` was; fails after `limit_s`."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < limit_s, f"not so after {limit_s} s"
        time.sleep(0.01)
    return time.monotonic() - began


def alive(pid: int) -> bool:
    """Whether a process still runs; the dead whom nobody buried do not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
