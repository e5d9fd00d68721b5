// One message of the conversation: who, what was thought, what was said, what may be done with it.
import { Body } from "./chat-body.js";
import { PhaseLine, usageWords } from "./chat-phase.js";
import { fill, h, icon, mark, onSubmit, say, show } from "./dom.js";
import { bytes, duration, moment, sentence, t } from "./language.js";
import { runMetricLine } from "./run-metrics.js";

const iconButton = (name, words, onclick) => h("button.wb-iconbutton", { type: "button", "aria-label": words, title: words, onclick }, icon(name));

export class MessageView {
  constructor({ message, act, insertable, titleOf }) {
    Object.assign(this, { message, act, insertable, titleOf });
    this.changes = [];
    this.thoughts = message.reasoning ?? "";
    this.body = new Body({ insertable, insert: (...said) => act("insert", ...said) });
    this.phase = new PhaseLine();
    this.who = h("div.wb-who");
    this.thinking = this.#reasoning();
    this.tools = h("div.wb-tools");
    this.extras = h("div.wb-extras");
    this.fault = h("div.wb-problem.wb-broken", { hidden: true });
    this.foot = h("div.wb-foot");
    this.used = h("p.wb-hint.wb-used", { role: "status", hidden: true });
    const words = message.role === "user" ? t("Your message") : t("Answer");
    this.element = h(`article.wb-msg`, { "aria-label": words }, this.who, this.thinking, this.tools, this.extras, this.body.element, this.phase.element, this.fault, this.foot, this.used);
    this.element.dataset.key = message.id;
    this.#whole();
  }

  get streaming() {
    return this.message.status === "streaming";
  }

