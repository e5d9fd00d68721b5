// Many tasks of one model: one bar for all of them, their counts, and the failures with their sentences.
import { differs, fill, followTheme, h, icon, keyed, mark, say, show } from "./dom.js";
import { chooseLanguage, currentLanguage, duration, number, percent, sentence, setLanguage, t } from "./language.js";
import { followLanguage } from "./language-choice.js";
import { followTrait, Link } from "./link.js";
import { stateBadge } from "./states.js";

const MAP_TICK_MS = 500;

class MapCard {
  constructor({ model, el, signal }) {
    this.model = model;
    this.root = h("div.wb.wb-mesh.wb-map");
    el.append(this.root);
    setLanguage(chooseLanguage());
    this.link = new Link(model, { onMessage: () => {}, onPulse: (alive) => this.root.classList.toggle("wb-stale", !alive), signal, element: this.root });
    this.stops = [
      followTheme(this.root, () => {}),
      followLanguage(this.root, () => this.build()),
      ...["counts", "failures", "problem", "title"].map((trait) => followTrait(model, trait, () => this.draw())),
    ];
    this.build();
    this.timer = setInterval(() => document.hidden || this.tick(), MAP_TICK_MS);
  }

  close() {
    clearInterval(this.timer);
    this.link.close();
    for (const stop of this.stops) stop();
  }

  build() {
    mark(this.root, "lang", currentLanguage());
    this.title = h("h3");
    this.times = h("span.wb-tabular.wb-quiet");
    this.bars = { done: h("i", { "data-part": "done" }), failed: h("i", { "data-part": "failed" }), cancelled: h("i", { "data-part": "cancelled" }) };
    this.track = h("div.wb-bar.wb-big.wb-parts", { role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": t("Progress of all tasks") }, Object.values(this.bars));
    this.share = h("strong.wb-tabular");
    this.counted = h("ul.wb-counts");
    this.stop = h("button.wb-button", { type: "button", onclick: () => this.#cancel() }, icon("stop"), t("Cancel all"));
    this.again = h("button.wb-button", { type: "button", onclick: () => this.link.send({ kind: "again" }) }, icon("again"), t("Run the failures again"));
    this.trouble = h("div.wb-problem", { role: "alert", hidden: true });
    this.list = h("ul.wb-failures", { "aria-label": t("Failures") });
    this.more = h("p.wb-quiet");
    const head = h("div.wb-taskhead", {}, h("div.wb-grow.wb-line1", {}, this.title), h("span.wb-actions", {}, this.again, this.stop));
    const line = h("div.wb-progressline", {}, this.share, h("div.wb-grow", {}, this.counted), this.times);
    fill(this.root, h("section.wb-card.wb-mapcard", { "aria-label": t("Tasks") }, head, h("div.wb-progress", {}, this.track, line), this.trouble, this.list, this.more));
    this.draw();
  }

  #cancel() {
    this.stop.disabled = true;
    this.link.send({ kind: "cancel" });
  }

  draw() {
    const counts = this.model.get("counts");
    const { total = 0, done = 0, failed = 0, cancelled = 0 } = counts;
    const over = total ? (done + failed + cancelled) / total : 0;
    say(this.title, this.model.get("title"));
    for (const [part, bar] of Object.entries(this.bars)) bar.style.width = `${total ? ((counts[part] ?? 0) / total) * 100 : 0}%`;
    mark(this.track, "aria-valuenow", Math.round(over * 100));
    say(this.share, percent(over));
    fill(this.counted, this.#parts(counts));
    const going = done + failed + cancelled < total;
    show(this.stop, going);
    if (!going) this.stop.disabled = false;
    show(this.again, failed + cancelled > 0);
    this.#failures(failed + cancelled);
    this.#problem();
    this.tick();
  }

  #parts({ total = 0, done = 0, failed = 0, cancelled = 0, running = 0, waiting = 0 }) {
    const words = [
      ["done", t("{done} of {total} done", { done, total })],
      ["failed", failed ? t("{failed} failed", { failed }) : null],
      ["cancelled", cancelled ? t("{cancelled} cancelled", { cancelled }) : null],
      ["running", running ? t("{running} running", { running }) : null],
      ["waiting", waiting ? t("{waiting} waiting", { waiting }) : null],
    ];
    return words.filter(([, said]) => said).map(([part, said]) => h("li.wb-tabular", { "data-part": part }, said));
  }

  #failures(count) {
    const failures = this.model.get("failures");
    show(this.list, failures.length > 0);
    const make = () => h("li");
    keyed(this.list, failures, (one) => one.number, make, (row, one) => {
      const error = one.error ? sentence(one.error) : "";
      if (differs(row, [one.state, one.batch, error])) fill(row, stateBadge(one.state), one.batch === String(one.number) ? null : h("span.wb-quiet.wb-tabular", {}, number(one.number)), h("strong.wb-cut", { title: one.batch }, one.batch), h("span.wb-said", {}, error));
    });
    show(this.more, count > failures.length);
    say(this.more, t("first {shown} of {total}", { shown: failures.length, total: count }));
  }

  #problem() {
    const problem = this.model.get("problem");
    show(this.trouble, Boolean(problem));
    if (problem) fill(this.trouble, icon("warning"), h("span", {}, sentence(problem)));
  }

  tick() {
    const { began, ended } = this.model.get("counts");
    if (began) say(this.times, duration(Math.max(0, ((ended ?? Date.now()) - began) / 1000)));
  }
}

function render(context) {
  const card = new MapCard(context);
  return () => card.close();
}

export default { render };
