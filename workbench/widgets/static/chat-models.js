// The models: found by words, grouped by the back end that has them, picked, loaded and unloaded.
import { Popover } from "./chat-popover.js";
import { differs, fill, h, icon, keyed, mark, say, show } from "./dom.js";
import { number, percent, sentence, t } from "./language.js";

export const reference = (model) => `${model.id}@${model.backend}`;
export const titled = (model) => model.title || model.id.split("/").pop().replace(/\.gguf$/i, "");

const size = (count) => (count >= 1e9 ? `${number(count / 1e9, 1)} GB` : `${number(count / 1e6, 0)} MB`);

/** The model that a reference names: `id@backend`, or `id` of whichever has it, loaded ones first. */
export function findModel(models, name) {
  if (!name) return undefined;
  const able = models.filter((one) => one.id === name || reference(one) === name);
  return able.find((one) => one.loaded) ?? able[0];
}

export class ModelPicker {
  constructor({ model, act }) {
    Object.assign(this, { model, act });
    this.dot = h("span.wb-dot", { "aria-hidden": "true" });
    this.name = h("strong.wb-cut");
    this.note = h("span.wb-quiet.wb-modelnote");
    const button = h("button.wb-pill.wb-modelpill", { type: "button" }, this.dot, this.name, this.note, icon("chevron"));
    this.popover = new Popover({ button, label: t("Models"), onOpen: () => this.draw() });
    this.search = h("input.wb-input", { type: "search", placeholder: t("Find a model"), "aria-label": t("Find a model"), "data-first": "" });
    this.search.addEventListener("input", () => this.draw());
    this.search.addEventListener("keydown", (event) => this.#toList(event));
    const refresh = h("button.wb-iconbutton", { type: "button", "aria-label": t("Look for models again"), title: t("Look for models again"), onclick: () => act("refreshModels") }, icon("again"));
    this.groups = h("div");
    this.rest = h("div");
    this.list = h("div.wb-modellist", {}, this.groups, this.rest);
    this.list.addEventListener("keydown", (event) => this.#along(event));
    fill(this.popover.panel, h("div.wb-toolbar.wb-nowrapline", {}, this.search, refresh), this.list);
    this.popover.panel.classList.add("wb-models");
    this.element = this.popover.element;
    this.update();
  }

  get models() {
    return this.model.get("models").filter((one) => !one.embedding && !one.problem);
  }

  /** Files that are there and cannot be loaded: their reason is shown in their place. */
  get broken() {
    return this.model.get("models").filter((one) => one.problem);
  }

  get chosen() {
    return findModel(this.models, this.model.get("conversation").model) ?? findModel(this.models, this.model.get("current"));
  }

  update() {
    const { chosen } = this;
    const loading = this.model.get("loading");
    const state = loading ? "loading" : chosen?.loaded ? "loaded" : "cold";
    mark(this.dot, "data-state", chosen || loading ? state : "none");
    const asked = this.model.get("conversation").model;
    say(this.name, chosen ? titled(chosen) : asked || t("No model"));
    const share = (loading?.done ?? null) === null ? "" : ` ${percent(loading.done)}`;
    say(this.note, loading ? t("loading…") + share : !chosen ? "" : chosen.loaded ? t("loaded") : t("loads when asked"));
    mark(this.popover.button, "title", chosen ? reference(chosen) : null);
    if (this.popover.open) this.draw();
  }

  draw() {
    const words = this.search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const matches = (one) => words.every((word) => `${titled(one)} ${reference(one)} ${one.quantization} ${one.parameters} ${one.architecture}`.toLowerCase().includes(word));
    const found = this.models.filter(matches);
    const known = this.model.get("backends");
    const names = [...new Set([...known.map((one) => one.name), ...found.map((one) => one.backend)])];
    const groups = names
      .map((name) => ({ name, backend: known.find((one) => one.name === name), models: found.filter((one) => one.backend === name) }))
      .filter(({ backend, models }) => models.length || (backend && !words.length));
    keyed(this.groups, groups, (one) => one.name, (one) => this.#group(one), (element, one) => this.#drawGroup(element, one));
    const broken = this.broken.filter(matches).map((one) =>
      h("p.wb-notice.wb-small", {}, icon("warning"), h("span", {}, h("strong", {}, one.id), ": ", sentence({ ...one.problem, text: one.problem.message }))),
    );
    fill(this.rest, broken, found.length || broken.length ? null : h("p.wb-hint.wb-none", {}, words.length ? t("No model is called so.") : t("No language model was found.")));
  }

  #group({ name }) {
    return h("section.wb-modelgroup", { "aria-label": name }, h("div"), h("div"));
  }

  /** Rows keep their buttons while models and their loading are heard of. */
  #drawGroup(element, { name, backend, models }) {
    const [head, rows] = element.children;
    const down = backend && !backend.ok;
    const facts = [backend?.kind !== name && backend?.kind, backend?.version, down && t("does not answer")].filter(Boolean).join(" · ");
    const note = backend?.note ? h("p.wb-notice.wb-small", {}, icon("chip"), h("span", {}, sentence(backend.note), backend.remedy ? h("span.wb-remedy", {}, " ", sentence(backend.remedy)) : null)) : null;
    if (differs(head, [facts, backend])) fill(head, h("h4", {}, name, " ", h("span.wb-quiet", {}, facts)), note);
    keyed(rows, models, reference, (one) => this.#row(one), (row, one) => this.#drawRow(row, one));
  }

  #row(one) {
    const pick = h("button.wb-pick", { type: "button", onclick: () => this.#pick(one) });
    return h("div.wb-modelrow", {}, pick, h("button.wb-quietbutton", { type: "button", onclick: () => this.act(this.#known(one)?.loaded ? "unload" : "load", reference(one)) }), h("span.wb-quiet", { hidden: true }, t("loading…")));
  }

  #known(one) {
    return this.models.find((other) => reference(other) === reference(one));
  }

  #drawRow(row, one) {
    const [pick, deed, wait] = row.children;
    const name = reference(one);
    const chosen = this.chosen && reference(this.chosen) === name;
    const loading = [name, one.id].includes(this.model.get("loading")?.model);
    const facts = [
      one.parameters,
      one.quantization,
      one.sizeBytes ? size(one.sizeBytes) : "",
      one.contextSize ? t("{count} tokens of context", { count: one.contextSize }) : "",
      one.images ? t("sees pictures") : "",
    ].filter(Boolean);
    const state = loading ? "loading" : one.loaded ? "loaded" : "cold";
    mark(pick, "aria-pressed", String(Boolean(chosen)));
    if (differs(pick, [state, titled(one), Boolean(chosen), facts])) fill(pick, h("span.wb-dot", { "data-state": state }), h("span.wb-grow", {}, h("span.wb-modelname", {}, titled(one), chosen ? icon("check") : null), h("small.wb-quiet", {}, facts.join(" · "))));
    show(deed, !loading);
    show(wait, loading);
    say(deed, one.loaded ? t("Unload") : t("Load"));
    mark(deed, "aria-label", one.loaded ? t("Unload {name}", { name: titled(one) }) : t("Load {name}", { name: titled(one) }));
  }

  #pick(one) {
    this.act("pick", reference(one));
    this.popover.toggle(false);
  }

  #toList(event) {
    if (event.key === "ArrowDown") this.list.querySelector(".wb-pick")?.focus();
    else if (event.key === "Enter") this.list.querySelector(".wb-pick")?.click();
    else return;
    event.preventDefault();
  }

  #along(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const rows = [...this.list.querySelectorAll(".wb-pick")];
    const next = rows.indexOf(document.activeElement) + step;
    (next < 0 ? this.search : (rows[next] ?? rows.at(-1))).focus();
  }

  show(visible) {
    show(this.element, visible);
  }
}
