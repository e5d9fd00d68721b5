// The form of a question: its batch, the question, a rune and what else it takes.
import { differs, fill, h, icon, mark, onSubmit, say, show } from "./dom.js";
import { ParameterForm, parameterWord } from "./form.js";
import { sentence, t } from "./language.js";
import { RuneSearch } from "./rune-search.js";
import { BatchChoice, OtherBatch } from "./runes-batch.js";
import { randomId } from "./upload.js";

const ANSWER_MS = 20_000;
const RUNE = "rune"; // the parameter that every question about one rune has

export class AskForm {
  constructor({ model, link, uploads, kept, act }) {
    Object.assign(this, { model, kept, act });
    kept.drafts ??= {};
    this.batch = new BatchChoice({ model, link, uploads, kept, act: (...said) => this.#heard(...said) });
    this.pick = h("select.wb-input", { id: "wb-question", onchange: () => this.#choose(this.pick.value) });
    this.about = h("p.wb-hint");
    this.parameters = h("div");
    this.fault = h("p.wb-problem", { hidden: true, role: "alert" });
    this.button = h("button.wb-primary", { type: "submit" }, t("Ask"));
    this.note = h("span.wb-hint");
    this.element = h(
      "form.wb-card.wb-new",
      { "aria-label": t("A question"), novalidate: true },
      this.batch.element,
      h("div.wb-field", {}, h("label.wb-label", { for: "wb-question" }, t("Question")), this.pick, this.about),
      this.parameters,
      this.fault,
      h("div.wb-submitline", {}, this.button, this.note),
    );
    onSubmit(this.element, () => this.#ask());
    this.redraw();
  }

  #heard(what, detail) {
    if (what === "chosen") {
      this.other?.redraw();
      return this.pick && this.enable();
    }
    if (what === "import") this.#await(detail.taskId);
    return this.act(what, detail);
  }

  get models() {
    return this.model.get("models").filter((one) => one.part !== "import");
  }

  redraw() {
    const { models } = this;
    const group = (part, label) => {
      const found = models.filter((one) => one.part === part);
      return found.length ? h("optgroup", { label }, found.map((one) => h("option", { value: one.name }, t(one.title ?? one.name)))) : null;
    };
    if (differs(this.pick, models.map((one) => [one.name, one.title, one.part]))) fill(this.pick, group("question", t("Questions")), group("model", t("Models over the whole batch")));
    this.pick.disabled = !models.length;
    if (models.length) this.#choose(models.some((one) => one.name === this.kept.question) ? this.kept.question : this.pick.value);
    else if (differs(this.parameters, null)) say(this.about, t("The questions appear here once the hub has told them."));
    this.enable();
  }

  #keep() {
    const { [RUNE]: rune, ...draft } = this.form.draft();
    this.kept.drafts[this.kept.question] = draft;
    if (this.form.fields.has(RUNE)) this.kept.rune = rune; // one rune for all questions
  }

  #choose(name) {
    const model = this.models.find((one) => one.name === name);
    this.kept.question = name;
    this.pick.value = name;
    if (!differs(this.parameters, model)) return; // what is being typed goes on
    say(this.about, model.description ? t(model.description) : "");
    const given = { ...this.kept.drafts[name], ...(this.kept.rune ? { [RUNE]: this.kept.rune } : {}) };
    this.other = null;
    const source = (_name, id) => (this.other = new OtherBatch({ id, model: this.model, kept: this.kept, first: () => this.batch.alias }));
    this.form = new ParameterForm(model, given, { source, changed: () => this.#keep() });
    fill(this.parameters, this.form.element);
    const control = this.form.fields.get(RUNE)?.control;
    this.runes = control && new RuneSearch({ control, search: (number, text) => this.batch.alias && this.act("search", { number, alias: this.batch.alias, text }) });
    show(this.fault, false);
  }

  enable() {
    const connected = this.model.get("connection").state === "connected";
    this.button.disabled = !connected || !this.models.length || !this.batch.alias || Boolean(this.taskId);
    const missing = this.batch.alias ? "" : t("choose a batch first");
    say(this.note, connected ? (this.taskId ? t("submitting…") : missing) : t("Not connected: what you entered stays here."));
  }

  #ask() {
    if (this.button.disabled) return;
    show(this.fault, false);
    const parameters = this.form.read();
    if (!parameters) return;
    const taskId = randomId();
    this.#await(taskId);
    this.act("ask", { taskId, model: this.kept.question, alias: this.batch.alias, parameters });
  }

  /** A task was sent: the node takes or refuses it. */
  #await(taskId) {
    this.taskId = taskId;
    const error = { template: "no answer for {seconds} s: the task may have been taken, look at the history", values: { seconds: ANSWER_MS / 1000 } };
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refused({ taskId, error }), ANSWER_MS);
    this.enable();
  }

  accepted({ taskId }) {
    if (taskId !== this.taskId) return false;
    clearTimeout(this.timer);
    this.taskId = null;
    this.enable();
    return true;
  }

  /** `faults` name fields, `parameters.<name>`; the rest is said above the button. */
  refused({ taskId, error, faults = [] }) {
    if (!this.accepted({ taskId })) return;
    const unplaced = faults.filter((fault) => !this.#place(fault));
    if (faults.length && !unplaced.length) return;
    fill(this.fault, icon("warning"), h("span", {}, sentence(error)));
    show(this.fault, true);
    mark(this.fault, "tabindex", -1);
    this.fault.focus();
  }

  #place({ field, value, allowed }) {
    const name = field.replace(/^parameters\./, "");
    return this.form.refuse(name, t("{field} is {value}; allowed: {allowed}", { field: parameterWord(this.models, this.kept.question, name), value, allowed }));
  }
}
