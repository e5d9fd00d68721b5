// What the model is told beforehand, and how its words are chosen: bounds are checked before sending.
import { Popover } from "./chat-popover.js";
import { Instructions } from "./chat-prompts.js";
import { fill, h, icon, mark, onSubmit, say, show } from "./dom.js";
import { numberFault, rangeText, readNumber } from "./form.js";
import { currentLanguage, t } from "./language.js";

const FIELDS = [
  { name: "temperature", type: "number", minimum: 0, maximum: 5 },
  { name: "maxTokens", type: "integer", minimum: 1, maximum: 1_000_000 },
  { name: "topP", type: "number", minimum: 0, maximum: 1 },
  { name: "topK", type: "integer", minimum: 0, maximum: 1_000_000 },
  { name: "minP", type: "number", minimum: 0, maximum: 1 },
  { name: "repeatPenalty", type: "number", minimum: 0, maximum: 10 },
  { name: "presencePenalty", type: "number", minimum: -2, maximum: 2 },
  { name: "frequencyPenalty", type: "number", minimum: -2, maximum: 2 },
  { name: "seed", type: "integer", minimum: 0, maximum: 4_294_967_295 },
];
const STOPS = 16;

const fieldWords = () => ({
  temperature: [t("Temperature"), t("0 is always the likeliest word; above 1 it wanders.")],
  maxTokens: [t("Longest answer (tokens)"), ""],
  topP: [t("Top p"), t("Only the likeliest words that together have this share.")],
  topK: [t("Top k"), t("Only this many of the likeliest words; 0 for all.")],
  minP: [t("Min p"), ""],
  repeatPenalty: [t("Repeat penalty"), ""],
  presencePenalty: [t("Presence penalty"), ""],
  frequencyPenalty: [t("Frequency penalty"), ""],
  seed: [t("Seed"), t("The same seed gives the same answer, on the same back end.")],
});

const typed = (value) => (currentLanguage() === "pt-BR" ? String(value).replace(".", ",") : String(value));

export class Settings {
  constructor({ model, act }) {
    Object.assign(this, { model, act });
    this.word = h("span.wb-wide-only", {}, t("Settings"));
    const button = h("button.wb-quietbutton", { type: "button", title: t("Instruction and sampling") }, icon("sliders"), this.word);
    this.popover = new Popover({ button, label: t("Settings of the conversation"), onOpen: () => this.fill() });
    this.popover.panel.classList.add("wb-settings");
    this.system = h("textarea.wb-input", { rows: "4", "aria-label": t("Instruction to the model"), placeholder: t("What the model should be and how it should answer"), dir: "auto", "data-first": "" });
    this.instructions = new Instructions({ model, act, read: () => this.system.value, use: (text) => (this.system.value = text) });
    this.boxes = new Map();
    const words = fieldWords();
    const fields = FIELDS.map((field) => this.#field(field, ...words[field.name]));
    this.stops = h("textarea.wb-input.wb-code", { rows: "2", id: "wb-stops", spellcheck: false });
    this.stopFault = h("p.wb-fault", { hidden: true });
    const stop = h("div.wb-field", {}, h("label.wb-label", { for: "wb-stops" }, t("Stop at (one per line)")), this.stops, this.stopFault);
    const form = h(
      "form.wb-settingsform",
      {},
      h("section.wb-field", {}, h("h4", {}, t("Instruction to the model")), this.system, this.instructions.element),
      h("section.wb-field", {}, h("h4", {}, t("How words are chosen")), h("p.wb-hint", {}, t("An empty field leaves it to the model's own default.")), h("div.wb-samplings", {}, fields, stop)),
      h("div.wb-actions.wb-settingsend", {}, h("button.wb-primary", { type: "submit" }, t("Apply")), h("button.wb-button", { type: "button", onclick: () => this.#reset() }, t("Reset"))),
    );
    onSubmit(form, () => this.#apply());
    fill(this.popover.panel, form);
    this.element = this.popover.element;
    this.update();
  }

  #field(field, words, hint) {
    const id = `wb-sampling-${field.name}`;
    const box = h("input.wb-input.wb-number", { id, type: "text", inputmode: "decimal", autocomplete: "off", placeholder: t("default") });
    const fault = h("p.wb-fault", { hidden: true, id: `${id}-fault` });
    this.boxes.set(field.name, { field, box, fault });
    return h("div.wb-field", { title: hint || null }, h("div.wb-labelled", {}, h("label.wb-label", { for: id }, words), h("span.wb-range", {}, rangeText(field))), box, fault);
  }

  update() {
    const { system, parameters } = this.model.get("conversation");
    const own = Boolean(system) || Object.keys(parameters ?? {}).length > 0;
    mark(this.popover.button, "data-own", own ? "yes" : null);
    this.instructions.update();
  }

  fill() {
    const { system, parameters = {} } = this.model.get("conversation");
    this.system.value = system ?? "";
    for (const [name, { box, fault }] of this.boxes) {
      box.value = (parameters[name] ?? null) === null ? "" : typed(parameters[name]);
      show(fault, false);
      mark(box, "aria-invalid", null);
    }
    this.stops.value = (parameters.stop ?? []).join("\n");
    show(this.stopFault, false);
    this.update();
  }

  #reset() {
    this.system.value = "";
    this.stops.value = "";
    for (const { box } of this.boxes.values()) box.value = "";
    this.system.focus();
  }

  #apply() {
    const known = this.model.get("conversation").parameters ?? {};
    const { jsonSchema, grammar } = known; // set from Python: nothing here shows them, so they stay
    const parameters = { ...(jsonSchema && { jsonSchema }), ...(grammar && { grammar }) };
    const wrong = [];
    for (const [name, { field, box, fault }] of this.boxes) {
      const text = box.value.trim();
      const words = text ? numberFault(field, text) : "";
      say(fault, words);
      show(fault, Boolean(words));
      mark(box, "aria-invalid", words ? "true" : null);
      mark(box, "aria-describedby", words ? fault.id : null);
      if (words) wrong.push(box);
      else if (text) parameters[name] = readNumber(field, text);
    }
    const stop = this.stops.value.split("\n").filter(Boolean);
    say(this.stopFault, t("at most {limit} of them", { limit: STOPS }));
    show(this.stopFault, stop.length > STOPS);
    if (stop.length > STOPS) wrong.push(this.stops);
    else if (stop.length) parameters.stop = stop;
    if (wrong.length) return wrong[0].focus();
    this.act("settings", { system: this.system.value.trim(), parameters });
    return this.popover.toggle(false);
  }
}
