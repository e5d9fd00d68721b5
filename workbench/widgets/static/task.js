// One task in full: where it stands, its progress, and its result, log and details behind tabs.
import { differs, fill, h, icon, mark, say, show } from "./dom.js";
import { parameterText, parameterWord } from "./form.js";
import { duration, moment, number, percent, sentence, t } from "./language.js";
import { LogPane } from "./log.js";
import { ResultPane } from "./result.js";
import { runMetricRows } from "./run-metrics.js";
import { elapsed, isOver, quiet, remaining, stateBadge, stateWord } from "./states.js";

const UNHEARD_MS = 10_000; // so long a press of Stop is taken to be on its way

const noTask = () => ({
  title: t("No task yet"),
  text: t("Choose a model and a batch on the left, then submit: progress, log and result appear here, and stay when this page is closed."),
});

export class TaskPanel {
  /** `blank` is what stands there before a task: {title, text}; `result` draws what one gave. */
  constructor({ model, act, titleOf, again = true, blank = noTask(), result = new ResultPane(model, act) }) {
    Object.assign(this, { act, again, result });
    this.models = () => model.get("models");
    this.titleOf = titleOf;
    this.log = new LogPane();
    this.details = h("dl.wb-details");
    this.code = h("details.wb-more", { hidden: true }, h("summary", {}, t("Source")), h("pre.wb-code", { tabindex: "0" }));
    this.used = [];
    this.source = "";
    this.#head();
    this.#tabs();
    this.status = h("p.wb-sr", { role: "status", "aria-live": "polite" });
    this.body = h("div.wb-taskbody", { hidden: true }, this.head, this.progress, this.waits, this.fault, this.tablist, ...Object.values(this.panes));
    this.element = h("section.wb-card.wb-task", { "aria-label": t("Task") }, this.#empty(blank), this.body, this.status);
  }

  #empty({ title, text }) {
    this.blank = h("div.wb-blank", {}, h("h3", {}, title), h("p", {}, text));
    return this.blank;
  }

  #head() {
    this.badge = h("span");
    this.title = h("h3");
    this.subtitle = h("p.wb-quiet.wb-cut");
    this.cancel = h("span.wb-actions");
    this.head = h("div.wb-taskhead", {}, h("div.wb-grow", {}, h("div.wb-line1", {}, this.title, this.badge), this.subtitle), this.cancel);
    this.bar = h("i");
    this.track = h("div.wb-bar.wb-big", { role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": t("Progress of the task") }, this.bar);
    this.share = h("strong.wb-tabular");
    this.said = h("span.wb-grow.wb-cut");
    this.times = h("span.wb-tabular.wb-quiet");
    this.progress = h("div.wb-progress", {}, this.track, h("div.wb-progressline", {}, this.share, this.said, this.times));
    this.waits = h("p.wb-notice", { hidden: true });
    this.fault = h("p.wb-problem", { hidden: true });
  }

  #tabs() {
    const names = { result: t("Result"), log: t("Log"), details: t("Details") };
    this.tab = "log";
    this.panes = {
      result: h("div.wb-pane", {}, this.result.element),
      log: h("div.wb-pane", {}, this.log.element),
      details: h("div.wb-pane", {}, this.details, this.code),
    };
    this.buttons = Object.entries(names).map(([name, word]) =>
      h("button.wb-tab", { type: "button", role: "tab", "data-tab": name, onclick: () => this.show(name) }, word),
    );
    this.tablist = h("div.wb-tabs", { role: "tablist", "aria-label": t("Parts of the task") }, this.buttons);
    this.tablist.addEventListener("keydown", (event) => this.#step(event));
    for (const [name, pane] of Object.entries(this.panes)) {
      mark(pane, "role", "tabpanel");
      mark(pane, "aria-label", names[name]);
    }
    this.show("log");
  }

  #step(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const at = this.buttons.findIndex((button) => button.dataset.tab === this.tab);
    const next = this.buttons[(at + by + this.buttons.length) % this.buttons.length];
    this.show(next.dataset.tab);
    next.focus();
  }

  show(name) {
    this.tab = name;
    for (const button of this.buttons) {
      const chosen = button.dataset.tab === name;
      mark(button, "aria-selected", String(chosen));
      mark(button, "tabindex", chosen ? 0 : -1);
    }
    for (const [key, pane] of Object.entries(this.panes)) show(pane, key === name);
    if (name === "result") this.result.draw();
    if (name === "details" && this.task) this.#askUsed();
  }

