// `@name` in what is typed: the notebook's DataFrames are offered, and one is attached as a chip.
import { differs, fill, h, icon, keyed, mark, say, show } from "./dom.js";
import { number, sentence, t } from "./language.js";

const SHOWN_FRAMES = 8;
const WORD = /(^|\s)@([\p{L}\p{N}_]*)$/u;

export class Mention {
  constructor({ box, frames, act }) {
    Object.assign(this, { box, frames, act });
    this.attached = new Map(); // name -> {text, rows, tokens, error} | null while it is asked for
    this.list = h("ul.wb-offers", { role: "listbox", id: "wb-offers", "aria-label": t("DataFrames of the notebook"), hidden: true });
    this.chips = h("div.wb-chips", { hidden: true });
    box.addEventListener("input", () => this.offer());
    box.addEventListener("click", () => this.offer());
    box.addEventListener("blur", () => setTimeout(() => this.box.matches(":focus") || this.shut(), 120));
  }

  get names() {
    return [...this.attached.keys()];
  }

  offer() {
    const match = this.box.selectionStart === this.box.selectionEnd && WORD.exec(this.box.value.slice(0, this.box.selectionStart));
    const word = match ? match[2].toLowerCase() : "";
    const able = this.frames().filter((one) => !this.attached.has(one.name) && one.name.toLowerCase().includes(word));
    this.found = match ? able.sort((a, b) => a.name.toLowerCase().indexOf(word) - b.name.toLowerCase().indexOf(word)).slice(0, SHOWN_FRAMES) : [];
    if (match && !this.frames().length && !word) this.found = [null];
    this.at = 0;
    this.#draw();
  }

  #draw() {
    const open = this.found.length > 0;
    show(this.list, open);
    mark(this.box, "aria-expanded", String(open));
    fill(this.list, this.found.map((frame, at) => this.#option(frame, at)));
    mark(this.box, "aria-activedescendant", open && this.found[0] ? `wb-offer-${this.at}` : null);
  }

  #option(frame, at) {
    if (!frame) return h("li.wb-offer.wb-quiet", {}, t("The notebook has no DataFrame yet: make one in a cell, and it is offered here."));
    const take = (event) => {
      event.preventDefault();
      this.take(frame);
    };
    return h("li.wb-offer", { role: "option", id: `wb-offer-${at}`, "aria-selected": String(at === this.at), onpointerdown: take }, icon("table"), h("strong", {}, frame.name), h("span.wb-quiet.wb-tabular", {}, shape(frame)));
  }

  shut() {
    this.found = [];
    this.#draw();
  }

  /** Whether the key was for the list of offers. */
  key(event) {
    if (!this.found?.[0]) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) this.at = (this.at + step + this.found.length) % this.found.length;
    else if (event.key === "Enter" || event.key === "Tab") this.take(this.found[this.at]);
    else if (event.key === "Escape") this.found = [];
    else return false;
    event.preventDefault();
    event.stopPropagation();
    this.#draw();
    return true;
  }

  take(frame) {
    const end = this.box.selectionStart;
    const start = this.box.value.slice(0, end).lastIndexOf("@");
    this.box.setRangeText(`@${frame.name} `, start, end, "end");
    this.found = [];
    this.#draw();
    this.attach(frame.name);
    this.box.dispatchEvent(new Event("input", { bubbles: true }));
    this.box.focus();
  }

  attach(name) {
    this.attached.set(name, null);
    this.#drawChips();
    this.act("preview", name);
  }

  /** What will be sent of a DataFrame: {name, text, rows, tokens, error}. */
  preview(said) {
    if (!this.attached.has(said.name)) return;
    this.attached.set(said.name, said);
    this.#drawChips();
  }

  clear() {
    this.attached.clear();
    this.#drawChips();
  }

  #drawChips() {
    show(this.chips, this.attached.size > 0);
    keyed(this.chips, [...this.attached], ([name]) => name, ([name]) => this.#chip(name), (row, [name, said]) => this.#drawChip(row, name, said));
  }

  #chip(name) {
    const remove = h("button.wb-iconbutton.wb-chipx", { type: "button", "aria-label": t("Leave out {name}", { name }), onclick: () => this.#remove(name) }, icon("cross"));
    const summary = h("summary", { title: t("What is sent of it") }, icon("table"), h("strong", {}, `@${name}`), h("span.wb-quiet.wb-tabular"), icon("chevron"));
    return h("div.wb-chiprow", {}, h("details.wb-chipbox", {}, summary, h("div")), remove);
  }

  #drawChip(row, name, said) {
    const [summary, body] = row.firstChild.children;
    const frame = this.frames().find((one) => one.name === name);
    const facts = said?.tokens ? `≈ ${t("{count} tokens", { count: said.tokens })}` : frame ? shape(frame) : "";
    say(summary.children[2], facts);
    if (said?.error) row.firstChild.open = true;
    if (differs(body, said)) fill(body, said?.error ? h("p.wb-fault", {}, sentence(said.error)) : said ? h("pre", { tabindex: "0" }, said.text) : h("p.wb-hint", {}, t("looking at it…")));
  }

  #remove(name) {
    this.attached.delete(name);
    this.#drawChips();
    this.act("drafted");
    this.box.focus();
  }
}

const shape = (frame) => `${number(frame.rows)} × ${number(frame.columns)}`;

/** Pictures that go along: pasted, dropped or chosen; made smaller where they are large. */
export class Pictures {
  constructor({ changed, refused }) {
    Object.assign(this, { changed, refused });
    this.taken = [];
    this.element = h("div.wb-pictures", { hidden: true });
    this.input = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp,image/gif", multiple: true, hidden: true, "aria-label": t("Pictures") });
    this.input.addEventListener("change", () => {
      this.add([...this.input.files]);
      this.input.value = "";
    });
  }

  async add(files) {
    for (const file of files.filter((one) => one.type.startsWith("image/"))) {
      try {
        this.taken.push({ name: file.name, ...(await smaller(file)) });
      } catch {
        this.refused(t("{name} is no picture that can be read", { name: file.name || t("the picture") }));
      }
    }
    this.#draw();
  }

  get images() {
    return this.taken.map(({ mediaType, data }) => ({ mediaType, data }));
  }

  clear() {
    this.taken = [];
    this.#draw();
  }

  #draw() {
    show(this.element, this.taken.length > 0);
    fill(this.element, this.taken.map((one) => h("span.wb-thumb", {}, h("img", { src: `data:${one.mediaType};base64,${one.data}`, alt: one.name || t("Attached picture") }), h("button.wb-iconbutton.wb-chipx", { type: "button", "aria-label": t("Leave out {name}", { name: one.name || t("the picture") }), onclick: () => this.#remove(one) }, icon("cross")))));
    this.changed();
  }

  #remove(one) {
    this.taken = this.taken.filter((other) => other !== one);
    this.#draw();
  }
}

const LONGEST_PX = 1568;

/** At most LONGEST_PX on the longer side, which is what models look at; base64 of the file. */
async function smaller(file) {
  const picture = await createImageBitmap(file);
  const scale = Math.min(1, LONGEST_PX / Math.max(picture.width, picture.height));
  if (scale === 1 && file.size < 1_500_000) return { mediaType: file.type, data: await base64(file) };
  const canvas = h("canvas", { width: Math.round(picture.width * scale), height: Math.round(picture.height * scale) });
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
  return { mediaType: blob.type, data: await base64(blob) };
}

function base64(blob) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(blob);
  });
}

