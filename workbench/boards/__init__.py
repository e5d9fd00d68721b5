"""Boards: each wires a widget to the session, and shows it once."""

from __future__ import annotations

from workbench.boards.chat import show_chat
from workbench.boards.gpu import show_gpus
from workbench.boards.mesh import show_mesh
from workbench.boards.models import show_models
from workbench.boards.runes import show_runes
from workbench.boards.workbench import show_workbench

__all__ = ["show_chat", "show_gpus", "show_mesh", "show_models", "show_runes", "show_workbench"]
