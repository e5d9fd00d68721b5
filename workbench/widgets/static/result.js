// What a finished task gave: facts, figures through the plot panel, tables with exact numbers.
import { copy, fill, h, icon, mark } from "./dom.js";
import { drawFigure } from "./figure.js";
import { currentLanguage, duration, heading, moment, number, percent, quantity, sentence, t, term } from "./language.js";
import { plotly } from "./plotly.js";

const NUMERIC = new Set(["integer", "number"]);
const FIRST_BY = "anomaly_score"; // a table that has it begins with its oddest rows

/** How far a condition is met, where it is not wholly. */
const met = (degree) => (degree < 1 ? ` (${percent(degree)})` : "");

/** A document in a cell, in words: a rune's drivers with their weights, a cluster's centre, the conditions of a rule. */
function inWords(value) {
  if (Array.isArray(value)) return value.map(inWords).join(" · ");
  if (typeof value === "number") return number(value);
  if (value === null || typeof value !== "object") return String(value ?? "–");
  if ("feature" in value && "weight" in value) return `${term(value.feature)} ${percent(value.weight)}`;
  if ("feature" in value) return `${term(value.feature)} ${inWords(value.value)}${met(value.degree)}`;
  if ("unless" in value) return t("not {name}", { name: term(value.unless) }) + met(value.degree);
  return Object.entries(value).map(([name, one]) => `${term(name)} ${inWords(one)}`).join(" · ");
}

const WORDS = new Set(["category", "cause", "kind", "measure", "outlook", "reason", "rule", "status", "table", "trend", "what"]); // as in runes/drawing.py

/** `ours`: the table is one of a model of ours, in which such columns hold words and not data. */
function cell(column, value, ours) {
  const numeric = NUMERIC.has(column.kind);
  if (value === null || value === undefined) return h(`td.wb-null${numeric ? ".wb-right" : ""}`, {}, "–");
  if (numeric) return h("td.wb-right", {}, quantity(value, column.name));
  if (column.kind === "boolean") return h("td", {}, value ? t("yes") : t("no"));
  const text = ours && WORDS.has(column.name) ? t(inWords(value)) : inWords(value);
  return h("td", text.length > 24 ? { title: text } : {}, CODE.test(text) ? ends(text) : h("span.wb-cut", {}, text));
}

const CODE = /^(?=.*\d)(?=.*[a-z])[0-9A-Za-z:]{25,}$/; // a script, an address, a transaction: no amount, no name
const TAIL = 6;

/** A long one by its ends; it stays whole for who copies it. */
const ends = (text) => h("span.wb-ends", {}, h("span", {}, text.slice(0, -TAIL)), text.slice(-TAIL));

/** Below, at or above: digits as exact integers, text as a reader orders it. What is unknown comes last. */
function compared(one, other, down) {
  const blank = (value) => value === null || value === undefined;
  if (blank(one) || blank(other)) return blank(one) - blank(other);
  const exact = (value) => (/^-?\d+$/.test(value) ? BigInt(value) : value);
  const [a, b] = [exact(one), exact(other)];
  const order = [a, b].every((value) => typeof value !== "string" && typeof value !== "object")
    ? (a > b) - (a < b)
    : inWords(one).localeCompare(inWords(other), currentLanguage(), { numeric: true });
  return down ? -order : order;
}

/** `tools` are buttons beside its name; `named` gives a column's heading. */
export function tableView(table, tools = [], named = heading) {
  const ours = named === heading;
  const rows = table.rows.map((values) => ({ values, element: h("tr", {}, values.map((value, at) => cell(table.columns[at], value, ours))) }));
  const body = h("tbody", {}, rows.map((row) => row.element));
  const sort = (at, down) => {
    rows.sort((a, b) => compared(a.values[at], b.values[at], down));
    body.append(...rows.map((row) => row.element));
    heads.forEach((head, place) => mark(head, "aria-sort", place === at ? (down ? "descending" : "ascending") : null));
  };
  const heads = table.columns.map(({ name, kind }, at) => {
    const numeric = NUMERIC.has(kind);
    // Numbers begin with the largest: that is what one looks for.
    const other = () => sort(at, heads[at].hasAttribute("aria-sort") ? heads[at].getAttribute("aria-sort") === "ascending" : numeric);
    return h(`th${numeric ? ".wb-right" : ""}`, { scope: "col", title: name }, h("button.wb-sort", { type: "button", onclick: other }, named(name), icon("chevron")));
  });
  const first = table.columns.findIndex(({ name }) => name === FIRST_BY);
  if (first >= 0) sort(first, true);
  const told =
    table.total > table.rows.length
      ? t("first {shown} of {total} rows", { shown: table.rows.length, total: table.total })
      : t("{total} rows", { total: table.total });
  const shown = table.columns.length;
  const wide = table.columnsTotal > shown ? `, ${t("first {shown} of {total} columns", { shown, total: table.columnsTotal })}` : "";
  return h(
    "section.wb-tablepart",
    { "aria-label": table.name },
    h("div.wb-toolbar", {}, h("h4", {}, h("code", {}, table.name)), h("span.wb-quiet.wb-tabular", {}, told + wide), tools.length ? [h("span.wb-grow"), h("span.wb-tools", {}, tools)] : null),
    h("div.wb-scroll", { tabindex: "0", role: "region", "aria-label": t("Table {name}", { name: table.name }) }, h("table.wb-table", {}, h("thead", {}, h("tr", {}, heads)), body)),
  );
}

