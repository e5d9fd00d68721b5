"""What one metrics panel costs: bytes and milliseconds per tick, kernel CPU, and browser frames.

The peer is what a panel of ipywidgets does: the same figure as a new trait value for each tick,
so that every tick carries all points again (plain JSON, Plotly.react in the page). Both draw 8
GPUs with 24 h of history (300 points a series). Kernel CPU counts building and serialising a
tick's message as Jupyter does, over TICKS ticks, as a share of one core at one tick each 2 s.
Browser milliseconds are Chromium's own count of its main thread's work for one message: where only
bars and words move, and where the charts get a point (each 288 s in a window of 24 h).
Aims: below 1 kB per tick, below 0.5 % of one core.

    python benchmarks/gpu_panel.py
"""

from __future__ import annotations

import base64
import json
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from jupyter_client.session import Session
from playwright.sync_api import Page, sync_playwright

from tests.browser.chromium import FLAGS, find
from tests.browser.harness import BarePage, page_files
from workbench.core.metrics import CATALOGUE
from workbench.widgets.gpu import GpuPanel

GPUS, POINTS, WINDOW_S, INTERVAL_S = 8, 300, 86_400, 2.0
TICKS, DRAWN = 2_000, 30
AT = 1_795_184_400_000
METRICS = [name for name, metric in CATALOGUE.items() if metric.of == "gpu"]
HOST = [name for name, metric in CATALOGUE.items() if metric.of == "host"]
LLM = [name for name, metric in CATALOGUE.items() if metric.of == "model"]
COLUMNS = [
    *((name, str(gpu)) for gpu in range(GPUS) for name in METRICS),
    *((name, "") for name in (*HOST, *LLM)),
]
SAY = """([content, packed]) => {
  const bytes = packed.map((text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
  model.say(content, bytes.map((one) => new DataView(one.buffer)));
}"""
REDRAW = """() => {
  const plot = document.querySelector(".wb-plot");
  const figure = JSON.parse(JSON.stringify({ data: plot.data, layout: plot.layout }));
  const moved = (one) => (typeof one === "number" ? one * (0.99 + 0.02 * Math.random()) : one);
  for (const trace of figure.data) trace.y = trace.y.map(moved);
  return Plotly.react(plot, figure.data, figure.layout).then(() => undefined);
}"""
REST = """() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 120)))"""


class Sending(GpuPanel):
    """A panel that serialises its messages as Jupyter does, and hands them to a page."""

    def __init__(self, **traits: Any) -> None:
        self.page: Page | None = None
        self.session = Session(key=b"benchmark")
        self.payload = self.wire = 0
        super().__init__(**traits)

    def send(self, content: Any, buffers: Any = None) -> None:
        if content["kind"] == "pong":
            return
        packed = [bytes(one) for one in buffers or ()]
        if self.page is not None:
            texts = [base64.b64encode(one).decode() for one in packed]
            self.page.evaluate(SAY, [json.loads(json.dumps(content)), texts])
            return
        data = {"comm_id": "0" * 32, "data": {"method": "custom", "content": content}}
        asked = self.session.msg_header("comm_msg")
        parts = self.session.serialize(self.session.msg("comm_msg", data, parent=asked))
        self.payload = len(json.dumps(content, separators=(",", ":"))) + sum(map(len, packed))
        self.wire = sum(map(len, parts)) + sum(map(len, packed))


