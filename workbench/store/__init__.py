"""What the workbench keeps, and the only place that speaks DuckDB."""

from workbench.store.export import Exported
from workbench.store.frames import QueryEnd, QueryFrame, QueryHead
from workbench.store.retention import Keep
from workbench.store.side_files import SideFile
from workbench.store.store import Figures, Store

__all__ = [
    "Exported",
    "Figures",
    "Keep",
    "QueryEnd",
    "QueryFrame",
    "QueryHead",
    "SideFile",
    "Store",
]
