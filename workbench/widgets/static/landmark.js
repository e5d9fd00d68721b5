// A panel as a landmark of its page: found by name, reached by the links of the page's head.
import { mark } from "./dom.js";
import { t } from "./language.js";

/** What each panel is called, for its link and for a screen reader. */
export const panelWord = (name) => ({ mesh: t("Mesh tasks"), chat: t("Chat"), runes: t("Runes"), gpus: t("Metrics"), models: t("Models") })[name] ?? name;

/** Names `root`, anew in each language. */
export function landmark(root, name) {
  for (const [attribute, value] of Object.entries({ role: "region", "aria-label": panelWord(name), "data-panel": name })) mark(root, attribute, value);
}

/** To a panel, for the eye and for the keyboard: the next Tab goes on inside it. */
export function goTo(name) {
  const panel = document.querySelector(`.wb[data-panel="${name}"]`);
  if (panel) mark(panel, "tabindex", "-1");
  panel?.scrollIntoView({ block: "start" });
  panel?.focus({ preventScroll: true });
}
