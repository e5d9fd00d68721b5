// The downloads: how far each is, how fast, what it waits for, and what can be done about it.
import { fill, h, icon, keyed, mark, say, show } from "./dom.js";
import { duration, percent, sentence, t } from "./language.js";
import { ask, deedButton, deeds, isAsking } from "./models-ask.js";
import { BUSY, downloadState, ownerName, pace, shortName, space } from "./models-words.js";

/** Back ends that take no word to stop what they fetch: theirs is stopped in their own window. */
const UNSTOPPABLE = ["lmstudio"];

/** The share that is done, or null where nobody can say. */
export const shareOf = ({ doneBytes, totalBytes }) => (totalBytes ? Math.min(1, doneBytes / totalBytes) : null);

/** How far a download is, in words. */
export function progressWords({ state, doneBytes, totalBytes, speedBytesS, etaS }) {
  if (state === "done" || (!doneBytes && totalBytes)) return space(totalBytes ?? doneBytes);
  if (!doneBytes) return "";
  const amount = totalBytes ? t("{done} of {total}", { done: space(doneBytes), total: space(totalBytes) }) : space(doneBytes);
  const share = shareOf({ doneBytes, totalBytes });
  const moves = ["downloading", "verifying"].includes(state);
  const parts = [share === null ? null : percent(Math.floor(share * 100) / 100), amount];
  if (moves && speedBytesS) parts.push(pace(speedBytesS));
  if (moves && (etaS ?? null) !== null) parts.push(t("about {time} left", { time: duration(Math.ceil(etaS)) }));
  return parts.filter(Boolean).join(" · ");
}

/** A bar that is also words; with no total it says only how much is there. */
export class ProgressBar {
  constructor() {
    this.fill = h("i");
    this.element = h("span.wb-bar.wb-progress", { role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" }, this.fill);
  }

  update(label, share, words) {
    mark(this.element, "aria-label", label);
    mark(this.element, "aria-valuenow", share === null ? null : Math.floor(share * 100));
    mark(this.element, "aria-valuetext", words);
    mark(this.element, "data-open", share === null ? "yes" : null);
    this.fill.style.width = share === null ? "" : `${100 * share}%`;
  }
}

export class Downloads {
  constructor({ act }) {
    this.act = act;
    this.states = new Map();
    this.sum = h("span.wb-quiet.wb-tabular");
    this.list = h("ul.wb-downloads");
    this.tidy = h("button.wb-quietbutton", { type: "button", hidden: true, onclick: () => this.over.forEach((one) => act("forget", { downloadId: one.downloadId })) }, icon("cross"), t("Take finished ones off the list"));
    this.told = h("p.wb-sr", { role: "status" });
    this.element = h("section.wb-card.wb-downloading", { "aria-label": t("Downloads") }, h("div.wb-toolbar", {}, h("h3", {}, t("Downloads")), this.sum, h("span.wb-grow"), this.tidy), this.told, this.list);
    this.rows = new WeakMap();
  }

  update(downloads, fetchers) {
    const deaf = new Set(fetchers.filter((one) => UNSTOPPABLE.includes(one.kind)).map((one) => one.name));
    show(this.element, downloads.length > 0);
    this.#tell(downloads);
    say(this.sum, sumWords(downloads));
    this.over = downloads.filter((one) => one.state === "done");
    show(this.tidy, this.over.length > 1);
    const make = (one) => {
      const row = new Row(one, this.act);
      this.rows.set(row.element, row);
      return row.element;
    };
    const queue = downloads.filter((one) => BUSY.includes(one.state)).map((one) => one.downloadId);
    keyed(this.list, downloads, (one) => one.downloadId, make, (element, one) => this.rows.get(element).update(one, downloads, queue, deaf));
  }

  /** A change of state is said once; progress is not. */
  #tell(downloads) {
    const news = downloads.filter((one) => this.states.has(one.downloadId) && this.states.get(one.downloadId) !== one.state);
    this.states = new Map(downloads.map((one) => [one.downloadId, one.state]));
    if (news.length) say(this.told, news.map((one) => `${shortName(one.model)}: ${downloadState(one).word}`).join(", "));
  }
}

/** One time for all of them: what is left at the speed of them all. */
function sumWords(downloads) {
  const open = downloads.filter((one) => BUSY.includes(one.state) && one.state !== "verifying");
  const speed = open.reduce((sum, one) => sum + (one.speedBytesS ?? 0), 0);
  if (open.length < 2) return "";
  const known = open.every((one) => one.totalBytes);
  const left = open.reduce((sum, one) => sum + (one.totalBytes ?? 0) - one.doneBytes, 0);
  const parts = [t("{count} under way or waiting", { count: open.length })];
  if (speed) parts.push(pace(speed));
  if (speed && known) parts.push(t("all in about {time}", { time: duration(Math.ceil(left / speed)) }));
  return parts.join(" · ");
}

/** The repository, and the program that fetches it by itself. */
function whereOf({ model, backend }) {
  const repository = model.includes("/") ? model.slice(0, model.lastIndexOf("/")) : "";
  return [repository, backend ? ownerName(backend) : ""].filter(Boolean).join(" · ");
}

class Row {
  constructor(one, act) {
    this.act = (kind, details = {}) => act(kind, { downloadId: one.downloadId, ...details });
    this.name = shortName(one.model);
    this.sign = h("span");
    this.word = h("strong");
    this.state = h("span.wb-state.wb-downloadstate", {}, this.sign, this.word);
    this.bar = new ProgressBar();
    this.words = h("span.wb-quiet.wb-tabular");
    this.why = h("p.wb-why", { hidden: true });
    this.deeds = h("div.wb-actions.wb-rowdeeds");
    const title = h("span.wb-grow.wb-downloadname", { title: one.model }, h("strong", {}, this.name), " ", h("small.wb-quiet", {}, whereOf(one)));
    this.element = h("li.wb-download", {}, h("div.wb-downloadhead", {}, title, this.state), this.bar.element, h("div.wb-downloadfoot", {}, this.words, this.deeds), this.why);
  }

