// The conversations that were held: searched, opened, renamed, deleted, exported.
import { askFirst } from "./chat-popover.js";
import { fill, h, icon, keyed, mark, onSubmit, say, show } from "./dom.js";
import { currentLanguage, t } from "./language.js";

const SEARCH_MS = 250;
const DAY_MS = 86_400_000;

/** When, as short as it can be said: the time today, else the day. */
function shortly(iso) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return "";
  const today = at.toDateString() === new Date().toDateString();
  const old = Date.now() - at > 300 * DAY_MS;
  const options = today ? { hour: "2-digit", minute: "2-digit" } : old ? { dateStyle: "short" } : { day: "numeric", month: "short" };
  return new Intl.DateTimeFormat(currentLanguage(), options).format(at);
}

export class Conversations {
  constructor({ model, act, kept }) {
    Object.assign(this, { model, act, kept });
    this.search = h("input.wb-input", { type: "search", placeholder: t("Search conversations"), "aria-label": t("Search conversations") });
    this.search.value = kept.text ?? "";
    this.search.addEventListener("input", () => {
      kept.text = this.search.value;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => act("search", this.search.value.trim()), SEARCH_MS);
    });
    const fresh = h("button.wb-button.wb-fresh", { type: "button", onclick: () => act("create") }, icon("plus"), t("New conversation"));
    this.list = h("ul.wb-talks");
    this.none = h("p.wb-hint.wb-none");
    this.older = h("button.wb-quietbutton", { type: "button", onclick: () => act("older") }, t("Show more"));
    this.element = h("nav.wb-side", { "aria-label": t("Conversations") }, h("div.wb-sidehead", {}, fresh, this.search), h("div.wb-talkbox", {}, this.list, this.none, this.older));
    this.update();
  }

  update() {
    const items = this.model.get("conversations");
    const open = this.model.get("conversation").id;
    keyed(this.list, items, (one) => one.id, (one) => this.#make(one), (row, one) => this.#draw(row, one, one.id === open));
    show(this.older, this.model.get("more"));
    show(this.none, items.length === 0);
    say(this.none, this.kept.text ? t("Nothing was found.") : t("Conversations that were held are listed here."));
  }

  #make(one) {
    const row = h("li.wb-talk");
    row.one = one;
    const title = h("span.wb-cut.wb-talktitle");
    const when = h("time.wb-quiet.wb-tabular");
    const found = h("span.wb-quiet.wb-found");
    const open = h("button.wb-talkopen", { type: "button", onclick: () => this.act("open", row.one.id) }, title, when, found);
    const rename = h("button.wb-iconbutton", { type: "button", onclick: () => this.#rename(row) }, icon("pencil"));
    const remove = h("button.wb-iconbutton", { type: "button", onclick: () => this.#remove(row) }, icon("trash"));
    row.parts = { open, title, when, found, rename, remove };
    row.append(h("div.wb-talkline", {}, open, h("span.wb-talkdeeds", {}, rename, remove)));
    return row;
  }

  #draw(row, one, opened) {
    row.one = one;
    const { open, title, when, found, rename, remove } = row.parts;
    const words = one.title || t("Untitled");
    mark(row, "data-open", opened ? "yes" : null);
    mark(open, "aria-current", opened ? "true" : null);
    say(title, words);
    mark(open, "title", words);
    say(when, shortly(one.updatedAt));
    say(found, one.found ?? "");
    show(found, Boolean(one.found));
    mark(rename, "aria-label", t("Rename {name}", { name: words }));
    mark(rename, "title", t("Rename"));
    mark(remove, "aria-label", t("Delete {name}", { name: words }));
    mark(remove, "title", t("Delete"));
  }

  #rename(row) {
    const line = row.firstChild;
    const box = h("input.wb-input", { type: "text", maxlength: "200", "aria-label": t("Title of the conversation") });
    box.value = row.one.title ?? "";
    let over = false;
    const leave = (keep) => {
      if (over) return;
      over = true;
      const title = box.value.trim();
      if (keep && title && title !== row.one.title) this.act("rename", row.one.id, title);
      form.replaceWith(line);
      row.parts.rename.focus();
    };
    const form = h("form.wb-talkline", {}, box);
    onSubmit(form, () => leave(true));
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing) return;
      event.stopPropagation();
      leave(false);
    });
    box.addEventListener("blur", () => leave(true));
    line.replaceWith(form);
    box.focus();
    box.select();
  }

  #remove(row) {
    askFirst({
      element: row.firstChild,
      question: t("Delete for good?"),
      yes: t("Delete"),
      no: t("Keep"),
      done: () => {
        fill(row.firstChild, h("span.wb-quiet.wb-talkopen", {}, t("deleting…")));
        this.act("delete", row.one.id);
        this.search.focus();
      },
    });
  }
}
