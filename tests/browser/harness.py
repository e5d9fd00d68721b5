"""Draws a widget's own JavaScript from a JSON file in a bare page, without a kernel."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, Route

from workbench.widgets.plotly import packed_plotly

# A stand-in for the model that Jupyter hands to a widget: the edge of the page.
_MODEL = """
function modelOf(traits, answers) {
  const listeners = new Map();
  const tell = (name, ...said) => [...(listeners.get(name) ?? [])].forEach((one) => one(...said));
  const sent = [];
  return {
    sent,
    mute: false,
    get: (name) => traits[name],
    set(name, value) { traits[name] = value; tell(`change:${name}`); },
    on: (name, one) => listeners.set(name, [...(listeners.get(name) ?? []), one]),
    off: (name, one) => listeners.set(name, (listeners.get(name) ?? []).filter((o) => o !== one)),
    say: (content, buffers) => tell("msg:custom", content, buffers ?? []),
    send(content, _callbacks, buffers) {
      if (content.kind !== "ping") sent.push({ ...content, bytes: buffers?.[0]?.byteLength });
      if (!this.mute) setTimeout(() => answers(this, content, buffers));
    },
  };
}
"""

_ANSWERS = """
function answers(model, content) {
  if (content.kind === "ping") model.say({ kind: "pong" });
  if (content.kind === "hello") model.say({ kind: "snapshot", n: 0, ...FILE.snapshot });
  if (content.kind === "open") {
    const empty = { lines: [], dropped: 0, result: null };
    const opened = FILE.opened[content.taskId] ?? empty;
    model.say({ kind: "opened", taskId: content.taskId, ...empty, ...opened });
  }
  if (content.kind === "plotly" && FILE.figures) {
    fetch("plotly.js.gz").then(async (got) => {
      model.say({ kind: "plotly" }, [new DataView(await got.arrayBuffer())]);
    });
  }
}
"""

_PAGE = """<!doctype html>
<html><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body {{ margin: 0; padding: 20px; background: {ground}; }} {css}</style></head>
<body data-jp-theme-light="{light}"><div id="here"></div>
<script type="module">
import widget from "./widget.mjs";
const FILE = await (await fetch("state.json")).json();
{model}
{answers}
globalThis.FILE_TASKS = () => FILE.snapshot.tasks;
globalThis.FILE_NOW = () => FILE.snapshot.now;
globalThis.model = modelOf(FILE.traits, answers);
globalThis.stop = widget.render({{ model: globalThis.model, el: document.getElementById("here") }});
document.body.dataset.ready = "yes";
</script></body></html>
"""


KINDS = {"": "text/html", "mjs": "text/javascript", "json": "application/json"}


class BarePage:
    """Serves the files of a bare page to one browser page, and keeps what the page did."""

    def __init__(self, page: Page, files: dict[str, bytes]) -> None:
        self.page = page
        self.address = "http://widget.test/"  # one for all: another would be another process
        self.files = files
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.route("**/*", self._answer)

    def open(self, query: str = "") -> None:
        self.page.goto(self.address + query)
        self.page.wait_for_selector("body[data-ready]")

    def is_clean(self) -> None:
        """Nothing went wrong on the page, and nothing outside it was asked for."""
        assert not self.errors, self.errors
        assert not self.foreign, self.foreign

    def _answer(self, route: Route) -> None:
        url = route.request.url
        name = url.removeprefix(self.address).split("?")[0]
        if not url.startswith(self.address):
            self.foreign.append(url)
        if name not in self.files:
            route.fulfill(status=404, body="")
            return
        kind = KINDS.get(name.rsplit(".", 1)[-1], "application/octet-stream")
        route.fulfill(body=self.files[name], content_type=kind)


def page_files(
    widget: Any, state: dict[str, Any], theme: str, *, figures: bool = False
) -> dict[str, bytes]:
    """The files of a bare page that draws `widget`: name -> content. Drawing figures takes
    plotly.js, which costs a page a second: only where a test looks at one."""
    rest = {name: value for name, value in state.items() if name not in ("traits", "opened")}
    known = {name: widget.get_state(name)[name] for name in widget.trait_names(sync=True)}
    own = {name: value for name, value in known.items() if not name.startswith("_")}
    traits = {**own, **state.get("traits", {})}
    file = {
        "traits": traits,
        "snapshot": rest,
        "opened": state.get("opened", {}),
        "figures": figures,
    }
    page = _PAGE.format(
        ground="#f4f5f7" if theme == "light" else "#0d0f12",
        light=str(theme == "light").lower(),
        css=widget._css,
        model=_MODEL,
        answers=_ANSWERS,
    )
    return {
        "": page.encode(),
        "widget.mjs": widget._esm.encode(),
        "state.json": json.dumps(file).encode(),
        "plotly.js.gz": packed_plotly(),
    }


def sent(page: Page, kind: str) -> list[dict[str, Any]]:
    """What a bare page's widget has sent of one kind, oldest first."""
    found: list[dict[str, Any]] = page.evaluate(
        "kind => model.sent.filter(one => one.kind === kind)", kind
    )
    return found


_DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def presses_around(button: Locator, change: Callable[[], object]) -> None:
    """A press between whose halves the page hears of `change` and draws it."""
    button.hover()
    button.page.mouse.down()
    change()
    button.page.evaluate(_DRAWN)
    button.page.mouse.up()


def presses_while_it_changes(page: Page, name: str) -> None:
    """A press of that button between whose halves the page hears anew of its connection."""
    heard = """() => model.set("connection",
      { ...model.get("connection"), retryAt: Date.now() + 9000 })"""
    presses_around(page.get_by_role("button", name=name), lambda: page.evaluate(heard))
