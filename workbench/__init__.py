"""Runes Workbench: your own GPUs, local language models and Bitcoin Runes data in one notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.boards import (
        show_chat,
        show_gpus,
        show_mesh,
        show_models,
        show_runes,
        show_workbench,
    )
    from workbench.clients.answer import QueryResult
    from workbench.clients.endpoints import SettingsFileEndpoints
    from workbench.clients.http_endpoints import HttpEndpoints
    from workbench.clients.hub import HubClient
    from workbench.clients.mesh import MeshClient
    from workbench.clients.models import ModelClient
    from workbench.core.endpoint import Endpoint
    from workbench.core.model import Context, DataURL, MeshModel, Result, model
    from workbench.errors import (
        InputError,
        LinkError,
        ProtocolError,
        SettingsError,
        StoreError,
        TaskError,
        WorkbenchError,
    )
    from workbench.session import Run, Runs, Workbench, connect
    from workbench.session.reproducing import reproduce
    from workbench.session.shortcuts import map, run, runs, submit
    from workbench.session.snapshots import snapshot
    from workbench.speaking import language

_HOMES = {
    "connect": "workbench.session",
    "Run": "workbench.session",
    "Runs": "workbench.session",
    "language": "workbench.speaking",
    "map": "workbench.session.shortcuts",
    "reproduce": "workbench.session.reproducing",
    "run": "workbench.session.shortcuts",
    "runs": "workbench.session.shortcuts",
    "snapshot": "workbench.session.snapshots",
    "submit": "workbench.session.shortcuts",
    "Workbench": "workbench.session",
    "QueryResult": "workbench.clients.answer",
    "HubClient": "workbench.clients.hub",
    "MeshClient": "workbench.clients.mesh",
    "ModelClient": "workbench.clients.models",
    "Endpoint": "workbench.core.endpoint",
    "HttpEndpoints": "workbench.clients.http_endpoints",
    "SettingsFileEndpoints": "workbench.clients.endpoints",
    "show_chat": "workbench.boards",
    "show_gpus": "workbench.boards",
    "show_models": "workbench.boards",
    "show_mesh": "workbench.boards",
    "show_runes": "workbench.boards",
    "show_workbench": "workbench.boards",
    "Context": "workbench.core.model",
    "DataURL": "workbench.core.model",
    "MeshModel": "workbench.core.model",
    "Result": "workbench.core.model",
    "model": "workbench.core.model",
    "InputError": "workbench.errors",
    "LinkError": "workbench.errors",
    "ProtocolError": "workbench.errors",
    "SettingsError": "workbench.errors",
    "StoreError": "workbench.errors",
    "TaskError": "workbench.errors",
    "WorkbenchError": "workbench.errors",
}

__all__ = [
    "Context",
    "DataURL",
    "Endpoint",
    "HttpEndpoints",
    "HubClient",
    "InputError",
    "LinkError",
    "MeshClient",
    "MeshModel",
    "ModelClient",
    "ProtocolError",
    "QueryResult",
    "Result",
    "Run",
    "Runs",
    "SettingsError",
    "SettingsFileEndpoints",
    "StoreError",
    "TaskError",
    "Workbench",
    "WorkbenchError",
    "__version__",
    "connect",
    "language",
    "map",
    "model",
    "reproduce",
    "run",
    "runs",
    "show_chat",
    "show_gpus",
    "show_mesh",
    "show_models",
    "show_runes",
    "show_workbench",
    "snapshot",
    "submit",
]


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for (PEP 562)."""
    if name == "__version__":
        from workbench.version import VERSION

        value: Any = VERSION
    elif name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
