// Where a model comes from: a repository, a page or an address typed in, and what there is to download.
import { fill, h, icon, mark, onSubmit, say, show } from "./dom.js";
import { sentence, t } from "./language.js";
import { ownerName } from "./models-words.js";

export class Find {
  constructor({ act, draw }) {
    Object.assign(this, { act, draw });
    this.box = h("input.wb-input", { type: "text", name: "source", inputmode: "url", autocomplete: "off", spellcheck: false, maxlength: "2048", placeholder: t("words to search by, org/name, a page of huggingface.co, or the URL of a model file") });
    this.button = h("button.wb-primary", { type: "submit" }, t("Find"));
    this.keeper = h("select.wb-input", { name: "into", onchange: () => this.#chosen() });
    this.keepers = h("label.wb-field", { hidden: true }, h("span.wb-label", {}, t("Keep it in")), this.keeper);
    this.byName = h("button.wb-button", { type: "button", hidden: true, onclick: () => this.#fetch() });
    this.fault = h("p.wb-fault", { role: "alert", hidden: true });
    this.form = h("form.wb-findform", { role: "search", "aria-label": t("Find a model to download") }, h("label.wb-field.wb-grow", {}, h("span.wb-label", {}, t("Get a model")), this.box), this.keepers, this.button, this.byName);
    onSubmit(this.form, () => this.#find());
    this.title = h("h3.wb-cut");
    this.facts = h("p.wb-quiet");
    this.said = h("p.wb-sr", { role: "status" });
    this.grid = h("div.wb-modelgrid");
    this.hits = h("ul.wb-hits", { hidden: true });
    const close = h("button.wb-iconbutton", { type: "button", "aria-label": t("Close what was found"), title: t("Close what was found"), onclick: () => this.#close() }, icon("cross"));
    this.result = h("section.wb-found", { hidden: true, "aria-label": t("What was found") }, h("div.wb-toolbar", {}, this.title, h("span.wb-grow"), close), this.facts, this.hits, this.grid);
    this.element = h("section.wb-card.wb-find", { "aria-label": t("Get a model") }, this.form, this.fault, this.said, this.result);
  }

  #find() {
    const source = this.box.value.trim();
    this.#wrong(source ? "" : t("type where the model is, such as org/name"));
    if (source) this.act("find", { source });
    else this.box.focus();
  }

  /** Whose disk it goes to: a back end that fetches by itself, or null for the models folder. */
  get into() {
    return this.keeper.value || null;
  }

  #chosen() {
    show(this.byName, Boolean(this.into));
    say(this.byName, t("Fetch by its name in {program}", { program: ownerName(this.into) }));
    this.box.placeholder = this.into ? t("org/name, or a name of {program}'s own catalogue", { program: ownerName(this.into) }) : t("words to search by, org/name, a page of huggingface.co, or the URL of a model file");
  }

  /** A name of that program's own catalogue, which nobody else can look into. */
  #fetch() {
    const source = this.box.value.trim();
    this.#wrong(source ? "" : t("type the name that {program} has for it", { program: ownerName(this.into) }));
    if (source) this.act("download", { source, choice: null });
    else this.box.focus();
  }

  #keepers(fetchers) {
    const names = fetchers.map((one) => one.name);
    if (String(names) === String(this.names)) return;
    this.names = names;
    const before = this.into;
    fill(this.keeper, ["", ...names].map((name) => h("option", { value: name, selected: name === before }, ownerName(name || "workbench"))));
    show(this.keepers, names.length > 0);
    this.#chosen();
  }

  #close() {
    this.act("closeFound");
    this.box.focus();
  }

  #wrong(words) {
    say(this.fault, words);
    show(this.fault, Boolean(words));
    mark(this.box, "aria-invalid", words ? "true" : null);
  }

  /** Repositories that words found; one is looked into at a press. */
  #search(hits) {
    show(this.hits, hits.length > 0);
    const look = (name) => () => {
      this.box.value = name;
      this.#find();
    };
    const facts = ({ downloads, likes, licence, gated }) => [
      (downloads ?? null) === null ? null : t("{count} downloads", { count: downloads }),
      (likes ?? null) === null ? null : t("{count} likes", { count: likes }),
      licence ? t("licence {name}", { name: licence }) : null,
      gated ? t("gated") : null,
    ].filter(Boolean).join(" · ");
    fill(this.hits, hits.map((hit) => h("li", {}, h("button.wb-hit", { type: "button", onclick: look(hit.name) }, h("strong", {}, hit.name), h("span.wb-quiet.wb-tabular", {}, facts(hit))))));
  }

  /** `found` is {text, busy, error, repository, cards, hits}, or null; `fetchers` is [{name, kind}]. */
  update(found, fetchers) {
    this.#keepers(fetchers);
    const busy = Boolean(found?.busy);
    this.button.disabled = busy;
    say(this.button, busy ? t("Looking…") : t("Find"));
    if (found && found.text !== this.shown && !this.box.value) this.box.value = found.text;
    if (found?.text !== this.shown || found?.error) this.#wrong(sentence(found?.error));
    this.shown = found?.text;
    const cards = found?.cards ?? [];
    const there = Boolean(found) && !busy && !found.error;
    show(this.result, there);
    this.draw(this.grid, there ? cards : [], found?.text);
    if (!there) return say(this.said, "");
    const { repository } = found;
    say(this.title, repository?.name ?? found.text);
    const hits = found.hits ?? [];
    const searched = !repository && !cards.length;
    if (JSON.stringify(hits) !== this.listed) this.#search(hits);
    this.listed = JSON.stringify(hits);
    const count = searched && !hits.length ? t("No repository with GGUF files is called so.") : searched ? t("{count} repositories with GGUF files, the most downloaded first", { count: hits.length }) : t("{count} choices to download", { count: cards.length });
    say(this.said, count);
    const page = repository?.page && /^https?:/.test(repository.page) ? h("a", { href: repository.page, target: "_blank", rel: "noopener noreferrer" }, t("its page")) : null;
    const words = [cards.length || searched ? count : t("There is no model file in it that can be downloaded."), repository?.licence ? t("licence {name}", { name: repository.licence }) : null].filter(Boolean).join(" · ");
    const sign = JSON.stringify([words, repository?.page]);
    if (sign !== this.sign) fill(this.facts, words, page ? [" · ", page] : null);
    this.sign = sign;
    return undefined;
  }
}
