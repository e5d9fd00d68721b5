"""The metrics panel drawn from a JSON file, without a kernel: what a reader sees and can do."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import STATES, Shot
from tests.browser.harness import BarePage, page_files, presses_around, presses_while_it_changes
from tests.browser.test_mesh_widget import CONTRASTS, sent
from workbench.widgets.gpu import GpuPanel

pytestmark = pytest.mark.browser

FILE = STATES / "gpu.json"
SAY = """([content, packed]) => model.say(content, packed.map((text) =>
  new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer)))"""
FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
PULSES = """() => { globalThis.pulses = 0; const send = model.send;
  model.send = function (content, ...rest) {
    if (content.kind === "ping") globalThis.pulses += 1;
    return send.call(this, content, ...rest);
  }; }"""


class Live(GpuPanel):
    """A panel whose messages go to a page drawn by the harness."""

    page: Page | None = None

    def send(self, content: Any, buffers: Any = None) -> None:
        if self.page is not None and content["kind"] != "pong":
            packed = [base64.b64encode(bytes(one)).decode() for one in buffers or ()]
            self.page.evaluate(SAY, [json.loads(json.dumps(content)), packed])


class Drawn:
    """A page with a panel, and the Python side that can go on with it."""

    def __init__(self, bare: BarePage, widget: Live, traits: dict[str, Any]) -> None:
        self.bare, self.page, self.widget, self.traits = bare, bare.page, widget, traits
        widget.page = bare.page
        widget.receive({"kind": "hello"})
        self.numbers = json.loads(FILE.read_text())["tick"]
        self.tick()

    def trait(self, name: str, value: Any) -> None:
        self.page.evaluate("([name, value]) => model.set(name, value)", [name, value])

    def option(self, **changes: Any) -> None:
        self.trait("options", {**self.traits["options"], **changes})

    def tick(self, **changes: float | None) -> None:
        """The next moment: names are a metric's last part and the subject, `power_0`."""
        self.numbers["at"] += 2000
        for place, (metric, subject) in enumerate(self.widget.columns):
            key = f"{metric.split('.')[1]}_{subject}"
            if key in changes:
                self.numbers["values"][place] = changes[key]
        self.widget.tick(self.numbers["at"], self.numbers["values"])

    def meter(self, name: str) -> Locator:
        return self.page.get_by_role("meter", name=name, exact=True)

    @property
    def figure(self) -> Locator:
        return self.page.locator(".wb-plot .main-svg").first

    def is_clean(self) -> None:
        self.bare.is_clean()


Draw = Callable[..., Drawn]


@pytest.fixture
def draw(lend_page: Callable[..., Page]) -> Draw:
    def open_page(
        lang: str = "en",
        theme: str = "light",
        changed: dict[str, Any] | None = None,
        **options: Any,
    ) -> Drawn:
        widget = Live.from_file(FILE)
        assert isinstance(widget, Live)
        traits = {**json.loads(FILE.read_text())["traits"], **(changed or {})}
        shown = {"traits": traits, **widget.snapshot()}
        bare = BarePage(lend_page(**options), page_files(widget, shown, theme, figures=True))
        bare.open(f"?lang={lang}")
        return Drawn(bare, widget, traits)

    return open_page


@pytest.mark.parametrize(
    ("width", "lang", "theme", "view"),
    [
        (1400, "en", "light", "gpu"),
        (1400, "pt-BR", "dark", "llm"),
        (700, "en", "dark", "gpu"),
        (390, "pt-BR", "light", "gpu"),
    ],
)
def test_a_panel_is_drawn(
    draw: Draw, shot: Shot, width: int, lang: str, theme: str, view: str
) -> None:
    drawn = draw(lang, theme, viewport={"width": width, "height": 900})
    drawn.option(view=view)
    expect(drawn.page.get_by_role("meter")).to_have_count({"gpu": 20, "llm": 18}[view])
    expect(drawn.page.locator(".wb-plot .textpoint").nth(4)).to_be_attached()
    expect(drawn.page.locator(".wb-plot .scatterlayer .js-line").nth(4)).to_be_attached()
    drawn.page.evaluate(FRAMES)
    shot(drawn.page, f"gpu-{view}-{theme}-{lang}-{width}")
    assert drawn.page.evaluate("document.documentElement.scrollWidth") <= width
    assert drawn.page.evaluate(CONTRASTS) == []
    drawn.is_clean()


