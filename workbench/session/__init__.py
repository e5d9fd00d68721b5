"""`connect()`: the workbench for notebooks and shells, the one blocking façade."""

from workbench.core.figure import Figure
from workbench.session.map import Runs
from workbench.session.run import Run, RunResult
from workbench.session.tasks import Models
from workbench.session.workbench import Workbench, allow_nested_loops, connect

__all__ = [
    "Figure",
    "Models",
    "Run",
    "RunResult",
    "Runs",
    "Workbench",
    "allow_nested_loops",
    "connect",
]
