// All tasks in a table: filtered, opened, run again, exported; and the tiles that sum them up.
import { download, fill, h, icon, keyed, mark, say, show } from "./dom.js";
import { parameterText, parameterWord } from "./form.js";
import { duration, moment, number, percent, t } from "./language.js";
import { elapsed, isOver, stateBadge, STATES, stateWord, summary } from "./states.js";

const SHOWN_ROWS = 50;

export class Tiles {
  constructor() {
    const tile = (word, more) => {
      const value = h("span.wb-value.wb-tabular");
      const note = h("span.wb-tilenote");
      return { value, note, element: h("div.wb-tile", { title: more }, h("dt", {}, word), h("dd", {}, value, note)) };
    };
    this.parts = { active: tile(t("Active")), done: tile(t("Done")), success: tile(t("Success rate"), t("Cancelled tasks and refused inputs are not counted.")), median: tile(t("Median duration")), p95: tile(t("95th percentile")) };
    this.element = h("dl.wb-tiles", {}, Object.values(this.parts).map((part) => part.element));
  }

  update(tasks) {
    const sum = summary(tasks);
    say(this.parts.active.value, number(sum.active));
    say(this.parts.done.value, number(sum.done));
    say(this.parts.success.value, percent(sum.success));
    say(this.parts.success.note, sum.judged ? t("of {count} that ran", { count: sum.judged }) : "");
    say(this.parts.median.value, duration(sum.median));
    say(this.parts.p95.value, duration(sum.p95));
  }
}

