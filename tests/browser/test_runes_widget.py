"""The Runes board drawn from a JSON file, without a kernel: what a reader sees and can do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import STATES, Shot
from tests.browser.harness import BarePage, page_files, sent
from tests.runes.test_audit import blamed
from tests.runes.test_audit import page as audited
from workbench.runes.questions.bars import titled
from workbench.widgets.runes import RunesWidget

pytestmark = pytest.mark.browser

Open = Callable[..., BarePage]
BATCH = "sample_small"


@pytest.fixture
def state() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((STATES / "runes.json").read_text("utf-8"))
    return read


@pytest.fixture
def draw(lend_page: Callable[..., Page], state: dict[str, Any]) -> Open:
    def open_page(
        lang: str = "en", theme: str = "light", figures: bool = False, **options: Any
    ) -> BarePage:
        files = page_files(RunesWidget(), state, theme, figures=figures)
        bare = BarePage(lend_page(**options), files)
        bare.open(f"?lang={lang}")
        expect(bare.page.locator("#wb-question")).to_be_visible()
        return bare

    return open_page


def says(page: Page, told: dict[str, Any]) -> None:
    """What the kernel would say."""
    page.evaluate("told => model.say(told)", told)


def opens(page: Page, number: int) -> None:
    page.locator(".wb-askedrow").nth(number).click()


@pytest.mark.parametrize(
    ("width", "lang", "theme"), [(1280, "en", "light"), (390, "pt-BR", "dark")]
)
def test_an_answer_is_a_sentence_a_figure_its_exact_table_and_how_it_came_about(
    draw: Open, state: dict[str, Any], shot: Shot, theme: str, lang: str, width: int
) -> None:
    kinds = {"entered": 2, "stayed": 5, "bc1qleft": 1}
    head = titled("What became of the holders of {rune}", words="x", rune="HELD•LEFT")
    drawn = {"type": "bar", "name": "holders", "x": [*kinds], "y": [*kinds.values()]}
    result = state["opened"]["share"]["result"]
    result["figures"].append({"data": [drawn], "layout": head})
    [table, *_] = result["tables"]
    table["columns"].append({"name": "taken_share", "kind": "number"})
    table["columns"] += [{"name": name, "kind": "string"} for name in ("status", "name")]
    table["rows"] = [[*row, 4.7e-25, "capped", "open"] for row in table["rows"]]
    bare = draw(lang, theme, True, viewport={"width": width, "height": 900})
    page = bare.page
    assert [each["kind"] for each in sent(page, "look")] == ["look"]
    says(page, state["about"]["b1211_fac6c387"])
    opens(page, 1)
    expect(page.locator(".wb-plot .main-svg").first).to_be_visible()
    english = lang == "en"
    expect(page.locator(".wb-answer")).to_contain_text("76.2 %" if english else "76,2 %")
    figures = page.locator(".wb-plot")
    whole = "Share of Runes messages" if english else "Parcela das mensagens Runes"
    expect(figures.first.locator(".gtitle")).to_have_text(whole)
    became = "What became of the holders of" if english else "O que foi dos detentores de"
    expect(figures.last.locator(".gtitle")).to_have_text(f"{became} HELD•LEFT")
    for title in figures.locator(".gtitle").all():  # a long one wraps
        assert title.evaluate("it => it.getBoundingClientRect().right") <= width
        head = (
            "it => it.getBoundingClientRect().top - it.closest('svg').getBoundingClientRect().top"
        )
        assert title.evaluate(head) >= 0
    bars = figures.last.locator(".xtick").all_text_contents()
    assert bars == ([*kinds] if english else ["entrou", "ficou", "bc1qleft"])  # no data is touched
    page.locator(".wb-result > .wb-more summary").click()
    expect(page.locator(".wb-how")).to_have_count(4)
    blocks = "blocks 1200 to 1215, state" if english else "blocos 1200 a 1215, nível do estado"
    expect(page.locator(".wb-how").nth(-2)).to_contain_text(f"sample_small: regtest, {blocks}")
    tiny = "less than 0.01%" if english else "menos de 0,01%"
    expect(page.locator(".wb-tablepart td").filter(has_text=tiny).first).to_be_visible()
    last = page.locator(".wb-tablepart").first.locator("tbody tr").first.locator("td")
    assert last.all_text_contents()[-2:] == ["capped" if english else "no limite", "open"]
    shot(page, f"runes-{theme}-{lang}-{width}")
    opens(page, 2)
    expect(page.locator(".wb-tablepart tbody tr")).to_have_count(8)
    exact = "170,141,183,752,128,236,358,417,578,185,590,013,350"
    shown = exact if lang == "en" else exact.replace(",", ".")
    amount = page.locator(".wb-tablepart td", has_text=shown)
    expect(amount).to_be_visible()
    assert amount.evaluate("at => at.scrollWidth <= at.clientWidth")  # not one digit is cut off
    expect(page.locator(".wb-plot")).to_have_count(0)  # nothing is off: there is no bar to draw
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    bare.is_clean()


@pytest.mark.parametrize("lang", ["en", "pt-BR"])
def test_a_state_that_was_taken_over_is_marked_beside_the_sentence_and_the_batch(
    draw: Open, state: dict[str, Any], shot: Shot, lang: str
) -> None:
    source = f"sha256:{'ab' * 32}"
    mark = {"template": "state trusted from {source}", "values": {"source": source}}
    result = state["opened"]["share"]["result"]
    template = "{open} of {runes} {runes:rune|runes} can be minted at height {height}"
    values = {"open": 1, "runes": 2_456, "height": "840,010"}
    result["data"]["answer"] = {"template": template, "values": values}
    result["notes"] = [mark]
    told = {**state["about"][BATCH], "trust": [mark], "firstHeight": 840_000}
    bare = draw(lang, viewport={"width": 390, "height": 900})
    page = bare.page
    page.locator("#wb-runes-batch").select_option(BATCH)
    says(page, {**told, "lastHeight": 840_010})
    opens(page, 1)
    words = f"{'state trusted from' if lang == 'en' else 'estado confiado de'} {source}"
    expect(page.locator(".wb-result > .wb-notice")).to_have_text(words)
    expect(page.locator(".wb-hint", has_text=words)).to_be_visible()
    blocks = "blocks 840000 to 840010" if lang == "en" else "blocos 840000 a 840010"
    expect(page.locator(".wb-hint", has_text=blocks)).to_be_visible()
    head = "1 of 2,456 runes" if lang == "en" else "1 de 2.456 runas"
    expect(page.locator(".wb-answer")).to_contain_text(head)
    height = "840,010" if lang == "en" else "840.010"  # a group sign, not a decimal one
    expect(page.locator(".wb-answer")).to_contain_text(f" {height}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shot(page, f"runes-trusted-{lang}")
    bare.is_clean()


@pytest.mark.parametrize("lang", ["en", "pt-BR"])
def test_a_sentence_begins_with_a_capital_a_name_as_it_is_and_a_trend_has_its_word(
    draw: Open, state: dict[str, Any], lang: str
) -> None:
    [first, other] = (state["opened"][name]["result"] for name in ("share", "reconcile"))
    first["data"]["answer"] = {"template": "{a} and {b} differ", "values": {"a": "sol", "b": "c"}}
    other["tables"][0]["columns"].append({"name": "trend", "kind": "text"})
    other["tables"][0]["rows"] = [[*row, "rising"] for row in other["tables"][0]["rows"]]
    page = draw(lang).page
    opens(page, 1)
    expect(page.locator(".wb-answer")).to_have_text("sol and c differ")
    assert (
        page.locator(".wb-answer").evaluate(
            "it => getComputedStyle(it, '::first-letter').textTransform"
        )
        == "none"
    )
    opens(page, 2)
    english = lang == "en"
    says = "All 29 runes add up" if english else "Todas as 29 runas fecham"
    expect(page.locator(".wb-answer")).to_contain_text(says[:3])
    cell = page.locator("td", has_text="rising" if english else "crescente")
    expect(cell.first).to_be_visible()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_title_of_an_axis_stands_beside_its_long_names(
    draw: Open, state: dict[str, Any], shot: Shot, width: int
) -> None:
    names = [*(f"bc1pgm{place:02}…4q9cxs4q" for place in range(1, 11)), "all others"]
    drawn = {"type": "bar", "orientation": "h", "x": [*range(1, 12)], "y": names}
    layout = {
        "title": {"text": "Who receives the mints"},
        "yaxis": {"title": {"text": "receiver"}, "type": "category", "autorange": "reversed"},
    }
    state["opened"]["share"]["result"]["figures"] = [{"data": [drawn], "layout": layout}]
    page = draw(figures=True, viewport={"width": width, "height": 900}).page
    opens(page, 1)
    expect(page.locator(".wb-plot .ytitle")).to_be_visible()
    page.wait_for_function("""() => {
      const edge = (one, side) => one.getBoundingClientRect()[side];
      const names = [...document.querySelectorAll(".wb-plot .ytick")];
      const title = document.querySelector(".wb-plot .ytitle");
      const left = Math.min(...names.map((one) => edge(one, "left")));
      return names.length && title && left - edge(title, "right") >= 5; // pixels between them
    }""")
    shot(page, f"runes-axis-{width}")


def test_the_page_of_an_audit_is_no_wider_than_a_phone(new_page: Callable[..., Page]) -> None:
    page = new_page(viewport={"width": 390, "height": 900})
    page.set_content(audited(blamed()).replace("DOG", "CORAL•MAGNET•GARDEN•VIOLET•GINGER"))
    width = page.evaluate("document.documentElement.scrollWidth")
    heading = page.locator("h1").evaluate("it => it.scrollWidth <= it.clientWidth")
    assert (width, heading) == (390, True)


def test_what_the_hub_tells_moves_no_panel_below(draw: Open, state: dict[str, Any]) -> None:
    told = {name: state["traits"][name] for name in ("models", "batches", "listed", "samples")}
    state["traits"] |= {"models": [], "batches": [], "listed": False}
    page = draw(viewport={"width": 1400, "height": 900}).page
    height = "() => document.querySelector('.wb-runes').getBoundingClientRect().height"
    before = page.evaluate(height)
    for name, value in told.items():
        page.evaluate("([name, value]) => model.set(name, value)", [name, value])
    says(page, state["about"]["b1211_fac6c387"])
    expect(page.locator("#wb-question option").first).to_be_attached()
    assert page.evaluate(height) == before


def test_a_refusal_is_a_sentence_with_its_way_out(draw: Open, shot: Shot) -> None:
    page = draw().page
    opens(page, 0)
    expect(page.locator(".wb-taskbody .wb-problem").first).to_contain_text(
        "In a notebook, apply the blocks"
    )
    shot(page, "runes-refused")


def looks_for_a_rune(page: Page) -> Locator:
    """The field of the rune, in which a reader typed the first letters of one."""
    page.locator("#wb-runes-batch").select_option(BATCH)
    page.locator("#wb-question").select_option("runes-reconcile")
    field = page.get_by_role("combobox", name="Rune", exact=True)
    field.press_sequentially("oas")
    page.wait_for_function("() => model.sent.some((one) => one.text === 'oas')")
    return field


def test_a_rune_is_found_and_taken_with_the_keys(draw: Open, state: dict[str, Any]) -> None:
    page = draw().page
    field = looks_for_a_rune(page)
    asked = sent(page, "search")[-1]
    assert asked["alias"] == BATCH
    says(page, {"kind": "runes", "number": asked["number"] - 1, "found": []})  # of an earlier one
    expect(field).to_have_attribute("aria-expanded", "false")
    says(page, {"kind": "runes", "number": asked["number"], "found": state["found"]})
    options = page.get_by_role("option", name="OASIS")
    expect(options.first).to_be_visible()
    field.press("ArrowDown")
    field.press("ArrowDown")
    chosen = page.locator('.wb-runelist [aria-selected="true"]')
    expect(field).to_have_attribute("aria-activedescendant", str(chosen.get_attribute("id")))
    field.press("Enter")
    expect(field).to_have_value(state["found"][1]["name"])
    expect(field).to_have_attribute("aria-expanded", "false")
    assert sent(page, "ask") == []
    field.press("Enter")
    page.wait_for_function("() => model.sent.some((one) => one.kind === 'ask')")
    [task] = sent(page, "ask")
    assert (task["model"], task["alias"]) == ("runes-reconcile", BATCH)
    assert task["parameters"] == {"rune": state["found"][1]["name"]}
    fault = {"field": "rune", "value": "'OASIS'", "allowed": "the name of a rune here"}
    refused = {"taskId": task["taskId"], "error": {"text": "refused"}, "faults": [fault]}
    says(page, {"kind": "refused", **refused})
    expect(page.locator(".wb-bad .wb-fault")).to_contain_text("Rune is 'OASIS'; allowed: the name")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")


def test_the_list_of_runes_does_not_cover_what_is_wrong_with_the_rune(
    draw: Open, state: dict[str, Any]
) -> None:
    page = draw().page
    field = looks_for_a_rune(page)
    says(
        page,
        {"kind": "runes", "number": sent(page, "search")[-1]["number"], "found": state["found"]},
    )
    expect(field).to_have_attribute("aria-expanded", "true")
    field.press("Enter")
    expect(field).to_have_attribute("aria-expanded", "false")
    page.wait_for_function("() => model.sent.some((one) => one.kind === 'ask')")
    searched = len(sent(page, "search"))
    page.locator("#wb-question").focus()
    fault = {"field": "rune", "value": "'oas'", "allowed": "the name of a rune here"}
    asked = sent(page, "ask")[0]["taskId"]
    says(page, {"kind": "refused", "taskId": asked, "error": {"text": "no"}, "faults": [fault]})
    expect(field).to_be_focused()
    page.evaluate("() => new Promise((done) => setTimeout(done, 200))")  # a search waits for less
    assert len(sent(page, "search")) == searched
    expect(page.locator(".wb-bad .wb-fault")).to_be_visible()


def test_long_codes_are_shown_by_their_ends_and_amounts_beside_them(
    draw: Open, state: dict[str, Any]
) -> None:
    script, address = "0020" + "c7" * 32, "bcrt1q" + "x9" * 29
    kinds = {"script": "text", "address": "text", "amount": "integer", "name": "text"}
    name = "UNCOMMON•GOODS•OF•A•LONG•NAME•INDEED"
    columns = [{"name": each, "kind": kind} for each, kind in kinds.items()]
    rows = [[script, address, "187860271732", name]]
    table = {"name": "answer", "columns": columns, "rows": rows, "total": 1, "columnsTotal": 4}
    state["opened"]["share"]["result"]["tables"] = [table]
    for width in (390, 1280):
        page = draw(viewport={"width": width, "height": 900}).page
        opens(page, 1)
        cells = page.locator(".wb-tablepart tbody td")
        right = "at => at.getBoundingClientRect().right"
        room = page.locator(".wb-scroll").first.evaluate(right)
        assert cells.nth(2).evaluate(right) - 7 <= room  # its padding may be beyond the edge
        assert cells.all_text_contents() == [script, address, "187,860,271,732", name]
        assert cells.nth(1).get_attribute("title") == address


def test_no_title_of_a_figure_runs_off_a_small_page(draw: Open, state: dict[str, Any]) -> None:
    long = "share of what is held by all of those who are known to hold anything of it at all"
    bars = {"type": "bar", "name": "a", "orientation": "h", "x": [1, 2], "y": ["bc1qx" * 4, "b"]}
    layout = {"xaxis": {"title": {"text": long}}, "yaxis": {"title": {"text": long}}}
    state["opened"]["share"]["result"]["figures"] = [
        {"data": [bars], "layout": {**layout, "title": {"text": "Who receives the mints here"}}}
    ]
    bare = draw(figures=True, viewport={"width": 390, "height": 900})
    opens(bare.page, 1)
    svg = bare.page.locator(".wb-plot .main-svg").first
    expect(svg).to_be_visible()
    expect(bare.page.locator(".ytitle tspan").first).to_be_visible()  # in lines
    box = """it => {
      const { left, top, right, bottom } = it.getBoundingClientRect();
      return [left, top, right, bottom];
    }"""
    left, top, right, bottom = svg.evaluate(box)
    for title in (".gtitle", ".xtitle", ".ytitle"):
        one = bare.page.locator(f".wb-plot {title}").evaluate(box)
        assert left <= one[0] and one[2] <= right, title
        assert top <= one[1] and one[3] <= bottom, title
    bare.is_clean()


def test_the_rune_stays_when_another_question_is_chosen(draw: Open) -> None:
    page = draw().page
    page.locator("#wb-question").select_option("runes-reconcile")
    page.get_by_role("combobox", name="Rune", exact=True).fill("1205:3")
    page.locator("#wb-question").select_option("cypher-v1")
    expect(page.get_by_label("Analysis depth")).to_have_value("3")
    page.locator("#wb-question").select_option("runes-reconcile")
    expect(page.get_by_role("combobox", name="Rune", exact=True)).to_have_value("1205:3")


def test_a_block_is_kept_with_the_outputs_that_it_spends(draw: Open) -> None:
    page = draw().page
    page.locator(".wb-addbatch summary").click()
    page.get_by_role("button", name="Keep it in the hub").click()
    expect(page.locator(".wb-addbatch .wb-fault:visible")).to_have_text("choose an input first")
    page.locator('.wb-addbatch [data-mode="sample"]').first.click()
    page.locator(".wb-sample", has_text="small.json").click()
    spent = page.get_by_text("Outputs that the block spends")
    expect(spent).to_be_hidden()
    page.locator(".wb-sample", has_text="block-sim.bin").click()
    expect(spent).to_be_visible()
    page.locator('.wb-addbatch [data-mode="sample"]').nth(1).click()
    page.locator(".wb-sample", has_text="spent").click()
    page.get_by_role("button", name="Keep it in the hub").click()
    page.wait_for_function("() => model.sent.some((one) => one.kind === 'import')")
    [task] = sent(page, "import")
    assert task["inputDataURL"] == "samples/block-sim.bin"
    assert task["spentOutputsURL"] == "samples/block-sim.spent.json.gz"


def test_every_word_of_the_portuguese_page_is_portuguese(draw: Open, state: dict[str, Any]) -> None:
    parts = ["label", "h2", ".wb-asked h3", ".wb-how > h4", "summary", ".wb-range"]
    parts += [".wb-primary", ".wb-button", ".wb-quietbutton", ".wb-new .wb-hint[aria-live]"]
    words = "parts => [...document.querySelectorAll(parts)].map(e => e.textContent.trim())"
    said = []
    for lang in ("en", "pt-BR"):
        page = draw(lang).page
        says(page, state["about"]["b1211_fac6c387"])
        opens(page, 1)
        expect(page.locator(".wb-answer")).to_be_visible()
        said.append(set(page.evaluate(words, ",".join(f".wb {part}" for part in parts))))
    assert said[0] & said[1] <= {"", "CSV", "Parquet", "Rune", "Runes"}


def test_a_choice_may_be_left_open_and_a_second_batch_is_another_one(
    draw: Open, state: dict[str, Any]
) -> None:
    models = state["traits"]["models"]
    choice = {"anyOf": [{"enum": ["bear", "bull"]}, {"type": "null"}], "default": None}
    models[0]["parametersSchema"]["properties"]["scenario"] = {**choice, "title": "Scenario"}
    second = {"anyOf": [{"type": "string"}, {"type": "null"}], "format": "data-url"}
    models[0]["parametersSchema"]["properties"]["other"] = {**second, "title": "Compared with"}
    models[0]["parametersSchema"]["required"] = ["other"]
    page = draw().page
    page.locator("#wb-question").select_option(models[0]["name"])
    expect(page.get_by_label("Scenario")).to_have_value("null")
    other = page.get_by_label("Compared with")
    expect(other.locator("option")).to_have_count(1)  # no batch is compared with itself
    page.locator("#wb-runes-batch").select_option(BATCH)
    expect(other).to_have_value("b1211_fac6c387")
    page.get_by_role("button", name="Ask", exact=True).click()
    [task] = sent(page, "ask")
    assert "scenario" not in task["parameters"]
    assert (task["alias"], task["parameters"]["other"]) == (BATCH, "batch:b1211_fac6c387")


@pytest.mark.parametrize(("lang", "language"), [("en", "en_US"), ("pt-BR", "pt_BR")])
def test_a_report_is_asked_for_in_the_readers_language_and_a_seed_is_no_amount(
    draw: Open, state: dict[str, Any], lang: str, language: str
) -> None:
    model = state["traits"]["models"][0]
    spoken = {"enum": ["es_ES", "en_US", "pt_BR"], "default": "es_ES", "title": "Language"}
    model["parametersSchema"]["properties"]["language"] = spoken
    state["opened"]["share"]["result"]["data"] = {"seed": 123456}
    page = draw(lang).page
    page.locator("#wb-question").select_option(model["name"])
    expect(page.locator('[title="language"] select')).to_have_value(f'"{language}"')
    opens(page, 1)
    expect(page.locator(".wb-facts dd").first).to_have_text("123456")


def test_a_report_is_there_to_be_read(draw: Open, state: dict[str, Any]) -> None:
    report = "The batch covers 16 blocks.\n" + "It holds 29 etchings and 199 mints. " * 4
    state["opened"]["share"]["result"]["data"] = {"report": report, "generator": "templates"}
    page = draw().page
    opens(page, 1)
    expect(page.locator(".wb-report")).to_contain_text("It holds 29 etchings")
    expect(page.locator(".wb-facts")).not_to_contain_text("It holds")
