// Questions about batches: puts the parts together, keeps what the reader chose, and follows the kernel.
import { drawAbsence } from "./absence.js";
import { AnswerPane, answerWords } from "./answer.js";
import { fill, followTheme, h, icon, keyed, mark, say, show } from "./dom.js";
import { Freshness } from "./freshness.js";
import { landmark } from "./landmark.js";
import { chooseLanguage, currentLanguage, moment, sentence, setLanguage, t } from "./language.js";
import { followLanguage, languageChoice } from "./language-choice.js";
import { followTrait, Link } from "./link.js";
import { AskForm } from "./runes-ask.js";
import { drawSilence, tasksGoOn } from "./silence.js";
import { isOver, stateBadge } from "./states.js";
import { TaskPanel } from "./task.js";
import { randomId } from "./upload.js";
import { drawVersion } from "./version.js";

const TURN_MS = 250;
const SHOWN_ASKED = 12;

class RunesPage {
  constructor({ model, el, signal }) {
    this.model = model;
    this.tasks = new Map();
    this.opened = new Map(); // taskId -> {lines, dropped, result}
    this.uploads = new Map();
    this.kept = {};
    this.mine = new Set();
    this.offset = 0; // the kernel's clock minus this one's, in ms
    this.root = h("div.wb.wb-runes");
    el.append(this.root);
    setLanguage(chooseLanguage());
    this.link = new Link(model, { onMessage: (...said) => this.receive(...said), onPulse: (...pulse) => this.pulse(...pulse), signal, element: this.root });
    this.build();
    this.stops = [
      followTheme(this.root, () => this.panel?.result.draw()),
      followLanguage(this.root, () => this.build()),
      followTrait(model, "models", () => this.form?.redraw()),
      followTrait(model, "batches", () => this.form?.batch.redraw()),
      followTrait(model, "listed", () => this.form?.batch.redraw()),
      followTrait(model, "samples", () => this.build()),
      followTrait(model, "connection", () => this.told()),
      followTrait(model, "problem", () => this.told()),
    ];
    this.timer = setInterval(() => document.hidden || this.tick(), TURN_MS);
    this.#await();
  }

  close() {
    clearInterval(this.timer);
    this.link.close();
    this.seen.disconnect();
    for (const stop of this.stops) stop();
  }

