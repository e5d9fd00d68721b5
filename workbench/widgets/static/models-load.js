// How a model is loaded: the size of its context and the layers on the GPU; bounds are checked here.
import { h, mark, onSubmit, say, show } from "./dom.js";
import { numberFault, rangeText, readNumber } from "./form.js";
import { t } from "./language.js";

const FIELDS = [
  { name: "contextSize", type: "integer", minimum: 16, maximum: 16_777_216 },
  { name: "gpuLayers", type: "integer", minimum: -1, maximum: 100_000 },
];
const fieldNames = () => ({ contextSize: t("Context (tokens)"), gpuLayers: t("Layers on the GPU (-1 for all)") });

export class LoadForm {
  constructor({ name, load, leave }) {
    Object.assign(this, { load });
    this.boxes = FIELDS.map((field) => this.#box(field));
    const buttons = h("div.wb-actions", {}, h("button.wb-button", { type: "submit" }, t("Load with these")), h("button.wb-quietbutton", { type: "button", onclick: leave }, t("Back")));
    this.element = h("form.wb-loadform", { "aria-label": t("How {name} is loaded", { name }), novalidate: true, hidden: true }, this.boxes.map((one) => one.element), h("p.wb-hint", {}, t("An empty field leaves it to the model's own default.")), buttons);
    onSubmit(this.element, () => this.#submit());
    this.element.addEventListener("keydown", (event) => event.key === "Escape" && leave());
  }

  #box(field) {
    const fault = h("span.wb-fault", { hidden: true, role: "alert" });
    const box = h("input.wb-input.wb-number", { type: "text", inputmode: "numeric", autocomplete: "off", placeholder: t("default") });
    const range = h("span.wb-range", {}, rangeText(field));
    const element = h("label.wb-field", {}, h("span.wb-labelled", {}, h("span.wb-label", {}, fieldNames()[field.name]), range), box, fault);
    return { field, box, fault, range, element };
  }

  /** No more context than the model can. */
  limit(contextSize) {
    const [context] = this.boxes;
    context.field = { ...FIELDS[0], maximum: Math.max(FIELDS[0].minimum, contextSize ?? FIELDS[0].maximum) };
    say(context.range, rangeText(context.field));
  }

  get open() {
    return !this.element.hidden;
  }

  toggle(open) {
    show(this.element, open);
    if (open) this.boxes[0].box.focus();
  }

  #submit() {
    const options = {};
    const wrong = this.boxes.filter(({ field, box, fault }) => {
      const text = box.value.trim();
      const words = text ? numberFault(field, text) : "";
      say(fault, words);
      show(fault, Boolean(words));
      mark(box, "aria-invalid", words ? "true" : null);
      if (text && !words) options[field.name] = readNumber(field, text);
      return words;
    });
    if (wrong.length) wrong[0].box.focus();
    else this.load(options);
  }
}
