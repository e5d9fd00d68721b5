// The chat console: puts its parts together, keeps what the reader chose, and follows the kernel.
import { drawAbsence } from "./absence.js";
import { flash } from "./chat-body.js";
import { Composer } from "./chat-composer.js";
import { Conversations } from "./chat-history.js";
import { insertBelow, notebookAround } from "./chat-insert.js";
import { ModelPicker, titled } from "./chat-models.js";
import { Popover } from "./chat-popover.js";
import { Settings } from "./chat-settings.js";
import { drawNoModel, drawStart } from "./chat-start.js";
import { Thread } from "./chat-thread.js";
import { copy, download, fill, followTheme, h, icon, mark, say, show } from "./dom.js";
import { landmark } from "./landmark.js";
import { chooseLanguage, clockTime, currentLanguage, duration, sentence, setLanguage, t } from "./language.js";
import { followLanguage, languageChoice } from "./language-choice.js";
import { followTrait, Link } from "./link.js";
import { drawSilence } from "./silence.js";
import { drawVersion } from "./version.js";

const TICK_MS = 250;
const SOURCE_WAITS_MS = 1500;

class Console {
  constructor({ model, el, signal }) {
    this.model = model;
    this.kept = { draft: "", history: {}, snapshot: { messages: [], earlier: 0 } };
    this.asked = new Map(); // message id -> what to do with its source
    this.root = h("div.wb.wb-chat", { "data-lm-suppress-shortcuts": "true" });
    el.append(this.root);
    setLanguage(chooseLanguage());
    this.#keepKeys();
    this.build();
    this.link = new Link(model, { onMessage: (content) => this.receive(content), onPulse: (...pulse) => this.pulse(...pulse), signal, element: this.root });
    this.stops = [
      followTheme(this.root, () => {}),
      followLanguage(this.root, () => this.#respoken()),
      followTrait(model, "connection", () => this.connected()),
      ...["models", "backends", "current", "loading"].map((trait) => followTrait(model, trait, () => this.modelsChanged())),
      followTrait(model, "conversation", () => this.conversationChanged()),
      ...["conversations", "more"].map((trait) => followTrait(model, trait, () => this.talks.update())),
      followTrait(model, "streaming", () => this.streaming()),
      followTrait(model, "prompts", () => this.prompts()),
      followTrait(model, "frames", () => this.composer.mention.found?.length && this.composer.mention.offer()),
      followTrait(model, "budget", () => this.composer.update()),
      followTrait(model, "problem", () => this.problem()),
    ];
    this.timer = setInterval(() => document.hidden || this.tick(), TICK_MS);
  }

  /** What is typed here is no shortcut of the notebook around it. */
  #keepKeys() {
    for (const kind of ["keydown", "keypress", "keyup"]) this.root.addEventListener(kind, (event) => event.stopPropagation());
    this.root.addEventListener("keydown", (event) => {
      const composing = event.isComposing || event.keyCode === 229;
      if (event.key === "Escape" && !composing && !event.defaultPrevented && this.composer.engaged) this.composer.stop();
    });
  }

  close() {
    clearInterval(this.timer);
    this.link.close();
    this.thread.close();
    for (const stop of this.stops) stop();
  }

