// The panel's one figure: gauges with fixed ranges, alert bands and thresholds, sparklines, and the
// chart of one metric over time. Everything that a tick changes is in `moving`, the rest in `figureOf`.
import { inside } from "./gpu-layout.js";
import { alertOf, beyond, highOf, metricTitle, rulesFor, scaleOf, subjectName, timeFormats, unitWord, valueWords } from "./gpu-words.js";
import { t } from "./language.js";

const CHART_H = 268;
const BETWEEN = 34; // from the gauges to the chart
const SPARK_POINTS = 60;
const DETAIL_CHARS = 25;
const UNKNOWN_PX = 12;
const SUFFIX_CHARS = 4; // a longer unit stands beside the axis once
const SPARK_REACH = 0.1; // of the gauge's range at least: noise is no mountain
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const BLUE = "#0072B2";
const LINES = [null, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442"]; // the orange red is the alerts'
const BANDED = 8; // bands of more lines hide each other

/** Plotly shows instants in UTC: shifted, they are the reader's own. */
const local = (at) => at - new Date(at).getTimezoneOffset() * 60_000;

const lowOf = (scene, metric) => scene.catalogue[metric]?.low ?? 0;
const unitOf = (scene, metric) => scene.catalogue[metric]?.unit ?? "";
const within = (share) => Math.min(1, Math.max(0, share));

/** A cell's scale: value -> pixel of its bar. */
function scaled(scene, { metric, subject, x, w }) {
  const low = lowOf(scene, metric);
  const high = highOf(scene, metric, subject);
  return { low, high, to: (value) => x + within((value - low) / (high - low || 1)) * w };
}

/** An alert has a sign in front of its value, not its colour alone. */
function valueText(scene, { metric, subject }, alert) {
  const sign = alert ? (alert.direction === "below" ? "▼ " : "▲ ") : "";
  return sign + valueWords(scene, metric, subject).replace(unitWord("tokens/s"), "/s"); // the heading says of what
}

/** Whether the chart has nothing to show in its window. */
export const isEmpty = ({ store, subjects, metric, now, windowS }) => !subjects.some((subject) => store.has(metric, subject, now - windowS * 1000));

/** A single point makes no line: it is shown as a dot. */
export const modeOf = ({ y }) => (y.filter((one) => one !== null).length === 1 ? "markers" : "lines");

/** What the chart shows: the lines, their unit, and where its axis ends. */
function charted(scene) {
  const { metric, subjects, store } = scene;
  const high = Math.max(...subjects.map((subject) => highOf(scene, metric, subject)), 0) || 1;
  const scale = scaleOf(unitOf(scene, metric), high);
  const from = scene.now - scene.windowS * 1000;
  const divided = (list) => list.map((one) => (one === null ? null : one / scale.by));
  const lines = subjects.map((subject) => {
    const { x, mean, low, high: top } = store.line(metric, subject, from, scene.intervalMs);
    return { subject, x: x.map(local), y: divided(mean), low: divided(low), high: divided(top) };
  });
  return { lines, scale, range: [local(from), local(scene.now)], axis: [lowOf(scene, metric) / scale.by, high / scale.by] };
}

/** What each tick changes, in the order in which the traces stand. */
export function moving(scene, layout, colours) {
  const fills = { x: [], color: [] };
  const words = { text: [], color: [], size: [], weight: [] };
  const sparks = { x: [], y: [] };
  for (const cell of layout.cells) {
    const scale = scaled(scene, cell);
    const value = scene.store.value(cell.metric, cell.subject);
    const alert = alertOf(scene.alerts, cell.metric, cell.subject);
    fills.x.push(value === null ? 0 : scale.to(value) - cell.x);
    fills.color.push(alert ? colours.red : colours.blue);
    words.text.push(valueText(scene, cell, alert));
    words.color.push(value === null ? colours.quiet : alert ? colours.red : colours.ink);
    words.weight.push(value === null ? 400 : 600);
    words.size.push(value === null ? UNKNOWN_PX : inside(cell, layout.size).font);
    sparked(scene, cell, scale, inside(cell, layout.size).spark, sparks);
  }
  return { fills, words, sparks, chart: charted(scene) };
}

/**
 * One cell's line over the window, in pixels; all cells' lines are one trace with holes between.
 * It shows the course, on a scale of its own: how high it is, the gauge says.
 */
function sparked(scene, cell, { low, high }, box, sparks) {
  const from = scene.now - scene.windowS * 1000;
  const { x, mean } = scene.store.line(cell.metric, cell.subject, from, scene.intervalMs, SPARK_POINTS);
  const given = mean.filter((one) => one !== null);
  const least = Math.min(...given);
  const reach = Math.max(Math.max(...given) - least, (high - low) * SPARK_REACH) || 1;
  x.forEach((at, i) => {
    sparks.x.push(box.x + ((at - from) / (scene.windowS * 1000)) * box.w);
    sparks.y.push(mean[i] === null ? null : box.bottom - within((mean[i] - least) / reach) * (box.bottom - box.top));
  });
  sparks.x.push(box.x);
  sparks.y.push(null);
}

/** Rail and alert band of every gauge, and the mark at its threshold. */
function standing(scene, layout, colours) {
  const rails = { base: [], x: [], y: [], color: [], width: [] };
  const marks = { x: [], y: [] };
  const rail = (base, x, y, color, width) => Object.entries({ base, x, y, color, width }).forEach(([name, one]) => rails[name].push(one));
  for (const cell of layout.cells) {
    const { barY, thick } = inside(cell, layout.size);
    const scale = scaled(scene, cell);
    rail(cell.x, cell.w, barY, colours.line, thick);
    for (const rule of rulesFor(scene.rules, cell.metric, cell.subject)) {
      const at = scale.to(rule.threshold);
      if (rule.threshold > scale.high || rule.threshold < scale.low) continue;
      const [base, x] = rule.direction === "below" ? [cell.x, at - cell.x] : [at, cell.x + cell.w - at];
      rail(base, x, barY, colours.band, thick);
      marks.x.push(at, at, null);
      marks.y.push(barY - thick / 2 - 3, barY + thick / 2 + 3, null);
    }
  }
  return { rails, marks };
}

const PLANE = { xaxis: "x2", yaxis: "y2", hoverinfo: "skip", showlegend: false };

function gaugeTraces(scene, layout, colours, { fills, words, sparks }) {
  const { rails, marks } = standing(scene, layout, colours);
  const spots = layout.cells.map((cell) => ({ cell, ...inside(cell, layout.size) }));
  const bar = { type: "bar", orientation: "h", ...PLANE };
  return {
    rails: { ...bar, base: rails.base, x: rails.x, y: rails.y, width: rails.width, marker: { color: rails.color } },
    fills: { ...bar, base: spots.map(({ cell }) => cell.x), x: fills.x, y: spots.map((one) => one.barY), width: spots.map((one) => one.thick), marker: { color: fills.color } },
    marks: { type: "scatter", mode: "lines", ...PLANE, ...marks, line: { color: colours.red, width: 1.5 } },
    sparks: { type: "scatter", mode: "lines", ...PLANE, ...sparks, line: { color: colours.quiet, width: 1.2 }, opacity: 0.75 },
    words: { type: "scatter", mode: "text", ...PLANE, x: spots.map(({ cell }) => cell.x), y: spots.map((one) => one.valueY), text: words.text, textposition: "middle right", cliponaxis: false, textfont: { size: words.size, color: words.color, weight: words.weight } },
    names: headings(scene, layout, colours),
  };
}

/** A GPU's model, or where a language model runs, as far as there is room for it. */
function detailOf(scene, subject) {
  const said = scene.gpus.find((gpu) => gpu.gpuId === subject)?.name ?? /@(.+)$/.exec(subject)?.[1] ?? "";
  return said.length > DETAIL_CHARS ? `${said.slice(0, DETAIL_CHARS - 1)}…` : said;
}

function headings(scene, { heads, names }, colours) {
  const rows = [
    ...heads.map(({ metric, x, y }) => ({ x, y, text: metricTitle(scene.catalogue, metric), size: 12, weight: 400, color: colours.quiet })),
    ...names.map(({ subject, x, y }) => ({ x, y, text: subjectName(scene.view, subject), size: 13, weight: 600, color: colours.ink })),
    ...names.filter((name) => name.below).map(({ subject, x, below }) => ({ x, y: below, text: detailOf(scene, subject), size: 11, weight: 400, color: colours.quiet })),
  ];
  const of = (name) => rows.map((row) => row[name]);
  return { type: "scatter", mode: "text", ...PLANE, x: of("x"), y: of("y"), text: of("text"), textposition: "middle right", cliponaxis: false, textfont: { size: of("size"), color: of("color"), weight: of("weight") } };
}

/** One line per subject, told apart by colour and dashes, in a band from the least to the most of each step. */
function lineTraces(scene, { chart }, colours) {
  const hover = `%{y:,.1f} ${unitWord(chart.scale.unit)}`;
  const lines = chart.lines.map(({ subject, x, y }, at) => ({
    type: "scatter", mode: modeOf({ y }), x, y, name: subjectName(scene.view, subject), hovertemplate: `${hover}<extra>${subjectName(scene.view, subject)}</extra>`,
    line: { color: LINES[at % LINES.length] ?? colours.blue, width: 1.7, dash: DASHES[at % DASHES.length] }, connectgaps: false,
  }));
  if (lines.length > BANDED) return { lines, edges: [] };
  const edges = chart.lines.flatMap(({ x, low, high }, at) => {
    const edge = { type: "scatter", mode: "lines", x, line: { width: 0 }, hoverinfo: "skip", showlegend: false };
    return [{ ...edge, y: low }, { ...edge, y: high, fill: "tonexty", fillcolor: `${LINES[at % LINES.length] ?? BLUE}2a` }];
  });
  return { lines, edges };
}

/** Alert bands of the chart: a tinted field beyond a dashed line that says what it is. */
function bands(scene, chart, colours) {
  const shared = { xref: "paper", yref: "y", layer: "below" };
  const rules = rulesFor(scene.rules, scene.metric, scene.subjects.length === 1 ? scene.subjects[0] : null);
  const shown = rules.filter((rule) => rule.threshold / chart.scale.by < chart.axis[1]);
  const shapes = shown.flatMap((rule) => {
    const at = rule.threshold / chart.scale.by;
    const end = rule.direction === "below" ? chart.axis[0] : chart.axis[1];
    return [
      { ...shared, type: "rect", x0: colours.from, x1: colours.to, y0: at, y1: end, fillcolor: colours.tint, line: { width: 0 } },
      { ...shared, type: "line", x0: colours.from, x1: colours.to, y0: at, y1: at, line: { color: colours.red, width: 1, dash: "dash" } },
    ];
  });
  const annotations = shown.map((rule) => ({
    xref: "paper", yref: "y", x: colours.from, xanchor: "left", y: rule.threshold / chart.scale.by, yanchor: rule.direction === "below" ? "top" : "bottom",
    text: t("alert {beyond}", { beyond: beyond(rule, scene.catalogue) }), showarrow: false, bgcolor: colours.paper, borderpad: 1, font: { size: 11, color: colours.red },
  }));
  return { shapes, annotations };
}

/** {figure, places}: the whole figure, and the numbers of the traces that ticks change. */
export function figureOf(scene, layout, colours, width) {
  const now = moving(scene, layout, colours);
  const { lines, edges } = lineTraces(scene, now, colours);
  const gauges = gaugeTraces(scene, layout, colours, now);
  const named = lines.length > 1;
  const legend = named ? 24 : 0;
  const height = layout.height + BETWEEN + legend + CHART_H;
  const chartTop = 1 - (layout.height + BETWEEN + legend) / height;
  const [from, to] = [52 / width, 1 - 4 / width];
  const formats = timeFormats(scene.windowS);
  const axisUnit = unitWord(now.chart.scale.unit);
  const banded = bands(scene, now.chart, { ...colours, from, to });
  if (axisUnit.length > SUFFIX_CHARS) banded.annotations.push({ xref: "paper", yref: "paper", x: from, xanchor: "left", y: chartTop, yanchor: "top", text: axisUnit, showarrow: false, font: { size: 11, color: colours.quiet } });
  if (isEmpty(scene)) banded.annotations.push({ xref: "paper", yref: "paper", x: (from + to) / 2, y: chartTop / 2, text: t("Nothing was measured in this time."), showarrow: false, font: { size: 13, color: colours.quiet } });
  const hidden = { visible: false, fixedrange: true, automargin: false };
  const figure = {
    data: [...edges, ...lines, gauges.rails, gauges.fills, gauges.marks, gauges.sparks, gauges.words, gauges.names],
    layout: {
      width, height, autosize: false, margin: { l: 0, r: 0, t: 0, b: 0 }, barmode: "overlay", showlegend: named, hovermode: "x unified", dragmode: false,
      xaxis: { type: "date", domain: [from, to], anchor: "y", range: now.chart.range, tickformatstops: formats.ticks, hoverformat: formats.hover, nticks: Math.max(3, Math.floor(width / 130)), automargin: false, fixedrange: true, showgrid: false },
      yaxis: { domain: [26 / height, chartTop], anchor: "x", range: now.chart.axis, ticksuffix: axisUnit.length > SUFFIX_CHARS ? "" : ` ${axisUnit}`, nticks: 6, automargin: false, fixedrange: true, zeroline: false },
      xaxis2: { ...hidden, domain: [0, 1], anchor: "y2", range: [0, width] },
      yaxis2: { ...hidden, domain: [1 - layout.height / height, 1], anchor: "x2", range: [layout.height, 0] },
      legend: { x: from, y: chartTop, font: { size: 12 } },
      ...banded,
      hoverlabel: { bgcolor: colours.paper, bordercolor: colours.line, font: { color: colours.ink } },
    },
  };
  const first = edges.length + lines.length;
  return { figure, places: { edges: edges.length, lines: lines.length, fills: first + 1, sparks: first + 3, words: first + 4 } };
}