  /** Nothing is asked of the hub, and little is drawn, until a reader comes near. */
  #await() {
    this.seen = new IntersectionObserver(
      ([entry]) => {
        if (!entry.isIntersecting || this.looked) return;
        this.looked = true;
        this.link.send({ kind: "look" });
        this.build();
      },
      { rootMargin: "200px" },
    );
    this.seen.observe(this.root);
    let width = 0;
    this.sizes = new ResizeObserver(([entry]) => {
      const now = Math.round(entry.contentRect.width);
      if (width && Math.abs(now - width) > 8) this.panel?.result.draw();
      width = now;
    });
    this.sizes.observe(this.root);
    this.stops.push(() => this.sizes.disconnect());
  }

  titleOf = (name) => {
    const known = this.model.get("models").find((one) => one.name === name);
    return known?.title ? t(known.title) : name;
  };

  /** Everything anew: at the start, and in another language. What was entered is kept. */
  build() {
    mark(this.root, "lang", currentLanguage());
    landmark(this.root, "runes");
    this.fresh = new Freshness();
    const head = h("header.wb-header", {}, h("h2", {}, t("Runes")), this.fresh.element, h("span.wb-grow"), languageChoice());
    if (!this.looked) return fill(this.root, head, h("p.wb-card.wb-blank", {}, t("Questions about batches of blocks, and their answers.")));
    this.gone = h("div.wb-gone", { role: "alert", hidden: true });
    this.absence = h("div.wb-problem", { role: "alert", hidden: true });
    this.version = h("div.wb-problem.wb-version", { role: "status", hidden: true });
    this.trouble = h("div.wb-problem", { role: "alert", hidden: true });
    this.form = new AskForm({ model: this.model, link: this.link, uploads: this.uploads, kept: this.kept, act: (...said) => this.act(...said) });
    this.asked = h("ul.wb-askedlist");
    this.before = h("section.wb-card.wb-asked", { "aria-label": t("Asked before"), hidden: true }, h("h3", {}, t("Asked before")), this.asked);
    this.place = h("div.wb-answerplace");
    this.panel = null;
    this.main = h("div.wb-main.wb-asking", {}, this.form.element, this.place, this.before);
    fill(this.root, head, this.gone, this.absence, this.version, this.trouble, this.main);
    this.told();
    this.#redraw();
    return this.#open(this.tasks.get(this.selected));
  }

  #blank() {
    return h("section.wb-card.wb-task", { "aria-label": t("Answer") }, h("div.wb-blank", {}, h("h3", {}, t("Nothing asked yet")), h("p", {}, t("Choose a batch and a question: the answer appears here in a sentence, with its exact rows, a figure and how it came about."))));
  }

  act(what, ...details) {
    const [first, more] = details;
    const deeds = {
      ask: () => this.#send("ask", first),
      import: () => this.#send("import", first),
      rerun: () => this.#send("rerun", { of: first.taskId, taskId: randomId() }),
      cancel: () => this.link.send({ kind: "cancel", taskId: first.taskId }),
      metrics: () => this.link.send({ kind: "metrics", taskId: first.taskId }),
      export: () => this.link.send({ kind: "export", taskId: first.taskId, ...more }),
      use: () => this.form.batch.imported(first.replace(/^batch:/, "")),
      about: () => this.link.send({ kind: "about", alias: first }),
      search: () => this.link.send({ kind: "search", ...first }),
      batches: () => this.link.send({ kind: "batches" }),
    };
    return deeds[what]();
  }

  #send(kind, content) {
    this.mine.add(content.taskId);
    this.link.send({ kind, ...content });
  }

  receive(content, buffers) {
    const handlers = {
      snapshot: () => this.#tasks(content, true),
      delta: () => this.#tasks(content, false),
      opened: () => this.#opened(content),
      submitted: () => this.#submitted(content),
      refused: () => this.form?.refused(content),
      upload: () => this.uploads.get(content.uploadId)?.receive(content),
      metrics: () => this.panel?.setUsed(content),
      about: () => this.form?.batch.about(content),
      runes: () => this.form?.runes?.found(content),
      imported: () => this.form?.batch.imported(content.alias),
      exported: () => this.panel?.result.exported(content, buffers),
      exportRefused: () => this.panel?.result.refused(content.error),
    };
    handlers[content.kind]?.();
  }

  #tasks({ now, tasks = [], logs = {} }, anew) {
    if (now) this.offset = now - Date.now();
    if (anew) this.tasks.clear();
    for (const task of tasks) this.#changed(task);
    const lines = logs[this.selected];
    if (lines && this.opened.has(this.selected)) {
      this.opened.get(this.selected).lines.push(...lines);
      this.panel?.addLines(lines);
    }
    if (anew && this.selected) this.link.send({ kind: "open", taskId: this.selected });
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.#redraw());
  }

  #changed(task) {
    const before = this.tasks.get(task.taskId);
    this.tasks.set(task.taskId, task);
    const ended = before && !isOver(before) && isOver(task);
    if (ended && task.taskId === this.selected) this.link.send({ kind: "open", taskId: task.taskId });
  }

  #submitted(content) {
    this.form?.accepted(content);
    if (!this.mine.has(content.taskId)) return;
    const task = this.tasks.get(content.taskId) ?? content.task;
    this.tasks.set(task.taskId, task);
    this.#open(task);
    this.place.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  #open(task) {
    if (!this.looked) return;
    if (!task) return void fill(this.place, this.#blank());
    this.selected = task.taskId;
    if (!this.panel) {
      const act = (...said) => this.act(...said);
      this.panel = new TaskPanel({ model: this.model, act, titleOf: this.titleOf, result: new AnswerPane(this.model, act) });
      mark(this.panel.element, "aria-label", t("Answer"));
      fill(this.place, this.panel.element);
    }
    this.panel.open(task, this.opened.get(task.taskId));
    this.link.send({ kind: "open", taskId: task.taskId });
    this.#redraw();
  }

  #opened({ taskId, lines, dropped, result }) {
    const before = this.opened.get(taskId);
    this.opened.set(taskId, { lines: [...lines], dropped, result });
    if (taskId !== this.selected || !this.panel) return;
    this.panel.log.open(taskId, lines, dropped);
    if (result && before?.result && JSON.stringify(before.result) === JSON.stringify(result)) return;
    this.panel.setResult(result);
    if (result) say(this.panel.status, answerWords(result));
  }

  #redraw() {
    if (!this.form) return;
    const known = new Set(this.form.models.map((one) => one.name));
    const asked = [...this.tasks.values()].filter((task) => known.has(task.model)).sort((a, b) => (b.submittedAt ?? 0) - (a.submittedAt ?? 0));
    show(this.before, asked.length > 0);
    keyed(this.asked, asked.slice(0, SHOWN_ASKED), (task) => task.taskId, (task) => this.#row(task), (row, task) => this.#update(row, task));
    const task = this.tasks.get(this.selected);
    if (task && this.panel) this.panel.update(task);
    this.tick();
  }

  #row(task) {
    const button = h("button.wb-askedrow", { type: "button", onclick: () => this.#open(this.tasks.get(task.taskId)) }, h("span.wb-askedstate"), h("span.wb-grow", {}, h("strong"), h("span.wb-quiet")));
    return h("li", {}, button);
  }

  #update(row, task) {
    const [button] = row.children;
    const [state, words] = button.children;
    if (state.dataset.state !== task.state) {
      fill(state, stateBadge(task.state));
      state.dataset.state = task.state;
    }
    mark(button, "aria-current", task.taskId === this.selected ? "true" : null);
    say(words.firstChild, this.titleOf(task.model));
    say(words.lastChild, [task.parameters?.rune, task.input, moment(task.submittedAt)].filter(Boolean).join(" · "));
  }

  tick() {
    this.panel?.tick(Date.now() + this.offset);
  }

  told() {
    if (!this.looked) return;
    const { state, hub } = this.model.get("connection");
    drawAbsence(this.absence, state === "connected" ? "" : (hub ?? ""), t("Questions wait until it is back. Start it here, or with make run or workbench hub."), () => this.link.send({ kind: "startHub" }));
    drawVersion(this.version, this.model.get("connection"), (kind) => this.link.send({ kind }));
    const problem = this.model.get("problem");
    show(this.trouble, Boolean(problem));
    if (problem) fill(this.trouble, icon("warning"), h("span", {}, sentence(problem)));
    this.form.enable();
    this.#look();
  }

  #look() {
    const { state } = this.model.get("connection");
    const silent = !this.link.alive;
    this.fresh.update(silent ? "silent" : { connected: "live", connecting: "waiting" }[state] ?? "disconnected", null);
    this.main?.classList.toggle("wb-stale", silent);
  }

  pulse(alive, heardAt) {
    if (!this.looked) return;
    drawSilence(this.gone, alive ? "" : tasksGoOn(heardAt));
    this.#look();
  }
}

function render(context) {
  const page = new RunesPage(context);
  return () => page.close();
}

export default { render };
