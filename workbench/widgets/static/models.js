// The models: what is on this machine, what is downloaded and what can be; puts the parts together.
import { drawAbsence } from "./absence.js";
import { differs, fill, followTheme, h, icon, keyed, mark, say, show } from "./dom.js";
import { Freshness } from "./freshness.js";
import { landmark } from "./landmark.js";
import { clockTime, chooseLanguage, currentLanguage, sentence, setLanguage, t } from "./language.js";
import { followLanguage, languageChoice } from "./language-choice.js";
import { followTrait, Link } from "./link.js";
import { ModelCard } from "./models-card.js";
import { Downloads } from "./models-downloads.js";
import { Find } from "./models-find.js";
import { ContextChoice, Sieve } from "./models-sieve.js";
import { lastPart, modelName, space } from "./models-words.js";
import { drawSilence } from "./silence.js";
import { drawVersion } from "./version.js";

const LOOK_MS = 1000;

/** Whoever asked to chat writes next; the console is another panel of the same page. */
function toTheConsole() {
  const box = document.querySelector(".wb-chat .wb-box");
  box?.scrollIntoView({ block: "center" });
  box?.focus({ preventScroll: true });
}

class ModelPanel {
  constructor({ model, el, signal }) {
    this.model = model;
    this.kept = { filter: "all", text: "" };
    this.root = h("div.wb.wb-modelcards", { "data-lm-suppress-shortcuts": "true" });
    el.append(this.root);
    setLanguage(chooseLanguage());
    this.build();
    this.link = new Link(model, { onMessage: (content) => this.receive(content), onPulse: (...pulse) => this.pulse(...pulse), signal, element: this.root });
    const drawn = ["cards", "machine", "downloads", "found", "loading", "benchmarks", "options", "listed", "fetchers"];
    this.stops = [
      followTheme(this.root, () => {}),
      followLanguage(this.root, () => this.build()),
      ...drawn.map((trait) => followTrait(model, trait, () => this.later())),
      ...["connection", "problem"].map((trait) => followTrait(model, trait, () => this.told())),
    ];
    this.timer = setInterval(() => this.root.checkVisibility() && !document.hidden && this.look(), LOOK_MS);
    this.look();
  }

  close() {
    clearInterval(this.timer);
    cancelAnimationFrame(this.frame);
    this.link.close();
    for (const stop of this.stops) stop();
  }

  /** Everything anew: at the start, and in another language. What was chosen is kept. */
  build() {
    const act = (kind, details) => {
      this.talking = kind === "chat";
      const into = kind === "download" ? { into: this.find.into } : {};
      this.link.send({ kind, ...details, ...into });
    };
    this.act = act;
    this.cards = new WeakMap();
    mark(this.root, "lang", currentLanguage());
    landmark(this.root, "models");
    this.fresh = new Freshness();
    this.gone = h("div.wb-gone", { role: "alert", hidden: true });
    this.absence = h("div.wb-problem", { role: "alert", hidden: true });
    this.version = h("div.wb-problem.wb-version", { role: "status", hidden: true });
    this.trouble = h("div.wb-problem", { role: "alert", hidden: true });
    this.said = h("p.wb-notice", { role: "status", hidden: true });
    this.find = new Find({ act, draw: (...grid) => this.#grid(...grid) });
    this.downloads = new Downloads({ act });
    this.sieve = new Sieve({ kept: this.kept, changed: () => this.later(), refresh: () => act("refresh") });
    this.context = new ContextChoice({ chosen: (contextSize) => act("context", { contextSize }) });
    this.room = h("p.wb-quiet.wb-tabular.wb-room");
    this.grid = h("div.wb-modelgrid");
    this.blank = h("p.wb-blank", { hidden: true });
    const here = h("section.wb-here", { "aria-label": t("Models") }, h("div.wb-toolbar", {}, this.sieve.element, this.context.element), this.room, this.grid, this.blank);
    this.main = h("div.wb-main", {}, this.find.element, this.downloads.element, here);
    const head = h("header.wb-header", {}, h("h2", {}, t("Models")), this.fresh.element, h("span.wb-grow"), languageChoice());
    fill(this.root, head, this.gone, this.absence, this.version, this.trouble, this.said, this.main);
    this.told();
    this.draw();
  }

  receive(content) {
    if (content.kind !== "chatting") return;
    const name = content.title ?? content.model;
    say(this.said, content.where === "console" ? t("The chat asks {name} now.", { name }) : t("A new conversation with {name} is the first in the chat's list.", { name }));
    show(this.said, true);
    if (this.talking && content.where === "console") toTheConsole();
    this.talking = false;
  }

  /** Many changes, one drawing: at the next frame. */
  later() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    const [cards, downloads, found, options, machine, fetchers] = ["cards", "downloads", "found", "options", "machine", "fetchers"].map((name) => this.model.get(name));
    this.find.update(found, fetchers);
    this.downloads.update(downloads, fetchers);
    show(this.downloads.element, downloads.length > 0 && ["all", "downloading"].includes(this.kept.filter));
    this.sieve.update(cards, downloads);
    this.context.update(options.contextSize);
    const shown = this.sieve.sift(cards);
    this.#grid(this.grid, shown);
    this.#nothing(cards, shown, downloads);
    say(this.room, roomWords(machine));
  }

  #grid(element, cards, source = "") {
    const [downloads, loading, benchmarks] = ["downloads", "loading", "benchmarks"].map((name) => this.model.get(name));
    const known = new Set(this.model.get("cards").map((card) => card.id));
    const titles = countBy(this.model.get("cards"), (card) => card.title);
    const ends = countBy(this.model.get("cards"), (card) => lastPart(card.id));
    const of = (card) => ({
      loading: loading[modelName(card)],
      benchmark: benchmarks[modelName(card)],
      download: downloads.find((one) => one.model === card.id),
      here: known.has(card.id),
      name: titles.get(card.title) === 1 ? card.title : ends.get(lastPart(card.id)) === 1 ? lastPart(card.id) : modelName(card),
      source,
    });
    const make = () => {
      const card = new ModelCard({ act: this.act });
      this.cards.set(card.element, card);
      return card.element;
    };
    keyed(element, cards, (card) => `${card.owner} ${modelName(card)} ${card.place}`, make, (one, card) => this.cards.get(one).update(card, of(card)));
  }