  update(one, all, queue, deaf) {
    const { sign, word } = downloadState(one);
    if (this.element.dataset.state !== one.state) {
      mark(this.element, "data-state", one.state);
      fill(this.sign, icon(sign));
    }
    say(this.word, word);
    const words = progressWords(one);
    say(this.words, words);
    this.bar.update(t("Download of {name}", { name: this.name }), one.state === "done" ? 1 : shareOf(one), [word, words].filter(Boolean).join(", "));
    const why = sentence(one.problem);
    show(this.why, Boolean(why));
    say(this.why, one.remedy === "token" && why ? `${why}. ${t("Start the hub anew with the token, then try again.")}` : why);
    const place = all.findIndex((each) => each.downloadId === one.downloadId);
    const turn = queue.indexOf(one.downloadId);
    const moves = { up: turn > 0, down: turn >= 0 && turn < queue.length - 1, place, above: all.findIndex((each) => each.downloadId === queue[turn - 1]), below: all.findIndex((each) => each.downloadId === queue[turn + 1]) };
    if (isAsking(this.deeds) && one.state !== "done") return; // the answer is still wanted
    deeds(this.deeds, JSON.stringify([one.state, one.remedy, one.keptPartial, one.doneBytes > 0, moves, deaf.has(one.backend)]), () => this.#deeds(one, moves, deaf.has(one.backend)));
  }

  #deeds(one, moves, deaf) {
    const { state, keptPartial, backend } = one;
    const busy = BUSY.includes(state);
    const stops = state === "queued" || (busy && !deaf);
    const partial = (keptPartial && !backend) || (state === "failed" && one.doneBytes > 0); // forgetting would delete it unasked
    const move = (deed, sign, word, possible, position) => (busy && (moves.up || moves.down) ? this.#button(deed, sign, word, () => this.act("move", { position }), { disabled: !possible, bare: true }) : null);
    return [
      stops ? this.#button("pause", "pause", t("Pause"), () => this.act("pause")) : null,
      state === "paused" ? this.#button("resume", "play", one.remedy === "free-space" ? t("There is space now: go on") : t("Go on"), () => this.act("resume")) : null,
      state === "failed" ? this.#button("resume", "again", t("Try again"), () => this.act("resume")) : null,
      state === "cancelled" ? this.#button("resume", "play", keptPartial ? t("Go on after all") : t("Start again"), () => this.act("resume")) : null,
      move("up", "send", t("Earlier"), moves.up, moves.above),
      move("down", "chevron", t("Later"), moves.down, moves.below),
      stops || state === "paused" || (state === "failed" && one.doneBytes) ? this.#button("cancel", "cross", t("Cancel…"), () => this.#cancel(one)) : null,
      state === "cancelled" && keptPartial && !backend ? this.#button("drop", "trash", t("Delete what is there…"), () => this.#drop(one)) : null,
      state === "done" && !backend ? this.#button("verify", "check", t("Verify"), () => this.act("verify")) : null,
      state === "done" || (["failed", "cancelled"].includes(state) && !partial) ? this.#button("forget", "cross", t("Take off the list"), () => this.act("forget"), { bare: true }) : null,
    ];
  }

  #button(deed, sign, word, done, { disabled = false, bare = false } = {}) {
    const kind = bare ? "button.wb-iconbutton" : "button.wb-quietbutton";
    return deedButton(kind, deed, { title: word, "aria-label": `${word}: ${this.name}`, disabled }, done, icon(sign), bare ? null : h("span", {}, word));
  }

  #cancel({ doneBytes, backend }) {
    const stop = (keep) => () => this.act("cancel", { keep });
    if (!doneBytes) return stop(false)();
    if (backend) return ask(this.deeds, t("Stop the download of {name}? What is there of it stays with {program}.", { name: this.name, program: ownerName(backend) }), [{ word: t("Stop it"), done: stop(true) }]);
    const question = t("Stop the download of {name}. What is there of it ({size}) can be kept, to go on another day, or deleted.", { name: this.name, size: space(doneBytes) });
    return ask(this.deeds, question, [{ word: t("Stop and keep"), done: stop(true) }, { word: t("Stop and delete"), danger: true, done: stop(false) }]);
  }

  #drop({ doneBytes }) {
    const question = t("Delete what is there of {name} ({size})?", { name: this.name, size: space(doneBytes) });
    ask(this.deeds, question, [{ word: t("Delete"), danger: true, done: () => this.act("cancel", { keep: false }) }]);
  }
}
