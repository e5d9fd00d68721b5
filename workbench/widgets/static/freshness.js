// Whether what a panel shows is of now.
import { fill, h, icon, mark, say } from "./dom.js";
import { clockTime, t } from "./language.js";

/** Whether the numbers are of now: a sign, a word, and their time where they are not. */
export class Freshness {
  constructor() {
    this.sign = h("span");
    this.word = h("strong");
    this.time = h("span.wb-quiet");
    this.element = h("div.wb-pill.wb-fresh", { role: "status" }, this.sign, this.word, this.time);
  }

  update(state, at) {
    const words = { live: t("live"), waiting: t("waiting for values"), paused: t("paused"), stale: t("not current"), disconnected: t("disconnected"), silent: t("kernel silent") };
    const signs = { live: "check", waiting: "dots", paused: "pause", stale: "clock", disconnected: "ban", silent: "warning" };
    if (this.element.dataset.state !== state) {
      mark(this.element, "data-state", state);
      fill(this.sign, icon(signs[state]));
    }
    say(this.word, words[state]);
    const old = !["live", "waiting"].includes(state);
    say(this.time, old && at ? t("values from {time}", { time: clockTime(at) }) : "");
  }
}
