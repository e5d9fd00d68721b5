// No hub runs on this machine: what that means here, and the way back.
import { fill, h, icon, mark, show } from "./dom.js";
import { t } from "./language.js";

/** Draws into `element`; nothing where `hub` is empty. `words` say what waits for it. A button that
 * is there stays the same one, or a press would be lost whose halves lie around a redrawing. */
export function drawAbsence(element, hub, words, start) {
  if (hub === element.dataset.hub) return;
  mark(element, "data-hub", hub);
  show(element, Boolean(hub));
  const button = h("button.wb-button", { type: "button", disabled: hub === "starting", onclick: start }, icon("play"), hub === "starting" ? t("Starting…") : t("Start the hub"));
  fill(element, icon("warning"), h("div.wb-grow", {}, h("strong", {}, t("The hub is not running.")), " ", words), button);
}