def test_gauges_move_in_the_figure_that_is_there(draw: Draw) -> None:
    drawn = draw()
    expect(drawn.meter("GPU 1: Temperature")).to_have_attribute("aria-valuetext", "61 °C")
    expect(drawn.page.locator(".wb-plot .textpoint", has_text="61 °C")).to_be_attached()
    drawn.figure.evaluate("svg => { svg.dataset.first = 'yes'; }")
    drawn.tick(temperature_1=66.0, utilization_1=None)
    meter = drawn.meter("GPU 1: Temperature")
    expect(meter).to_have_attribute("aria-valuenow", "66")
    expect(meter).to_have_attribute("aria-valuemax", "110")
    expect(drawn.page.locator(".wb-plot .textpoint", has_text="66 °C")).to_be_attached()
    missing = drawn.meter("GPU 1: GPU utilisation")
    expect(missing).to_have_attribute("aria-valuetext", "not given")
    expect(missing).not_to_have_attribute("aria-valuenow", re.compile(".*"))
    for step in range(3):  # charts stay while only bars and words move
        drawn.tick(temperature_1=70.0 + step)
    expect(drawn.page.locator(".wb-plot .textpoint", has_text="72 °C")).to_be_attached()
    expect(drawn.page.locator(".wb-plot .xy .js-line")).to_have_count(12)  # with bands
    expect(drawn.figure).to_have_attribute("data-first", "yes")
    drawn.is_clean()


def test_a_gpu_that_is_lost_and_what_is_not_given_are_words(draw: Draw) -> None:
    drawn = draw()
    expect(drawn.meter("GPU 3: Power")).to_have_attribute("aria-valuetext", "lost")
    rows = drawn.page.locator(".wb-gputable tbody tr")
    expect(rows.nth(4)).to_contain_text("GPU 3 fell off the bus: restart this machine")
    expect(rows.nth(2)).to_contain_text("slice of GPU 1")
    expect(rows.nth(3)).to_contain_text("shares the machine's memory")
    expect(rows.nth(0)).to_contain_text("power limit")
    expect(rows.nth(0)).to_contain_text("67.2 GB of 85.9 GB")
    memory = drawn.page.locator(".wb-memory")
    expect(memory).to_contain_text("other programs")
    expect(memory).to_contain_text("not known while it is lost")
    expect(memory).to_contain_text("held by qwen3-14b, idle 12 min")
    expect(
        drawn.page.get_by_text("998 W now, 0.8 BRL per hour (2 of 4 GPUs say it)")
    ).to_be_visible()
    drawn.page.get_by_role("button", name="Unload qwen3-14b").click()
    [unload] = sent(drawn.page, "unload")
    assert unload["model"] == "qwen3-14b"


def test_the_chart_spans_the_window_however_little_of_it_is_known(draw: Draw) -> None:
    drawn = draw()
    drawn.option(windowS=86_400)
    expect(drawn.figure).to_be_visible()
    axis = """() => { const { range } = document.querySelector(".wb-gpu .wb-plot").layout.xaxis;
      return Math.abs(new Date(range[1]) - new Date(range[0])); }"""
    for _ in range(3):
        drawn.tick(utilization_0=50.0)
        drawn.page.wait_for_function(f"() => ({axis})() === 86_400_000")
    drawn.trait("options", {**drawn.traits["options"], "view": "host", "windowS": 300})
    drawn.is_clean()


def test_alerts_come_notify_and_go(draw: Draw) -> None:
    drawn = draw()
    drawn.option(intervalMs=60_000)  # no value grows old while a slow machine looks
    page, alerts = drawn.page, drawn.traits["alerts"]
    page.evaluate("""() => { globalThis.noted = [];
      globalThis.Notification = class { constructor(title) { noted.push(title); }
        static requestPermission = () => Promise.resolve("granted"); }; }""")
    strip = page.locator(".wb-alerts")
    expect(strip.locator(".wb-alert")).to_have_count(2)
    expect(strip).to_contain_text("Temperature of GPU 0: above 80 °C")
    expect(strip).to_contain_text("then 84 °C")
    expect(drawn.meter("GPU 0: Temperature")).to_have_attribute("aria-valuetext", "84 °C, alert")
    expect(page.locator(".wb-plot .textpoint", has_text="▲ 84 °C")).to_be_attached()
    page.get_by_role("button", name="Notify").click()
    expect(page.get_by_role("button", name="Notify")).to_have_attribute("aria-pressed", "true")
    hot = {**alerts[0], "alertId": "a9", "subject": "2", "value": 81.0}
    drawn.trait("alerts", [*alerts, hot])
    expect(strip.locator(".wb-alert")).to_have_count(3)
    assert page.evaluate("noted") == ["Alert: Temperature of GPU 2"]
    drawn.trait("alerts", [])
    expect(strip).to_be_hidden()
    expect(drawn.meter("GPU 0: Temperature")).to_have_attribute("aria-valuetext", "84 °C")
    expect(page.locator(".wb-plot .textpoint", has_text="▲")).to_have_count(0)
    drawn.is_clean()


