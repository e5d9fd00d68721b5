// A panel that opens at its button: closes on Escape or a click beside it, and gives the focus back.
import { h, mark, show } from "./dom.js";

export class Popover {
  constructor({ button, label, onOpen, kind = "div" }) {
    Object.assign(this, { button, onOpen });
    this.panel = h(`${kind}.wb-panel`, { hidden: true, role: "dialog", "aria-label": label, tabindex: "-1" });
    this.element = h("div.wb-anchor", {}, button, this.panel);
    mark(button, "aria-haspopup", "dialog");
    mark(button, "aria-expanded", "false");
    button.addEventListener("click", () => this.toggle());
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.panel.hidden) return;
      event.stopPropagation();
      this.toggle(false);
    });
    this.element.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !this.element.contains(event.relatedTarget)) this.toggle(false, false);
    });
    this.beside = (event) => event.composedPath().includes(this.element) || this.toggle(false, false);
  }

  get open() {
    return !this.panel.hidden;
  }

  toggle(open = this.panel.hidden, focus = true) {
    if (this.panel.hidden === !open) return;
    show(this.panel, open);
    mark(this.button, "aria-expanded", String(open));
    if (open) {
      this.onOpen?.();
      (this.panel.querySelector("[data-first]") ?? this.panel).focus({ preventScroll: true });
      document.addEventListener("pointerdown", this.beside);
    } else {
      document.removeEventListener("pointerdown", this.beside);
      if (focus) this.button.focus();
    }
  }

  close() {
    document.removeEventListener("pointerdown", this.beside);
  }
}

/** A button that asks once more, in its place, before it does what cannot be undone. */
export function askFirst({ element, question, yes, no, done }) {
  const before = [...element.childNodes];
  const back = () => {
    element.replaceChildren(...before);
    element.querySelector("button")?.focus();
  };
  const sure = h("button.wb-button.wb-danger", { type: "button", onclick: done }, yes);
  const keep = h("button.wb-button", { type: "button", onclick: back }, no);
  const asked = h("span.wb-asked", { role: "alertdialog", "aria-label": question }, h("span.wb-grow", {}, question), sure, keep);
  asked.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    back();
  });
  element.replaceChildren(asked);
  keep.focus();
}
