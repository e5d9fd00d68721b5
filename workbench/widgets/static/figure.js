// One Plotly figure in the page's theme and language, drawn at most once per animation frame.
import { currentLanguage, dataText, sentence, t } from "./language.js";

// Okabe and Ito's colours that keep 3:1 on white and on dark, then the lighter two for fills.
const COLOURWAY = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"];
const TITLED = new Set(["title", "name", "hovertemplate", "text", "label"]);

/** What a figure of ours says of itself in `layout.meta`: a title with values in it, and which names are words of ours. */
function inOurWords({ data = [], layout = {} }) {
  const { title, words } = layout.meta ?? {};
  const named = (one) => (typeof one === "string" ? one.split(": ").map((part) => t(part)).join(": ") : one); // an address stays
  return {
    data: words ? data.map((trace) => (Array.isArray(trace[words]) ? { ...trace, [words]: trace[words].map(named) } : trace)) : data,
    layout: title?.template ? { ...layout, title: { ...layout.title, text: sentence(title) } } : layout,
  };
}

/** Titles, axis titles, the names of traces and of their points, and notes are templates; data never is. */
export function translated(part, key = "") {
  if (typeof part === "string") return TITLED.has(key) ? t(part) : part;
  if (Array.isArray(part)) {
    if (key === "text") return part.map((one) => (typeof one === "string" ? dataText(one) : one)); // a name is no key and stays
    return key === "annotations" || key === "data" ? part.map((one) => translated(one)) : part;
  }
  if (part === null || typeof part !== "object" || ArrayBuffer.isView(part)) return part;
  return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, translated(value, name)]));
}

function ink(element) {
  const style = getComputedStyle(element);
  const of = (name) => style.getPropertyValue(name).trim();
  return { text: of("--wb-ink"), quiet: of("--wb-quiet"), line: of("--wb-line"), font: style.fontFamily };
}

/** Words inside a hatched bar lie on the page, not on a colour. */
const legible = (trace, text) =>
  trace.marker?.pattern ? { insidetextfont: { color: text }, ...trace } : trace;

const LEGEND_ROW = 20;

/** How many lines the names above a figure take: Plotly puts them in columns where one is too short. */
function legendRows(data, width) {
  const widths = data.map((trace) => 48 + 7 * t(String(trace.name ?? "")).length);
  const room = Math.max(width - 72, 1);
  if (widths.reduce((sum, one) => sum + one, 0) <= room) return 1;
  return Math.ceil(data.length / Math.max(1, Math.floor(room / Math.max(...widths))));
}

const TITLE_SIZE = 14;
const TITLE_LINE = 18;
const STANDOFF = 10; // of an axis title from the names of the ticks
const SIDES = 72; // what stands left and right of a title
let pen = null;

/** A title in lines that `room` pixels hold, broken between words: Plotly lets a long one run off the page. */
function titleLines(text, room, font) {
  pen ??= document.createElement("canvas").getContext("2d");
  pen.font = font;
  const fits = (line) => pen.measureText(line.replace(/<[^>]*>/g, "")).width <= room;
  const add = (lines, word) => {
    const longer = `${lines.at(-1)} ${word}`;
    return lines.length && fits(longer) ? [...lines.slice(0, -1), longer] : [...lines, word];
  };
  return text.split(/<br ?\/?>/).flatMap((line) => line.split(" ").reduce(add, []));
}

