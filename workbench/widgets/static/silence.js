// The kernel does not answer: what that means for what is seen, and the way back.
import { fill, h, icon, show } from "./dom.js";
import { clockTime, t } from "./language.js";

/** Draws into `element`; nothing where there are no `words` of it. */
export function drawSilence(element, words, { reload = true } = {}) {
  show(element, Boolean(words));
  if (!words) return;
  const again = reload ? h("button.wb-button", { type: "button", onclick: () => location.reload() }, icon("again"), t("Reload the page")) : null;
  fill(element, icon("warning"), h("div.wb-grow", {}, h("strong", {}, t("The kernel does not answer.")), " ", words), again);
}

/** Where tasks are shown, what becomes of them. */
export function tasksGoOn(heardAt) {
  return t("It is busy with a cell, or gone. What you see is from {time}; running tasks go on without it.", { time: clockTime(heardAt) });
}