  /** Everything anew: at the start, and in another language. What was written is kept. */
  build() {
    const act = (what, ...details) => this.act(what, ...details);
    const { model } = this;
    this.thread?.close();
    mark(this.root, "lang", currentLanguage());
    landmark(this.root, "chat");
    this.picker = new ModelPicker({ model, act });
    this.settings = new Settings({ model, act });
    this.talks = new Conversations({ model, act, kept: this.kept.history });
    this.composer = new Composer({ model, act, kept: this.kept, picked: () => this.picker.chosen });
    this.thread = new Thread({ act, insertable: () => notebookAround(model) !== null, titleOf: (message) => this.#titleOf(message), empty: (element) => this.#start(element) });
    this.trouble = h("div.wb-problem", { role: "alert", hidden: true });
    this.gone = h("div.wb-gone", { role: "alert", hidden: true });
    this.absence = h("div.wb-problem", { role: "alert", hidden: true });
    this.unreached = h("div.wb-problem", { role: "alert", hidden: true });
    this.retry = h("div.wb-quiet.wb-tabular", { hidden: true });
    this.version = h("div.wb-problem.wb-version", { role: "status", hidden: true });
    this.status = h("div.wb-sr", { role: "status", "aria-live": "polite" });
    const banners = h("div.wb-banners", {}, this.gone, this.absence, this.unreached, this.retry, this.version, this.trouble);
    this.main = h("div.wb-talkmain", {}, this.#header(), banners, this.thread.element, this.composer.element);
    this.veil = h("div.wb-veil", { onclick: () => this.side(false) });
    fill(this.root, h("div.wb-frame", {}, this.talks.element, this.veil, this.main, this.status));
    this.thread.set(this.kept.snapshot);
    this.connected();
    this.problem();
    this.conversationChanged();
    this.streaming();
  }

  #header() {
    this.title = h("h2.wb-cut");
    const sides = h("button.wb-iconbutton.wb-sidebutton", { type: "button", "aria-label": t("Conversations"), title: t("Conversations"), onclick: () => this.side() }, icon("sidebar"));
    const saved = h("button.wb-quietbutton", { type: "button", title: t("Export") }, icon("down"), h("span.wb-wide-only", {}, t("Export")));
    const kinds = { markdown: t("Markdown (to read)"), json: t("JSON (everything)") };
    this.saved = saved;
    this.saving = new Popover({ button: saved, label: t("Export") });
    const kind = (format) => h("button.wb-menuitem", { type: "button", onclick: () => this.saving.toggle(false) || this.#intend("export", { conversationId: this.#id, format }) }, kinds[format]);
    fill(this.saving.panel, Object.keys(kinds).map(kind));
    this.saving.panel.classList.add("wb-menu");
    return h("header.wb-chathead", {}, sides, this.title, h("span.wb-grow"), this.picker.element, this.settings.element, this.saving.element, languageChoice());
  }

  #respoken() {
    this.kept.snapshot = { messages: [], earlier: 0 };
    this.build();
    this.link.hello();
  }

  side(open = this.root.dataset.side !== "open") {
    mark(this.root, "data-side", open ? "open" : null);
    (open ? this.talks.search : this.composer.box).focus();
  }

  get #id() {
    return this.model.get("conversation").id;
  }

  #intend(kind, said = {}) {
    return this.link.send({ kind, ...said });
  }

  act(what, ...details) {
    const own = {
      copy: (view, button) => this.#copy(view, button),
      edit: (messageId, message) => this.#intend("edit", { messageId, message, model: this.#model }),
      regenerate: (messageId) => this.#intend("regenerate", { messageId, model: this.#model }),
      send: (sent) => this.#send(sent),
      stop: () => this.#stop(),
      open: (conversationId) => this.side(false) || this.#intend("open", { conversationId }),
      create: () => this.side(false) || this.#intend("create"),
      rename: (conversationId, title) => this.#intend("rename", { conversationId, title }),
      delete: (conversationId) => this.#intend("delete", { conversationId }),
      search: (text) => this.#intend("search", { text }),
      pick: (model) => this.#intend("pick", { model }),
      load: (model) => this.#intend("load", { model }),
      unload: (model) => this.#intend("unload", { model }),
      settings: (chosen) => this.#intend("settings", chosen),
      savePrompt: (prompt) => this.#intend("savePrompt", prompt),
      deletePrompt: (prompt) => this.#intend("deletePrompt", prompt),
      preview: (frame) => this.#intend("preview", { frame }),
      budget: (draft, attachments) => this.#intend("budget", { draft, attachments }),
      thoughts: (messageId) => this.#intend("thoughts", { messageId }),
      metrics: (messageId) => this.#intend("metrics", { messageId }),
      earlier: (messageId) => this.#intend("earlier", { messageId }),
      insert: (code, button) => this.#insert(code, button),
      editLast: () => this.#editLast(),
      draft: (words) => this.composer.put(words),
      focus: () => this.composer.box.focus(),
      began: () => this.#say(t("The answer has begun.")),
      ended: (message) => this.#ended(message),
      drawn: () => this.composer.busy(Boolean(this.thread.streaming || this.model.get("streaming"))),
    };
    return own[what] ? own[what](...details) : this.#intend(what);
  }

  #titleOf({ model, backend }) {
    const known = this.model.get("models").find((one) => one.id === model && (!backend || one.backend === backend));
    return known ? titled(known) : (model ?? t("Model"));
  }

