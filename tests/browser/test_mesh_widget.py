"""The mesh widget drawn from a JSON file, without a kernel: what a reader sees and can do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot
from tests.browser.harness import BarePage, page_files, presses_around, sent
from workbench.widgets.mesh import MeshWidget

pytestmark = pytest.mark.browser

Open = Callable[..., BarePage]


@pytest.fixture
def draw(lend_page: Callable[..., Page], mesh_state: dict[str, Any]) -> Open:
    def open_page(
        query: str = "?lang=en", theme: str = "light", figures: bool = False, **options: Any
    ) -> BarePage:
        files = page_files(MeshWidget(), mesh_state, theme, figures=figures)
        bare = BarePage(lend_page(**options), files)
        bare.open(query)
        return bare

    return open_page


@pytest.mark.parametrize(
    ("width", "lang", "theme"),
    [
        (1280, "en", "light"),
        (1280, "pt-BR", "dark"),
        (390, "en", "dark"),
        (390, "pt-BR", "light"),
    ],
)
def test_a_running_task_and_a_result_are_drawn(
    draw: Open, shot: Shot, theme: str, lang: str, width: int
) -> None:
    bare = draw(f"?lang={lang}", theme, figures=True, viewport={"width": width, "height": 900})
    page = bare.page
    expect(page.locator(".wb-taskhead .wb-state")).to_have_text(
        "running" if lang == "en" else "executando"
    )
    expect(page.locator(".wb-progressline strong")).to_have_text(re.compile(r"62\s?%"))
    shot(page, f"mesh-{theme}-{lang}-{width}")
    page.locator(".wb-rowlink").nth(2).click()
    expect(page.locator(".wb-plot .main-svg").first).to_be_visible()
    expect(page.locator(".wb-plot .bars path")).to_have_count(12)
    facts = page.locator(".wb-facts")
    expect(facts).to_contain_text("5,026,183" if lang == "en" else "5.026.183")
    shot(page, f"mesh-{theme}-{lang}-{width}-result")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": min(width, 1000), "height": 900})
    scrolled = page.locator(".wb-history .wb-scroll")
    assert scrolled.evaluate("it => it.scrollWidth <= it.clientWidth")  # its buttons are in sight
    bare.is_clean()


def test_every_word_of_the_portuguese_page_is_portuguese(draw: Open) -> None:
    english, portuguese = (draw(f"?lang={lang}").page for lang in ("en", "pt-BR"))
    for page in (english, portuguese):
        page.locator(".wb-mesh .wb-pill").click()
        expect(page.locator(".wb-popover")).to_be_visible()
    parts = ["button", "label", "h2", "h3", "th", "dt", ".wb-hint", ".wb-state", "legend"]
    words = "parts => [...document.querySelectorAll(parts)].map(e => e.textContent.trim())"
    english_words, portuguese_words = (
        set(page.evaluate(words, ",".join(f".wb {part}" for part in parts)))
        for page in (english, portuguese)
    )
    same = english_words & portuguese_words
    assert same <= {"", "CSV", "EN", "PT", "kmeans"}
    expect(portuguese.locator(".wb")).to_have_attribute("lang", "pt-BR")


def test_the_language_follows_the_browser_and_the_switch(draw: Open) -> None:
    page = draw("", locale="pt-PT").page
    expect(page.locator("h2")).to_have_text("Tarefas da malha")
    page.get_by_role("button", name="English").click()
    expect(page.locator("h2")).to_have_text("Mesh tasks")
    assert "lang=en" in page.url


def test_exact_128_bit_amounts_are_right_aligned(draw: Open) -> None:
    page = draw().page
    page.locator(".wb-rowlink").nth(2).click()
    amount = page.locator(".wb-tablepart td").nth(8)
    expect(amount).to_have_text("170,141,183,460,469,231,731,687,303,715,884,105,728")
    assert amount.evaluate("e => getComputedStyle(e).textAlign") == "right"


def test_a_parameter_out_of_range_is_said_at_its_field_and_not_sent(draw: Open) -> None:
    page = draw().page
    page.get_by_role("button", name="Sample", exact=True).click()
    page.get_by_text("batch-small.json.gz").first.click()
    depth = page.get_by_label("Analysis depth")
    depth.fill("9")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_text("allowed: 1 to 5")).to_be_visible()
    expect(depth).to_have_attribute("aria-invalid", "true")
    expect(depth).to_be_focused()
    assert sent(page, "submit") == []


def test_a_bound_that_is_not_allowed_itself_is_said_so(
    draw: Open, mesh_state: dict[str, Any]
) -> None:
    for model in mesh_state["traits"]["models"]:
        for schema in model["parametersSchema"]["properties"].values():
            if schema.get("maximum") == 5:
                schema["exclusiveMinimum"] = schema.pop("minimum")
    page = draw().page
    depth = page.get_by_label("Analysis depth")
    depth.fill("1")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_text("allowed: above 1, at most 5")).to_be_visible()


def test_enter_submits_what_was_chosen(draw: Open) -> None:
    page = draw().page
    page.get_by_role("button", name="Sample", exact=True).click()
    page.get_by_text("batch-small.json.gz").first.click()
    page.get_by_label("Analysis depth").fill("5")
    page.get_by_label("Clustering method").select_option(label="dbscan")
    page.get_by_label("Analysis depth").press("Enter")
    page.wait_for_function("() => model.sent.some(one => one.kind === 'submit')")
    [task] = sent(page, "submit")
    assert task["model"] == "cypher-v1"
    assert task["inputDataURL"] == "samples/batch-small.json.gz"
    assert task["parameters"] == {
        "analysisDepth": 5,
        "includeHistorical": True,
        "clusteringMethod": "dbscan",
        "anomalyThreshold": 0.85,
        "outputFormat": "full",
    }
    assert re.fullmatch(r"[0-9a-f]{32}", task["taskId"])


def test_whole_numbers_beyond_a_double_leave_the_page_as_they_came(
    draw: Open, mesh_state: dict[str, Any]
) -> None:
    fields = {"big": {"type": "integer", "default": str(2**60)}, "deep": {"type": "object"}}
    [model] = [each for each in mesh_state["traits"]["models"] if each["name"] == "cypher-v1"]
    model["parametersSchema"]["properties"] |= fields
    page = draw().page
    page.get_by_role("button", name="Sample", exact=True).click()
    page.get_by_text("batch-small.json.gz").first.click()
    expect(page.get_by_label("big")).to_have_value(str(2**60))
    page.get_by_label("deep").fill('{"a": 9007199254740993}')
    submit = page.get_by_role("button", name="Submit", exact=True)
    submit.click()
    quoted = "put whole numbers beyond 2^53 between quotes: 9007199254740993"
    expect(page.get_by_text(quoted).first).to_be_visible()
    page.get_by_label("deep").fill('{"a": "9007199254740993"}')
    submit.click()
    page.wait_for_function("() => model.sent.some(one => one.kind === 'submit')")
    [task] = sent(page, "submit")
    given = {name: task["parameters"][name] for name in fields}
    assert given == {"big": str(2**60), "deep": {"a": str(2**53 + 1)}}


def test_the_node_s_refusal_stands_at_the_field_that_it_names(draw: Open) -> None:
    page = draw().page
    page.get_by_role("button", name="Sample", exact=True).click()
    page.get_by_text("batch-small.json.gz").first.click()
    page.get_by_role("button", name="Submit", exact=True).click()
    page.wait_for_function("() => model.sent.some(one => one.kind === 'submit')")
    fault = {"field": "parameters.analysisDepth", "value": "3", "allowed": "integer from 1 to 2"}
    page.evaluate(
        """fault => model.say({ kind: "refused", faults: [fault], error: { text: "refused" },
           taskId: model.sent.find(one => one.kind === "submit").taskId })""",
        fault,
    )
    said = "Analysis depth is 3; allowed: integer from 1 to 2"
    expect(page.locator(".wb-bad .wb-fault")).to_have_text(said)
    expect(page.get_by_role("button", name="Submit", exact=True)).to_be_enabled()


HELD = """() => { const soon = globalThis.setTimeout; globalThis.held = [];
  globalThis.setTimeout = (work, ms, ...rest) =>
    ms < 10_000 ? soon(work, ms, ...rest) : held.push(work); }"""
"""What a page puts off for long happens at a test's word."""


