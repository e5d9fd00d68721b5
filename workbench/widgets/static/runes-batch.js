// Which batch: one that the hub keeps, or a new one from a file, a sample or an address.
import { differs, fill, h, icon, say, show } from "./dom.js";
import { moment, sentence, t } from "./language.js";
import { Source } from "./source.js";
import { randomId } from "./upload.js";

const word = (one) => `${one.alias} · ${t("{count} rows", { count: one.rows })}`;
const option = (one) => h("option", { value: one.alias }, word(one));
const BLOCK = /\.(bin|dat|blk|hex)(\.(gz|xz))?$/i; // the same as in samples.py

export class BatchChoice {
  constructor({ model, link, uploads, kept, act }) {
    Object.assign(this, { model, link, uploads, kept, act });
    kept.sources ??= { batch: {}, spent: {} };
    this.pick = h("select.wb-input", { id: "wb-runes-batch", onchange: () => this.choose(this.pick.value) });
    const again = h("button.wb-iconbutton", { type: "button", title: t("Look for new batches"), "aria-label": t("Look for new batches"), onclick: () => act("batches") }, icon("again"));
    this.facts = h("p.wb-hint", { "aria-live": "polite" });
    this.source = new Source({ id: "wb-runes-source", samples: model.get("samples").filter((one) => one.kind !== "spent"), link, uploads, kept: kept.sources.batch, changed: () => this.#added(), words: t("Drop a batch or a raw block here") });
    this.spent = new Source({ id: "wb-runes-spent", samples: model.get("samples").filter((one) => one.kind === "spent"), link, uploads, kept: kept.sources.spent, changed: () => {}, compact: true, words: t("Drop it here") });
    this.spends = h("div.wb-field", { hidden: true }, h("div.wb-labelled", {}, h("label.wb-label", { for: "wb-runes-spent" }, t("Outputs that the block spends")), h("span.wb-range", {}, t("optional"))), this.spent.element);
    this.fault = h("p.wb-fault", { role: "alert", hidden: true });
    this.button = h("button.wb-button", { type: "button", onclick: () => this.#add() }, icon("plus"), t("Keep it in the hub"));
    this.more = h("details.wb-more.wb-addbatch", { open: kept.adding ?? false }, h("summary", {}, t("Add a batch")), h("div.wb-fields", {}, this.source.element, this.spends, this.fault, h("div", {}, this.button)));
    this.more.addEventListener("toggle", () => (kept.adding = this.more.open));
    this.element = h("div.wb-fields", {}, h("div.wb-field", {}, h("label.wb-label", { for: "wb-runes-batch" }, t("Batch")), h("div.wb-pickline", {}, this.pick, again), this.facts), this.more);
    this.#added();
    this.redraw();
  }

  get alias() {
    return this.kept.alias ?? "";
  }

  redraw() {
    const batches = this.model.get("batches");
    const known = batches.some((one) => one.alias === this.alias);
    if (differs(this.pick, batches.map(word))) fill(this.pick, batches.map(option));
    this.pick.disabled = !batches.length;
    if (!batches.length) {
      say(this.facts, this.model.get("listed") ? t("The hub keeps no batch yet: add one below, from a sample, a file or an address.") : t("The batches appear here once the hub has told them."));
      if (this.model.get("listed")) this.more.open = true;
      return;
    }
    this.choose(known ? this.alias : batches[0].alias);
  }

  choose(alias) {
    this.pick.value = alias;
    const same = alias === this.kept.about?.alias;
    this.kept.alias = alias;
    if (same) this.#tell(this.kept.about);
    else {
      say(this.facts, "");
      this.act("about", alias);
    }
    this.act("chosen");
  }

  about(told) {
    if (told.alias !== this.alias) return;
    this.kept.about = told;
    this.#tell(told);
  }

  #tell({ error, network, firstHeight, lastHeight, level, producer, tables = [], trust = [] }) {
    if (error) return say(this.facts, sentence(error));
    this.facts.title = t("Tables: {names}", { names: tables.join(", ") });
    const levels = { state: t("knows the state: what was honoured"), runestone: t("runestones only: what was asked for") };
    const span = (firstHeight ?? null) === null ? t("blocks not stated") : firstHeight === lastHeight ? t("block {height}", { height: firstHeight }) : t("blocks {first} to {last}", { first: String(firstHeight), last: String(lastHeight) });
    const kept = this.model.get("batches").find((one) => one.alias === this.alias);
    return say(this.facts, [network, span, levels[level] ?? level, producer, ...trust.map(sentence), kept && t("kept {time}", { time: moment(kept.createdAt) })].filter(Boolean).join(" · "));
  }

  /** A raw block may come with the outputs that it spends: then its fees are known. */
  #added() {
    const name = this.source.label().split(/[?#]/)[0];
    show(this.spends, BLOCK.test(name) && !/spent|utxo/i.test(name));
  }

  async #add() {
    const name = this.source.label();
    const fault = this.source.fault() || (name ? "" : t("choose an input first"));
    this.#say(fault);
    if (fault) return this.source.control.focus();
    this.button.disabled = true;
    const sources = [this.source, ...(this.spends.hidden ? [] : [this.spent])];
    const arrived = (await Promise.all(sources.map((one) => one.ready()))).every(Boolean);
    this.button.disabled = false;
    if (!arrived) return undefined;
    const spent = this.spends.hidden ? null : this.spent.value();
    return this.act("import", { taskId: randomId(), inputDataURL: this.source.value(), name, spentOutputsURL: spent });
  }

  #say(words) {
    say(this.fault, words);
    show(this.fault, Boolean(words));
  }

  /** A batch is kept now: it is the one that is asked about. */
  imported(alias) {
    this.more.open = false;
    this.choose(alias);
    this.pick.focus();
  }
}

/** The batch that a question holds the first one against: any other that the hub keeps. */
export class OtherBatch {
  /** `kept.other` is its alias; `first()` that of the batch that is asked about. */
  constructor({ id, model, kept, first }) {
    Object.assign(this, { model, kept, first });
    this.element = this.control = h("select.wb-input", { id, onchange: () => (kept.other = this.control.value) });
    this.redraw();
  }

  redraw() {
    const others = this.model.get("batches").filter((one) => one.alias !== this.first());
    if (differs(this.control, others.map(word))) fill(this.control, others.map(option));
    this.control.disabled = !others.length;
    if (others.some((one) => one.alias === this.kept.other)) this.control.value = this.kept.other;
  }

  value() {
    return this.control.value ? `batch:${this.control.value}` : null;
  }

  fault() {
    return this.value() ? "" : t("the hub keeps no other batch: add one above");
  }
}