export class History {
  constructor({ act, models, titleOf, kept }) {
    Object.assign(this, { act, models, titleOf, kept });
    this.kept.rows ??= SHOWN_ROWS;
    this.search = h("input.wb-input.wb-search", { type: "search", placeholder: t("Filter"), "aria-label": t("Filter the history") });
    this.search.value = kept.text ?? "";
    this.state = h("select.wb-input", { "aria-label": t("State") }, h("option", { value: "" }, t("every state")), STATES.map((one) => h("option", { value: one, selected: one === kept.state }, stateWord(one))));
    const filter = () => {
      Object.assign(kept, { text: this.search.value, state: this.state.value, rows: SHOWN_ROWS });
      this.draw();
    };
    this.search.addEventListener("input", filter);
    this.state.addEventListener("change", filter);
    this.count = h("span.wb-quiet.wb-tabular");
    this.saved = h("button.wb-quietbutton", { type: "button", onclick: () => download("tasks.csv", this.#csv(), "text/csv") }, icon("down"), "CSV");
    this.rows = h("tbody");
    const heads = [t("State"), t("Model"), t("Input"), t("Parameters"), t("Submitted"), t("Duration"), ""];
    const table = h(
      "table.wb-table.wb-historytable",
      {},
      h("caption.wb-sr", {}, t("History of tasks, newest first")),
      h("thead", {}, h("tr", {}, heads.map((word, at) => h(`th${at === 5 ? ".wb-right" : ""}`, { scope: "col" }, word || h("span.wb-sr", {}, t("Actions")))))),
      this.rows,
    );
    this.more = h("button.wb-quietbutton", { type: "button", hidden: true, onclick: () => this.#more() }, t("Show more"));
    this.none = h("p.wb-quiet.wb-empty");
    this.element = h(
      "section.wb-card.wb-history",
      { "aria-label": t("History") },
      h("div.wb-toolbar", {}, h("h3", {}, t("History")), this.count, h("span.wb-grow"), this.search, this.state, this.saved),
      h("div.wb-scroll", {}, table),
      this.none,
      this.more,
    );
  }

  update(tasks, { selected, older }) {
    Object.assign(this, { tasks, selected, older });
    this.draw();
  }

  #found() {
    const words = (this.kept.text ?? "").trim().toLowerCase();
    const matches = (task) =>
      (!this.kept.state || task.state === this.kept.state) &&
      (!words || [task.model, this.titleOf(task.model), task.input, task.taskId, stateWord(task.state), this.#parameters(task)].join(" ").toLowerCase().includes(words));
    return this.tasks.filter(matches);
  }

  draw() {
    const found = this.#found();
    const seen = found.slice(0, this.kept.rows);
    keyed(this.rows, seen, (task) => task.taskId, (task) => this.#make(task), (row, task) => this.#update(row, task));
    say(this.count, found.length === this.tasks.length ? number(found.length) : t("{found} of {count}", { found: found.length, count: this.tasks.length }));
    show(this.more, found.length > seen.length || this.older);
    show(this.none, !found.length);
    say(this.none, this.tasks.length ? t("No task matches the filter.") : t("Nothing has been submitted yet."));
    this.saved.disabled = !found.length;
  }

  #more() {
    this.kept.rows += SHOWN_ROWS;
    if (this.older && this.kept.rows > this.tasks.length) this.act("older");
    this.draw();
  }

  #parameters(task) {
    return Object.entries(task.parameters ?? {}).map(([name, value]) => `${parameterWord(this.models(), task.model, name)}: ${parameterText(value, name)}`).join(" · ");
  }

  #make(task) {
    const open = (tab) => this.act("open", this.tasks.find((one) => one.taskId === task.taskId), tab);
    const button = (name, word, tab) =>
      h("button.wb-iconbutton", { type: "button", title: word, "aria-label": `${word}: ${this.titleOf(task.model)}, ${moment(task.submittedAt)}`, onclick: (event) => (event.stopPropagation(), tab ? open(tab) : this.act("rerun", task)) }, icon(name));
    const name = h("button.wb-rowlink", { type: "button", onclick: (event) => (event.stopPropagation(), open()) }, this.titleOf(task.model));
    const row = h(
      "tr",
      { onclick: () => open() },
      h("td.wb-statecell"),
      h("td", {}, name),
      h("td", {}, h("span.wb-cut")),
      h("td", {}, h("span.wb-cut.wb-quiet")),
      h("td.wb-tabular.wb-nowrap", {}, moment(task.submittedAt)),
      h("td.wb-right.wb-nowrap"),
      h("td.wb-rowactions", {}, button("log", t("Log"), "log"), button("again", t("Run again"))),
    );
    return row;
  }

  #update(row, task) {
    mark(row, "aria-selected", task.taskId === this.selected ? "true" : null);
    const [state, , input, parameters, , time] = row.children;
    const signature = `${task.state}`;
    if (state.dataset.sign !== signature) {
      state.dataset.sign = signature;
      fill(state, stateBadge(task.state), isOver(task) ? null : h("span.wb-bar.wb-mini", { "aria-hidden": "true" }, h("i")));
    }
    const bar = state.querySelector(".wb-mini i");
    if (bar) bar.style.width = `${(task.progress ?? 0) * 100}%`;
    say(input.firstChild, task.input || "–");
    mark(input.firstChild, "title", task.input);
    const shown = this.#parameters(task);
    say(parameters.firstChild, shown || "–");
    mark(parameters.firstChild, "title", shown);
    if (isOver(task)) say(time, duration(elapsed(task, 0)));
  }

  tick(now) {
    for (const row of this.rows.children) {
      const task = this.tasks.find((one) => one.taskId === row.dataset.key);
      if (task && !isOver(task)) say(row.children[5], duration(elapsed(task, now)));
    }
  }

  #csv() {
    const quote = (value) => `"${String(value ?? "").replace(/"/g, '""').replace(/^([=+@-])/, "'$1")}"`;
    const iso = (time) => (time ? new Date(time).toISOString() : "");
    const head = ["task_id", "model", "state", "input", "submitted_at", "started_at", "finished_at", "duration_s", "attempt", "parameters", "error"];
    const line = (task) =>
      [task.taskId, task.model, task.state, task.input, iso(task.submittedAt), iso(task.startedAt), iso(task.finishedAt), isOver(task) ? elapsed(task, 0) : "", task.attempt, JSON.stringify(task.parameters ?? {}), task.error?.text ?? ""].map(quote).join(",");
    return `${[head.join(","), ...this.#found().map(line)].join("\r\n")}\r\n`;
  }
}