def test_cancelling_asks_once_more_and_escape_keeps_it_running(
    draw: Open, mesh_state: dict[str, Any]
) -> None:
    page = draw().page
    page.evaluate(HELD)
    deltas = iter(range(1, 9))

    def is_now(state: str) -> Callable[[], None]:
        task = {**mesh_state["tasks"][0], "state": state}
        told = 'task => model.say({ kind: "delta", n: task.n, tasks: [task] })'
        return lambda: page.evaluate(told, {**task, "n": next(deltas)})

    presses_around(page.get_by_role("button", name="Cancel…"), is_now("fetching"))
    expect(page.get_by_role("button", name="Stop the work")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Cancel…")).to_be_focused()
    assert sent(page, "cancel") == []
    page.get_by_role("button", name="Cancel…").click()
    presses_around(page.get_by_role("button", name="Stop the work"), is_now("running"))
    page.wait_for_function("() => model.sent.some(one => one.kind === 'cancel')")
    expect(page.locator(".wb-taskhead button")).to_be_disabled()
    page.evaluate("() => held.forEach((work) => work())")  # nothing came of it
    expect(page.get_by_role("button", name="Cancel…")).to_be_enabled()


def test_a_question_asked_stands_when_its_task_is_drawn_anew(
    draw: Open, mesh_state: dict[str, Any]
) -> None:
    page = draw().page
    page.get_by_role("button", name="Cancel…").click()
    task_id = page.locator(".wb-details code").first.text_content()
    before = len(sent(page, "hello"))
    page.evaluate('() => model.say({ kind: "delta", n: 7, tasks: [] })')  # all is asked for again
    assert len(sent(page, "hello")) == before + 1
    page.wait_for_function("() => model.sent.filter((one) => one.kind === 'open').length > 1")
    task = {**mesh_state["tasks"][0], "state": "queued"}
    assert task["taskId"] == task_id
    page.evaluate('task => model.say({ kind: "delta", n: 1, tasks: [task] })', task)
    expect(page.locator(".wb-taskhead .wb-state")).to_have_text("queued")
    page.get_by_role("button", name="Stop the work").click(timeout=3_000)
    assert [one["taskId"] for one in sent(page, "cancel")] == [task_id]


def test_run_again_is_of_the_task_that_is_looked_at(draw: Open) -> None:
    page = draw().page
    done = page.locator(".wb-historytable tbody tr", has_text="done").locator(".wb-rowlink")
    seen = []
    for row in (0, 1):
        done.nth(row).click()
        seen.append(page.locator(".wb-details code").first.text_content())
    page.locator(".wb-taskhead").get_by_role("button", name="Run again").click()
    assert seen[0] != seen[1]
    assert [one["of"] for one in sent(page, "rerun")] == [seen[1]]


def test_silence_about_a_running_task_is_said(draw: Open) -> None:
    page = draw().page
    expect(page.locator(".wb-progressline")).to_contain_text(re.compile(r"no news for \d+ s"))
    expect(page.locator(".wb-progressline")).not_to_contain_text("left")
    told = page.locator(".wb-big").get_attribute("aria-valuetext")
    assert told is not None and "no news" in told


def test_the_page_says_within_10_s_that_the_kernel_is_gone_and_takes_it_back(draw: Open) -> None:
    page = draw().page
    expect(page.locator(".wb-gone")).to_be_hidden()
    page.evaluate("() => { model.mute = true; }")
    expect(page.get_by_text("The kernel does not answer.")).to_be_visible()
    expect(page.get_by_role("button", name="Reload the page")).to_be_visible()
    expect(page.locator(".wb-main")).to_have_class(re.compile("wb-stale"))
    page.evaluate("() => { model.mute = false; }")
    expect(page.locator(".wb-gone")).to_be_hidden()
    expect(page.locator(".wb-main")).not_to_have_class(re.compile("wb-stale"))


def test_a_lost_delta_is_noticed_and_asked_for_again(draw: Open) -> None:
    page = draw().page
    before = len(sent(page, "hello"))
    page.evaluate('() => model.say({ kind: "delta", n: 7, tasks: [] })')
    assert len(sent(page, "hello")) == before + 1


def test_a_file_travels_in_slices_that_wait_for_their_acknowledgement(draw: Open) -> None:
    page = draw().page
    content = b"x" * (9 * 1024 * 1024 + 5)
    page.locator("input[type=file]").first.set_input_files(
        {"name": "batch.json", "mimeType": "application/json", "buffer": content}
    )
    slices = "() => model.sent.filter(one => one.step === 'slice').length"
    page.wait_for_function(f"({slices})() === 4")
    upload_id = sent(page, "upload")[0]["uploadId"]
    for done in range(1, 11):
        size = min(done * 1024 * 1024, len(content))
        page.evaluate(
            "([id, size]) => model.say({ kind: 'upload', uploadId: id, acknowledged: size })",
            [upload_id, size],
        )
        page.wait_for_function(f"({slices})() === {min(10, 4 + done)}")
    parts = [one for one in sent(page, "upload") if one["step"] == "slice"]
    assert sum(one["bytes"] for one in parts) == len(content)
    assert max(one["bytes"] for one in parts) == 1024 * 1024
    page.evaluate(
        "id => model.say({ kind: 'upload', uploadId: id, inputDataURL: 'upload:abc' })", upload_id
    )
    expect(page.locator(".wb-chosen")).to_contain_text("ready")


def drop(page: Page, **sizes: float) -> None:
    """Files of these names (`a` is a.json) and sizes, dropped at once on the first zone."""
    page.evaluate(
        """sizes => { const files = Object.entries(sizes).map(([name, size]) =>
             Object.defineProperty(new File(["x"], `${name}.json`), "size", { value: size }));
           const event = new DragEvent("drop", { bubbles: true, cancelable: true });
           Object.defineProperty(event, "dataTransfer", { value: { files } });
           document.querySelector(".wb-drop").dispatchEvent(event); }""",
        sizes,
    )


def test_a_field_keeps_the_focus_while_models_come(draw: Open) -> None:
    page = draw().page
    depth = page.get_by_label("Analysis depth")
    depth.fill("4")
    more = "model.get('models')[0], name: 'cell-v1', title: 'My cell'"
    page.evaluate(f"() => model.set('models', [...model.get('models'), {{ ...{more} }}])")
    expect(page.get_by_label("Model", exact=True)).to_contain_text("My cell")
    expect(depth).to_be_focused()
    expect(depth).to_have_value("4")


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(draw: Open) -> None:
    page = draw().page
    drop(page, huge=200e6)
    expect(page.get_by_text("huge.json has 200 MB; at most 100 MB are taken")).to_be_visible()
    assert sent(page, "upload") == []


def test_of_two_files_dropped_at_once_none_is_taken_and_the_field_says_so(draw: Open) -> None:
    page = draw().page
    drop(page, first=1, second=1)
    expect(page.locator(".wb-source [role=alert]")).to_have_text(
        "2 files were given, and a task takes one: give a single one"
    )
    assert sent(page, "upload") == []
    drop(page, first=1)
    expect(page.locator(".wb-chosen")).to_contain_text("first.json")
    upload_id = sent(page, "upload")[0]["uploadId"]
    told = "id => model.say({ kind: 'upload', uploadId: id, phase: 'storing', size: 1, done: 0 })"
    presses_around(
        page.get_by_role("button", name="Remove first.json"),
        lambda: page.evaluate(told, upload_id),
    )
    assert "drop" in [one["step"] for one in sent(page, "upload")]
    expect(page.locator(".wb-source [role=alert]")).to_have_count(0)


def test_a_page_without_a_hub_says_how_to_start_one(draw: Open) -> None:
    page = draw().page
    page.evaluate("() => model.set('connection', { state: 'failed', endpoint: 'local', url: '' })")
    expect(page.locator(".wb-submitline")).to_contain_text("make run, or workbench hub")


def test_the_log_is_searched_and_never_read_out(draw: Open) -> None:
    page = draw().page
    log = page.get_by_role("log")
    expect(log).to_have_attribute("aria-live", "off")
    expect(log.locator(".wb-line")).to_have_count(34)
    page.get_by_label("Search the log").fill("dropped")
    expect(log.locator(".wb-line:visible")).to_have_count(1)
    expect(page.get_by_text("1 of 34 lines")).to_be_visible()


def test_the_history_is_filtered_by_words_and_state(draw: Open) -> None:
    page = draw().page
    rows = page.locator(".wb-historytable tbody tr")
    expect(rows).to_have_count(18)
    page.get_by_label("State", exact=True).select_option("failed")
    expect(rows).to_have_count(1)
    page.get_by_label("State", exact=True).select_option("")
    page.get_by_label("Filter the history").fill("866342")
    expect(rows).to_have_count(1)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="CSV").click()
    lines = waiting.value.path().read_text().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("task_id,model,state")


