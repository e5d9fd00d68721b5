// What the reader chooses: the view, the GPUs, how often, how far back; pause, refresh and export.
import { download, fill, h, icon, mark, say, show } from "./dom.js";
import { GAUGES, gpuName, metricTitle, OF_VIEW, span } from "./gpu-words.js";
import { t } from "./language.js";

const INTERVALS_MS = [500, 1000, 2000, 5000, 10_000, 30_000, 60_000];
const WINDOWS_S = [300, 900, 3600, 21_600, 86_400, 604_800];

export class Controls {
  constructor({ act, choose }) {
    Object.assign(this, { act, choose });
    this.views = h("div.wb-segments", { role: "group", "aria-label": t("What is shown") });
    this.gpus = h("div.wb-segments.wb-gpuchoice", { role: "group", "aria-label": t("GPUs shown") });
    this.interval = h("select.wb-input", { "aria-label": t("Interval"), title: t("Interval"), onchange: () => choose({ intervalMs: Number(this.interval.value) }, "configure", { intervalMs: Number(this.interval.value) }) });
    this.pause = h("button.wb-button", { type: "button", onclick: () => choose({ paused: !this.options.paused }, "pause", { paused: !this.options.paused }) });
    const refresh = h("button.wb-button", { type: "button", onclick: () => act("refresh") }, icon("again"), t("Refresh"));
    this.element = h("div.wb-toolbar.wb-gpucontrols", {}, this.views, this.gpus, h("span.wb-grow"), this.interval, this.pause, refresh);
  }

  update(options, gpus) {
    this.options = options;
    this.#viewed(options.view);
    this.#selected(options, gpus);
    const known = [...new Set([...INTERVALS_MS, options.intervalMs])].sort((a, b) => a - b);
    choices(this.interval, known, options.intervalMs, (one) => t("every {time}", { time: span(one / 1000) }));
    if (this.drawn === options.paused) return;
    this.drawn = options.paused;
    fill(this.pause, icon(options.paused ? "play" : "pause"), options.paused ? t("Go on") : t("Pause"));
  }

  #viewed(view) {
    const words = { gpu: "GPU", llm: t("Language models"), host: t("This machine") };
    segments(this.views, Object.entries(words), (one) => one === view, (one) => this.choose({ view: one }, "view", { view: one }));
  }

  /** One, several or all: a press adds or takes away; with none left, all are shown. */
  #selected({ view, selected }, gpus) {
    show(this.gpus, view === "gpu" && gpus.length > 1);
    const ids = gpus.map((gpu) => gpu.gpuId);
    const pick = (id) => {
      const next = id === null ? [] : (selected ?? []).includes(id) ? selected.filter((one) => one !== id) : ids.filter((one) => one === id || selected?.includes(one));
      const chosen = next.length && next.length < ids.length ? next : null;
      this.choose({ selected: chosen }, "select", { gpus: chosen });
    };
    segments(this.gpus, [[null, t("All")], ...ids.map((id) => [id, id, gpuName(id)])], (id) => (id === null ? !selected : Boolean(selected?.includes(id))), pick);
  }
}

/** What the chart shows and how far back, and the way out: CSV and Parquet. */
export class ChartBar {
  constructor({ act, choose, metricChosen }) {
    Object.assign(this, { act });
    this.title = h("h3.wb-cut");
    this.metric = h("select.wb-input", { "aria-label": t("Metric of the chart"), onchange: () => metricChosen(this.metric.value) });
    this.window = h("select.wb-input", { "aria-label": t("Time shown"), onchange: () => choose({ windowS: Number(this.window.value) }, "window", { seconds: Number(this.window.value) }) });
    const saved = (format, word) => h("button.wb-quietbutton", { type: "button", "aria-label": t("Export as {format}", { format: word }), onclick: () => this.#export(format) }, icon("down"), word);
    this.told = h("p.wb-fault", { role: "alert", hidden: true });
    this.buttons = [saved("csv", "CSV"), saved("parquet", "Parquet")];
    this.element = h("div.wb-toolbar", {}, this.title, h("span.wb-grow"), this.metric, this.window, h("div.wb-exports", {}, this.buttons), this.told);
  }

  update(scene, title) {
    const names = Object.keys(scene.catalogue).filter((name) => scene.catalogue[name].of === OF_VIEW[scene.view]);
    say(this.title, title);
    this.windowS = scene.windowS;
    choices(this.metric, names.length ? names : GAUGES[scene.view], scene.metric, (one) => metricTitle(scene.catalogue, one));
    const known = [...new Set([...WINDOWS_S, scene.windowS])].sort((a, b) => a - b);
    choices(this.window, known, scene.windowS, (one) => t("last {time}", { time: span(one) }));
  }

  #export(format) {
    this.#busy(true);
    this.act("export", { format, windowS: this.windowS });
  }

  #busy(busy, said = "") {
    for (const button of this.buttons) button.disabled = busy;
    say(this.told, said);
    show(this.told, Boolean(said));
  }

  exported({ name, mediaType }, [view]) {
    this.#busy(false);
    download(name, view, mediaType);
  }

  refused(said) {
    this.#busy(false, said);
  }
}

/** Options of a select, made anew only where they changed: an open list stays open. */
function choices(select, values, chosen, word) {
  const sign = JSON.stringify(values.map((one) => [one, word(one)]));
  if (select.dataset.sign !== sign) {
    select.dataset.sign = sign;
    fill(select, values.map((one) => h("option", { value: String(one) }, word(one))));
  }
  if (select.value !== String(chosen)) select.value = String(chosen);
}

function segments(group, entries, isOn, press) {
  const sign = JSON.stringify(entries);
  if (group.dataset.sign !== sign) {
    group.dataset.sign = sign;
    fill(group, entries.map(([value, word, label]) => h("button.wb-segment", { type: "button", "aria-label": label ?? null }, word)));
  }
  [...group.children].forEach((button, at) => {
    mark(button, "aria-pressed", String(isOn(entries[at][0])));
    button.onclick = () => press(entries[at][0]);
  });
}
