// The log pane of one task: bounded, searched, copied, downloaded; pinned to its end until scrolled.
import { copy, download, fill, h, icon, mark, say, show } from "./dom.js";
import { clockTime, sentence, t } from "./language.js";

const KEEP_LINES = 1000;
const NEAR_END_PX = 24;

export class LogPane {
  constructor() {
    this.lines = [];
    this.dropped = 0;
    this.pinned = true;
    this.search = h("input.wb-input.wb-search", { type: "search", placeholder: t("Search the log"), "aria-label": t("Search the log") });
    this.search.addEventListener("input", () => this.#filter());
    this.count = h("span.wb-quiet.wb-tabular");
    this.list = h("div.wb-log", { role: "log", "aria-live": "off", tabindex: "0", "aria-label": t("Log of the task") });
    this.list.addEventListener("scroll", () => {
      this.pinned = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < NEAR_END_PX;
      show(this.jump, !this.pinned);
    });
    this.jump = h("button.wb-jump", { type: "button", hidden: true, onclick: () => this.#toEnd() }, icon("chevron"), t("newest"));
    this.copied = h("button.wb-quietbutton", { type: "button", onclick: () => this.#copy() }, icon("copy"), h("span", {}, t("Copy")));
    const saved = h("button.wb-quietbutton", { type: "button", onclick: () => download(`${this.name}.log`, this.#text()) }, icon("down"), t("Download"));
    this.element = h("div.wb-logpane", {}, h("div.wb-toolbar", {}, this.search, this.count, h("span.wb-grow"), this.copied, saved), h("div.wb-logbox", {}, this.list, this.jump));
  }

  /** Starts over with the lines of another task. A line: {at, level, text, template, values, attempt}. */
  open(name, lines, dropped = 0) {
    this.name = name;
    this.lines = [];
    this.dropped = dropped;
    fill(this.list);
    this.pinned = true;
    this.add(lines);
  }

  add(lines) {
    this.lines.push(...lines);
    this.list.append(...lines.slice(-KEEP_LINES).map((line) => this.#row(line)));
    const over = this.lines.length - KEEP_LINES;
    if (over > 0) {
      this.lines.splice(0, over);
      this.dropped += over;
      while (this.list.childElementCount > KEEP_LINES) this.list.firstElementChild.remove();
    }
    this.#counted();
    if (this.pinned) this.list.scrollTop = this.list.scrollHeight;
  }

  #row(line) {
    const words = sentence(line);
    const row = h("div.wb-line", { "data-level": line.level ?? "info" }, h("time", {}, clockTime(line.at)), h("span.wb-level", {}, t(line.level ?? "info")), h("span.wb-said", {}, words));
    row.hidden = !this.#matches(words);
    return row;
  }

  #matches(words) {
    return words.toLowerCase().includes(this.search.value.trim().toLowerCase());
  }

  #filter() {
    for (const row of this.list.children) row.hidden = !this.#matches(row.lastElementChild.textContent);
    this.#counted();
  }

  #counted() {
    const found = this.search.value.trim() ? [...this.list.children].filter((row) => !row.hidden).length : this.lines.length;
    const told = this.search.value.trim()
      ? t("{found} of {count} lines", { found, count: this.lines.length })
      : this.dropped
        ? t("{count} lines, {dropped} earlier ones left out", { count: this.lines.length, dropped: this.dropped })
        : t("{count} lines", { count: this.lines.length });
    say(this.count, this.lines.length ? told : t("no lines"));
    mark(this.list, "data-empty", this.lines.length ? null : "yes");
  }

  #text() {
    const line = (one) => `${new Date(one.at).toISOString()} ${(one.level ?? "info").padEnd(7)} ${sentence(one)}`;
    return `${this.lines.map(line).join("\n")}\n`;
  }

  #toEnd() {
    this.list.scrollTop = this.list.scrollHeight;
  }

  async #copy() {
    await copy(this.#text());
    const word = this.copied.querySelector("span");
    say(word, t("Copied"));
    setTimeout(() => say(word, t("Copy")), 1500);
  }
}
