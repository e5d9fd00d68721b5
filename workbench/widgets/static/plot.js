// The plot panel as a widget of its own: one figure, and points that stream into it as float32.
import { followTheme, h } from "./dom.js";
import { drawFigure } from "./figure.js";
import { chooseLanguage, setLanguage, t } from "./language.js";
import { plotly } from "./plotly.js";

const floats = (view) => new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));

/** Points that arrived since the last frame, by trace; drawn together. */
class Stream {
  constructor() {
    this.waiting = new Map();
  }

  add(trace, x, y) {
    const { xs, ys } = this.waiting.get(trace) ?? { xs: [], ys: [] };
    xs.push(...x);
    ys.push(...y);
    this.waiting.set(trace, { xs, ys });
  }

  flush(Plotly, element, keep) {
    if (!this.waiting.size) return;
    const traces = [...this.waiting.keys()];
    const parts = traces.map((trace) => this.waiting.get(trace));
    this.waiting.clear();
    Plotly.extendTraces(element, { x: parts.map((p) => p.xs), y: parts.map((p) => p.ys) }, traces, keep);
  }
}

function render({ model, el }) {
  setLanguage(chooseLanguage());
  const target = h("div.wb-plot");
  const problem = h("p.wb-fault", { role: "status", hidden: true });
  const root = h("div.wb", {}, target, problem);
  root.lang = chooseLanguage();
  el.append(root);
  const stream = new Stream();
  let frame = 0;
  let Plotly = null;

  const later = (draw) => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(draw);
  };
  const redraw = () =>
    later(async () => {
      try {
        Plotly = await plotly(model, model.get("plotly_version"));
        await drawFigure(Plotly, target, model.get("figure"));
        stream.flush(Plotly, target, model.get("keep_points"));
        problem.hidden = true;
      } catch (error) {
        problem.textContent = t("the figure cannot be drawn: {reason}", { reason: error.message });
        problem.hidden = false;
      }
    });
  const receive = (content, buffers) => {
    if (content.kind !== "extend") return;
    stream.add(content.trace, floats(buffers[0]), floats(buffers[1]));
    if (Plotly) later(() => stream.flush(Plotly, target, model.get("keep_points")));
  };
  model.on("change:figure", redraw);
  model.on("msg:custom", receive);
  const stopTheme = followTheme(root, redraw);
  redraw();
  return () => {
    stopTheme();
    cancelAnimationFrame(frame);
    model.off("msg:custom", receive);
    if (Plotly) Plotly.purge(target);
  };
}

export default { render };
