// One model as a card: what it is, whether it fits, how far it is loaded, and what can be done with it.
import { fill, h, icon, mark, say, show } from "./dom.js";
import { number, percent, sentence, t } from "./language.js";
import { ask, deedButton, deeds, isAsking } from "./models-ask.js";
import { ProgressBar, progressWords, shareOf } from "./models-downloads.js";
import { LoadForm } from "./models-load.js";
import { BUSY, canRun, cardState, downloadState, fitOf, lastPart, modelName, ownerName, shortName, space } from "./models-words.js";

const fact = (word, value) => ((value ?? "") === "" ? null : h("div", {}, h("dt.wb-quiet", {}, word), h("dd", {}, value)));

/** What a benchmark found, in words. */
export function benchmarkWords({ ttftMs, tokensPerSecond, promptTokensPerSecond, memoryBytes }) {
  return [
    tokensPerSecond ? t("writes {speed} tokens/s", { speed: number(tokensPerSecond, 1) }) : null,
    promptTokensPerSecond ? t("reads {speed} tokens/s", { speed: Math.round(promptTokensPerSecond) }) : null,
    ttftMs ? t("first token after {time} ms", { time: Math.round(ttftMs) }) : null,
    memoryBytes ? t("{size} of memory", { size: space(memoryBytes) }) : null,
  ].filter(Boolean).join(" · ");
}

export class ModelCard {
  constructor({ act }) {
    this.act = (kind, details = {}) => act(kind, { model: modelName(this.card), ...details });
    this.sign = h("span");
    this.word = h("span");
    this.state = h("span.wb-state.wb-cardstate", {}, this.sign, this.word);
    this.title = h("h4");
    this.keeper = h("p.wb-quiet.wb-cut.wb-keeper");
    this.facts = h("dl.wb-modelfacts");
    this.fit = h("p.wb-fit");
    this.notes = h("ul.wb-modelnotes");
    this.bar = new ProgressBar();
    this.step = h("p.wb-quiet.wb-tabular");
    this.progress = h("div.wb-cardprogress", { hidden: true }, this.bar.element, this.step);
    this.measured = h("p.wb-measured", { hidden: true });
    this.deeds = h("div.wb-actions.wb-carddeeds");
    this.form = null;
    this.place = h("div");
    const head = h("div.wb-modelhead", {}, this.title, this.state);
    this.element = h("article.wb-card.wb-model", {}, head, this.keeper, this.facts, this.fit, this.notes, this.progress, this.measured, this.place, this.deeds);
  }

  update(card, { loading, benchmark, download, here, source, name }) {
    Object.assign(this, { card, here, source, given: name });
    const sign = JSON.stringify([card, name]);
    if (sign !== this.drawn) this.#draw(card);
    this.drawn = sign;
    const elsewhere = card.loading && !loading; // by another page, or by a question to it
    this.#progress(elsewhere ? { done: null } : loading, download, benchmark);
    this.#measured(benchmark);
    const busy = loading ? "loading" : elsewhere ? "elsewhere" : benchmark?.state === "running" ? "measuring" : "";
    if (isAsking(this.deeds)) return;
    const known = download && { id: download.downloadId, state: download.state };
    deeds(this.deeds, JSON.stringify([card.state, card.backend, card.owner, card.embedding, card.diskLeftBytes < 0, here, busy, known]), () => this.#deeds(busy, download));
  }

  /** Of a repository's choices each has a name of its own; their title is the same. So may be that
   * of several models here: then each goes by its file. */
  get name() {
    const { state, repository, id } = this.card;
    return state === "remote" && repository ? shortName(id) : this.given || lastPart(id);
  }

  #draw(card) {
    const { sign, word } = cardState(card.state);
    mark(this.element, "aria-label", this.name);
    mark(this.element, "data-state", card.state);
    say(this.title, this.name);
    mark(this.title, "title", card.id);
    fill(this.sign, icon(sign));
    say(this.word, word);
    const by = card.backend && card.backend !== card.owner && card.backend !== "embedded" ? ` · ${card.backend}` : "";
    say(this.keeper, (card.state === "remote" ? card.repository || ownerName(card.owner) : ownerName(card.owner)) + by);
    mark(this.keeper, "title", card.place || null);
    fill(
      this.facts,
      fact(t("Size"), (card.sizeBytes ?? null) === null ? null : space(card.sizeBytes)),
      fact(t("Quantisation"), card.quantization),
      fact(t("Parameters"), card.parameters),
      fact(t("Context"), card.contextSize ? t("{count} tokens", { count: card.contextSize }) : null),
      fact(t("Licence"), card.licence),
      fact(t("Architecture"), card.architecture),
    );
    this.#fits(card);
    fill(this.notes, this.#notes(card));
    this.form?.limit(card.contextSize);
  }

  #fits(card) {
    const { sign, word, why, kind } = fitOf(card);
    show(this.fit, card.state !== "broken");
    mark(this.fit, "data-fits", kind);
    fill(this.fit, icon(sign), h("span", {}, h("strong", {}, word), why ? [" ", h("span.wb-quiet", {}, why)] : null));
  }