class Work:
    """Chromium's own count of what a page's main thread did."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._cdp = page.context.new_cdp_session(page)
        self._cdp.send("Performance.enable")

    def _worked_s(self) -> float:
        metrics = self._cdp.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    def of(self, act: Callable[[], Any]) -> tuple[float, float]:
        """Median and 95th percentile in ms of `act` with the frame that it leads to."""
        times = []
        for _ in range(DRAWN):
            before = self._worked_s()
            act()
            self.page.evaluate(REST)
            times.append(1000 * (self._worked_s() - before))
        times.sort()
        return statistics.median(times), times[int(0.95 * DRAWN)]


def gpu(number: int) -> dict[str, Any]:
    return {
        "gpuId": str(number),
        "name": "NVIDIA H100 80GB HBM3",
        "vendor": "nvidia",
        "memoryTotalMB": 85899.3,
        "powerLimitW": 700,
        "state": "ok",
        "throttle": [],
    }


def history(chance: random.Random) -> dict[str, Any]:
    """24 h in 300 steps for every column."""
    step = WINDOW_S * 1000 // POINTS
    at = [AT - (POINTS - number) * step for number in range(POINTS)]
    series = []
    for metric, subject in COLUMNS:
        mean = [round(chance.uniform(20, 80), 1) for _ in at]
        low, high = [one - 5 for one in mean], [one + 5 for one in mean]
        series.append(
            {
                "metric": metric,
                "subject": subject,
                "at": at,
                "mean": mean,
                "low": low,
                "high": high,
            }
        )
    return {"resolution": "minute", "stepMs": step, "since": at[0], "until": AT, "series": series}


def panel() -> Sending:
    kinds = ("unit", "title", "of", "low", "high")
    return Sending(
        connection={"state": "connected", "url": ""},
        gpus=[gpu(number) for number in range(GPUS)],
        catalogue={
            name: {kind: getattr(metric, kind) for kind in kinds}
            for name, metric in CATALOGUE.items()
        },
        columns=[list(column) for column in COLUMNS],
        rules=[
            {"name": name, "metric": name, "threshold": 80.0, "direction": "above", "forS": 10.0}
            for name in METRICS[:3]
        ],
        options={"windowS": WINDOW_S},
    )


def values(chance: random.Random) -> list[float | None]:
    return [None if name == "gpu.fan" else chance.uniform(20, 80) for name, _ in COLUMNS]


def kernel(widget: Sending, chance: random.Random) -> None:
    """Bytes and CPU of ticks that somebody looks at, and of those that nobody does."""
    rows = [values(chance) for _ in range(50)]
    widget.receive({"kind": "ping", "page": "a"})
    widget.tick(AT, rows[0])
    for said, work in (("a page looks", True), ("hidden", False)):
        if not work:
            widget.receive({"kind": "hidden", "page": "a"})
        began = time.process_time()
        for number in range(TICKS):
            if work and number % 50 == 0:
                widget.receive({"kind": "ping", "page": "a"})
            widget.tick(AT + number, rows[number % 50])
        each_ms = (time.process_time() - began) / TICKS * 1000
        share = each_ms / 1000 / INTERVAL_S
        print(f"kernel, {said:13} {each_ms:7.3f} ms per tick  {share:8.4%} of one core at 2 s")
    print(f"bytes per tick         {widget.payload:7,} payload  {widget.wire:,} with the envelope")


def browser(widget: Sending, chance: random.Random) -> None:
    """The main thread's work for a tick; beside it the whole figure drawn anew."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find(), args=list(FLAGS))
        page = chromium.new_page(viewport={"width": 1400, "height": 1000})
        state = {"traits": {}, **widget.snapshot()}
        BarePage(page, page_files(widget, state, "light")).open("?lang=en")
        page.wait_for_selector(".wb-gauges .main-svg")
        widget.page = page
        widget.receive({"kind": "hello"})
        widget.history(history(chance))
        page.evaluate(REST)
        at = iter(range(AT, AT + 10 * WINDOW_S * 1000, 2000))
        steps = iter(range(AT + WINDOW_S * 1000, AT + 10 * WINDOW_S * 1000, 300_000))
        work = Work(page)
        for said, act in (
            ("bars and words", lambda: widget.tick(next(at), values(chance))),
            ("a new point", lambda: widget.tick(next(steps), values(chance))),
            ("whole figure", lambda: page.evaluate(REDRAW)),
        ):
            middle, late = work.of(act)
            print(f"browser, {said:14} {middle:5.0f} ms of its main thread, p95 {late:.0f} ms")
        whole = page.evaluate("() => JSON.stringify(document.querySelector('.wb-plot').data)")
        chromium.close()
    print(f"bytes of the whole figure  {len(whole.encode()):,}")


def main() -> None:
    chance = random.Random(7)
    print(f"{GPUS} GPUs, {len(COLUMNS)} values per tick, {POINTS} points per series of 24 h")
    kernel(panel(), chance)
    browser(panel(), chance)


if __name__ == "__main__":
    main()