def test_view_gpus_window_interval_and_pause_are_chosen(draw: Draw) -> None:
    drawn = draw()
    page = drawn.page
    chooser = page.get_by_role("group", name="GPUs shown")
    chooser.get_by_role("button", name="GPU 1", exact=True).click()
    expect(page.get_by_role("meter")).to_have_count(4)
    chooser.get_by_role("button", name="GPU 0").click()
    expect(page.get_by_role("meter")).to_have_count(8)
    chooser.get_by_role("button", name="All").click()
    expect(page.get_by_role("meter")).to_have_count(20)
    assert [one["gpus"] for one in sent(page, "select")] == [["1"], ["0", "1"], None]
    page.get_by_role("button", name="This machine").click()
    expect(drawn.meter("This machine: Disk")).to_have_attribute("aria-valuetext", "73 %")
    expect(page.locator(".wb-gputable")).to_be_hidden()
    page.get_by_label("Metric of the chart").select_option(label="Network received")
    expect(page.locator(".wb-plot .ytick").last).to_contain_text("MB/s")
    page.get_by_label("Time shown").select_option(label="last 7 d")
    page.get_by_label("Interval").select_option(label="every 500 ms")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".wb-fresh")).to_have_text(re.compile("paused.*values from"))
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Refresh").click()
    assert [one["view"] for one in sent(page, "view")] == ["host"]
    assert [one["seconds"] for one in sent(page, "window")] == [604_800]
    assert [one["intervalMs"] for one in sent(page, "configure")] == [500]
    assert [one["paused"] for one in sent(page, "pause")] == [True, False]
    assert len(sent(page, "refresh")) == 1
    drawn.is_clean()


def test_what_was_measured_is_exported_as_a_file(draw: Draw) -> None:
    drawn = draw()
    with drawn.page.expect_download() as found:
        drawn.page.get_by_role("button", name="Export as Parquet").click()
        expect(drawn.page.get_by_role("button", name="Export as CSV")).to_be_disabled()
        media = "application/vnd.apache.parquet"
        drawn.widget.reply("exported", [b"PAR1\x00\xff"], name="m.parquet", mediaType=media)
    assert found.value.suggested_filename == "m.parquet"
    assert found.value.path().read_bytes() == b"PAR1\x00\xff"
    [asked] = sent(drawn.page, "export")
    assert (asked["format"], asked["windowS"]) == ("parquet", 900)
    drawn.page.get_by_role("button", name="Export as CSV").click()
    error = {"template": "the hub does not answer: try again", "values": {}}
    drawn.widget.reply("exportRefused", error=error)
    expect(drawn.page.get_by_text("the hub does not answer: try again")).to_be_visible()
    expect(drawn.page.get_by_role("button", name="Export as CSV")).to_be_enabled()


def test_old_numbers_are_dimmed_and_dated_and_never_look_live(draw: Draw) -> None:
    drawn = draw()
    page, badge = drawn.page, drawn.page.locator(".wb-fresh")
    expect(badge).to_have_text("live")
    expect(page.locator(".wb-gauges.wb-stale")).to_have_count(0)
    drawn.trait("stale", {"sinceMs": drawn.numbers["at"]})
    expect(badge).to_have_text(re.compile(r"not current.*values from \d\d:\d\d:\d\d"))
    expect(page.locator(".wb-gauges.wb-stale")).to_be_visible()
    expect(drawn.meter("GPU 1: Power")).to_have_attribute("aria-valuetext", "310 W, not current")
    drawn.trait("connection", {"state": "reconnecting", "url": "", "hub": "absent"})
    expect(badge).to_have_text(re.compile("disconnected.*values from"))
    presses_while_it_changes(page, "Start the hub")
    assert len(sent(page, "startHub")) == 1
    drawn.trait("connection", {"state": "connected", "url": ""})
    drawn.trait("stale", None)
    expect(badge).to_have_text("live")
    page.evaluate("model.mute = true")
    expect(badge).to_contain_text("kernel silent")
    expect(page.get_by_text("The kernel does not answer.")).to_be_visible()
    page.evaluate("model.mute = false")
    expect(page.get_by_text("The kernel does not answer.")).to_be_hidden()


