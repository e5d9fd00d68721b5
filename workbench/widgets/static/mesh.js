// The mesh submitter: puts its parts together, keeps what the reader chose, and follows the kernel.
import { Connection } from "./connection.js";
import { fill, followTheme, h, icon, mark, show } from "./dom.js";
import { History, Tiles } from "./history.js";
import { landmark } from "./landmark.js";
import { chooseLanguage, currentLanguage, sentence, setLanguage, t } from "./language.js";
import { followLanguage, languageChoice } from "./language-choice.js";
import { followTrait, Link } from "./link.js";
import { drawSilence, tasksGoOn } from "./silence.js";
import { isOver, stateWord } from "./states.js";
import { SubmitForm } from "./submit.js";
import { TaskPanel } from "./task.js";
import { randomId } from "./upload.js";

const TICK_MS = 250;

class Page {
  constructor({ model, el, signal }) {
    this.model = model;
    this.tasks = new Map();
    this.opened = new Map(); // taskId -> {lines, dropped, result}
    this.uploads = new Map();
    this.kept = { form: {}, history: {}, connection: {} };
    this.mine = new Set(); // submitted from this page: these may notify
    this.offset = 0; // the kernel's clock minus this one's, in ms
    this.root = h("div.wb.wb-mesh");
    el.append(this.root);
    setLanguage(chooseLanguage());
    this.link = new Link(model, { onMessage: (content) => this.receive(content), onPulse: (...pulse) => this.pulse(...pulse), signal, element: this.root, stays: () => this.kept.notify });
    this.build();
    this.stops = [
      followTheme(this.root, () => this.panel.result.draw()),
      followLanguage(this.root, () => this.build()),
      followTrait(model, "connection", () => this.connected()),
      followTrait(model, "models", () => this.form.redraw()),
      followTrait(model, "samples", () => this.form.redraw()),
      followTrait(model, "endpoints", () => this.build()),
      followTrait(model, "problem", () => this.problem()),
      followTrait(model, "host", () => this.strip()),
    ];
    this.timer = setInterval(() => document.hidden || this.tick(), TICK_MS);
    this.watchSize();
  }

  close() {
    clearInterval(this.timer);
    this.link.close();
    this.sizes.disconnect();
    for (const stop of this.stops) stop();
  }

  now = () => Date.now() + this.offset;

  titleOf = (name) => {
    const known = this.model.get("models").find((one) => one.name === name);
    return known?.title ? t(known.title) : name;
  };

  /** Everything anew: at the start, and in another language. What was entered is kept. */
  build() {
    const act = (...said) => this.act(...said);
    mark(this.root, "lang", currentLanguage());
    landmark(this.root, "mesh");
    this.connection = new Connection({ model: this.model, act, kept: this.kept.connection, now: this.now });
    this.tiles = new Tiles();
    this.form = new SubmitForm({ model: this.model, link: this.link, uploads: this.uploads, kept: this.kept.form, act });
    this.panel = new TaskPanel({ model: this.model, act, titleOf: this.titleOf });
    this.history = new History({ act, models: () => this.model.get("models"), titleOf: this.titleOf, kept: this.kept.history });
    this.trouble = h("div.wb-problem", { role: "alert", hidden: true });
    this.gone = h("div.wb-gone", { role: "alert", hidden: true });
    this.host = h("div.wb-host");
    this.main = h("div.wb-main", {}, h("div.wb-columns", {}, this.form.element, this.panel.element), this.history.element);
    fill(this.root, this.#header(), this.gone, this.connection.absence, this.connection.version, this.trouble, this.tiles.element, this.main, this.host);
    this.strip();
    this.problem();
    this.#redraw();
    this.#open(this.tasks.get(this.selected));
  }

  #header() {
    this.bell = h("button.wb-quietbutton", { type: "button", "aria-pressed": String(Boolean(this.kept.notify)), onclick: () => this.#toggleBell() }, icon("bell"), t("Notify"));
    this.bell.title = t("A notification of the browser when a task of this page ends");
    return h(
      "header.wb-header",
      {},
      h("h2", {}, t("Mesh tasks")),
      this.connection.element,
      h("span.wb-grow"),
      "Notification" in globalThis ? this.bell : null,
      languageChoice(),
    );
  }

  async #toggleBell() {
    const granted = !this.kept.notify && (await Notification.requestPermission()) === "granted";
    this.kept.notify = granted;
    mark(this.bell, "aria-pressed", String(granted));
  }

  act(what, ...details) {
    const deeds = {
      open: (task, tab) => this.#open(task, tab),
      cancel: (task) => this.link.send({ kind: "cancel", taskId: task.taskId }),
      rerun: (task) => this.#rerun(task),
      submit: (task) => this.mine.add(task.taskId) && this.link.send({ kind: "submit", ...task }),
      connect: (choice) => this.link.send({ kind: "connect", ...choice }),
      startHub: () => this.link.send({ kind: "startHub" }),
      restartHub: () => this.link.send({ kind: "restartHub" }),
      use: (url) => this.form.use(url),
      older: () => this.link.send({ kind: "older" }),
      metrics: (task) => this.link.send({ kind: "metrics", taskId: task.taskId }),
    };
    return deeds[what](...details);
  }

  #rerun(task) {
    const taskId = randomId();
    this.mine.add(taskId);
    this.following = taskId;
    this.link.send({ kind: "rerun", of: task.taskId, taskId });
  }