def test_the_end_of_a_task_is_told_to_a_screen_reader(draw: Open) -> None:
    page = draw().page
    page.evaluate(
        """() => { const [task] = FILE_TASKS(); model.say({ kind: "delta", n: 1,
           now: task.startedAt + 30000,
           tasks: [{ ...task, state: "done", finishedAt: task.startedAt + 30000 }] }); }"""
    )
    status = page.locator(".wb-task > [role=status]")
    expect(status).to_have_text("Alike, rare and odd runes (cypher-v1): done")


def test_the_endpoint_is_chosen_and_plain_ws_elsewhere_is_refused(draw: Open) -> None:
    page = draw().page
    page.locator(".wb-mesh .wb-pill").click()
    page.get_by_label("Custom address").check()
    page.get_by_label("Address of the node").fill("ws://example.org/mesh")
    page.get_by_role("button", name="Connect", exact=True).click()
    expect(page.get_by_text("the address must start with wss://")).to_be_visible()
    assert sent(page, "connect") == []
    page.get_by_label("Address of the node").fill("wss://example.org/mesh")
    page.get_by_role("button", name="Connect", exact=True).click()
    [choice] = sent(page, "connect")
    assert choice["endpoint"] == "custom"
    assert choice["url"] == "wss://example.org/mesh"
    expect(page.locator(".wb-popover")).to_be_hidden()