/** Plain facts of `data`: numbers, words and yes-or-no at its top level, or in what a function returned. */
export function facts(data) {
  const value = data?.value;
  const named = value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
  return Object.entries({ ...data, ...named }).filter(([, value]) => ["number", "string", "boolean"].includes(typeof value) || value === null);
}

/** A text that is read, not glanced at. */
const isReport = ([, value]) => typeof value === "string" && value.length > 100 && value.includes(" ");

const LONG = 22;
const INSTANT = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/;

function factText(name, value) {
  if (typeof value === "number") return quantity(value, name);
  if (typeof value === "boolean") return value ? t("yes") : t("no");
  if (value === null) return "–";
  if (INSTANT.test(value)) return moment(Date.parse(value));
  return value.length > LONG && !value.includes(" ") ? `${value.slice(0, 6)}…${value.slice(-8)}` : t(value);
}

export function factView([name, value]) {
  const text = factText(name, value);
  return h("div.wb-fact", {}, h("dt", { title: name }, heading(name)), h("dd", { title: String(value) }, text));
}

const POINTS = ["x", "y", "z", "values", "labels"];

/** Where there is nothing to compare, no empty axes are drawn. */
function hasPoints({ data = [] }) {
  return data.some((trace) => {
    const given = POINTS.filter((name) => name in trace);
    return !given.length || given.some((name) => trace[name]?.length !== 0);
  });
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
    this.figures = (result.figures ?? []).filter(hasPoints).map((figure) => ({ figure, element: h("div.wb-plot") }));
    return fill(this.element, this.parts(result, task));
  }

  /** What there is to see, from the top down. */
  parts(result) {
    const { own } = this.model.get("models").find(({ name }) => name === result.model) ?? {};
    const named = own ? (name) => name : heading; // a person's own columns as she wrote them
    return [...this.told(result), (result.tables ?? []).map((table) => tableView(table, [], named)), this.document(result.data), this.where(result)];
  }

  /** Notes, facts and figures. */
  told({ notes = [], data, ...result }) {
    const list = facts(data);
    return [
      notes.map((note) => h("p.wb-notice", {}, icon("warning"), sentence(note))),
      this.#facts(result, list.filter((fact) => !isReport(fact))),
      list.filter(isReport).map(([, text]) => h("p.wb-report", {}, text)),
      h("div.wb-figures", {}, this.figures.map((one) => one.element)),
    ];
  }

  #nothing(task) {
    return ["done"].includes(task.state) ? t("Fetching the result…") : t("There is a result once the task is done.");
  }

  #facts(result, list) {
    const own = [
      h("div.wb-fact", {}, h("dt", {}, heading("computingTime")), h("dd", {}, duration((result.elapsedMs ?? 0) / 1000))),
      h("div.wb-fact", {}, h("dt", {}, heading("device")), h("dd", {}, result.device ?? "–")),
    ];
    return h("dl.wb-facts", {}, list.map(factView), own);
  }

  document(data) {
    const text = JSON.stringify(data, null, 2) ?? "";
    const copied = h("button.wb-quietbutton", { type: "button", onclick: () => copy(text) }, icon("copy"), t("Copy JSON"));
    return h("details.wb-more", {}, h("summary", {}, t("The answer as JSON")), h("div.wb-toolbar", {}, copied), h("pre.wb-code", { tabindex: "0" }, text.slice(0, 20_000), text.length > 20_000 ? "\n…" : ""));
  }

  where(result) {
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

