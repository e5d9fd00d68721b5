// Prompts that are kept: templates with variables for the box, instructions for the model.
import { askFirst, Popover } from "./chat-popover.js";
import { differs, fill, h, icon, onSubmit, say, show } from "./dom.js";
import { sentence, t } from "./language.js";

const VARIABLE = /\{\{\s*(\w+)\s*\}\}/g;
const named = (prompt) => prompt.title || prompt.name;
export const promptsOf = (model, kind) => model.get("prompts").filter((one) => one.kind === kind);

/** A name for the store from a person's words. */
export const slug = (words) => words.trim().slice(0, 100);

export class Templates {
  constructor({ model, act, draft, use }) {
    Object.assign(this, { model, act, draft, use });
    const button = h("button.wb-iconbutton", { type: "button", "aria-label": t("Templates"), title: t("Templates") }, icon("text"));
    this.popover = new Popover({ button, label: t("Templates"), onOpen: () => this.#list() });
    this.popover.panel.classList.add("wb-up", "wb-templates");
    this.element = this.popover.element;
  }

  update() {
    if (this.popover.open && !this.filling) this.#list();
  }

  #list() {
    this.filling = false;
    const rows = promptsOf(this.model, "template").map((one) => this.#row(one));
    this.name = h("input.wb-input", { type: "text", maxlength: "100", placeholder: t("Name of the template"), "aria-label": t("Name of the template") });
    this.said = h("p.wb-hint", {}, t("The words in the box are kept under a name; {{variables}} are asked for when it is used."));
    const save = h("button.wb-button", { type: "submit" }, t("Keep as template"));
    const form = h("form.wb-saveline", {}, this.name, save);
    onSubmit(form, () => this.#save());
    fill(this.popover.panel, h("h4", {}, t("Templates")), rows.length ? h("ul.wb-promptlist", {}, rows) : h("p.wb-hint", {}, t("There are no templates yet.")), form, this.said);
    (rows[0]?.querySelector("button") ?? this.name).setAttribute("data-first", "");
  }

  #save() {
    const content = this.draft().trim();
    const name = slug(this.name.value);
    if (!content) return say(this.said, t("There is nothing in the box yet: write the text first."));
    if (!name) return this.name.focus();
    return this.act("savePrompt", { name, content, promptKind: "template" });
  }

  /** The hub's word on what was to be kept. */
  saved(said) {
    if (!this.popover.open || !this.said) return;
    say(this.said, said.error ? sentence(said.error) : t("Kept."));
  }

  #row(one) {
    const open = h("button.wb-promptopen", { type: "button", onclick: () => this.#take(one) }, h("strong.wb-cut", {}, named(one)), h("small.wb-quiet.wb-cut", {}, one.content));
    const row = h("li.wb-promptrow", {});
    const remove = h("button.wb-iconbutton", { type: "button", "aria-label": t("Delete {name}", { name: named(one) }), onclick: () => askFirst({ element: row, question: t("Delete for good?"), yes: t("Delete"), no: t("Keep"), done: () => this.act("deletePrompt", { name: one.name, promptKind: "template" }) }) }, icon("trash"));
    row.append(open, remove);
    return row;
  }

  #take(one) {
    const names = [...new Set([...one.content.matchAll(VARIABLE)].map((match) => match[1]))];
    if (!names.length) return this.#done(one.content);
    this.filling = true;
    const fields = names.map((name, at) => [name, h("textarea.wb-input", { rows: "1", "aria-label": name, ...(at ? {} : { "data-first": "" }) })]);
    const form = h("form.wb-fields", {}, h("h4", {}, named(one)), fields.map(([name, box]) => h("label.wb-field", {}, h("span.wb-label", {}, name), box)), h("div.wb-actions", {}, h("button.wb-primary", { type: "submit" }, t("Put it into the box")), h("button.wb-button", { type: "button", onclick: () => this.#list() }, t("Back"))));
    onSubmit(form, () => {
      const values = Object.fromEntries(fields.map(([name, box]) => [name, box.value]));
      this.#done(one.content.replace(VARIABLE, (_whole, name) => values[name] ?? ""));
    });
    fill(this.popover.panel, form);
    return fields[0][1].focus();
  }

  #done(text) {
    this.popover.toggle(false, false);
    this.use(text);
  }
}

/** A choice among the kept instructions, and a way to keep the one that is written. */
export class Instructions {
  constructor({ model, act, read, use }) {
    Object.assign(this, { model, act, read, use });
    this.choice = h("select.wb-input", { "aria-label": t("Kept instructions") });
    this.choice.addEventListener("change", () => {
      const chosen = promptsOf(model, "instruction").find((one) => one.name === this.choice.value);
      if (chosen) use(chosen.content);
      show(this.remove, Boolean(chosen));
    });
    this.name = h("input.wb-input", { type: "text", maxlength: "100", placeholder: t("Name of the instruction"), "aria-label": t("Name of the instruction") });
    this.save = h("button.wb-button", { type: "button", onclick: () => this.#save() }, t("Save"));
    this.remove = h("button.wb-iconbutton", { type: "button", hidden: true, "aria-label": t("Delete the instruction"), title: t("Delete the instruction"), onclick: () => this.#remove() }, icon("trash"));
    this.said = h("p.wb-hint", { role: "status" });
    this.element = h("div.wb-instructions", {}, h("div.wb-saveline", {}, this.choice, this.remove), h("div.wb-saveline", {}, this.name, this.save), this.said);
    this.update();
  }

  update() {
    const kept = promptsOf(this.model, "instruction");
    const chosen = this.choice.value;
    if (differs(this.choice, kept.map((one) => [one.name, named(one)]))) fill(this.choice, h("option", { value: "" }, kept.length ? t("Take a kept instruction…") : t("No instruction is kept yet")), kept.map((one) => h("option", { value: one.name, selected: one.name === chosen }, named(one))));
    this.choice.disabled = kept.length === 0;
    show(this.remove, Boolean(this.choice.value));
  }

  #save() {
    const content = this.read().trim();
    const name = slug(this.name.value || this.choice.value);
    if (!content) return say(this.said, t("There is nothing to keep yet: write the instruction first."));
    if (!name) return this.name.focus();
    return this.act("savePrompt", { name, content, promptKind: "instruction" });
  }

  #remove() {
    const line = this.choice.parentElement;
    const name = this.choice.value;
    askFirst({
      element: line,
      question: t("Delete for good?"),
      yes: t("Delete"),
      no: t("Keep"),
      done: () => {
        fill(line, this.choice, this.remove);
        this.choice.value = "";
        this.act("deletePrompt", { name, promptKind: "instruction" });
        this.choice.focus();
      },
    });
  }

  saved(said) {
    say(this.said, said.error ? sentence(said.error) : t("Kept."));
    if (!said.error) this.name.value = "";
  }
}
