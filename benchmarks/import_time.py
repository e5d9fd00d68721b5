"""How long `import workbench` takes, beside a bare Python: the median of fresh processes.

Aim: 0.15 s over the bare interpreter's own start, and nothing heavy imported.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 15
AIM_S = 0.15
HEAVY = ("pandas", "duckdb", "dask", "distributed", "pyarrow", "plotly", "ipywidgets", "sklearn")


def started(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def medians(*codes: str) -> list[float]:
    """Taken in turn, so that a busy moment of the machine falls on all of them."""
    rounds = [[started(code) for code in codes] for _ in range(RUNS)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def main() -> None:
    bare_s, package_s, connect_s = medians(
        "pass", "import workbench", "from workbench import connect, MeshClient"
    )
    import_s = package_s - bare_s
    verdict = "within the aim" if import_s <= AIM_S else "above the aim"
    print(f"bare python               {bare_s:.3f} s")
    print(f"import workbench          {package_s:.3f} s, of which import {import_s:.3f} s")
    print(f"  and connect, MeshClient {connect_s:.3f} s")
    print(f"aim {AIM_S:.2f} s: {verdict}; {package_s / bare_s:.2f}x the bare interpreter")
    listed = f"[name for name in {HEAVY!r} if name in sys.modules]"
    code = f"import sys, workbench; found = {listed}; sys.exit(', '.join(found) or 0)"
    subprocess.run([sys.executable, "-c", code], check=True)
    print("nothing heavy is imported")


if __name__ == "__main__":
    main()
