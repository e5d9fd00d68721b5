"""What this machine lacks, as the page says it: GPU, language model, network, and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil

from workbench.doctor import gpu, language_models

MISSING: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "gpu": (
        {"template": "No GPU was found: tasks run on the processor."},
        {"template": "With an NVIDIA or AMD card and its driver, models that can use it will."},
    ),
    "model": (
        {"template": "No language model is running: nothing on this page needs one."},
        {"template": "To have one, start LM Studio, Ollama or llama.cpp on this machine."},
    ),
    "network": (
        {"template": "There is no network: addresses elsewhere cannot be fetched."},
        {"template": "Files and samples work without it."},
    ),
}


def has_network() -> bool:
    """Whether an interface beyond loopback is up. Asks the system, sends nothing."""
    interfaces = psutil.net_if_stats().items()
    return any(stats.isup for name, stats in interfaces if not name.startswith("lo"))


def missing_here() -> list[dict[str, Any]]:
    """The lines of the page's strip; empty where nothing is missing. Takes up to a second."""
    checks: dict[str, Callable[[], bool]] = {
        "gpu": lambda: gpu().state == "ok",
        "model": lambda: language_models().state == "ok",
        "network": has_network,
    }
    return [
        {"there": False, "said": MISSING[name][0], "remedy": MISSING[name][1]}
        for name, is_there in checks.items()
        if not is_there()
    ]
