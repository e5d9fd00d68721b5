// Draws the panel's figure: anew when its shape changes, else only what a tick moved.
import { fill, h } from "./dom.js";
import { drawFigure } from "./figure.js";
import { figureOf, isEmpty, modeOf, moving } from "./gpu-figure.js";
import { placed } from "./gpu-layout.js";
import { highOf, metricTitle, rulesFor } from "./gpu-words.js";
import { currentLanguage, t } from "./language.js";
import { plotly } from "./plotly.js";

/** The colours of the page's theme as Plotly takes them. */
function themeColours(element) {
  const style = getComputedStyle(element);
  const of = (name) => style.getPropertyValue(`--wb-${name}`).trim();
  return { ink: of("ink"), quiet: of("quiet"), line: of("line"), blue: of("blue"), red: of("red"), tint: of("red-tint"), band: of("band"), paper: of("paper") };
}

export class GaugeChart {
  constructor({ model }) {
    this.model = model;
    this.target = h("div.wb-plot");
    this.problem = h("p.wb-fault", { role: "status", hidden: true });
    this.element = h("div.wb-gauges", {}, this.target, this.problem);
    this.shape = null;
    this.drawing = Promise.resolve();
  }

  /** Draw again in full at the next update: the theme, the language or the place changed. */
  reset() {
    this.shape = null;
  }

  /** What the figure is made of, apart from the numbers: when this changes it is built anew. */
  #shapeOf(scene, width) {
    const scales = scene.metrics.flatMap((metric) => scene.subjects.map((subject) => [highOf(scene, metric, subject), rulesFor(scene.rules, metric, subject)]));
    const chart = scene.subjects.map((subject) => [highOf(scene, scene.metric, subject), rulesFor(scene.rules, scene.metric, subject)]);
    return JSON.stringify([width, scene.view, scene.subjects, scene.metrics, scene.metric, scene.windowS, currentLanguage(), scales, chart, isEmpty(scene)]);
  }

  /** One drawing at a time; what came meanwhile is drawn together in the next. */
  update(scene) {
    this.scene = scene;
    this.waiting ??= this.drawing.then(() => {
      this.waiting = null;
      this.drawing = this.#draw(this.scene).catch((error) => this.#failed(error));
      return this.drawing;
    });
    return this.waiting;
  }

  async #draw(scene) {
    const width = Math.floor(this.element.clientWidth);
    if (width < 80) return; // not on the page: nobody sees it
    this.Plotly ??= await plotly(this.model, this.model.get("plotly_version"));
    const shape = this.#shapeOf(scene, width);
    if (shape === this.shape) await this.#move(scene);
    else await this.#build(scene, width, shape);
    this.problem.hidden = true;
  }

  async #build(scene, width, shape) {
    this.colours = themeColours(this.element);
    this.layout = placed(scene.subjects, scene.metrics, width);
    const { figure, places } = figureOf(scene, this.layout, this.colours, width);
    this.places = places;
    await drawFigure(this.Plotly, this.target, figure, true);
    const named = metricTitle(scene.catalogue, scene.metric);
    this.target.setAttribute("aria-label", t("Gauges, and {metric} over time. The values stand beside it as text.", { metric: named }));
    Object.assign(this, { shape, grown: scene.now, epoch: scene.store.epoch, look: null });
  }

  /**
   * The values of this moment into the traces that have them. Lines grow by a point in each step of
   * the history, so they wait for it: between, only bars and words move, at a part of the cost.
   */
  #move(scene) {
    const moved = moving(scene, this.layout, this.colours);
    const look = JSON.stringify([moved.fills.color, moved.words.color]);
    if (look === this.look && scene.now >= this.grown && scene.now - this.grown < scene.store.step && scene.store.epoch === this.epoch) return this.#step(moved);
    Object.assign(this, { look, grown: scene.now, epoch: scene.store.epoch });
    return this.#grow(moved);
  }

  #step({ fills, words }) {
    const { fills: bar, words: word } = this.places;
    const traces = [...this.target.data.keys()]; // whichever is not named here would be taken out
    const data = traces.map((at) => (at === bar ? { x: fills.x } : at === word ? { text: words.text } : {}));
    return this.Plotly.animate(this.target, { data, traces }, { mode: "immediate", transition: { duration: 0 }, frame: { duration: 0, redraw: false } });
  }

  #grow({ fills, words, sparks, chart }) {
    const { edges, lines, fills: bar, sparks: spark, words: word } = this.places;
    const drawn = [...(edges ? chart.lines.flatMap((line) => [line, line]) : []), ...chart.lines].slice(0, edges + lines);
    const y = drawn.map((line, at) => (at < edges ? [line.low, line.high][at % 2] : line.y));
    const places = [...drawn.keys(), bar, spark, word];
    const none = drawn.map(() => undefined);
    const data = {
      x: [...drawn.map((line) => line.x), fills.x, sparks.x, undefined],
      y: [...y, undefined, sparks.y, undefined],
      mode: [...drawn.map((line, at) => (at < edges ? "lines" : modeOf(line))), undefined, undefined, undefined],
      text: [...none, undefined, undefined, words.text],
      "marker.color": [...none, fills.color, undefined, undefined],
      "textfont.color": [...none, undefined, undefined, words.color],
      "textfont.size": [...none, undefined, undefined, words.size],
      "textfont.weight": [...none, undefined, undefined, words.weight],
    };
    // Plotly forgets an axis' type when its points change, and with the type its range: in this order both stay.
    return this.Plotly.update(this.target, data, { "xaxis.type": "date", "xaxis.autorange": false, "xaxis.range": chart.range }, places);
  }

  #failed(error) {
    this.shape = null;
    fill(this.problem, t("the figure cannot be drawn: {reason}", { reason: error.message }));
    this.problem.hidden = false;
  }

  close() {
    this.Plotly?.purge(this.target);
  }
}
