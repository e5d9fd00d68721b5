// A hub of another version than this page's kernel: which is the old one, and the way out.
import { differs, fill, h, icon, show } from "./dom.js";
import { sentence, t } from "./language.js";

/** Draws the notice of `connection` into `element`, once each; nothing where the two are of one version. */
export function drawVersion(element, { notice, hub }, act) {
  show(element, Boolean(notice));
  const busy = hub === "starting";
  if (!notice || !differs(element, [notice, busy])) return;
  const restart = h(
    "button.wb-button",
    { type: "button", disabled: busy, onclick: () => act("restartHub") },
    icon("again"),
    busy ? t("Restarting…") : t("Drain and restart the hub"),
  );
  fill(element, icon("warning"), h("div.wb-grow", {}, sentence(notice)), notice.remedy === "restart" ? restart : null);
}