/** Our layout under the figure's own: what it states itself wins, except the template's white. */
export function themed(figure, element, fixed = false) {
  const { text, quiet, line, font } = ink(element);
  const ours = inOurWords(figure);
  const { template, meta, ...layout } = translated(ours.layout);
  const axis = (own, name) => ({ gridcolor: line, linecolor: line, zerolinecolor: line, automargin: true, tickfont: { color: quiet }, ...own, ...(name.startsWith("y") && own?.title?.text && { title: { standoff: STANDOFF, ...own.title } }) });
  const axes = Object.fromEntries(
    Object.keys({ xaxis: 0, yaxis: 0, ...layout })
      .filter((name) => /^[xy]axis\d*$/.test(name))
      .map((name) => [name, axis(layout[name], name)]),
  );
  const rows = layout.showlegend ?? (figure.data ?? []).length > 1 ? legendRows(figure.data ?? [], element.clientWidth) : 0;
  const title = typeof layout.title === "string" ? { text: layout.title } : layout.title;
  const size = title?.font?.size ?? TITLE_SIZE;
  const lines = title?.text && !fixed ? titleLines(title.text, Math.max(element.clientWidth - SIDES, 120), `${size}px ${font}`) : [];
  // Of several lines Plotly puts the first one's foot, and not its head, where the title begins: 0.7 em.
  const above = rows * LEGEND_ROW + Math.max(0, lines.length - 1) * TITLE_LINE;
  return {
    data: translated(ours.data, "data").map((trace) => legible(trace, text)),
    layout: {
      colorway: COLOURWAY,
      margin: { l: 56, r: 16, t: 16 + (title?.text ? 28 : 0) + above + (rows ? 6 : 0), b: 48 },
      height: 330 + above,
      ...layout,
      ...axes,
      ...(layout.shapes && { shapes: layout.shapes.map((shape) => ({ ...shape, line: { color: quiet, ...shape.line } })) }),
      legend: { orientation: "h", x: 0, xanchor: "left", y: 1.01, yanchor: "bottom", font: { color: text }, ...layout.legend },
      title: title && { x: 0, xref: "container", xanchor: "left", y: 1, yref: "container", yanchor: "top", pad: { l: 8, t: lines.length > 1 ? 8 + 0.7 * size : 8 }, ...title, ...(lines.length && { text: lines.join(" <br>") }), font: { size, color: text, ...title.font } },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: font, size: 12, ...layout.font, color: text },
      separators: currentLanguage() === "pt-BR" ? ",." : ".,",
      autosize: !fixed,
      width: fixed ? layout.width : undefined,
    },
  };
}

const CONFIG = { displaylogo: false, responsive: true, displayModeBar: "hover", modeBarButtonsToRemove: ["lasso2d", "select2d"] };

const NARROW = 480; // there its buttons would lie on the title

const FIXED = { ...CONFIG, displayModeBar: false, responsive: false };

/** The titles of axes that are longer than their axes, in lines: else Plotly lets them run off the page. */
function axisTitles(element, { font, ...layout }) {
  const { w, h } = element._fullLayout._size; // what the names of the ticks leave is known once it is drawn
  const broken = {};
  for (const [name, { title }] of Object.entries(layout).filter(([name]) => /^[xy]axis\d*$/.test(name))) {
    const lines = title?.text ? titleLines(title.text, name.startsWith("x") ? w : h, `${TITLE_SIZE}px ${font.family}`) : [];
    if (lines.length > 1) Object.assign(broken, { [`${name}.title.text`]: lines.join("<br>"), [`${name}.title.standoff`]: STANDOFF });
  }
  return broken;
}

/** Draws `figure` into `element` and says in words what it shows; a fixed one keeps its own width. */
export async function drawFigure(Plotly, element, figure, fixed = false) {
  const { data, layout } = themed(figure, element, fixed);
  await Plotly.react(element, data, layout, fixed ? FIXED : element.clientWidth < NARROW ? { ...CONFIG, displayModeBar: false } : CONFIG);
  const broken = fixed ? {} : axisTitles(element, layout);
  if (Object.keys(broken).length) await Plotly.relayout(element, broken);
  const title = layout.title?.text;
  element.setAttribute("role", "img");
  element.setAttribute(
    "aria-label",
    t("Figure: {title}, {count} series", { title: (title ?? "").replace(/<[^>]*>/g, " "), count: data.length }),
  );
}
