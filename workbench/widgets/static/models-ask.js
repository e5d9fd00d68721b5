// A question in the place of the buttons that led to it, before something that cannot be undone.
import { h } from "./dom.js";
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

/** Buttons drawn anew only where they changed; the focus stays on the deed that it was on. */
export function deeds(element, sign, make) {
  if (element.dataset.sign === sign) return;
  element.dataset.sign = sign;
  const held = element.contains(document.activeElement) ? document.activeElement.dataset.deed : null;
  element.replaceChildren(...make().filter(Boolean));
  if (held !== null) (element.querySelector(`[data-deed="${held}"]`) ?? element.querySelector("button:not(:disabled)"))?.focus();
}
