"""`connect()`: the workbench for notebooks and shells, the one blocking façade."""

from workbench.session.run import Figure, Run, RunResult
from workbench.session.workbench import Models, Workbench, allow_nested_loops, connect

__all__ = [
    "Figure",
    "Models",
    "Run",
    "RunResult",
    "Workbench",
    "allow_nested_loops",
    "connect",
]
