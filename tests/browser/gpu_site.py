"""A page and a hub whose driver is the fake NVML, and a reader of its metrics panel."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Locator, expect

from tests.browser.serving import Served, served
from tests.browser.visitor import Visitor
from tests.collectors.fake_nvml import World

LIVE_MS = 60_000
MOVES_MS = 15_000


class GpuSite:
    """`world` is what the driver says; its changes are true once written."""

    def __init__(self, served: Served, world: World) -> None:
        self.served, self.world = served, world

    def kernels(self) -> list[psutil.Process]:
        """The kernels of this page, oldest first."""
        found = [
            process
            for process in psutil.process_iter(["cmdline", "environ", "create_time"])
            if "ipykernel_launcher" in " ".join(process.info["cmdline"] or ())
            and (process.info["environ"] or {}).get("WORKBENCH_DATA") == str(self.served.data)
        ]
        return sorted(found, key=lambda process: float(process.info["create_time"]))


@contextlib.contextmanager
def gpu_site(
    folder: Path, kind: str, jupyter: Mapping[str, Any] | None = None, **settings: str
) -> Iterator[GpuSite]:
    """Two GPUs, the first in use; alerts wait for nothing, so that a test need not either."""
    world = World(folder).gpu(0, utilization=15, temperature_c=50, power_w=100).gpu(1).write()
    given = {"WORKBENCH_ALERT_FOR_S": "0", **world.environment(), **settings}
    with served(folder, kind, jupyter, **given) as running:
        yield GpuSite(running, world)


class Reader:
    """Somebody who looks at the metrics panel of a page."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.panel = visitor.page.locator(".wb-gpu")

    def meter(self, name: str) -> Locator:
        """The text twin of a gauge, such as `GPU 0: GPU utilisation`."""
        return self.panel.get_by_role("meter", name=name, exact=True)

    def shows(self, name: str, value: float) -> None:
        expect(self.meter(name)).to_have_attribute("aria-valuenow", str(value), timeout=MOVES_MS)

    def is_state(self, state: str, timeout_ms: float = LIVE_MS) -> None:
        """`live`, `paused`, `stale`, `disconnected` or `silent`, as its badge says."""
        badge = self.panel.locator(f'.wb-fresh[data-state="{state}"]')
        expect(badge).to_be_visible(timeout=timeout_ms)

    def scrolls_there(self) -> None:
        self.panel.evaluate("at => at.scrollIntoView()")

    def press(self, name: str) -> None:
        self.panel.get_by_role("button", name=name, exact=True).click()
