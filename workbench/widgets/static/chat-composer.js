// Where a message is written: Enter sends, Shift+Enter breaks the line, Escape stops the answer.
import { Mention, Pictures } from "./chat-mention.js";
import { Templates } from "./chat-prompts.js";
import { h, icon, mark, onSubmit, say, show } from "./dom.js";
import { t } from "./language.js";
import { randomId } from "./upload.js";

const TALLEST_PX = 260;
const BUDGET_MS = 500;
const STOP_WAITS_MS = 5000;
const BEGINS_MS = 1000;

export class Composer {
  constructor({ model, act, kept, picked }) {
    Object.assign(this, { model, act, kept, picked });
    this.box = h("textarea.wb-box", { rows: "1", placeholder: t("Ask the model… @ attaches a DataFrame"), "aria-label": t("Message"), "aria-controls": "wb-offers", "aria-autocomplete": "list", dir: "auto", "data-first": "" });
    this.box.value = kept.draft ?? "";
    this.mention = new Mention({ box: this.box, frames: () => model.get("frames"), act: (...said) => this.#mentioned(...said) });
    this.pictures = new Pictures({ changed: () => this.update(), refused: (words) => this.#warn(words) });
    this.templates = new Templates({ model, act, draft: () => this.box.value, use: (text) => this.put(text) });
    this.fault = h("p.wb-fault", { role: "alert", hidden: true });
    this.photo = h("button.wb-iconbutton", { type: "button", "aria-label": t("Attach a picture"), title: t("Attach a picture"), onclick: () => this.pictures.input.click() }, icon("picture"));
    this.frame = h("button.wb-iconbutton", { type: "button", "aria-label": t("Attach a DataFrame"), title: t("Attach a DataFrame"), onclick: () => this.#at() }, icon("table"));
    this.button = h("button.wb-send", { type: "submit" });
    this.meter = h("span.wb-meter", { role: "meter", "aria-label": t("Tokens of the context"), "aria-valuemin": "0" }, h("i"));
    this.tokens = h("span.wb-quiet.wb-tabular.wb-tokens");
    this.why = h("span.wb-quiet.wb-why");
    const bar = h("div.wb-composebar", {}, this.frame, this.photo, this.templates.element, this.why, h("span.wb-grow"), this.meter, this.tokens, this.button);
    this.form = h("form.wb-composer", {}, this.mention.list, this.mention.chips, this.pictures.element, this.box, this.fault, bar, this.pictures.input);
    this.element = this.form;
    this.#listen();
    this.update();
    this.grow();
  }

  #listen() {
    onSubmit(this.form, () => {
      if (this.engaged) this.stop();
      else this.send();
    });
    this.box.addEventListener("input", () => this.#typed());
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.box.addEventListener("paste", (event) => this.#files(event, event.clipboardData));
    this.form.addEventListener("dragover", (event) => this.seesPictures && event.preventDefault());
    this.form.addEventListener("drop", (event) => this.#files(event, event.dataTransfer));
  }

  get seesPictures() {
    const chosen = this.picked();
    return Boolean(chosen) && chosen.images === true;
  }

  #files(event, carried) {
    const files = [...(carried?.files ?? [])].filter((one) => one.type.startsWith("image/"));
    if (!files.length) return;
    event.preventDefault();
    if (this.seesPictures) this.pictures.add(files);
    else this.#warn(t("this model does not look at pictures: pick one that does"));
  }

  #key(event) {
    if (event.isComposing || event.keyCode === 229) return; // an input method still chooses
    if (this.mention.key(event)) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      if (!this.engaged) this.send();
    } else if (event.key === "Escape" && this.engaged) {
      event.preventDefault();
      this.stop();
    } else if (event.key === "ArrowUp" && !this.box.value) {
      event.preventDefault();
      this.act("editLast");
    }
  }

  #typed() {
    this.kept.draft = this.box.value;
    this.#warn("");
    this.grow();
    this.update();
    this.#mentioned("drafted");
  }

  /** Of the offers: a preview that is wanted; that the draft is another one now. */
  #mentioned(what, name) {
    if (what === "preview") this.act("preview", name);
    clearTimeout(this.counting);
    this.counting = setTimeout(() => this.act("budget", this.box.value, this.mention.names), BUDGET_MS);
  }

  #at() {
    const space = /\S$/.test(this.box.value.slice(0, this.box.selectionStart)) ? " " : "";
    this.box.focus();
    this.box.setRangeText(`${space}@`, this.box.selectionStart, this.box.selectionEnd, "end");
    this.#typed();
    this.mention.offer();
  }

  #warn(words) {
    say(this.fault, words);
    show(this.fault, Boolean(words));
  }

  put(text) {
    this.box.value = text;
    this.#typed();
    this.box.focus();
  }

  grow() {
    this.box.style.height = "auto";
    this.box.style.height = `${Math.min(TALLEST_PX, this.box.scrollHeight)}px`;
  }

  /** Why nothing can be sent now, in words; empty where it can. */
  #hindered() {
    if (this.model.get("connection").state !== "connected") return t("waits for the hub");
    if (!this.model.get("models").some((one) => !one.embedding && !one.problem)) return t("waits for a model");
    return "";
  }