  get #model() {
    return this.model.get("conversation").model ?? null;
  }

  #send({ clientId, message, attachments, images }) {
    const { system, parameters } = this.model.get("conversation");
    this.thread.expect({ text: message, images: images.map((one) => ({ ...one, bytes: 0 })), attachments: attachments.map((name) => ({ name, text: "", chars: 0 })) });
    this.#intend("send", { message, clientId, attachments, images, model: this.#model, system: system ?? "", parameters: parameters ?? {} });
  }

  #stop() {
    const view = this.thread.streaming;
    view?.phase.stop();
    this.#intend("stop", { conversationId: this.#id, messageId: Number.isInteger(view?.message.id) ? view.message.id : null });
  }

  #editLast() {
    const mine = [...this.thread.views.values()].filter((view) => view.message.role === "user").at(-1);
    if (!mine || this.composer.engaged) return;
    mine.edit();
    mine.element.scrollIntoView({ block: "nearest" });
  }

  /** The Markdown as it was written; what is on the page where the kernel does not answer in time. */
  #copy(view, button) {
    const done = async (text) => {
      if (!this.asked.delete(view.message.id)) return;
      await copy(text ?? view.plainText());
      view.copied(button);
    };
    this.asked.set(view.message.id, done);
    setTimeout(() => done(null), SOURCE_WAITS_MS);
    if (view.message.role === "user") done(view.message.text);
    else this.#intend("source", { messageId: view.message.id });
  }

  #insert(code, button) {
    insertBelow(notebookAround(this.model), this.root, code);
    flash(button, t("Inserted"));
  }

  #ended({ id, status, error }) {
    const words = {
      done: t("The answer is complete."),
      stopped: t("The answer was stopped."),
      broken: `${t("The answer broke off.")} ${sentence(error)}`,
    };
    if (this.thread.views.get(id)?.message.role !== "user") this.#say(words[status] ?? "");
  }

  #say(words) {
    say(this.status, words);
  }

  receive(content) {
    const handlers = {
      snapshot: () => this.#snapshot(content),
      delta: () => this.thread.apply(content.changes),
      earlier: () => this.thread.addEarlier(content),
      source: () => this.asked.get(content.messageId)?.(content.text),
      thoughts: () => this.thread.views.get(content.messageId)?.setThoughts(content.text),
      metrics: () => this.thread.views.get(content.messageId)?.setUsed(content),
      sent: () => this.composer.accepted(content),
      refused: () => this.#refused(content),
      preview: () => this.composer.mention.preview(content),
      export: () => download(content.name, content.content, content.mediaType),
      promptSaved: () => this.#kept(content),
      promptRefused: () => this.#kept(content),
    };
    handlers[content.kind]?.();
  }

  #snapshot(content) {
    this.kept.snapshot = content;
    this.thread.set(content);
    this.streaming();
  }

  #refused(content) {
    this.thread.unexpect();
    this.composer.refused(content, sentence(content.error));
  }

  #kept(content) {
    this.composer.templates.saved(content);
    this.settings.instructions.saved(content);
  }

  streaming() {
    const streaming = this.model.get("streaming");
    const view = streaming ? this.thread.views.get(streaming.messageId) : null;
    (view ?? this.thread.streaming)?.phase.update(streaming);
    this.composer.busy(Boolean(streaming || this.thread.streaming));
  }

  prompts() {
    this.composer.templates.update();
    this.settings.instructions.update();
  }

  modelsChanged() {
    this.picker.update();
    this.composer.update();
    if (!this.thread.blank.hidden) this.#start(this.thread.blank);
  }

  conversationChanged() {
    const { title, id } = this.model.get("conversation");
    this.saved.disabled = (id ?? null) === null;
    say(this.title, title || t("New conversation"));
    mark(this.title, "title", title);
    this.settings.update();
    this.modelsChanged();
    this.talks.update();
  }

  #start(element) {
    const act = (what, ...details) => this.act(what, ...details);
    const waiting = this.model.get("connection").state !== "connected";
    if (!waiting && this.picker.models.length === 0) return drawNoModel(element, { act, host: this.model.get("host") });
    return drawStart(element, { act, name: this.picker.chosen ? titled(this.picker.chosen) : "" });
  }

  connected() {
    const { state, hub, error } = this.model.get("connection");
    this.composer.update();
    const lost = state !== "connected" && state !== "connecting";
    const words = t("Conversations are kept, and go on when it is back. Start it here, or with make run or workbench hub.");
    drawAbsence(this.absence, lost ? (hub ?? "") : "", words, () => this.#intend("startHub"));
    show(this.unreached, lost && !hub);
    if (lost && !hub) fill(this.unreached, icon("warning"), h("div.wb-grow", {}, h("strong", {}, t("The hub cannot be reached.")), " ", sentence(error)));
    this.tick();
    drawVersion(this.version, this.model.get("connection"), (kind) => this.#intend(kind));
    if (!this.thread.blank.hidden) this.#start(this.thread.blank);
  }

  problem() {
    const problem = this.model.get("problem");
    show(this.trouble, Boolean(problem));
    if (problem) fill(this.trouble, icon("warning"), h("span", {}, sentence(problem), problem.remedy ? h("span.wb-remedy", {}, ` ${sentence(problem.remedy)}`) : null));
  }

  tick() {
    this.thread.streaming?.phase.tick();
    const { retryAt, state } = this.model.get("connection");
    const waits = Boolean(retryAt) && state !== "connected";
    show(this.retry, waits);
    if (waits) say(this.retry, t("next try in {time}", { time: duration(Math.max(0, Math.ceil((retryAt - Date.now()) / 1000))) }));
  }

  pulse(alive, heardAt) {
    this.main.classList.toggle("wb-dull", !alive);
    const words = t("It is busy with a cell, or gone. What you see is from {time}; an answer under way goes on in the hub.", { time: clockTime(heardAt) });
    drawSilence(this.gone, alive ? "" : words);
  }
}

function render(context) {
  const page = new Console(context);
  return () => page.close();
}

export default { render };
