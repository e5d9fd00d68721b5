// What a run used, in words: its GPUs' memory and energy, and what that cost; unknown is said.
import { duration, number, sentence, t } from "./language.js";

const measured = (value, unit, digits = 0) => ((value ?? null) === null ? t("unknown") : `${number(value, digits)} ${unit}`.trim());

/** Pairs of name and value of a RunMetrics (core/metrics_wire.py), or of why there is none. */
export function runMetricRows({ metrics, error }) {
  if (error) return [[t("What it used"), sentence(error)]];
  if (!metrics.startedAt) return [[t("What it used"), t("nothing: it never ran")]];
  return [...gpuRows(metrics), ...hostRows(metrics)];
}

/** The same in one line: the numbers that are known, and which are not. */
export function runMetricLine(answer) {
  const { metrics, error } = answer;
  if (error || !metrics.startedAt) return runMetricRows(answer)[0][1];
  const took = metrics.endedAt ? [[t("Time"), duration((metrics.endedAt - metrics.startedAt) / 1000)]] : [];
  return [...took, ...runMetricRows(answer)].map(([name, value]) => `${name}: ${value}`).join(" · ");
}

function gpuRows(metrics) {
  const { gpus, shared, peakMemoryMB, meanUtilization, peakTemperatureC, meanPowerW } = metrics;
  if (!gpus.length) return [[t("GPUs"), t("none was used")]];
  const named = gpus.join(", ");
  return [
    [t("GPUs"), shared ? t("{gpus} (all: nobody says which it used)", { gpus: named }) : named],
    [t("Peak GPU memory"), measured(peakMemoryMB, "MB")],
    [t("Mean GPU utilisation"), measured(meanUtilization, "%")],
    [t("Peak temperature"), measured(peakTemperatureC, "°C")],
    [t("Mean power"), measured(meanPowerW, "W")],
    ...energyRows(metrics),
  ];
}

function energyRows({ energyWh, cost, currency }) {
  const unpriced = (cost ?? null) === null && (energyWh ?? null) !== null;
  return [
    [t("Energy of its GPUs"), measured(energyWh, "Wh", 3)],
    [t("Cost"), unpriced ? t("unknown: no price per kWh is set") : measured(cost, currency, 4)],
  ];
}

function hostRows({ meanCpu, peakHostMemoryMB }) {
  return [
    [t("Mean CPU of the machine"), measured(meanCpu, "%")],
    [t("Peak memory of the machine"), measured(peakHostMemoryMB, "MB")],
  ];
}