  send() {
    const message = this.box.value.trim();
    if (this.#hindered() || this.engaged || !(message || this.pictures.images.length)) return;
    const clientId = randomId();
    this.sent = { clientId, message, attachments: this.mention.names, images: this.pictures.images };
    this.act("send", this.sent);
    this.pending = clientId;
    this.taken = false;
    this.box.value = "";
    this.mention.clear();
    this.pictures.clear();
    this.#typed();
  }

  /** Whether an answer is under way, or was asked for. */
  get engaged() {
    return this.answering || Boolean(this.pending);
  }

  /** The hub has it: from now on its answer can be stopped. */
  accepted({ clientId }) {
    if (this.pending !== clientId) return;
    this.taken = true;
    if (this.stopping) this.act("stop");
    setTimeout(() => this.pending === clientId && this.#settled(), BEGINS_MS);
  }

  #settled() {
    this.pending = null;
    if (!this.answering) this.stopping = false;
    this.update();
  }

  /** The hub would not take it: the words are back in their box. */
  refused({ clientId }, words) {
    if (this.sent?.clientId !== clientId) return;
    this.#settled();
    if (!this.box.value) this.put(this.sent.message);
    this.#warn(words);
  }

  stop() {
    if (this.stopping) return;
    this.stopping = true;
    if (!this.pending || this.taken) this.act("stop"); // else as soon as the hub has the message
    this.update();
    clearTimeout(this.again);
    this.again = setTimeout(() => {
      this.stopping = false; // no answer: it can be asked for again
      this.update();
    }, STOP_WAITS_MS);
  }

  /** Whether an answer is under way. */
  busy(answering) {
    if (this.answering === answering) return;
    const wanted = answering && this.pending && this.stopping;
    if (wanted && !this.taken) this.act("stop");
    this.answering = answering;
    if (answering) this.pending = null;
    this.stopping = Boolean(wanted);
    clearTimeout(this.again);
    this.update();
  }

  update() {
    const why = this.#hindered();
    const { engaged: answering, stopping } = this;
    const state = answering ? (stopping ? "stopping" : "stop") : "send";
    if (this.button.dataset.state !== state) {
      const words = { send: t("Send"), stop: t("Stop"), stopping: t("Stopping…") }[state];
      mark(this.button, "data-state", state);
      this.button.replaceChildren(icon(state === "send" ? "send" : "stop"), h("span", {}, words));
      mark(this.button, "title", state === "send" ? t("Enter sends, Shift+Enter makes a new line") : t("Escape stops too"));
    }
    const empty = !this.box.value.trim() && !this.pictures.images.length;
    this.button.disabled = answering ? Boolean(stopping) : Boolean(why) || empty;
    say(this.why, answering ? "" : why);
    show(this.photo, this.seesPictures);
    this.#budget();
  }

  #budget() {
    const { used, context, exact } = this.model.get("budget");
    const known = Boolean(context) && (used ?? null) !== null;
    show(this.meter, known);
    show(this.tokens, known);
    if (!known) return;
    const words = exact ? t("{used} of {context} tokens", { used, context }) : t("≈ {used} of {context} tokens", { used, context });
    say(this.tokens, words);
    mark(this.tokens, "title", exact ? t("counted by the model's own tokenizer") : t("an estimate: this back end does not count"));
    mark(this.meter, "aria-valuenow", used);
    mark(this.meter, "aria-valuemax", context);
    mark(this.meter, "aria-valuetext", words);
    mark(this.meter, "data-full", used > context ? "over" : used > 0.85 * context ? "near" : null);
    this.meter.firstChild.style.width = `${Math.min(100, (100 * used) / context)}%`;
  }
}