  #notes(card) {
    const note = (sign, words, kind = "") => h("li", { "data-kind": kind }, icon(sign), h("span", {}, words));
    const { gated, diskLeftBytes: left, problem } = card;
    return [
      problem ? note("warning", sentence({ ...problem, text: problem.message }), "bad") : null,
      gated ? note("ban", gated === "manual" ? t("gated: ask its publisher for access on its page, then set HF_TOKEN") : t("gated: agree to its terms on its page, then set HF_TOKEN"), "gated") : null,
      (left ?? null) === null ? null : left < 0 ? note("warning", t("{size} too much for the disk: free some space first", { size: space(-left) }), "bad") : note("check", t("{size} of disk left after it", { size: space(left) })),
      card.embedding ? note("text", t("embeds texts rather than answering them")) : null,
      card.state === "on-disk" && !card.backend ? note("file", t("a file for other programs: no back end here loads it")) : null,
      card.chatTemplate === false && !card.embedding && canRun(card) ? note("question", t("without a chat template of its own")) : null,
    ];
  }

  #progress(loading, download, benchmark) {
    const fetched = download && download.state !== "done" && !(this.card.state !== "remote" && download.state === "cancelled") ? download : null;
    const measuring = benchmark?.state === "running";
    show(this.progress, Boolean(loading || fetched || measuring));
    if (loading) this.#step(t("Loading {name}", { name: this.name }), loading.done ?? null, this.#loadWords(loading));
    else if (measuring) this.#step(t("Measuring {name}", { name: this.name }), null, t("measuring how fast it is…"));
    else if (fetched) this.#step(t("Download of {name}", { name: this.name }), shareOf(fetched), `${downloadState(fetched).word} · ${progressWords(fetched)}`);
  }

  #loadWords({ done, waiting }) {
    if (waiting) return sentence(waiting);
    return (done ?? null) === null ? t("loading…") : `${t("loading…")} ${percent(Math.floor(done * 100) / 100)}`;
  }

  #step(label, share, words) {
    this.bar.update(label, share, words);
    say(this.step, words);
  }

  #measured(benchmark) {
    const { result, error } = benchmark ?? {};
    show(this.measured, Boolean(result || error));
    if (!result && !error) return;
    mark(this.measured, "data-kind", error ? "bad" : null);
    fill(this.measured, icon(error ? "warning" : "clock"), h("span", {}, error ? sentence(error) : [h("strong", {}, t("Measured")), " ", benchmarkWords(result)]));
  }

  #deeds(busy, download) {
    const { card } = this;
    if (card.state === "remote") return [this.#fetch(download)];
    if (busy === "elsewhere") return [];
    if (busy) return [this.#button("stop", "stop", t("Stop"), () => this.act("stop"))];
    const runs = canRun(card);
    const talks = runs && !card.embedding;
    const own = card.owner === "workbench";
    return [
      runs && card.state === "on-disk" ? this.#button("load", "play", t("Load"), () => this.#load({})) : null,
      runs && card.state === "on-disk" ? this.#options() : null,
      runs && card.state === "loaded" ? this.#button("unload", "stop", t("Unload"), () => this.act("unload")) : null,
      talks ? this.#button("chat", "text", t("Chat with it"), () => this.act("chat")) : null,
      talks ? this.#button("benchmark", "clock", t("Benchmark"), () => this.act("benchmark")) : null,
      download?.state === "done" && !download.backend ? this.#button("verify", "check", t("Verify"), () => this.act("verify", { downloadId: download.downloadId })) : null,
      own && card.state !== "loaded" ? this.#button("delete", "trash", t("Delete…"), () => this.#delete()) : null,
    ];
  }

  #fetch(download) {
    if (this.here) return h("span.wb-quiet", {}, t("on this machine already"));
    if (download && (BUSY.includes(download.state) || download.state === "paused")) return null;
    const { repository, id, diskLeftBytes } = this.card;
    const choice = repository && id.startsWith(`${repository}/`) ? id.slice(repository.length + 1) : null;
    return this.#button("download", "down", t("Download"), () => this.act("download", { source: this.source, choice }), { disabled: diskLeftBytes < 0 });
  }

  #button(deed, sign, word, done, { disabled = false } = {}) {
    return deedButton("button.wb-button", deed, { "aria-label": `${word}: ${this.name}`, disabled }, done, icon(sign), h("span", {}, word));
  }

  #options() {
    const toggle = () => this.#toggle(!this.form?.open);
    const word = t("How it is loaded");
    this.opener ??= deedButton("button.wb-iconbutton", "options", { title: word }, toggle, icon("sliders"));
    mark(this.opener, "aria-label", `${word}: ${this.name}`);
    mark(this.opener, "aria-expanded", String(Boolean(this.form?.open)));
    return this.opener;
  }

  #toggle(open) {
    if (!this.form) {
      const leave = () => this.#toggle(false);
      this.form = new LoadForm({ name: this.name, load: (options) => this.#load(options), leave });
      this.form.limit(this.card.contextSize);
      this.place.append(this.form.element);
    }
    this.form.toggle(open);
    mark(this.opener, "aria-expanded", String(open));
    if (!open) this.opener.focus();
  }

  #load(options) {
    if (this.form?.open) this.#toggle(false);
    this.act("load", { options });
  }

  #delete() {
    const question = t("Delete {name} ({size}) from this machine for good?", { name: this.card.id, size: space(this.card.sizeBytes) });
    ask(this.deeds, question, [{ word: t("Delete"), danger: true, done: () => this.act("delete", { model: this.card.id }) }]);
  }
}
