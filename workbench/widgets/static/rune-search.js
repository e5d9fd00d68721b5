// A rune by a part of its name or id: offers below a text field, taken with the keys or the mouse.
import { fill, h, mark, show } from "./dom.js";
import { t } from "./language.js";

const WAIT_MS = 160;
let searches = 0;

export class RuneSearch {
  /** `search(number, text)` asks the kernel; its answer comes to `found`. */
  constructor({ control, search }) {
    Object.assign(this, { control, search, runes: [], at: -1 });
    this.list = h("ul.wb-runelist", { role: "listbox", id: `${control.id}-runes`, "aria-label": t("Runes of the batch"), hidden: true });
    this.element = h("div.wb-combo");
    control.replaceWith(this.element);
    this.element.append(control, this.list);
    for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": this.list.id, "aria-expanded": "false", placeholder: t("name or id") })) mark(control, name, value);
    control.addEventListener("input", () => this.#ask());
    control.addEventListener("focus", () => control.getAttribute("aria-invalid") === "true" || this.#ask()); // the list would cover what is wrong
    control.addEventListener("blur", () => this.shut());
    control.addEventListener("keydown", (event) => this.#key(event));
  }

  #ask() {
    clearTimeout(this.timer);
    if (this.taking) return;
    this.timer = setTimeout(() => {
      this.number = searches += 1;
      this.search(this.number, this.control.value);
    }, WAIT_MS);
  }

  found({ number, found }) {
    if (number !== this.number || document.activeElement !== this.control) return;
    this.runes = found;
    this.at = -1;
    this.#draw(true);
  }

  #draw(open) {
    show(this.list, open);
    mark(this.control, "aria-expanded", String(open));
    const none = h("li.wb-quiet", { role: "option", "aria-disabled": "true", "aria-selected": "false" }, t("No rune of this batch is called so."));
    fill(this.list, open ? (this.runes.length ? this.runes.map((rune, at) => this.#option(rune, at)) : none) : null);
    mark(this.control, "aria-activedescendant", open && this.at >= 0 ? `${this.list.id}-${this.at}` : null);
    this.list.children[this.at]?.scrollIntoView({ block: "nearest" });
  }

  #option(rune, at) {
    const take = (event) => {
      event.preventDefault(); // the field keeps the focus
      this.take(rune);
    };
    return h("li", { role: "option", id: `${this.list.id}-${at}`, "aria-selected": String(at === this.at), onpointerdown: take }, h("span.wb-cut", {}, rune.name ?? rune.id), h("span.wb-quiet.wb-tabular", {}, [rune.symbol, rune.name ? rune.id : null].filter(Boolean).join(" ")));
  }

  shut() {
    clearTimeout(this.timer);
    this.number = 0;
    this.#draw(false);
  }

  take(rune) {
    this.taking = true; // what is taken is not searched for again
    this.control.value = rune.name ?? rune.id;
    this.control.dispatchEvent(new Event("input", { bubbles: true }));
    this.taking = false;
    this.shut();
  }

  #key(event) {
    if (this.list.hidden) return event.key === "ArrowDown" ? this.#ask() : undefined;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.runes.length) this.at = (this.at + step + this.runes.length) % this.runes.length;
    else if (event.key === "Enter" && this.at >= 0) this.take(this.runes[this.at]);
    else if (event.key === "Escape") this.shut();
    else {
      if (event.key === "Enter") this.shut(); // what is asked may be refused, in a sentence below
      return undefined;
    }
    event.preventDefault();
    event.stopPropagation();
    if (step) this.#draw(true);
    return undefined;
  }
}
