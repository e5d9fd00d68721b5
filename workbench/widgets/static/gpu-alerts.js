// Alerts: those that are active at the top, past ones and the rules in a card, and a form for own rules.
import { differs, fill, h, icon, keyed, mark, onSubmit, say, show } from "./dom.js";
import { amount, beyond, measured, metricTitle, OF_VIEW, span, subjectName } from "./gpu-words.js";
import { moment, sentence, t } from "./language.js";
import { asTyped, typedNumber } from "./typed.js";

const SHOWN_PAST = 8;
const SHOWN_ACTIVE = 4;

const alertLine = (alert, catalogue, what) =>
  t("{what}: {value}, {beyond}", { what, value: amount(alert.value, catalogue[alert.metric]?.unit ?? ""), beyond: beyond(alert, catalogue) });

/** One line per active alert; told to screen readers when one comes. */
export class AlertStrip {
  constructor() {
    this.element = h("div.wb-alerts", { role: "status", "aria-live": "polite" });
  }

  update(alerts, catalogue) {
    const sign = JSON.stringify(alerts.map((alert) => alert.alertId));
    if (sign === this.sign) return;
    this.sign = sign;
    show(this.element, alerts.length > 0);
    const more = alerts.length - SHOWN_ACTIVE;
    const rest = more > 0 ? h("p.wb-alert", {}, icon("warning"), t("and {count} more alerts", { count: more })) : null;
    fill(this.element, alerts.slice(0, SHOWN_ACTIVE).map((alert) => this.#line(alert, catalogue)), rest);
  }

  #line(alert, catalogue) {
    const name = t(alert.rule);
    const own = name.toLowerCase().includes(metricTitle(catalogue, alert.metric).toLowerCase()) ? "" : ` “${name}”`;
    const said = t("{what}: {beyond}", { what: measured(catalogue, alert.metric, alert.subject), beyond: beyond(alert, catalogue) });
    const then = { time: moment(alert.raisedAt), value: amount(alert.value, catalogue[alert.metric]?.unit ?? "") };
    const since = h("span.wb-quiet", {}, t("since {time}, then {value}", then)); // what it is now, its gauge says
    return h("p.wb-alert", {}, icon("warning"), h("span", {}, h("strong", {}, t("Alert")), `${own} `, said, " ", since));
  }
}

export class AlertCard {
  constructor({ model, act, kept }) {
    Object.assign(this, { model, act, kept });
    this.rules = h("ul.wb-lines.wb-rules");
    this.past = h("ul.wb-lines");
    this.none = h("p.wb-quiet", {}, t("No alert so far."));
    this.more = h("button.wb-quietbutton", { type: "button", onclick: () => this.#more() }, t("Show more"));
    this.add = h("button.wb-quietbutton", { type: "button", "aria-expanded": "false", onclick: () => this.open(this.form.element.hidden ? {} : null) }, icon("plus"), t("New rule"));
    this.form = new RuleForm({ model, save: (rule) => this.act("saveRule", { rule }), cancel: () => this.open(null), kept });
    this.element = h(
      "section.wb-card.wb-alertcard",
      { "aria-label": t("Alerts") },
      h("div.wb-toolbar", {}, h("h3", {}, t("Alert rules")), h("span.wb-grow"), this.add),
      this.form.element,
      this.rules,
      h("h4", {}, t("Past alerts")),
      this.none,
      this.past,
      this.more,
    );
  }

  update() {
    const [rules, past, catalogue] = ["rules", "past_alerts", "catalogue"].map((name) => this.model.get(name));
    keyed(this.rules, rules, (rule) => rule.name, () => this.#row(), (row, rule) => this.#rule(row, rule, catalogue));
    show(this.none, !past.length);
    const shown = past.slice(0, this.kept.past ?? SHOWN_PAST);
    fill(this.past, shown.map((alert) => this.#was(alert, catalogue)));
    show(this.more, past.length > shown.length);
  }

  #more() {
    this.kept.past = (this.kept.past ?? SHOWN_PAST) + 50;
    this.act("alertsPage");
    this.update();
  }

  /** One rule: its switch and its buttons stay the same ones whatever comes. */
  #row() {
    const row = h("li");
    const own = (deed) => () => deed(row.rule);
    const button = (sign, onclick) => h("button.wb-iconbutton", { type: "button", onclick }, icon(sign));
    const toggle = h("input", { type: "checkbox", onchange: own((rule) => this.act("saveRule", { rule: { ...rule, enabled: toggle.checked } })) });
    row.append(toggle, h("span.wb-grow"), button("pencil", own((rule) => this.open(rule))), button("trash", own(({ name }) => this.act("deleteRule", { name }))));
    return row;
  }

  #rule(row, rule, catalogue) {
    const on = rule.enabled ?? true;
    row.rule = rule;
    row.firstChild.checked = on;
    const bound = beyond(rule, catalogue);
    if (!differs(row, [rule, bound])) return;
    const [title, name] = [metricTitle(catalogue, rule.metric), t(rule.name)]; // of ours the name is a sentence
    const only = rule.subject ? `, ${t("only {subject}", { subject: measuredSubject(rule) })}` : "";
    const named = name.toLowerCase().includes(title.toLowerCase());
    const [toggle, words, ...buttons] = row.children;
    mark(row, "data-on", String(on));
    mark(toggle, "aria-label", t("Rule {name} is on", { name }));
    fill(words, h("strong", {}, name), " ", h("span.wb-quiet", {}, `${named ? "" : `${title} `}${bound}${only}, ${rule.forS === 0 ? t("at once") : t("for {time}", { time: span(rule.forS ?? 10) })}`));
    [t("Edit"), t("Delete")].forEach((word, at) => {
      mark(buttons[at], "title", word);
      mark(buttons[at], "aria-label", `${word}: ${name}`);
    });
  }

  #was(alert, catalogue) {
    const range = t("{from} to {to}", { from: moment(alert.raisedAt), to: moment(alert.clearedAt) });
    const said = alertLine({ ...alert, value: alert.worst }, catalogue, measured(catalogue, alert.metric, alert.subject));
    return h("li", {}, icon("check"), h("span.wb-grow", {}, said, h("br"), h("span.wb-quiet", {}, t("cleared, {range}", { range }), alert.reason ? ` (${sentence(alert.reason)})` : "")));
  }

  /** The form with a rule in it, an empty one, or none (null). */
  open(rule) {
    show(this.form.element, rule !== null);
    mark(this.add, "aria-expanded", String(rule !== null));
    if (rule === null) this.add.focus();
    else this.form.open(rule);
  }

  saved() {
    if (!this.form.element.hidden) this.open(null);
  }

  refused(error) {
    this.form.fault(sentence(error));
  }
}

const measuredSubject = (rule) => subjectName(rule.metric.startsWith("gpu.") ? "gpu" : "llm", rule.subject);

/** A rule on any metric: its bound, the side, how long, and of which GPU or model. */
class RuleForm {
  constructor({ model, save, cancel, kept }) {
    Object.assign(this, { model, save, kept });
    const field = (label, control) => h("label.wb-field", {}, h("span.wb-label", {}, label), control);
    const numeric = (text) => h("input.wb-input.wb-number", { type: "text", inputmode: "decimal", autocomplete: "off", "aria-label": text });
    this.name = h("input.wb-input", { type: "text", maxlength: "100", autocomplete: "off" });
    this.metric = h("select.wb-input", { onchange: () => this.#units() });
    this.subject = h("select.wb-input");
    this.direction = h("select.wb-input", {}, h("option", { value: "above" }, t("above")), h("option", { value: "below" }, t("below")));
    this.threshold = numeric(t("Threshold"));
    this.clear = numeric(t("Cleared at"));
    this.seconds = numeric(t("For how many seconds"));
    this.unit = h("span.wb-quiet");
    this.wrong = h("p.wb-fault", { role: "alert", hidden: true });
    const buttons = h("div.wb-actions", {}, h("button.wb-primary", { type: "submit" }, t("Save")), h("button.wb-button", { type: "button", onclick: cancel }, t("Cancel")));
    this.element = h(
      "form.wb-ruleform",
      { hidden: true, novalidate: true },
      field(t("Name"), this.name),
      field(t("Metric"), this.metric),
      field(t("Of"), this.subject),
      h("div.wb-field", {}, h("span.wb-label", {}, t("Threshold"), " ", this.unit), h("div.wb-pair", {}, this.direction, this.threshold)),
      h("div.wb-pair", {}, field(t("Cleared at"), this.clear), field(t("For how many seconds"), this.seconds)),
      this.wrong,
      buttons,
    );
    onSubmit(this.element, () => this.#submit());
  }

  open(rule) {
    const catalogue = this.model.get("catalogue");
    const names = Object.keys(catalogue);
    fill(this.metric, names.map((name) => h("option", { value: name, selected: name === rule.metric }, metricTitle(catalogue, name))));
    this.name.value = rule.name ?? "";
    this.direction.value = rule.direction ?? "above";
    this.threshold.value = rule.threshold === undefined ? "" : asTyped(rule.threshold);
    this.clear.value = rule.clear === undefined || rule.clear === null ? "" : asTyped(rule.clear);
    this.seconds.value = asTyped(rule.forS ?? 10);
    this.before = rule;
    this.fault("");
    this.#units();
    this.name.focus();
  }

  /** Which subjects a metric has, and its unit. */
  #units() {
    const metric = this.model.get("catalogue")[this.metric.value];
    const subjects = metric?.of === OF_VIEW.gpu ? this.model.get("gpus").map((gpu) => gpu.gpuId) : metric?.of === "model" ? this.model.get("models") : [];
    const view = metric?.of === "gpu" ? "gpu" : "llm";
    fill(this.subject, h("option", { value: "" }, t("each")), subjects.map((one) => h("option", { value: one, selected: one === this.before?.subject }, subjectName(view, one))));
    say(this.unit, metric?.unit ? `(${metric.unit})` : "");
  }

  fault(said) {
    say(this.wrong, said);
    show(this.wrong, Boolean(said));
  }

  #submit() {
    const [threshold, forS] = [this.threshold, this.seconds].map((one) => typedNumber(one.value));
    const clear = this.clear.value.trim() ? typedNumber(this.clear.value) : null;
    const name = this.name.value.trim();
    if (!name) return this.#wrong(this.name, t("a rule needs a name"));
    if (Number.isNaN(threshold)) return this.#wrong(this.threshold, t("this is not a number"));
    if (Number.isNaN(clear)) return this.#wrong(this.clear, t("this is not a number"));
    if (!(forS >= 0)) return this.#wrong(this.seconds, t("this is not a number"));
    const direction = this.direction.value;
    if (clear !== null && (direction === "above" ? clear > threshold : clear < threshold)) return this.#wrong(this.clear, t("an alert is cleared on the good side of its threshold"));
    this.fault("");
    return this.save({ name, metric: this.metric.value, threshold, clear, direction, forS, subject: this.subject.value || null, enabled: this.before?.enabled ?? true });
  }

  #wrong(control, said) {
    this.fault(said);
    control.focus();
  }
}

/** A notification of the browser for each alert that was not there before. */
export function notifyOf(alerts, seen, catalogue) {
  for (const alert of alerts.filter((one) => !seen.has(one.alertId))) {
    const note = new Notification(t("Alert: {what}", { what: measured(catalogue, alert.metric, alert.subject) }), { body: alertLine(alert, catalogue, metricTitle(catalogue, alert.metric)), tag: alert.alertId });
    note.onclick = () => focus();
  }
}