  #whole() {
    const { message } = this;
    if (message.role === "user") this.#said(message.text ?? "");
    else this.body.set(message);
    this.#frame();
  }

  /** A person's words as they were typed. */
  #said(text) {
    fill(this.body.element, h("div.wb-said-by-me", { dir: "auto" }, text));
  }

  /** What stands around the text. */
  #frame() {
    const { message } = this;
    mark(this.element, "data-role", message.role);
    mark(this.element, "data-status", message.status ?? "done");
    fill(this.who, message.role === "user" ? null : [h("strong", { title: message.model }, this.titleOf(message)), message.backend ? h("span.wb-quiet", {}, message.backend) : null]);
    this.#drawTools();
    this.#drawExtras();
    this.#drawReasoning();
    this.#drawFault();
    show(this.phase.element, this.streaming);
    this.#drawFoot();
  }

  /** Remember what changed; `draw` writes it, once per frame. */
  change(change) {
    if (change.op === "reason") this.thoughts += change.text;
    else if (change.op === "tool") this.message.toolCalls = [...(this.message.toolCalls ?? []), change.call];
    else {
      this.changes.push(change);
      this.message.thoughtMs = change.thoughtMs ?? this.message.thoughtMs;
      if (change.op === "end") this.ended = change.message;
    }
    this.dirty = true;
  }

  draw() {
    if (!this.dirty) return;
    this.dirty = false;
    if (this.message.role !== "user") this.body.apply(this.changes);
    const answered = this.changes.length > 0;
    this.changes = [];
    if (this.ended) {
      this.message = { ...this.message, ...this.ended };
      this.thoughts = this.ended.reasoning ?? this.thoughts;
      this.ended = null;
      if (this.thinking.open) this.#askThoughts();
      if (this.message.role === "user") this.#said(this.message.text ?? "");
      this.#frame();
      return;
    }
    this.#drawTools();
    this.#drawReasoning(answered);
  }

  #reasoning() {
    this.thoughtWord = h("span");
    this.thoughtText = h("div.wb-thoughttext", { tabindex: "0", "aria-live": "off" });
    const element = h("details.wb-thoughts", { hidden: true }, h("summary", {}, icon("chevron"), this.thoughtWord), this.thoughtText);
    element.addEventListener("toggle", () => {
      if (!element.open) return;
      this.#askThoughts();
      this.#writeThoughts();
    });
    return element;
  }

  /** An answer that has ended holds only short thoughts: the rest comes when a reader opens them. */
  #askThoughts() {
    const known = [...this.thoughts].length; // counted as Python does
    if (!this.streaming && known < (this.message.reasoningChars ?? 0)) this.act("thoughts", this.message.id);
  }

  setThoughts(text) {
    this.thoughts = text;
    this.#writeThoughts();
  }

  #writeThoughts() {
    if (!this.thinking.open) return;
    const atEnd = this.thoughtText.scrollHeight - this.thoughtText.scrollTop - this.thoughtText.clientHeight < 24;
    const known = this.thoughtText.firstChild;
    if (known && this.thoughts.startsWith(known.data)) known.appendData(this.thoughts.slice(known.data.length));
    else say(this.thoughtText, this.thoughts);
    if (atEnd && this.streaming) this.thoughtText.scrollTop = this.thoughtText.scrollHeight;
  }

  #drawReasoning() {
    const { thoughtMs, reasoningChars } = this.message;
    const there = Boolean(this.thoughts || reasoningChars);
    show(this.thinking, there);
    if (!there) return;
    const underWay = this.streaming && (thoughtMs ?? null) === null;
    mark(this.thinking, "data-live", underWay ? "yes" : null);
    const took = (thoughtMs ?? null) === null ? t("Thoughts") : t("Thought for {time}", { time: duration(thoughtMs / 1000) });
    say(this.thoughtWord, underWay ? t("Thinking…") : took);
    this.#writeThoughts();
  }

  #drawTools() {
    const calls = this.message.toolCalls ?? [];
    const more = calls.slice(this.tools.childElementCount); // one that is there stays, open or not
    this.tools.append(...more.map((call) => h("details.wb-toolcall", {}, h("summary", {}, icon("tool"), h("span", {}, t("asks for"), " ", h("code", {}, call.name)), icon("chevron")), h("pre", { tabindex: "0" }, pretty(call.arguments)))));
  }

  #drawExtras() {
    const { attachments = [], images = [] } = this.message;
    const files = attachments.map((one) => h("details.wb-attached", {}, h("summary", {}, icon("table"), h("span", {}, one.name)), h("pre", { tabindex: "0" }, one.text + (one.chars > one.text.length ? "\n…" : ""))));
    const pictures = images.map((one) =>
      one.data ? h("img.wb-picture", { src: `data:${one.mediaType};base64,${one.data}`, alt: t("Attached picture") }) : h("span.wb-chip", {}, icon("picture"), bytes(one.bytes)),
    );
    show(this.extras, files.length + pictures.length > 0);
    fill(this.extras, files, pictures);
  }

  #drawFault() {
    const { status, error } = this.message;
    show(this.fault, status === "broken");
    if (status !== "broken") return;
    const words = sentence(error && (error.template ? error : { text: error.message })) || t("the answer broke off");
    const again = h("button.wb-button", { type: "button", onclick: () => this.act("regenerate", this.message.id) }, icon("again"), t("Try again"));
    fill(this.fault, icon("warning"), h("span.wb-grow", {}, h("strong", {}, t("The answer broke off.")), " ", words), again);
  }

  #drawFoot() {
    const { message } = this;
    const mine = message.role === "user";
    show(this.foot, !this.streaming && message.status !== "sending");
    const stopped = message.status === "stopped" ? h("span.wb-stopped", {}, icon("stop"), t("stopped")) : null;
    const cut = message.finish === "length" ? h("span.wb-stopped", {}, icon("warning"), t("cut at its limit of tokens")) : null;
    const less = message.leftOut ? h("span.wb-stopped", {}, icon("warning"), t("{count} earlier messages left out: the model's context is full", { count: message.leftOut })) : null;
    const buttons = mine
      ? [this.#copyButton(), iconButton("pencil", t("Edit and send again"), () => this.edit())]
      : [this.#copyButton(), iconButton("again", t("Answer anew"), () => this.act("regenerate", message.id)), this.#usedButton()];
    const facts = [...(mine ? [] : usageWords(message)), message.timestamp ? moment(Date.parse(message.timestamp)) : ""].filter(Boolean);
    fill(this.foot, stopped, cut, less, h("span.wb-deeds", {}, buttons), h("span.wb-quiet.wb-tabular.wb-took", {}, facts.join(" · ")));
  }

  /** What the answer used is asked for when a reader wants it, and put away at the next press. */
  #usedButton() {
    const button = iconButton("chip", t("What it used"), () => {
      show(this.used, this.used.hidden);
      mark(button, "aria-expanded", String(!this.used.hidden));
      if (this.used.hidden) return;
      say(this.used, "…");
      this.act("metrics", this.message.id);
    });
    mark(button, "aria-expanded", String(!this.used.hidden));
    return button;
  }

  /** The answer: {messageId, metrics or error}. */
  setUsed(answer) {
    say(this.used, runMetricLine(answer));
  }

  #copyButton() {
    const button = h("button.wb-iconbutton", { type: "button", "aria-label": t("Copy the message"), title: t("Copy the message"), onclick: () => this.act("copy", this, button) }, icon("copy"), h("span.wb-sr"));
    return button;
  }

  copied(button) {
    fill(button, icon("check"), h("span.wb-sr", {}, t("Copied")));
    setTimeout(() => fill(button, icon("copy"), h("span.wb-sr")), 1600);
  }

  plainText() {
    return this.message.text ?? this.body.element.innerText;
  }

  /** The message becomes a box; Enter sends it anew, Escape leaves it as it was. */
  edit() {
    if (this.message.role !== "user" || this.editing) return;
    this.editing = true;
    const box = h("textarea.wb-input", { rows: "3", "aria-label": t("Your message, to be changed"), dir: "auto" });
    box.value = this.message.text ?? "";
    const leave = () => {
      this.editing = false;
      this.#said(this.message.text ?? "");
      show(this.foot, true);
      this.act("focus");
    };
    const send = () => {
      if (!box.value.trim()) return;
      this.editing = false;
      this.act("edit", this.message.id, box.value);
      this.#said(box.value);
    };
    const form = h("form.wb-edit", {}, box, h("p.wb-hint", {}, t("The answers after it are put aside; they stay in the database.")), h("div.wb-actions", {}, h("button.wb-primary", { type: "submit" }, t("Send")), h("button.wb-button", { type: "button", onclick: leave }, t("Leave it"))));
    onSubmit(form, () => send());
    box.addEventListener("keydown", (event) => {
      if (event.isComposing || event.keyCode === 229) return;
      if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        send();
      } else if (event.key === "Escape") {
        event.stopPropagation();
        leave();
      }
    });
    show(this.foot, false);
    fill(this.body.element, form);
    box.style.height = `${Math.min(320, box.scrollHeight + 4)}px`;
    box.focus();
    box.setSelectionRange(box.value.length, box.value.length);
  }
}

/** Arguments as JSON with indents, or as the model wrote them. */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

