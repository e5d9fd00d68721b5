// The drawn text of an answer: blocks that stay, and an open end that grows without a jump.
import { copy, fill, h, icon, say } from "./dom.js";
import { t } from "./language.js";

/** Make `old` like `wanted`, touching only what differs: what was selected stays selected. */
export function graft(old, wanted) {
  let place = old.firstChild;
  let next;
  for (let fresh = wanted.firstChild; fresh; fresh = next) {
    next = fresh.nextSibling;
    if (!place) {
      old.append(fresh);
      continue;
    }
    const after = place.nextSibling;
    if (!place.isEqualNode(fresh)) {
      const alike = place.nodeName === fresh.nodeName && sameAttributes(place, fresh);
      if (!alike) place.replaceWith(fresh);
      else if (place.nodeType !== Node.TEXT_NODE) graft(place, fresh);
      else if (fresh.data.startsWith(place.data)) place.appendData(fresh.data.slice(place.length));
      else place.data = fresh.data;
    }
    place = after;
  }
  while (place) {
    const after = place.nextSibling;
    place.remove();
    place = after;
  }
}

function sameAttributes(one, other) {
  if (one.nodeType !== Node.ELEMENT_NODE) return true;
  if (one.attributes.length !== other.attributes.length) return false;
  return [...one.attributes].every(({ name, value }) => other.getAttribute(name) === value);
}

function parsed(markup) {
  const template = document.createElement("template");
  template.innerHTML = markup; // drawn and sanitised by widgets/markdown.py
  return template.content;
}

const HOLDS_TEXT = "p, li, td, th, h1, h2, h3, h4, h5, h6, ul, ol, blockquote, table, tbody, tr, div, figure, pre, code";

export class Body {
  constructor({ insertable, insert }) {
    Object.assign(this, { insertable, insert });
    this.element = h("div.wb-md");
    this.blocks = [];
    this.tail = "";
    this.more = "";
    this.end = h("div.wb-block.wb-end");
    this.element.append(this.end);
    this.behind = document.createTextNode("");
  }

  /** All of it: {blocks, tail, more}. */
  set({ blocks = [], tail = "", more = "" }) {
    fill(this.element, this.end);
    this.blocks = [];
    blocks.forEach((markup, at) => this.#close(at, markup, false));
    this.tail = tail;
    this.more = more;
    this.#drawEnd();
  }

  /** What changed: {all} or {closed: [[place, HTML]], keep, tail, more}. */
  apply(changes) {
    for (const { all, closed, keep, tail, more } of changes) {
      if (all) this.set({ blocks: all });
      for (const [at, markup] of closed ?? []) this.#close(at, markup, true);
      if (tail !== undefined) {
        this.tail = this.tail.slice(0, keep ?? 0) + tail;
        this.more = "";
      }
      this.more += more ?? "";
    }
    this.#drawEnd();
  }

  #close(at, markup, live) {
    const known = this.blocks[at];
    // The open end becomes the block that it was all along: its elements stay where they are.
    const block = known ?? (live && this.end.firstChild ? this.#detachEnd() : h("div.wb-block"));
    if (!known) {
      this.blocks[at] = block;
      this.element.insertBefore(block, this.end);
    }
    graft(block, parsed(markup));
    for (const code of block.querySelectorAll("figure.wb-code")) this.#tools(code);
  }

  #detachEnd() {
    this.behind.remove();
    const block = this.end;
    block.classList.remove("wb-end");
    this.end = h("div.wb-block.wb-end");
    this.element.append(this.end);
    return block;
  }

  #drawEnd() {
    this.behind.remove();
    if (this.tail !== this.drawn || !this.end.firstChild) {
      graft(this.end, parsed(this.tail));
      this.drawn = this.tail;
    }
    if (!this.more) return;
    this.behind.data = this.more;
    (this.end.querySelector("[data-open]") ?? this.#deepest()).append(this.behind);
  }

  #deepest() {
    let found = this.end;
    while (found.lastElementChild?.matches(HOLDS_TEXT) && !found.lastChild.data?.trim()) found = found.lastElementChild;
    return found;
  }

  #tools(code) {
    const caption = code.querySelector("figcaption");
    if (!caption || caption.querySelector("button")) return;
    const text = () => code.querySelector("code").textContent.replace(/\n$/, "");
    const copied = h("button.wb-codebutton", { type: "button", onclick: () => this.#copy(copied, text()) }, icon("copy"), h("span", {}, t("Copy")));
    const into = h("button.wb-codebutton.wb-insert", { type: "button", onclick: () => this.insert(text(), into) }, icon("cell"), h("span", {}, t("Insert into a cell")));
    caption.append(h("span.wb-grow"), this.insertable() ? into : "", copied);
  }

  async #copy(button, text) {
    await copy(text);
    flash(button, t("Copied"));
  }
}

/** A button says what happened, and a moment later what it does. */
export function flash(button, word) {
  const label = button.querySelector("span");
  const before = (button.dataset.word ??= label.textContent);
  say(label, word);
  clearTimeout(button.calms);
  button.calms = setTimeout(() => say(label, before), 1600);
}
