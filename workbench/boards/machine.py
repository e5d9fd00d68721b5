"""What this machine lacks, as the page says it: GPU, language model, network, and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from workbench.doctor import gpu, language_models, model_folder
from workbench.settings import load_settings

MISSING: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "gpu": (
        {"template": "No GPU was found: tasks run on the processor."},
        {"template": "With an NVIDIA or AMD card and its driver, models that can use it will."},
    ),
    "model": (
        {"template": "There is no language model yet: the chat needs one, the rest does not."},
        {
            "template": "Put a GGUF file into {folder}, or start LM Studio, Ollama or llama.cpp "
            "on this machine."
        },
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


def missing_here(data: Path) -> list[dict[str, Any]]:
    """The lines of the page's strip; empty where nothing is missing. Takes up to a second."""
    settings = load_settings(data=data)
    checks: dict[str, Callable[[], bool]] = {
        "gpu": lambda: gpu().state == "ok",
        "model": lambda: language_models(settings).state == "ok",
        "network": has_network,
    }
    values = {"folder": str(model_folder(settings))}
    return [
        {"there": False, "said": MISSING[name][0], "remedy": {**MISSING[name][1], "values": values}}
        for name, is_there in checks.items()
        if not is_there()
    ]


def model_hint(data: Path) -> list[dict[str, Any]]:
    """Where a model file is to be put, for the page that has no model yet."""
    folder = str(model_folder(load_settings(data=data)))
    template = "Or put a model file (GGUF) into {folder}: the hub runs it by itself."
    return [{"there": False, "said": {"template": template, "values": {"folder": folder}}}]