def test_a_hidden_tab_says_so_sends_no_pulse_and_comes_back(draw: Draw) -> None:
    drawn = draw()
    page = drawn.page
    page.evaluate(PULSES)
    page.wait_for_function("() => globalThis.pulses > 0")
    page.evaluate("() => { document.getElementById('here').style.display = 'none'; }")
    page.wait_for_function("() => model.sent.some(one => one.kind === 'hidden')")
    quiet = """async () => { globalThis.pulses = 0;
      await new Promise(done => setTimeout(done, 2500)); return globalThis.pulses; }"""
    assert page.evaluate(quiet) == 0
    assert len(sent(page, "hidden")) == 1
    page.evaluate("() => { document.getElementById('here').style.display = ''; }")
    page.wait_for_function("() => globalThis.pulses > 0")
    page.evaluate("() => stop()")
    assert len(sent(page, "hidden")) == 2
    pages = {one["page"] for one in sent(page, "hidden") + sent(page, "hello")}
    assert len(pages) == 1
    drawn.is_clean()


def test_a_rule_is_checked_saved_switched_and_deleted(draw: Draw) -> None:
    drawn = draw()
    page = drawn.page
    page.get_by_role("button", name="New rule").click()
    form = page.locator(".wb-ruleform")
    expect(form.get_by_label("Name")).to_be_focused()
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_text("a rule needs a name")).to_be_visible()
    form.get_by_label("Name").fill("cold")
    form.get_by_label("Metric").select_option(label="Power")
    form.locator("select").nth(1).select_option(label="GPU 1")
    form.locator("select").nth(2).select_option("below")
    form.get_by_label("Threshold").fill("50,5")
    form.get_by_label("Cleared at").fill("40")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_text("an alert is cleared on the good side")).to_be_visible()
    form.get_by_label("Cleared at").fill("")
    form.get_by_role("button", name="Save").click()
    rule = {"name": "cold", "metric": "gpu.power", "threshold": 50.5, "clear": None}
    rule |= {"direction": "below", "forS": 10, "subject": "1", "enabled": True}
    assert [one["rule"] for one in sent(page, "saveRule")] == [rule]
    error = {"template": "there are already {count} rules: delete one", "values": {"count": 100}}
    drawn.widget.reply("ruleRefused", error=error)
    expect(form.get_by_text("there are already 100 rules: delete one")).to_be_visible()
    drawn.trait("rules", [*drawn.traits["rules"], rule])
    drawn.widget.reply("ruleSaved", name="cold")
    expect(form).to_be_hidden()
    expect(page.locator(".wb-rules li").last).to_contain_text("Power below 50.5 W, only GPU 1")
    page.get_by_role("checkbox", name="Rule idle card is on").check()
    assert sent(page, "saveRule")[-1]["rule"]["enabled"] is True
    past = [{**drawn.traits["past_alerts"][0], "alertId": "new"}, *drawn.traits["past_alerts"]]
    presses_around(
        page.get_by_role("button", name="Delete: cold"), lambda: drawn.trait("past_alerts", past)
    )
    assert [one["name"] for one in sent(page, "deleteRule")] == ["cold"]
    drawn.is_clean()


def test_no_gpu_is_a_normal_state_that_says_why(draw: Draw, shot: Shot) -> None:
    note = {"template": "no GPU was found: install its driver", "values": {}}
    changed = {"gpus": [], "note": note, "ledger": {}, "processes": {}, "alerts": []}
    drawn = draw(changed=changed)
    expect(drawn.page.get_by_text("There is no GPU to show")).to_be_visible()
    expect(drawn.page.get_by_text("no GPU was found: install its driver")).to_be_visible()
    expect(drawn.page.locator(".wb-memory")).to_be_hidden()
    shot(drawn.page, "gpu-none")
    drawn.page.get_by_role("button", name="Show this machine").click()
    expect(drawn.meter("This machine: CPU")).to_have_attribute("aria-valuetext", "38 %")
    drawn.is_clean()


def test_a_model_is_unloaded_while_what_it_uses_changes(draw: Draw) -> None:
    drawn = draw()
    page, ledger = drawn.page, drawn.traits["ledger"]
    longer = [{**one, "heldS": one["heldS"] + 3600} for one in ledger["holdings"]]
    using = {
        gpu: [{**user, "memoryMB": 1234.0} for user in users]
        for gpu, users in drawn.traits["processes"].items()
        if users
    }

    def heard() -> None:
        drawn.trait("processes", using)
        drawn.trait("ledger", {**ledger, "holdings": longer})

    button = page.get_by_role("button", name="Unload qwen3-14b")
    presses_around(button, heard)
    assert [one["model"] for one in sent(page, "unload")] == ["qwen3-14b"]
    expect(button).to_be_focused()
    expect(page.locator(".wb-leases")).to_contain_text("on GPU 0 for 2.4 h, idle for 12 min")
    drawn.is_clean()