  /** What the run used is asked for when a reader opens the details. */
  #askUsed() {
    this.act("metrics", this.task);
  }

  /** The answer: {taskId, metrics or error}. */
  setUsed(answer) {
    if (answer.taskId !== this.task?.taskId) return;
    this.source = answer.source ?? "";
    this.used = runMetricRows(answer);
    this.#details(this.task);
  }

  /** A task is looked at, or its lines and result have come: a question asked of the same task stands. */
  open(task, { lines = [], dropped = 0, result = null } = {}) {
    if (this.task?.taskId !== task?.taskId) {
      this.confirming = false;
      this.sure = null;
      this.used = [];
      this.source = "";
    }
    this.task = task;
    show(this.blank, !task);
    show(this.body, Boolean(task));
    if (!task) return;
    this.log.open(task.taskId, lines, dropped);
    this.setResult(result);
    this.show(isOver(task) && task.state === "done" ? "result" : "log");
    this.update(task);
  }

  addLines(lines) {
    this.log.add(lines);
  }

  setResult(result) {
    this.result.open(this.task, result);
    this.result.draw();
  }

  update(task) {
    const before = this.task?.taskId === task.taskId ? this.task.state : null;
    this.task = task;
    say(this.title, this.titleOf(task.model));
    say(this.subtitle, [task.input, task.taskId.slice(0, 12)].filter(Boolean).join(" · "));
    if (this.badge.dataset.state !== task.state) {
      fill(this.badge, stateBadge(task.state));
      this.badge.dataset.state = task.state;
    }
    this.#actions();
    if (before && before !== task.state) this.#announce(task, before);
    if (!isOver(task)) this.result.prepare();
    this.#fault(task);
    this.#details(task);
  }

  #announce(task, before) {
    if (isOver(task) || before === "queued" || before === "sending") {
      say(this.status, `${this.titleOf(task.model)}: ${stateWord(task.state)}`);
    }
    if (task.state === "done") this.show("result");
  }

  /** What can be done with it; while that is the same, a button stays the same one. */
  #actions() {
    const { task } = this;
    const over = isOver(task);
    const stopping = ["cancelling", this.sure].includes(task.state);
    const kind = over ? (this.again ? "again" : "none") : stopping ? "cancelling" : this.confirming ? "asked" : "cancel";
    if (!differs(this.cancel, [task.taskId, kind])) return;
    const button = (word, onclick, sign) => h("button.wb-button", { type: "button", disabled: !onclick, onclick }, sign ? icon(sign) : null, word);
    const ask = (confirming) => () => {
      this.confirming = confirming;
      this.#actions();
      this.cancel.querySelector("button").focus();
    };
    const sure = () => {
      this.confirming = false;
      this.sure = this.task.state;
      this.#actions();
      this.act("cancel", this.task);
      clearTimeout(this.unheard);
      this.unheard = setTimeout(() => this.#forget(), UNHEARD_MS);
    };
    const stop = button(t("Stop the work"), sure);
    stop.classList.add("wb-danger");
    const kinds = {
      none: [],
      again: [button(t("Run again"), () => this.act("rerun", this.task), "again")],
      cancelling: [button(t("cancelling…"), null)],
      asked: [stop, button(t("Keep it running"), ask(false))],
      cancel: [button(t("Cancel…"), ask(true), "stop")],
    };
    fill(this.cancel, kinds[kind]);
    this.cancel.onkeydown = (event) => event.key === "Escape" && kind === "asked" && (event.stopPropagation(), ask(false)());
  }

  /** A word that came to nothing, since a link was lost, can be said again. */
  #forget() {
    this.sure = null;
    if (this.task) this.#actions();
  }

  #fault(task) {
    const text = task.error && task.state !== "cancelled" ? sentence(task.error) : "";
    show(this.fault, Boolean(text));
    if (this.fault.dataset.text === text) return;
    this.fault.dataset.text = text;
    fill(this.fault, icon("warning"), h("span", {}, text));
  }

  /** Called about four times a second: what depends on the clock. */
  tick(now) {
    const { task } = this;
    if (!task) return;
    const over = isOver(task);
    const waiting = ["sending", "queued"].includes(task.state);
    // The node keeps no progress of what has ended: how far it came may be unknown.
    const share = task.state === "done" ? 1 : (task.progress ?? (over ? null : 0));
    const stalled = quiet(task, now);
    this.bar.style.width = `${share * 100}%`;
    mark(this.track, "data-state", stalled !== null ? "quiet" : task.state);
    mark(this.track, "aria-valuenow", waiting || share === null ? null : Math.round(share * 100));
    say(this.share, percent(share));
    show(this.share, !waiting);
    say(this.said, this.#words(task, over, stalled));
    say(this.times, this.#clock(task, now, over));
    mark(this.track, "aria-valuetext", [percent(share), this.said.textContent].filter(Boolean).join(", "));
    show(this.waits, waiting && Boolean(task.why || task.position));
    if (waiting) say(this.waits, this.#why(task));
  }

  #words(task, over, stalled) {
    if (stalled !== null) return t("no news for {seconds} s", { seconds: Math.floor(stalled) });
    if (task.state === "done") return [t("finished"), sentence(task.removed)].filter(Boolean).join(" · ");
    if (over) return stateWord(task.state);
    return sentence(task.status) || stateWord(task.state);
  }

  #clock(task, now, over) {
    const parts = [t("{time} elapsed", { time: duration(elapsed(task, now)) })];
    const left = over ? null : remaining(task, now);
    if (left !== null) parts.push(t("about {time} left", { time: duration(Math.max(1, Math.round(left))) }));
    if (task.attempt > 1) parts.push(t("attempt {attempt}", { attempt: task.attempt }));
    return over ? duration(elapsed(task, now)) : parts.join(" · ");
  }

  #why(task) {
    const place = task.position ? t("place {position} in the queue", { position: task.position }) : "";
    return [place, sentence(task.why)].filter(Boolean).join(" · ");
  }

  #details(task) {
    const { taskId, model, version, input, submittedAt, startedAt, finishedAt, attempt } = task;
    const given = Object.entries(task.parameters ?? {}).map(([name, value]) => [name, parameterWord(this.models(), model, name), parameterText(value, name)]);
    if (!differs(this.details, [taskId, model, version, input, submittedAt, startedAt, finishedAt, attempt, given, this.used])) return; // what is selected stays selected
    const rows = [
      [t("Task"), h("code", {}, taskId)],
      [t("Model"), h("code", {}, [model, version].filter(Boolean).join(" "))],
      [t("Input"), input || "–"],
      [t("Submitted"), moment(submittedAt)],
      [t("Started"), moment(startedAt)],
      [t("Ended"), moment(finishedAt)],
      [t("Attempt"), number(attempt ?? 1)],
      ...given.map(([name, word, value]) => [h("span", { title: name }, word), value]),
      ...this.used,
    ];
    fill(this.details, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
    show(this.code, Boolean(this.source));
    say(this.code.lastElementChild, this.source);
  }
}