def test_a_lost_connection_keeps_the_form_and_says_when_it_tries_again(draw: Open) -> None:
    page = draw().page
    page.evaluate(
        """() => model.set("connection", { state: "reconnecting", endpoint: "local",
           url: "ws://localhost:8081/mesh", attempt: 2, maxAttempts: 5,
           retryAt: FILE_NOW() + 3000 })"""
    )
    expect(page.locator(".wb-mesh .wb-pill")).to_contain_text("reconnecting…")
    expect(page.get_by_role("button", name="Submit", exact=True)).to_be_disabled()
    page.locator(".wb-mesh .wb-pill").click()
    expect(page.locator(".wb-popover")).to_contain_text("attempt 2 of 5")


def test_the_details_name_the_task_and_every_parameter(draw: Open) -> None:
    page = draw().page
    page.get_by_role("tab", name="Details").click()
    details = page.locator(".wb-details")
    expect(details.locator("dt")).to_have_count(10)
    expect(details).to_contain_text("01f3a9c1e7b24d60")
    expect(details).to_contain_text("Anomaly threshold")
    expect(details.get_by_title("anomalyThreshold")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tab", name="Log", exact=True)).to_be_focused()


CONTRASTS = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((one, i) => one * a + below[i] * (1 - a));
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const own = parts(getComputedStyle(element).backgroundColor);
    return own[3] === 0 ? behind(element.parentElement) : over(own, behind(element.parentElement));
  };
  const light = (colour) => colour.map((one) => one / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const own = (node) => node.nodeType === 3 && node.textContent.trim();
  return [...document.querySelectorAll(".wb *")]
    .filter((e) => [...e.childNodes].some(own) && e.checkVisibility())
    .filter((e) => !e.closest(":disabled, svg"))
    .map((e) => {
      const ground = behind(e), ink = over(parts(getComputedStyle(e).color), ground);
      const [low, high] = [light(ground), light(ink)].sort((a, b) => a - b);
      return [(high + 0.05) / (low + 0.05), `${e.tagName}.${e.className}: ${e.textContent}`];
    })
    .filter(([contrast]) => contrast < 4.5);
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_word_can_be_read_against_its_ground(draw: Open, theme: str) -> None:
    page = draw(theme=theme).page
    page.locator(".wb-rowlink").nth(2).click()
    expect(page.locator(".wb-tablepart")).to_be_visible()
    assert page.evaluate(CONTRASTS) == []


def test_the_oddest_rows_come_first_and_a_heading_sorts(
    draw: Open, mesh_state: dict[str, Any]
) -> None:
    columns = [
        ("rune_id", "text"),
        ("anomaly_score", "number"),
        ("mint_fee_sat", "integer"),
        ("drivers", "text"),
        ("evidence", "text"),
    ]
    driver = {"feature": "premine_share", "weight": 0.25}
    rule = [
        {"feature": "mintable", "value": 1.0, "degree": 1.0},
        {"feature": "blocks_since", "value": None, "degree": 0.5},
        {"unless": "kind", "degree": 0.25},
    ]
    rows = [
        ["840000:10", 0.2, 7, [], []],
        ["840000:9", 0.91, None, [driver, driver], rule],
        ["840000:11", 0.5, str(2**60), [], []],
    ]
    [finished] = [one for one in mesh_state["opened"].values() if one.get("result")]
    finished["result"]["tables"] = [
        {
            "name": "runes",
            "total": 1,
            "columns": [{"name": name, "kind": kind} for name, kind in columns],
            "rows": rows,
        }
    ]
    page = draw("?lang=pt-BR").page
    page.locator(".wb-rowlink").nth(2).click()
    table = page.locator(".wb-tablepart")
    ids = table.locator("tbody td:first-child")
    expect(ids).to_have_text(["840000:9", "840000:11", "840000:10"])
    expect(table.locator("th").nth(1)).to_have_attribute("aria-sort", "descending")
    expect(table.locator("th")).to_have_text(
        ["Id da runa", "Pontuação de anomalia", "Taxa da cunhagem (sat)", "Causas", "Indícios"]
    )
    expect(table.locator("tbody tr").first).to_contain_text("0,91")
    expect(table.locator("tbody tr").first).to_contain_text(
        re.compile(r"parcela da pré-mineração 25\s?% · parcela")
    )
    expect(table.locator("tbody tr").first.locator("td").last).to_have_text(
        re.compile(r"pode ser cunhada 1 · .+ – \(50\s?%\) · não .+ \(25\s?%\)$")
    )
    expect(table.locator(".wb-toolbar")).to_contain_text("1 linha")
    table.get_by_role("button", name="Taxa da cunhagem (sat)").click()
    expect(ids).to_have_text(["840000:11", "840000:10", "840000:9"])
    table.get_by_role("button", name="Id da runa").click()
    expect(ids).to_have_text(["840000:9", "840000:10", "840000:11"])
    table.get_by_role("button", name="Id da runa").click()
    expect(ids).to_have_text(["840000:11", "840000:10", "840000:9"])
    for model in mesh_state["traits"]["models"]:
        model["own"] = True
    page = draw().page
    page.locator(".wb-rowlink").nth(2).click()
    expect(page.locator(".wb-tablepart th")).to_have_text([name for name, _ in columns])


def test_the_tiles_count_what_ran_and_unknown_progress_is_not_zero(
    draw: Open, mesh_state: dict[str, Any]
) -> None:
    one = {"model": "cypher-v1", "attempt": 1, "submittedAt": 1789999000000}
    states = ["done", "cancelled", "rejected", "rejected"]
    mesh_state["tasks"] = [
        {**one, "taskId": f"{place:016x}", "state": state} for place, state in enumerate(states)
    ]
    page = draw().page
    tile = page.locator(".wb-tile").nth(2)
    expect(tile).to_contain_text("100%")
    expect(tile).to_contain_text("of 1 that ran")
    page.locator(".wb-rowlink").nth(1).click()
    expect(page.locator(".wb-taskhead .wb-state")).to_have_text("cancelled")
    expect(page.locator(".wb-progressline strong")).to_have_text("–")


@pytest.mark.parametrize(
    ("language", "typed", "meant", "doubtful"),
    [
        ("en", ("17,500", "1,234.5"), (17_500, 1234.5), "1.000"),
        ("pt-BR", ("17.500", "1.234,5"), (17_500, 1234.5), "1,000"),
        ("en", ("17500", "0,5"), (17_500, 0.5), "17.500"),
        ("pt-BR", ("17 500", "0.125"), (17_500, 0.125), "2,5"),
    ],
)
def test_numbers_are_read_as_the_page_writes_them(
    draw: Open,
    mesh_state: dict[str, Any],
    language: str,
    typed: tuple[str, str],
    meant: tuple[float, float],
    doubtful: str,
) -> None:
    """A thousand was taken for one where it was typed with the sign that the page itself uses."""
    number = {"minimum": 0, "maximum": 1_000_000}
    fields = {"big": {"type": "integer", **number}, "fraction": {"type": "number", **number}}
    [model] = [each for each in mesh_state["traits"]["models"] if each["name"] == "cypher-v1"]
    model["parametersSchema"]["properties"] |= fields
    page = draw(f"?lang={language}").page
    page.get_by_role("button", name=re.compile("^(Sample|Amostra)$")).click()
    page.get_by_text("batch-small.json.gz").first.click()
    big = page.get_by_label("big")
    big.fill(doubtful)
    page.get_by_label("fraction").fill(typed[1])
    page.get_by_label("fraction").press("Enter")
    expect(big).to_have_attribute("aria-invalid", "true")
    assert sent(page, "submit") == []
    big.fill(typed[0])
    big.press("Enter")
    page.wait_for_function("() => model.sent.some(one => one.kind === 'submit')")
    [task] = sent(page, "submit")
    assert tuple(task["parameters"][name] for name in fields) == meant