  #open(task, tab) {
    if (!task) return this.panel.open(null);
    const already = this.selected === task.taskId && this.panel.task;
    this.selected = task.taskId;
    if (!already) this.panel.open(task, this.opened.get(task.taskId));
    if (tab) {
      this.panel.show(tab);
      this.panel.element.scrollIntoView({ block: "nearest", behavior: "smooth" });
    }
    if (!this.opened.has(task.taskId) || !already) this.link.send({ kind: "open", taskId: task.taskId });
    return this.#redraw();
  }

  receive(content) {
    const handlers = {
      snapshot: () => this.#snapshot(content),
      delta: () => this.#delta(content),
      opened: () => this.#opened(content),
      submitted: () => this.#submitted(content),
      refused: () => this.form.refused(content),
      upload: () => this.uploads.get(content.uploadId)?.receive(content),
      metrics: () => this.panel.setUsed(content),
    };
    handlers[content.kind]?.();
  }

  #clock({ now }) {
    if (now) this.offset = now - Date.now();
  }

  #snapshot(content) {
    this.#clock(content);
    this.tasks = new Map(content.tasks.map((task) => [task.taskId, task]));
    this.older = content.older ?? false;
    this.opened.clear();
    const known = this.tasks.get(this.selected) ?? this.#first();
    this.selected = undefined;
    this.#open(known);
    this.#later();
  }

  #first() {
    const sorted = this.#sorted();
    return sorted.find((task) => task.state === "running") ?? sorted.find((task) => !isOver(task)) ?? sorted[0];
  }

  #sorted() {
    return [...this.tasks.values()].sort((a, b) => (b.submittedAt ?? 0) - (a.submittedAt ?? 0));
  }

  #delta(content) {
    this.#clock(content);
    for (const task of content.tasks ?? []) this.#changed(task);
    for (const [taskId, lines] of Object.entries(content.logs ?? {})) {
      const known = this.opened.get(taskId);
      if (!known) continue;
      known.lines.push(...lines);
      if (taskId === this.selected) this.panel.addLines(lines);
    }
    this.older = content.older ?? this.older;
    if (!this.selected) this.#open(this.#first());
    this.#later();
  }

  #changed(task) {
    const before = this.tasks.get(task.taskId);
    this.tasks.set(task.taskId, task);
    if (!before || isOver(before) || !isOver(task)) return;
    if (task.taskId === this.selected) this.link.send({ kind: "open", taskId: task.taskId });
    if (this.mine.has(task.taskId) && this.kept.notify) this.#notify(task);
  }

  #notify(task) {
    const note = new Notification(`${this.titleOf(task.model)}: ${stateWord(task.state)}`, { body: task.input ?? "", tag: task.taskId });
    note.onclick = () => {
      focus();
      this.#open(task);
    };
  }

  #opened({ taskId, lines, dropped, result }) {
    const before = this.opened.get(taskId);
    this.opened.set(taskId, { lines, dropped, result });
    if (taskId !== this.selected) return;
    const task = this.tasks.get(taskId);
    if (!before) this.panel.open(task, { lines, dropped, result });
    else {
      this.panel.log.open(taskId, lines, dropped);
      this.panel.setResult(result);
    }
  }

  #submitted(content) {
    if (!this.form.accepted(content) && content.taskId !== this.following) return;
    const task = this.tasks.get(content.taskId) ?? content.task;
    if (!task) return;
    this.tasks.set(task.taskId, task);
    this.#open(task);
  }

  /** Many messages, one drawing: at the next frame. */
  #later() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.#redraw());
  }

  #redraw() {
    const sorted = this.#sorted();
    this.tiles.update(sorted);
    this.history.update(sorted, { selected: this.selected, older: this.older });
    const task = this.tasks.get(this.selected);
    if (task && this.panel.task) this.panel.update(task);
    this.tick();
  }

  tick() {
    const now = this.now();
    this.panel.tick(now);
    this.history.tick(now);
    this.connection.tick();
  }

  connected() {
    this.connection.update();
    this.form.enable();
  }

  problem() {
    const problem = this.model.get("problem");
    show(this.trouble, Boolean(problem));
    if (problem) fill(this.trouble, icon("warning"), h("span", {}, sentence(problem), problem.remedy ? h("span.wb-remedy", {}, ` ${sentence(problem.remedy)}`) : null));
  }

  strip() {
    const parts = this.model.get("host");
    show(this.host, parts.length > 0);
    fill(
      this.host,
      h("h3", {}, t("This machine")),
      h("ul", {}, parts.map((part) => h("li", { "data-there": String(part.there) }, icon(part.there ? "check" : "dots"), h("span", {}, sentence(part.said), part.remedy ? h("span.wb-quiet", {}, ` ${sentence(part.remedy)}`) : null)))),
    );
  }

  pulse(alive, heardAt) {
    this.main.classList.toggle("wb-stale", !alive);
    this.tiles.element.classList.toggle("wb-stale", !alive);
    drawSilence(this.gone, alive ? "" : tasksGoOn(heardAt));
  }

  /** Figures are drawn again when their place changes, once per frame. */
  watchSize() {
    let width = 0;
    this.sizes = new ResizeObserver(([entry]) => {
      const now = Math.round(entry.contentRect.width);
      if (width && Math.abs(now - width) > 8) this.panel.result.draw();
      width = now;
    });
    this.sizes.observe(this.root);
  }
}

function render(context) {
  const page = new Page(context);
  return () => page.close();
}

export default { render };
