// The head of the page: where its panels are, and the language of all of them.
import { fill, followTheme, h, mark } from "./dom.js";
import { goTo, panelWord } from "./landmark.js";
import { chooseLanguage, currentLanguage, setLanguage, t } from "./language.js";
import { followLanguage, languageChoice } from "./language-choice.js";

function render({ model, el }) {
  const root = h("div.wb.wb-head");
  el.append(root);
  setLanguage(chooseLanguage());
  const go = (event, name) => {
    event.preventDefault(); // JupyterLab takes the part of an address behind # for its own
    goTo(name);
  };
  const link = (name) => h("li", {}, h("a.wb-headlink", { href: `#${name}`, onclick: (event) => go(event, name) }, panelWord(name)));
  const draw = () => {
    mark(root, "lang", currentLanguage());
    fill(root, h("nav", { "aria-label": t("Panels of this page") }, h("ul", {}, model.get("panels").map(link))), h("span.wb-grow"), languageChoice());
  };
  draw();
  const stops = [followTheme(root, () => {}), followLanguage(root, draw)];
  return () => stops.forEach((stop) => stop());
}

export default { render };
