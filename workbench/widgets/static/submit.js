// The form of a new task: model, input, parameters, submit; refusals are shown where they belong.
import { differs, fill, h, icon, mark, onSubmit, say, show } from "./dom.js";
import { ParameterForm, parameterWord } from "./form.js";
import { sentence, t } from "./language.js";
import { Source } from "./source.js";
import { randomId } from "./upload.js";

const SECOND_INPUT = /spent|utxo|prevout/i;
const ANSWER_MS = 20_000;

export class SubmitForm {
  constructor({ model, link, uploads, kept, act }) {
    Object.assign(this, { model, link, uploads, kept, act });
    kept.drafts ??= {};
    kept.sources ??= {};
    this.pick = h("select.wb-input", { id: "wb-model", onchange: () => this.#choose(this.pick.value) });
    this.about = h("p.wb-hint");
    this.input = h("div");
    this.parameters = h("div");
    this.fault = h("p.wb-problem", { hidden: true, role: "alert" });
    this.cached = h("input", { type: "checkbox", id: "wb-cache" });
    this.cached.checked = kept.useCache ?? true;
    this.cached.addEventListener("change", () => (kept.useCache = this.cached.checked));
    this.button = h("button.wb-primary.wb-submit", { type: "submit" }, t("Submit"));
    this.note = h("span.wb-hint");
    this.element = h(
      "form.wb-card.wb-new",
      { "aria-label": t("New task"), novalidate: true },
      h("h3", {}, t("New task")),
      h("div.wb-field", {}, h("label.wb-label", { for: "wb-model" }, t("Model")), this.pick, this.about),
      this.input,
      this.parameters,
      h("label.wb-check", {}, this.cached, h("span", {}, t("Use a kept result where there is one"))),
      this.fault,
      h("div.wb-submitline", {}, this.button, this.note),
    );
    onSubmit(this.element, () => this.#submit());
    this.redraw();
  }

  /** Cells of notebooks are kept as models, too: they have no form. Of own functions the newest, and what was chosen. */
  get models() {
    const chosen = [this.kept.model, this.model.get("chosen")];
    return this.model.get("models").filter((one) => (one.listed ?? true) || chosen.includes(one.name));
  }

  redraw() {
    const { models } = this;
    const chosen = this.model.get("chosen");
    if (chosen && models.some((one) => one.name === chosen)) this.kept.model ??= chosen;
    if (differs(this.pick, models.map((one) => [one.name, one.title]))) fill(this.pick, models.map((one) => h("option", { value: one.name }, t(one.title ?? one.name))));
    this.pick.disabled = !models.length;
    if (models.length) this.#choose(this.kept.model && models.some((one) => one.name === this.kept.model) ? this.kept.model : models[0].name);
    else {
      fill(this.input);
      fill(this.parameters);
      differs(this.parameters, null);
      say(this.about, t("The models of the node are listed here once it is connected."));
    }
    this.enable();
  }

  #keep() {
    if (this.form) this.kept.drafts[this.kept.model] = this.form.draft();
  }

  #choose(name, anew = false) {
    if (this.form && this.kept.model !== name) this.#keep();
    this.kept.model = name;
    const model = this.models.find((one) => one.name === name);
    this.pick.value = name;
    if (!differs(this.parameters, [model, this.model.get("samples")]) && !anew) return; // what is being typed goes on
    say(this.about, model.description ? t(model.description) : "");
    this.#sources(model);
    this.form = new ParameterForm(model, this.kept.drafts[name], {
      source: (parameter, id) => this.#second(parameter, id),
      changed: () => this.#keep(),
    });
    fill(this.parameters, this.form.element);
    show(this.fault, false);
  }

  #source(key, more) {
    this.kept.sources[key] ??= {};
    return new Source({ samples: [], link: this.link, uploads: this.uploads, kept: this.kept.sources[key], changed: () => this.enable(), ...more });
  }

