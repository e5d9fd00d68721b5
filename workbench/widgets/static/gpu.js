// The metrics panel: puts its parts together, keeps what the reader chose, and follows the kernel.
import { fill, followTheme, h, icon, mark, show } from "./dom.js";
import { drawAbsence } from "./absence.js";
import { AlertCard, AlertStrip, notifyOf } from "./gpu-alerts.js";
import { GaugeChart } from "./gpu-chart.js";
import { Freshness } from "./freshness.js";
import { ChartBar, Controls } from "./gpu-controls.js";
import { numbersOf, Store } from "./gpu-data.js";
import { MemoryCard } from "./gpu-memory.js";
import { GpuTable, Meters } from "./gpu-meters.js";
import { GAUGES } from "./gpu-words.js";
import { landmark } from "./landmark.js";
import { chooseLanguage, currentLanguage, sentence, setLanguage, t } from "./language.js";
import { followLanguage, languageChoice } from "./language-choice.js";
import { followTrait, Link } from "./link.js";
import { drawSilence, tasksGoOn } from "./silence.js";
import { drawVersion } from "./version.js";

const LOOK_MS = 500;
const OLD_AFTER = 4; // so many intervals without a tick: what is shown is not current
const OLD_MS = 10_000; // and never before

class MetricsPanel {
  constructor({ model, el, signal }) {
    this.model = model;
    this.store = new Store();
    this.kept = { metric: {}, notify: false, seen: null };
    this.options = model.get("options");
    this.heardAt = 0; // of a tick: what a greeting brings may be old
    this.root = h("div.wb.wb-gpu", { "data-lm-suppress-shortcuts": "true" });
    el.append(this.root);
    setLanguage(chooseLanguage());
    this.build();
    this.link = new Link(model, { onMessage: (...told) => this.receive(...told), onPulse: (...pulse) => this.pulse(...pulse), signal, element: this.root, stays: () => this.kept.notify });
    const redrawn = ["gpus", "catalogue", "models", "note", "processes", "ledger", "price", "stale"];
    this.stops = [
      followTheme(this.root, () => this.#afresh()),
      followLanguage(this.root, () => this.build()),
      ...redrawn.map((trait) => followTrait(model, trait, () => this.later())),
      followTrait(model, "options", () => this.#chosen()),
      ...["alerts", "rules", "past_alerts"].map((trait) => followTrait(model, trait, () => this.alerted())),
      ...["connection", "problem", "host"].map((trait) => followTrait(model, trait, () => this.told())),
    ];
    this.timer = setInterval(() => this.root.checkVisibility() && !document.hidden && this.look(), LOOK_MS);
    this.sizes = new ResizeObserver(() => this.later());
    this.sizes.observe(this.root);
  }

  close() {
    clearInterval(this.timer);
    cancelAnimationFrame(this.frame);
    this.link.close();
    this.sizes.disconnect();
    this.chart.close();
    for (const stop of this.stops) stop();
  }

  /** Everything anew: at the start, and in another language. What was chosen is kept. */
  build() {
    const { model, kept } = this;
    const act = (kind, details) => this.link.send({ kind, ...details });
    const choose = (...said) => this.choose(...said);
    mark(this.root, "lang", currentLanguage());
    landmark(this.root, "gpus");
    this.chart?.close();
    this.fresh = new Freshness();
    this.controls = new Controls({ act, choose });
    this.bar = new ChartBar({ act, choose, metricChosen: (metric) => this.#charts(metric) });
    this.chart = new GaugeChart({ model });
    this.meters = new Meters();
    this.table = new GpuTable();
    this.memory = new MemoryCard({ act });
    this.strip = new AlertStrip();
    this.alerts = new AlertCard({ model, act, kept });
    this.blank = h("div.wb-blank", { hidden: true });
    this.gone = h("div.wb-gone", { role: "alert", hidden: true });
    this.absence = h("div.wb-problem", { role: "alert", hidden: true });
    this.version = h("div.wb-problem.wb-version", { role: "status", hidden: true });
    this.trouble = h("div.wb-problem", { role: "alert", hidden: true });
    this.host = h("ul.wb-hostlines", { hidden: true });
    this.numbers = h("section.wb-card.wb-numbers", { "aria-label": t("Gauges and history") }, this.bar.element, this.chart.element, this.meters.element);
    this.sides = h("div.wb-sides", {}, this.memory.element, this.alerts.element);
    this.main = h("div.wb-main", {}, this.blank, this.numbers, this.table.element, this.sides);
    fill(this.root, this.#header(), this.gone, this.absence, this.version, this.trouble, this.controls.element, this.strip.element, this.main, this.host);
    this.told();
    this.alerted();
  }

  #header() {
    this.bell = h("button.wb-quietbutton.wb-bell", { type: "button", "aria-label": t("Notify"), "aria-pressed": String(this.kept.notify), onclick: () => this.#ring() }, icon("bell"), h("span", {}, t("Notify")));
    this.bell.title = t("A notification of the browser for each alert. While it is on, a hidden page keeps its kernel running.");
    return h("header.wb-header", {}, h("h2", {}, t("Metrics")), this.fresh.element, h("span.wb-grow"), "Notification" in globalThis ? this.bell : null, languageChoice());
  }

  async #ring() {
    this.kept.notify = !this.kept.notify && (await Notification.requestPermission()) === "granted";
    mark(this.bell, "aria-pressed", String(this.kept.notify));
  }

  /** What is chosen shows at once; the kernel hears of it, and its word counts. */
  choose(changes, kind, details) {
    this.options = { ...this.options, ...changes };
    this.link.send({ kind, ...details });
    this.later();
  }

  #chosen() {
    this.options = { ...this.model.get("options") };
    this.later();
  }

  #charts(metric) {
    this.kept.metric[this.options.view] = metric;
    this.later();
  }

  #afresh() {
    this.chart.reset();
    this.later();
  }

  receive(content, buffers) {
    const handlers = {
      snapshot: () => this.store.begin(content),
      history: () => this.store.history(content, numbersOf(buffers[0])),
      tick: () => this.#tick(content, buffers),
      exported: () => this.bar.exported(content, buffers),
      exportRefused: () => this.bar.refused(sentence(content.error)),
      ruleSaved: () => this.alerts.saved(),
      ruleRefused: () => this.alerts.refused(content.error),
    };
    handlers[content.kind]?.();
    this.later();
  }

  #tick(content, buffers) {
    this.heardAt = Date.now();
    this.store.tick(content, numbersOf(buffers[0]));
  }

  /** Many messages, one drawing: at the next frame. */
  later() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  /** What the figure, the meters and the tables are drawn from. */
  #scene() {
    const of = (name) => this.model.get(name);
    const { view, selected, windowS, intervalMs } = this.options;
    const gpus = of("gpus");
    const chosen = gpus.map((gpu) => gpu.gpuId).filter((id) => !selected || selected.includes(id));
    const subjects = { gpu: chosen, llm: ["", ...of("models")], host: [""] }[view];
    const metrics = GAUGES[view].filter((metric) => metric in of("catalogue"));
    const metric = this.kept.metric[view] ?? metrics[0];
    this.store.look(windowS * 1000);
    return {
      view, windowS, intervalMs, subjects, metrics, metric, gpus, store: this.store, old: !["live", "waiting"].includes(this.state),
      now: this.store.at ?? Date.now(), catalogue: of("catalogue"), rules: of("rules"), alerts: of("alerts"),
    };
  }

