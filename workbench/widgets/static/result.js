// What a finished task gave: facts, figures through the plot panel, tables with exact numbers.
import { copy, fill, h, icon } from "./dom.js";
import { drawFigure } from "./figure.js";
import { duration, moment, number, sentence, t } from "./language.js";
import { plotly } from "./plotly.js";

const NUMERIC = new Set(["integer", "number"]);

/** Integers that are names rather than amounts are not grouped. */
const GROUPED = /^(?!.*(height|index|block|time|bits|nonce|pointer|output$|cluster$|version)).*$/i;

function cell(column, value) {
  if (value === null || value === undefined) return h("td.wb-null", {}, "–");
  if (NUMERIC.has(column.kind)) {
    const text = GROUPED.test(column.name) ? number(value, 4) : String(value);
    return h("td.wb-right", {}, text);
  }
  if (column.kind === "boolean") return h("td", {}, value ? t("yes") : t("no"));
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return h("td", text.length > 24 ? { title: text } : {}, h("span.wb-cut", {}, text));
}

export function tableView(table) {
  const head = h("tr", {}, table.columns.map((column) => h(`th${NUMERIC.has(column.kind) ? ".wb-right" : ""}`, { scope: "col" }, column.name)));
  const rows = table.rows.map((row) => h("tr", {}, row.map((value, at) => cell(table.columns[at], value))));
  const told =
    table.total > table.rows.length
      ? t("first {shown} of {total} rows", { shown: table.rows.length, total: table.total })
      : t("{total} rows", { total: table.total });
  return h(
    "section.wb-tablepart",
    { "aria-label": table.name },
    h("div.wb-toolbar", {}, h("h4", {}, h("code", {}, table.name)), h("span.wb-quiet.wb-tabular", {}, told)),
    h("div.wb-scroll", { tabindex: "0", role: "region", "aria-label": t("Table {name}", { name: table.name }) }, h("table.wb-table", {}, h("thead", {}, head), h("tbody", {}, rows))),
  );
}

/** Plain facts of `data`: numbers, words and yes-or-no at its top level. */
function facts(data) {
  return Object.entries(data ?? {}).filter(([, value]) => ["number", "string", "boolean"].includes(typeof value) || value === null);
}

const LONG = 22;
const INSTANT = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/;

function factText(name, value) {
  if (typeof value === "number") return GROUPED.test(name) ? number(value, 4) : String(value);
  if (typeof value === "boolean") return value ? t("yes") : t("no");
  if (value === null) return "–";
  if (INSTANT.test(value)) return moment(Date.parse(value));
  return value.length > LONG && !value.includes(" ") ? `${value.slice(0, 6)}…${value.slice(-8)}` : t(value);
}

function factView([name, value]) {
  const words = name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replace(/_/g, " ").toLowerCase();
  const text = factText(name, value);
  return h("div.wb-fact", {}, h("dt", { title: name }, t(words)), h("dd", { title: String(value) }, text));
}

export class ResultPane {
  constructor(model, act) {
    this.model = model;
    this.act = act;
    this.element = h("div.wb-result");
    this.figures = [];
  }

  open(task, result) {
    this.result = result;
    if (!result) return fill(this.element, h("p.wb-quiet.wb-empty", {}, this.#nothing(task)));
    const { data, tables = [], figures = [], notes = [] } = result;
    this.figures = figures.map((figure) => ({ figure, element: h("div.wb-plot") }));
    return fill(
      this.element,
      notes.map((note) => h("p.wb-notice", {}, icon("warning"), sentence(note))),
      this.#facts(result, facts(data)),
      h("div.wb-figures", {}, this.figures.map((one) => one.element)),
      tables.map(tableView),
      this.#document(data),
      this.#where(result),
    );
  }

  #nothing(task) {
    return ["done"].includes(task.state) ? t("Fetching the result…") : t("There is a result once the task is done.");
  }

  #facts(result, list) {
    const own = [
      h("div.wb-fact", {}, h("dt", {}, t("computing time")), h("dd", {}, duration((result.elapsedMs ?? 0) / 1000))),
      h("div.wb-fact", {}, h("dt", {}, t("device")), h("dd", {}, result.device ?? "–")),
    ];
    return h("dl.wb-facts", {}, list.map(factView), own);
  }

  #document(data) {
    const text = JSON.stringify(data, null, 2) ?? "";
    const copied = h("button.wb-quietbutton", { type: "button", onclick: () => copy(text) }, icon("copy"), t("Copy JSON"));
    return h("details.wb-more", {}, h("summary", {}, t("The answer as JSON")), h("div.wb-toolbar", {}, copied), h("pre.wb-code", { tabindex: "0" }, text.slice(0, 20_000), text.length > 20_000 ? "\n…" : ""));
  }

  #where(result) {
    if (!result.alias) return null;
    const first = result.tables?.[0]?.name ?? "document";
    const line = `workbench.connect().query("SELECT * FROM ${result.alias}.${first}")`;
    const copied = h("button.wb-iconbutton", { type: "button", "aria-label": t("Copy the query"), title: t("Copy the query"), onclick: () => copy(line) }, icon("copy"));
    const isBatch = result.tables?.some((table) => table.name === "runestones");
    const use = h("button.wb-button", { type: "button", onclick: () => this.act("use", `batch:${result.alias}`) }, icon("play"), t("Analyse this batch"));
    return h("div.wb-where", {}, isBatch ? use : null, h("span.wb-quiet", {}, t("In a notebook:")), h("code", {}, line), copied);
  }

  /** Work under way may end in figures: by then the page has what draws them. */
  prepare() {
    this.prepared ??= plotly(this.model, this.model.get("plotly_version")).catch(() => null);
  }

  /** Figures are drawn when they can be seen, and again in another theme or width: once per frame. */
  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.#drawNow());
  }

  async #drawNow() {
    if (!this.figures.length || !this.element.isConnected || !this.element.offsetParent) return;
    const figures = this.figures;
    try {
      const Plotly = await plotly(this.model, this.model.get("plotly_version"));
      for (const { figure, element } of figures) if (element.isConnected) await drawFigure(Plotly, element, figure);
    } catch (error) {
      const [first] = figures;
      fill(first.element, h("p.wb-fault", {}, t("the figure cannot be drawn: {reason}", { reason: error.message })));
    }
  }
}

