// One task below the cell that sent it: the task panel alone, following the kernel.
import { fill, followTheme, h, icon, mark, show } from "./dom.js";
import { chooseLanguage, currentLanguage, sentence, setLanguage, t } from "./language.js";
import { followLanguage } from "./language-choice.js";
import { followTrait, Link } from "./link.js";
import { drawSilence, tasksGoOn } from "./silence.js";
import { isOver } from "./states.js";
import { TaskPanel } from "./task.js";

const RUN_TICK_MS = 250;

class RunCard {
  constructor({ model, el, signal }) {
    this.model = model;
    this.taskId = model.get("task_id");
    this.lines = [];
    this.offset = 0; // the kernel's clock minus this one's, in ms
    this.root = h("div.wb.wb-mesh.wb-run");
    el.append(this.root);
    setLanguage(chooseLanguage());
    this.link = new Link(model, { onMessage: (content) => this.receive(content), onPulse: (...pulse) => this.pulse(...pulse), signal, element: this.root });
    this.build();
    this.stops = [
      followTheme(this.root, () => this.panel.result.draw()),
      followLanguage(this.root, () => this.build()),
      followTrait(model, "problem", () => this.problem()),
      followTrait(model, "models", () => this.task && this.panel.update(this.task)),
    ];
    this.timer = setInterval(() => document.hidden || this.panel.tick(Date.now() + this.offset), RUN_TICK_MS);
  }

  close() {
    clearInterval(this.timer);
    this.link.close();
    for (const stop of this.stops) stop();
  }

  build() {
    mark(this.root, "lang", currentLanguage());
    this.panel = new TaskPanel({ model: this.model, act: (...said) => this.act(...said), titleOf: this.titleOf, again: false });
    this.trouble = h("div.wb-problem", { role: "alert", hidden: true });
    this.gone = h("div.wb-gone", { role: "alert", hidden: true });
    fill(this.root, this.gone, this.trouble, this.panel.element);
    this.problem();
    if (this.task) this.panel.open(this.task, this.known);
  }

  titleOf = (name) => {
    const known = this.model.get("models").find((one) => one.name === name);
    return known?.title ? t(known.title) : name;
  };

  act(what, task) {
    if (["cancel", "metrics"].includes(what)) this.link.send({ kind: what, taskId: task.taskId });
  }

  receive(content) {
    const handlers = {
      snapshot: () => this.#tasks(content, true),
      delta: () => this.#tasks(content, false),
      opened: () => this.#opened(content),
      metrics: () => this.panel.setUsed(content),
    };
    handlers[content.kind]?.();
  }

  #tasks({ now, tasks = [], logs = {} }, anew) {
    if (now) this.offset = now - Date.now();
    const task = tasks.find((one) => one.taskId === this.taskId);
    const ended = task && isOver(task) && !(this.task && isOver(this.task)); // or is first heard of
    if (task) this.#show(task);
    if (logs[this.taskId] && this.known) {
      this.known.lines.push(...logs[this.taskId]);
      this.panel.addLines(logs[this.taskId]);
    }
    if (anew || ended) this.link.send({ kind: "open", taskId: this.taskId });
  }

  #show(task) {
    const first = !this.task;
    this.task = task;
    if (first) this.panel.open(task, this.known);
    else this.panel.update(task);
    this.panel.tick(Date.now() + this.offset);
  }

  #opened({ taskId, lines, dropped, result }) {
    const before = this.known;
    this.known = { lines: [...lines], dropped, result };
    if (!this.task) return;
    if (!before) return void this.panel.open(this.task, this.known);
    this.panel.log.open(taskId, lines, dropped);
    this.panel.setResult(result);
  }

  problem() {
    const problem = this.model.get("problem");
    show(this.trouble, Boolean(problem));
    if (problem) fill(this.trouble, icon("warning"), h("span", {}, sentence(problem)));
  }

  pulse(alive, heardAt) {
    const matters = !alive && this.task && !isOver(this.task); // of what has ended there is no news
    this.panel.element.classList.toggle("wb-stale", Boolean(matters));
    drawSilence(this.gone, matters ? tasksGoOn(heardAt) : "", { reload: false });
  }
}

function render(context) {
  const card = new RunCard(context);
  return () => card.close();
}

export default { render };
