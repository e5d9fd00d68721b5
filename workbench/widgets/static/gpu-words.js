// What the panel's numbers are called, their units, and how far their gauges go.
import { currentLanguage, duration, number, t } from "./language.js";

/** Those with a gauge, in each view; the chart shows any of the view's metrics. */
export const GAUGES = {
  gpu: ["gpu.utilization", "gpu.memory_used_pct", "gpu.temperature", "gpu.power"],
  llm: ["llm.tokens_per_s", "llm.ttft", "llm.in_flight", "llm.queued", "llm.requests_per_min", "llm.errors_per_min"],
  host: ["host.cpu", "host.memory_used_pct", "host.disk_used_pct", "host.load", "host.network_received", "host.network_sent", "hub.cpu", "hub.memory"],
};
export const OF_VIEW = { gpu: "gpu", llm: "model", host: "host" };

export const notGiven = () => t("not given");

const DIGITS = { "%": 0, "°C": 0, MHz: 0, W: 0, "": 1 };

/** The unit in which so large a number is read, and by how much it has to be divided. */
export function scaleOf(unit, size) {
  if (unit === "MB" && size >= 1000) return { by: 1000, unit: "GB" };
  if (unit === "B/s" && size >= 1e6) return { by: 1e6, unit: "MB/s" };
  if (unit === "B/s" && size >= 1000) return { by: 1000, unit: "kB/s" };
  if (unit === "ms" && size >= 10_000) return { by: 1000, unit: "s" };
  return { by: 1, unit };
}

export const unitWord = (unit) => (unit === "tokens/s" ? t("tokens/s") : unit === "1/min" ? "/min" : unit);

/** A value with its unit, as `exact` as it was typed or as it is read; a missing one is said to be missing. */
export function amount(value, unit, exact = false) {
  if (value === null || value === undefined) return notGiven();
  if (unit === "ms") return duration(value / 1000);
  const scale = scaleOf(unit, Math.abs(value));
  const size = value / scale.by;
  const text = number(size, exact ? 3 : scale.by === 1 && unit in DIGITS ? DIGITS[unit] : size < 100 ? 1 : 0);
  return scale.unit ? `${text} ${unitWord(scale.unit)}` : text;
}

export const metricTitle = (catalogue, metric) => (catalogue[metric] ? t(catalogue[metric].title) : metric);

export const gpuName = (id) => t("GPU {id}", { id });

/** Whose numbers they are, as a row's heading. */
export function subjectName(view, subject) {
  if (view === "gpu") return gpuName(subject);
  if (subject) return subject.replace(/@[^@]*$/, "");
  return view === "llm" ? t("All models") : t("This machine");
}

const viewOf = (metric) => (metric.startsWith("gpu.") ? "gpu" : metric.startsWith("llm.") ? "llm" : "host");
export const whose = (metric, subject) => subjectName(viewOf(metric), subject);

/** 1, 2 or 5 times a power of ten, not below `value`. */
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((one) => one >= value * 0.9999);
}

/** How far a gauge goes: the metric's own bound, the GPU's, else a round number that held so far. */
export function highOf({ catalogue, store, gpus }, metric, subject) {
  const bound = catalogue[metric]?.high;
  if (bound !== null && bound !== undefined) return bound;
  const gpu = gpus.find((one) => one.gpuId === subject);
  if (metric === "gpu.power" && gpu?.powerLimitW) return gpu.powerLimitW;
  if (metric === "gpu.memory_used" && gpu?.memoryTotalMB) return gpu.memoryTotalMB;
  return roundUp(store.highest(metric));
}

/** The rules that look at this metric of this subject. */
export const rulesFor = (rules, metric, subject) =>
  rules.filter((rule) => (rule.enabled ?? true) && rule.metric === metric && [null, undefined, subject].includes(rule.subject));

export const alertOf = (alerts, metric, subject) =>
  alerts.find((alert) => alert.metric === metric && alert.subject === subject);

export const gpuStateWord = (state) => ({ ok: t("working"), lost: t("lost"), denied: t("no permission"), failed: t("cannot be read") })[state] ?? state;

/** A value as a cell says it; a GPU that cannot be read says that instead of each missing value. */
export function valueWords({ store, gpus, catalogue }, metric, subject) {
  const value = store.value(metric, subject);
  const gpu = gpus.find((one) => one.gpuId === subject);
  const unread = value === null && metric.startsWith("gpu.") && (gpu?.state ?? "ok") !== "ok";
  return unread ? gpuStateWord(gpu.state) : amount(value, catalogue[metric]?.unit ?? "");
}

/** "Temperature of GPU 1", for a sentence or a list. */
export function measured(catalogue, metric, subject) {
  const values = { metric: metricTitle(catalogue, metric), subject: whose(metric, subject) };
  if (subject) return t("{metric} of {subject}", values);
  return viewOf(metric) === "llm" ? t("{metric} of all models", values) : t("{metric} of this machine", values);
}

export const beyond = (rule, catalogue) => {
  const value = amount(rule.threshold, catalogue[rule.metric]?.unit ?? "", true);
  return rule.direction === "below" ? t("below {value}", { value }) : t("above {value}", { value });
};

/** How long a window or an interval is, in the words of a list: 500 ms, 2 s, 15 min, 6 h, 7 d. */
export function span(seconds) {
  if (seconds < 59.5) return duration(seconds);
  const [size, unit] = seconds < 3600 ? [60, "min"] : seconds <= 86_400 ? [3600, "h"] : [86_400, "d"];
  const count = seconds / size;
  return `${number(count, count < 10 ? 1 : 0)} ${unit}`;
}

/** Plotly's formats of instants: on an axis by how far apart its ticks are, and under the pointer. */
export function timeFormats(windowS) {
  const day = currentLanguage() === "pt-BR" ? "%d/%m" : "%m/%d";
  const [minute, whole] = [60_000, 86_400_000];
  const ticks = [
    { dtickrange: [null, minute - 1], value: "%H:%M:%S" },
    { dtickrange: [minute, whole - 1], value: windowS <= 86_400 ? "%H:%M" : `${day} %H:%M` },
    { dtickrange: [whole, null], value: day },
  ];
  return { ticks, hover: windowS <= 86_400 ? "%H:%M:%S" : `${day} %H:%M` };
}
