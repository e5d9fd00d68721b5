// Choosing an input: a file (dropped or chosen), one of the sample files, or an address.
import { fill, h, icon, mark, say, show } from "./dom.js";
import { bytes, percent, sentence, t } from "./language.js";
import { Upload } from "./upload.js";

const LIMIT_BYTES = 100e6; // the node's default; it says the same sentence when its own is lower

/** One chooser. `value()` is what goes on the wire, `fault()` a sentence, `ready()` a promise. */
export class Source {
  constructor({ id, samples, link, uploads, kept, changed, many, compact, words }) {
    Object.assign(this, { id, samples, link, uploads, changed, many, compact, words });
    this.kept = kept; // {mode, upload, sample, url}: survives a redraw of the page
    this.kept.mode ??= "file";
    this.element = h("div.wb-source", {}, this.#modes(), (this.body = h("div.wb-source-body")));
    this.#draw();
  }

  get control() {
    return this.body.querySelector("button, input, select") ?? this.element;
  }

  value() {
    const { mode, upload, sample, url } = this.kept;
    if (mode === "file") return upload?.url ?? null;
    return (mode === "sample" ? sample : url?.trim()) || null;
  }

  label() {
    const { mode, upload, sample, url } = this.kept;
    if (mode === "file") return upload?.file.name ?? "";
    return (mode === "sample" ? sample : url?.trim()) ?? "";
  }

  fault() {
    const { mode, upload, url } = this.kept;
    if (mode === "file" && upload?.phase === "failed") return sentence(upload.error);
    if (mode === "url" && url?.trim() && !/^(https?|upload|file|batch):/i.test(url.trim()) && /^[a-z]+:/i.test(url.trim())) {
      return t("an address starts with https: or http:");
    }
    return "";
  }

  /** False when the file did not arrive. */
  async ready() {
    const { mode, upload } = this.kept;
    return mode !== "file" || !upload || upload.phase === "ready" ? true : upload.whenReady;
  }

  take(file) {
    this.kept.upload?.cancel();
    this.kept.mode = "file";
    this.problem = file.size > LIMIT_BYTES ? t("{name} has {size}; at most {limit} are taken", { name: file.name, size: bytes(file.size), limit: bytes(LIMIT_BYTES) }) : "";
    this.kept.upload = null;
    if (!this.problem) {
      const upload = new Upload(file, { send: (...said) => this.link.send(...said), changed: () => this.#step(upload) });
      this.kept.upload = upload;
      this.uploads.set(upload.id, upload);
    }
    this.#redraw();
    this.kept.upload?.start();
  }

  #step(upload) {
    if (upload !== this.kept.upload) return;
    const before = this.drawnPhase;
    this.#progress();
    if (before !== upload.phase) this.changed();
  }

  #modes() {
    const names = [["file", t("File")], this.samples.length ? ["sample", t("Sample")] : null, ["url", t("Address")]];
    const group = h("div.wb-segments", { role: "group", "aria-label": t("Where the input comes from") });
    this.buttons = names.filter(Boolean).map(([mode, word]) =>
      h("button.wb-segment", { type: "button", "data-mode": mode, onclick: () => this.#choose(mode) }, word),
    );
    group.append(...this.buttons);
    return group;
  }

  #choose(mode) {
    this.kept.mode = mode;
    this.problem = "";
    this.#redraw();
    this.control.focus();
  }

  #redraw() {
    this.#draw();
    this.changed();
  }

  #draw() {
    for (const button of this.buttons) mark(button, "aria-pressed", String(button.dataset.mode === this.kept.mode));
    const draw = { file: () => this.#file(), sample: () => this.#sample(), url: () => this.#url() };
    fill(this.body, draw[this.kept.mode](), this.problem ? h("p.wb-fault", { role: "alert" }, this.problem) : null);
  }

  #file() {
    return this.kept.upload ? this.#chosen(this.kept.upload) : this.#dropZone();
  }