  draw() {
    this.look();
    const scene = this.#scene();
    const shown = scene.gpus.filter((gpu) => scene.subjects.includes(gpu.gpuId));
    const drawn = scene.subjects.length > 0 && scene.metrics.length > 0;
    this.controls.update(this.options, scene.gpus);
    show(this.numbers, drawn);
    show(this.blank, !drawn);
    this.#nothing(drawn);
    if (drawn) {
      this.bar.update(scene, this.#title());
      this.meters.update(scene);
      this.chart.update(scene);
    }
    const gpusShown = this.options.view === "gpu" ? shown : [];
    this.table.update(scene, gpusShown, this.model.get("price"));
    this.memory.update({ gpus: gpusShown, processes: this.model.get("processes"), ledger: this.model.get("ledger") });
    mark(this.sides, "data-alone", gpusShown.length ? null : "yes");
  }

  #title() {
    return { gpu: t("GPUs now and over time"), llm: t("Language models now and over time"), host: t("This machine now and over time") }[this.options.view];
  }

  /** No GPU is a normal state: why, and what there is instead. */
  #nothing(drawn) {
    if (drawn) return;
    const note = this.model.get("note");
    const sign = `${currentLanguage()} ${JSON.stringify(note)}`;
    if (this.blank.dataset.sign === sign) return;
    this.blank.dataset.sign = sign;
    const other = h("button.wb-button", { type: "button", onclick: () => this.choose({ view: "host" }, "view", { view: "host" }) }, t("Show this machine"));
    const known = Object.keys(this.model.get("catalogue")).length > 0;
    fill(this.blank, h("h3", {}, known ? t("There is no GPU to show") : t("Waiting for the hub")), h("p", {}, note ? sentence(note) : t("Values appear here once they are measured.")), known ? h("div", {}, other) : null);
  }

  alerted() {
    const alerts = this.model.get("alerts");
    const ids = new Set(alerts.map((alert) => alert.alertId));
    if (this.kept.notify && this.kept.seen) notifyOf(alerts, this.kept.seen, this.model.get("catalogue"));
    this.kept.seen = ids;
    this.strip.update(alerts, this.model.get("catalogue"));
    this.alerts.update();
    this.later();
  }

  told() {
    const { state, hub, endpoint } = this.model.get("connection");
    const here = state !== "connected" && (endpoint ?? "local") === "local";
    drawAbsence(this.absence, here ? (hub ?? "") : "", t("Nothing is measured until it is back. Start it here, or with make run or workbench hub."), () => this.link.send({ kind: "startHub" }));
    drawVersion(this.version, this.model.get("connection"), (kind) => this.link.send({ kind }));
    const problem = this.model.get("problem");
    show(this.trouble, Boolean(problem));
    if (problem) fill(this.trouble, icon("warning"), h("span", {}, sentence(problem), problem.remedy ? h("span.wb-remedy", {}, ` ${sentence(problem.remedy)}`) : null));
    const parts = this.model.get("host");
    show(this.host, parts.length > 0);
    fill(this.host, parts.map((part) => h("li", {}, icon(part.there ? "check" : "dots"), h("span", {}, sentence(part.said), part.remedy ? h("span.wb-quiet", {}, ` ${sentence(part.remedy)}`) : null))));
    this.later();
  }

  /** How much the numbers are of now; an old one is dimmed and dated, never shown as live. */
  look() {
    const quietMs = Math.max(OLD_MS, OLD_AFTER * this.options.intervalMs);
    this.state = this.#state(Date.now() - this.heardAt > quietMs);
    this.fresh.update(this.state, this.store.at ?? this.model.get("stale")?.sinceMs);
    const old = !["live", "waiting"].includes(this.state);
    for (const part of [this.chart.element, this.table.element, this.memory.element, this.strip.element]) part.classList.toggle("wb-stale", old && this.state !== "paused");
  }

  #state(silent) {
    const { state } = this.model.get("connection");
    if (this.link && !this.link.alive) return "silent";
    if (state !== "connected" && (this.store.at !== null || state !== "connecting")) return "disconnected";
    if (this.options.paused) return "paused";
    if (this.store.at === null) return "waiting";
    return this.model.get("stale") || silent ? "stale" : "live";
  }

  pulse(alive, heardAt) {
    drawSilence(this.gone, alive ? "" : tasksGoOn(heardAt));
    this.later();
  }
}

function render(context) {
  const panel = new MetricsPanel(context);
  return () => panel.close();
}

export default { render };