  /** Why the grid is empty, and what to do about it. */
  #nothing(cards, shown, downloads) {
    const fetched = this.kept.filter === "downloading" && downloads.length > 0;
    show(this.blank, !shown.length && !fetched);
    if (shown.length) return;
    const none = this.model.get("listed") ? t("No model is on this machine yet. Type above where one is, such as org/name, and press Find.") : t("The models appear here once the hub has told them.");
    say(this.blank, cards.length ? t("No model matches this search and filter.") : none);
  }

  told() {
    const { state, hub } = this.model.get("connection");
    const words = t("Downloads stand still and go on where they were once it is back. Start it here, or with make run or workbench hub.");
    drawAbsence(this.absence, state === "connected" ? "" : (hub ?? ""), words, () => this.act("startHub"));
    drawVersion(this.version, this.model.get("connection"), (kind) => this.act(kind));
    const problem = this.model.get("problem");
    show(this.trouble, Boolean(problem));
    if (differs(this.trouble, problem) && problem) fill(this.trouble, icon("warning"), h("span.wb-grow", {}, sentence(problem)), h("button.wb-iconbutton", { type: "button", "aria-label": t("Close this message"), onclick: () => this.act("seen") }, icon("cross")));
    this.look();
  }

  /** Whether what is shown is of now; what is old is dimmed and dated. */
  look() {
    const { state } = this.model.get("connection");
    const silent = this.link && !this.link.alive;
    const live = state === "connected" && !silent;
    const first = state === "connecting" && !this.model.get("listed");
    this.fresh.update(silent ? "silent" : live ? "live" : first ? "waiting" : "disconnected", null);
    this.main.classList.toggle("wb-stale", !live && !first);
  }

  pulse(alive, heardAt) {
    const words = t("It is busy with a cell, or gone. What you see is from {time}; downloads go on without it.", { time: clockTime(heardAt) });
    drawSilence(this.gone, alive ? "" : words);
    this.look();
  }
}

function countBy(items, key) {
  const counts = new Map();
  for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
  return counts;
}

/** What this machine has for a model now. */
function roomWords(machine) {
  const { gpuFreeBytes: gpu, gpuTotalBytes: gpuTotal, memoryFreeBytes: memory, memoryTotalBytes: memoryTotal, diskFreeBytes: disk } = machine;
  const known = (value) => (value ?? null) !== null;
  return [
    known(gpuTotal) ? t("GPU: {free} of {total} free", { free: space(gpu), total: space(gpuTotal) }) : known(memoryTotal) ? t("no GPU") : null,
    known(memoryTotal) ? t("memory: {free} of {total} free", { free: space(memory), total: space(memoryTotal) }) : null,
    known(disk) ? t("disk: {free} free for models", { free: space(disk) }) : null,
  ].filter(Boolean).join(" · ");
}

function render(context) {
  const panel = new ModelPanel(context);
  return () => panel.close();
}

export default { render };
