// The connection: its state as a pill, and the choice of the node behind it.
import { drawAbsence } from "./absence.js";
import { fill, h, icon, mark, onSubmit, say, show } from "./dom.js";
import { duration, sentence, t } from "./language.js";
import { drawVersion } from "./version.js";

const SIGN = { connected: "check", connecting: "dots", reconnecting: "again", disconnected: "ban", failed: "cross" };

const stateWords = () => ({
  connected: t("connected"),
  connecting: t("connecting…"),
  reconnecting: t("reconnecting…"),
  disconnected: t("disconnected"),
  failed: t("not reachable"),
});
const endpointWords = () => ({ local: t("Local node"), remote: t("Remote node"), custom: t("Custom address") });

export class Connection {
  constructor({ model, act, kept, now }) {
    Object.assign(this, { model, act, kept, now });
    this.sign = h("span");
    this.word = h("strong");
    this.where = h("span.wb-quiet");
    this.pill = h(
      "button.wb-pill",
      { type: "button", "aria-haspopup": "dialog", onclick: () => this.toggle() },
      this.sign,
      this.word,
      this.where,
      icon("chevron"),
    );
    this.absence = h("div.wb-problem.wb-absent", { role: "alert", hidden: true });
    this.version = h("div.wb-problem.wb-version", { role: "status", hidden: true });
    this.panel = h("form.wb-popover", { hidden: true, role: "dialog", "aria-label": t("Connection") });
    onSubmit(this.panel, () => this.#connect());
    this.element = h("div.wb-connection", {}, this.pill, this.panel);
    this.element.addEventListener("keydown", (event) => event.key === "Escape" && this.toggle(false));
    this.element.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !this.element.contains(event.relatedTarget)) this.toggle(false);
    });
    this.#draw();
    this.update();
  }

  toggle(open = this.panel.hidden) {
    if (this.panel.hidden === !open) return;
    show(this.panel, open);
    mark(this.pill, "aria-expanded", String(open));
    if (open) this.panel.querySelector("input:checked")?.focus();
    else this.pill.focus();
  }

  #draw() {
    const endpoints = this.model.get("endpoints");
    const chosen = this.kept.endpoint ?? this.model.get("connection").endpoint;
    const words = endpointWords();
    const options = endpoints.map(({ name, url }) => {
      const input = h("input", { type: "radio", name: "wb-endpoint", value: name, onchange: () => this.#pick(name) });
      input.checked = name === chosen;
      return h("label.wb-option", {}, input, h("span", {}, words[name], h("small.wb-quiet", {}, url || t("an address of your own"))));
    });
    this.url = h("input.wb-input", { type: "text", inputmode: "url", autocomplete: "off", spellcheck: false, placeholder: "wss://", "aria-label": t("Address of the node") });
    this.url.value = this.kept.url ?? "";
    this.token = h("input.wb-input", { type: "password", autocomplete: "off", placeholder: t("token"), "aria-label": t("Token of the node") });
    this.own = h("div.wb-own", { hidden: chosen === "local" }, h("div.wb-own", { hidden: chosen !== "custom" }, this.url), this.token, h("p.wb-hint", {}, t("Beyond this machine only wss: addresses are used.")));
    this.fault = h("p.wb-fault", { hidden: true });
    this.note = h("p.wb-hint.wb-tabular");
    fill(this.panel, h("fieldset.wb-options", {}, h("legend", {}, t("Node")), options), this.own, this.fault, this.note, h("div.wb-actions", {}, h("button.wb-primary", { type: "submit" }, t("Connect"))));
  }

  #pick(name) {
    this.kept.endpoint = name;
    show(this.own, name !== "local");
    show(this.own.firstChild, name === "custom");
  }

  #connect() {
    const endpoint = this.panel.querySelector("input:checked")?.value ?? "local";
    const url = this.url.value.trim();
    const local = /^wss?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(\/|$)/i.test(url);
    const wrong = endpoint === "custom" && !/^wss:\/\/./i.test(url) && !local;
    say(this.fault, wrong ? t("the address must start with wss:// (ws:// only on this machine)") : "");
    show(this.fault, wrong);
    if (wrong) return this.url.focus();
    this.kept.url = url;
    this.act("connect", { endpoint, url: endpoint === "custom" ? url : null, token: this.token.value || null });
    this.token.value = "";
    return this.toggle(false);
  }

  update() {
    const { state, endpoint, url, error, hub } = this.model.get("connection");
    drawVersion(this.version, this.model.get("connection"), (kind) => this.act(kind));
    const words = t("Tasks wait until it is back, and what you see may be old. Start it here, or with make run or workbench hub.");
    drawAbsence(this.absence, state === "connected" || endpoint !== "local" ? "" : (hub ?? ""), words, () => this.act("startHub"));
    if (this.pill.dataset.state !== state) {
      mark(this.pill, "data-state", state);
      fill(this.sign, icon(SIGN[state] ?? "question"));
    }
    say(this.word, stateWords()[state] ?? state);
    say(this.where, endpointWords()[endpoint] ?? endpoint);
    mark(this.pill, "title", url);
    const told = sentence(error);
    if (told !== this.told) {
      this.told = told;
      say(this.fault, told);
      show(this.fault, Boolean(told));
    }
    this.tick();
  }

  tick() {
    const { state, attempt, maxAttempts, retryAt } = this.model.get("connection");
    const wait = retryAt ? Math.max(0, (retryAt - this.now()) / 1000) : null;
    const parts = [];
    if (state === "reconnecting" && attempt) parts.push(maxAttempts ? t("attempt {attempt} of {limit}", { attempt, limit: maxAttempts }) : t("attempt {attempt}", { attempt }));
    if (wait !== null && state !== "connected") parts.push(t("next try in {time}", { time: duration(Math.ceil(wait)) }));
    say(this.note, parts.join(" · "));
  }
}
