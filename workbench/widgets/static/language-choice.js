// The choice of language: one for the whole page, whichever of its panels it is made in.
import { h } from "./dom.js";
import { currentLanguage, LANGUAGES, setLanguage, t } from "./language.js";

const SPOKEN = "workbench-language";

/** Two buttons; the choice stands in the address, so that a reload keeps it. On a page with a head only that shows them. */
export function languageChoice() {
  const buttons = Object.entries(LANGUAGES).map(([code, name]) =>
    h("button.wb-segment", { type: "button", lang: code, "aria-pressed": String(code === currentLanguage()), "aria-label": name, onclick: () => choose(code) }, code.slice(0, 2).toUpperCase()),
  );
  return h("div.wb-segments.wb-languages", { role: "group", "aria-label": t("Language") }, buttons);
}

function choose(code) {
  const address = new URL(location.href);
  address.searchParams.set("lang", code);
  globalThis.history.replaceState(null, "", address);
  document.documentElement.lang = code;
  globalThis.dispatchEvent(new CustomEvent(SPOKEN, { detail: code }));
}

/** Calls `changed` after each choice; the focus stays on the button that was pressed. Returns its end. */
export function followLanguage(root, changed) {
  const heard = ({ detail: code }) => {
    if (!(code in LANGUAGES)) return;
    const chosenHere = root.contains(document.activeElement);
    setLanguage(code);
    changed();
    if (chosenHere) root.querySelector(`.wb-segment[lang="${code}"]`)?.focus();
  };
  globalThis.addEventListener(SPOKEN, heard);
  return () => globalThis.removeEventListener(SPOKEN, heard);
}
