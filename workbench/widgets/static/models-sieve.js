// Which cards are shown: words to search for and a filter; and the context that memory is reckoned with.
import { fill, h, icon, mark, say } from "./dom.js";
import { number, t } from "./language.js";
import { BUSY, isFile, ownerName } from "./models-words.js";

const filterWords = () => ({ all: t("All models"), here: t("On this machine"), loaded: t("Loaded"), downloading: t("Downloading") });
const CONTEXTS = [2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072];

const passes = {
  all: () => true,
  here: (card) => isFile(card),
  loaded: (card) => card.state === "loaded",
  downloading: () => false, // what is downloaded has a list of its own
};

const textOf = (card) => [card.id, card.title, card.quantization, card.parameters, card.architecture, card.licence, card.backend, ownerName(card.owner)].join(" ").toLowerCase();

export class Sieve {
  constructor({ kept, changed, refresh }) {
    Object.assign(this, { kept });
    this.search = h("input.wb-input.wb-search", { type: "search", placeholder: t("Find a model"), "aria-label": t("Find a model") });
    this.search.value = kept.text;
    this.search.addEventListener("input", () => {
      kept.text = this.search.value;
      changed();
    });
    const press = (name) => () => {
      kept.filter = name;
      changed();
    };
    this.buttons = Object.entries(filterWords()).map(([name, word]) => ({ name, count: h("span.wb-count"), button: h("button.wb-segment", { type: "button", onclick: press(name) }, word, " ") }));
    for (const { button, count } of this.buttons) button.append(count);
    const again = h("button.wb-iconbutton", { type: "button", "aria-label": t("Look for models again"), title: t("Look for models again"), onclick: refresh }, icon("again"));
    this.element = h("div.wb-toolbar.wb-sieve", {}, this.search, h("div.wb-segments", { role: "group", "aria-label": t("Models shown") }, this.buttons.map((one) => one.button)), again);
  }

  update(cards, downloads) {
    const fetched = downloads.filter((one) => BUSY.includes(one.state) || one.state === "paused").length;
    for (const { name, button, count } of this.buttons) {
      mark(button, "aria-pressed", String(name === this.kept.filter));
      say(count, number(name === "downloading" ? fetched : cards.filter(passes[name]).length));
    }
  }

  sift(cards) {
    const words = this.kept.text.trim().toLowerCase().split(/\s+/).filter(Boolean);
    return cards.filter((card) => passes[this.kept.filter](card) && words.every((word) => textOf(card).includes(word)));
  }
}

/** Memory is reckoned with so many tokens of context; none chosen is each model's own default. */
export class ContextChoice {
  constructor({ chosen }) {
    this.select = h("select.wb-input", { onchange: () => chosen(this.select.value ? Number(this.select.value) : null) });
    this.element = h("label.wb-contextchoice", {}, h("span.wb-quiet", {}, t("Memory for a context of")), this.select);
  }

  update(contextSize) {
    const known = [...new Set([...CONTEXTS, ...(contextSize ? [contextSize] : [])])].sort((a, b) => a - b);
    if (this.select.options.length !== known.length + 1) fill(this.select, h("option", { value: "" }, t("each model's default")), known.map((one) => h("option", { value: String(one) }, t("{count} tokens", { count: one }))));
    const value = contextSize ? String(contextSize) : "";
    if (this.select.value !== value) this.select.value = value;
  }
}
