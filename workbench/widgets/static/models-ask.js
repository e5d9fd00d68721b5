// A question in the place of the buttons that led to it, before something that cannot be undone.
import { h, keyed, mark } from "./dom.js";
import { t } from "./language.js";

/**
 * `answers` are [{word, danger, done}]; Escape and the last button lead back, and the focus with it.
 * What is asked stays where it is until it is answered: `element` must not be drawn anew meanwhile.
 */
export function ask(element, question, answers) {
  const before = [...element.childNodes];
  const from = document.activeElement;
  const back = () => {
    element.replaceChildren(...before);
    (before.includes(from) ? from : element.querySelector("button"))?.focus();
  };
  const answered = (done) => () => {
    back();
    done();
  };
  const buttons = answers.map(({ word, danger, done }) => h(`button.wb-button${danger ? ".wb-danger" : ""}`, { type: "button", onclick: answered(done) }, word));
  const leave = h("button.wb-button", { type: "button", onclick: back }, t("Back"));
  const asked = h("div.wb-asked", { role: "alertdialog", "aria-label": question }, h("p", {}, question), h("div.wb-actions", {}, buttons, leave));
  asked.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    back();
  });
  element.replaceChildren(asked);
  leave.focus();
}

export const isAsking = (element) => Boolean(element.querySelector(":scope > .wb-asked"));

/** A button of its deed, for `deeds`. */
export function deedButton(kind, deed, properties, done, ...children) {
  const button = h(kind, { type: "button", "data-deed": deed, ...properties }, ...children);
  button.onclick = done;
  return button;
}

/** Buttons that follow what can be done: one whose deed stays is the same one, and keeps the focus. */
export function deeds(element, sign, make) {
  if (element.dataset.sign === sign) return;
  element.dataset.sign = sign;
  const held = element.contains(document.activeElement);
  keyed(element, make().filter(Boolean), (one) => one.dataset.deed, (one) => one, renew);
  const kept = document.activeElement;
  if (held && !(kept.matches("button:not(:disabled)") && element.contains(kept))) element.querySelector("button:not(:disabled)")?.focus();
}

/** `known` says and does what the `fresh` one of its deed would. */
function renew(known, fresh) {
  if (known === fresh) return;
  known.onclick = fresh.onclick;
  for (const name of ["title", "aria-label", "disabled"]) mark(known, name, fresh.getAttribute(name));
  known.replaceChildren(...fresh.childNodes);
}