  #dropZone() {
    const input = h("input", { type: "file", hidden: true, multiple: Boolean(this.many), onchange: () => this.#dropped(input.files) });
    const zone = h(
      `button.wb-drop${this.compact ? ".wb-compact" : ""}`,
      { type: "button", id: this.id, onclick: () => input.click() },
      icon("file"),
      h("span", {}, h("strong", {}, this.words ?? t("Drop a file here")), " ", h("span.wb-quiet", {}, t("or choose one"))),
    );
    zone.addEventListener("dragover", (event) => {
      event.preventDefault();
      zone.classList.add("wb-over");
    });
    zone.addEventListener("dragleave", () => zone.classList.remove("wb-over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("wb-over");
      this.#dropped(event.dataTransfer.files);
    });
    return [zone, input];
  }

  #dropped(files) {
    const mine = this.many ? this.many([...files]) : [...files];
    if (mine.length === 1) return this.take(mine[0]);
    this.problem = mine.length ? t("{count} files were given, and a task takes one: give a single one", { count: mine.length }) : "";
    return this.#redraw();
  }

  #chosen(upload) {
    upload.changed = () => this.#step(upload); // whichever form shows it
    this.drawnPhase = null;
    this.bar = h("i");
    this.track = h("div.wb-bar", { role: "progressbar", "aria-label": t("Upload of {name}", { name: upload.file.name }) }, this.bar);
    this.note = h("span.wb-quiet.wb-tabular");
    this.sign = h("span.wb-sign");
    this.again = h("button.wb-quietbutton", { type: "button", onclick: () => upload.start() }, t("Try again"));
    this.chosen = h(
      "div.wb-chosen",
      {},
      this.sign,
      h("div.wb-grow", {}, h("div.wb-name", { title: upload.file.name }, upload.file.name), this.track, h("div.wb-note", {}, this.note)),
      this.again,
      h("button.wb-iconbutton", { type: "button", "aria-label": t("Remove {name}", { name: upload.file.name }), onclick: () => this.#remove() }, icon("cross")),
    );
    this.#progress();
    return this.chosen;
  }

  #phase({ phase }) {
    if (this.drawnPhase === phase) return;
    this.drawnPhase = phase;
    this.word = { sending: t("sending"), storing: t("storing on the node"), ready: t("ready"), failed: t("stopped") }[phase];
    this.chosen.className = `wb-chosen wb-${phase}`;
    fill(this.sign, icon(phase === "ready" ? "check" : phase === "failed" ? "warning" : "file"));
    show(this.track, phase !== "ready");
    show(this.again, phase === "failed");
  }

  #progress() {
    const { upload } = this.kept;
    if (this.kept.mode !== "file") return; // another way in is shown
    this.#phase(upload);
    const done = Math.round(upload.share * 100);
    this.bar.style.width = `${done}%`;
    mark(this.track, "aria-valuenow", done);
    mark(this.track, "aria-valuetext", `${this.word} ${percent(upload.share)}`);
    const size = bytes(upload.file.size);
    say(this.note, upload.phase === "ready" ? `${size} · ${this.word}` : upload.phase === "failed" ? sentence(upload.error) : `${this.word} · ${percent(upload.share)} · ${size}`);
  }

  #remove() {
    this.kept.upload.cancel();
    this.uploads.delete(this.kept.upload.id);
    this.kept.upload = null;
    this.problem = "";
    this.#redraw();
    this.control.focus();
  }

  #sample() {
    const list = h("div.wb-samples", { role: "radiogroup", "aria-label": t("Sample files") });
    for (const sample of this.samples) {
      const input = h("input", { type: "radio", name: `${this.id}-sample`, value: sample.path });
      input.checked = sample.path === this.kept.sample;
      input.addEventListener("change", () => {
        this.kept.sample = sample.path;
        this.changed();
      });
      list.append(h("label.wb-sample", {}, input, h("span.wb-name", {}, sample.path.replace(/^samples\//, "")), h("span.wb-quiet.wb-tabular", {}, bytes(sample.bytes))));
    }
    return list;
  }

  #url() {
    const input = h("input.wb-input", { id: this.id, type: "text", inputmode: "url", autocomplete: "off", spellcheck: false, placeholder: "https://", "aria-label": t("Address of the input") });
    input.value = this.kept.url ?? "";
    input.addEventListener("input", () => {
      this.kept.url = input.value;
      this.changed();
    });
    return [input, h("p.wb-hint", {}, t("The node fetches it; addresses of private networks are refused."))];
  }
}