  #sources(model) {
    this.seconds = new Map();
    const isBlock = model.name.startsWith("block");
    const samples = this.model.get("samples").filter((one) => one.kind === (isBlock ? "block" : "batch"));
    this.main = this.#source(isBlock ? "block" : "batch", {
      id: "wb-input",
      samples,
      many: (files) => this.#share(files),
      words: isBlock ? t("Drop a raw block here") : t("Drop a batch here"),
    });
    this.inputFault = h("p.wb-fault", { hidden: true });
    const word = isBlock ? t("Block") : t("Batch");
    this.takes = model.takesBatch ?? true;
    this.needs = model.needsBatch ?? true;
    show(this.input, this.takes);
    const label = h("div.wb-labelled", {}, h("label.wb-label", { for: "wb-input" }, word), this.needs ? null : h("span.wb-range", {}, t("optional")));
    fill(this.input, h("div.wb-field", {}, label, this.main.element, this.inputFault));
  }

  /** Files dropped together: one that is called like a second input goes there. */
  #share(files) {
    const [second] = this.seconds.values();
    const spare = second && files.length > 1 ? files.find((file) => SECOND_INPUT.test(file.name)) : null;
    if (spare) second.take(spare);
    return files.filter((file) => file !== spare);
  }

  #second(parameter, id) {
    const source = this.#source(`${this.kept.model}.${parameter}`, { id, compact: true, words: t("Drop it here"), samples: this.model.get("samples").filter((one) => one.kind === "spent") });
    this.seconds.set(parameter, source);
    return source;
  }

  enable() {
    const connected = this.model.get("connection").state === "connected";
    this.button.disabled = !connected || !this.models.length || Boolean(this.busy);
    say(this.note, connected ? (this.busy ?? "") : t("Not connected: what you entered stays here. Start the hub with make run, or workbench hub."));
  }

  #inputFault(sentenceShown) {
    say(this.inputFault, sentenceShown);
    show(this.inputFault, Boolean(sentenceShown));
    if (sentenceShown) this.main.control.focus();
    return !sentenceShown;
  }

  async #submit() {
    if (this.button.disabled) return;
    show(this.fault, false);
    const chosen = this.takes ? this.main.label() : "";
    if (this.takes && !this.#inputFault(this.main.fault() || (chosen || !this.needs ? "" : t("choose an input first")))) return;
    if (!this.form.read()) return;
    const waiting = [...(this.takes ? [this.main] : []), ...this.seconds.values()];
    this.#busy(t("waiting for the upload…"));
    const arrived = (await Promise.all(waiting.map((one) => one.ready()))).every(Boolean);
    const parameters = this.form.read();
    const url = this.takes ? this.main.value() : null;
    if (!arrived || !parameters || (this.needs && !url)) return void this.#busy(null);
    this.#busy(t("submitting…"));
    this.taskId = randomId();
    const seconds = Object.fromEntries([...this.seconds].map(([name, source]) => [name, source.label()]).filter(([, label]) => label));
    const task = { taskId: this.taskId, model: this.kept.model, parameters, inputDataURL: url, input: chosen, inputs: seconds, useCache: this.cached.checked };
    this.act("submit", task);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refused({ taskId: this.taskId, error: { template: "no answer for {seconds} s: the task may have been taken, look at the history", values: { seconds: ANSWER_MS / 1000 } } }), ANSWER_MS);
  }

  #busy(words) {
    this.busy = words;
    this.enable();
  }

  accepted({ taskId }) {
    if (taskId !== this.taskId) return false;
    clearTimeout(this.timer);
    this.#busy(null);
    return true;
  }

  /** `faults` name fields: `parameters.<name>`, `inputDataURL`; the rest is said above the button. */
  refused({ taskId, error, faults = [] }) {
    if (taskId !== this.taskId) return;
    clearTimeout(this.timer);
    this.#busy(null);
    const unplaced = faults.filter((fault) => !this.#place(fault));
    if (faults.length && !unplaced.length) return;
    const words = sentence(error);
    fill(this.fault, icon("warning"), h("span", {}, words));
    show(this.fault, true);
    mark(this.fault, "tabindex", -1);
    this.fault.focus();
  }

  #place({ field, value, allowed }) {
    const name = field.replace(/^parameters\./, "");
    const words = t("{field} is {value}; allowed: {allowed}", { field: parameterWord(this.models, this.kept.model, name), value, allowed });
    if (name !== field) return this.form.refuse(name, words);
    return field.startsWith("input") && !this.#inputFault(words);
  }

  /** A batch that the node holds becomes the input of the next task. */
  use(url) {
    const model = this.models.find((one) => !one.name.endsWith("-import"));
    if (!model) return;
    this.kept.sources.batch = { mode: "url", url };
    this.#choose(model.name, true);
    this.element.scrollIntoView({ block: "nearest", behavior: "smooth" });
    this.button.focus();
  }
}
