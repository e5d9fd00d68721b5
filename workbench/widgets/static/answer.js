// The answer to a question: its sentence, figure, exact table, how it came about; and ways to take it along.
import { copy, download, fill, h, icon, say, show } from "./dom.js";
import { begun, sentence, t } from "./language.js";
import { facts, factView, ResultPane, tableView } from "./result.js";

const FORMATS = { csv: "CSV", parquet: "Parquet" };

/** What a question says, as words; nothing where a model gave no answer of that kind. */
export const answerWords = (result) => (result?.data?.answer?.template ? sentence(result.data.answer).replaceAll(" %", "\u00a0%") : "");

export class AnswerPane extends ResultPane {
  open(task, result) {
    this.refusal = h("p.wb-problem", { role: "alert", hidden: true });
    return super.open(task, result);
  }

  parts(result, task) {
    const [first, ...more] = result.tables ?? [];
    const tables = (all) => all.map((table) => tableView(table, this.#exports(task, table)));
    const taken = [this.refusal, this.#taken(result, task)];
    const words = answerWords(result);
    if (!words) return [...this.told(result), tables([first, ...more].filter(Boolean)), taken, this.where(result)];
    const told = this.told({ ...result, data: {} });
    const [notes, figures] = [told[0], told.at(-1)];
    return [h("p.wb-answer", {}, begun(words, result.data.answer.values)), this.#lacks(result), notes, figures, tables([first, ...more].filter(Boolean)), this.#explanation(result), taken];
  }

  #lacks({ data }) {
    return (data.explanation?.missing ?? []).map((line) => h("p.wb-notice", {}, icon("question"), h("span", {}, h("strong", {}, t("Not known:")), " ", sentence(line))));
  }

  /** Formulas, what was assumed, what is missing, whose data it is; and the figures of the sentence. */
  #explanation({ data }) {
    const { formulas = [], assumptions = [], missing = [], sources = [] } = data.explanation ?? {};
    const named = [[t("Formulas"), formulas, "code"], [t("Assumptions"), assumptions, "span"], [t("What is missing"), missing, "span"], [t("From"), sources, "span"]];
    const parts = named.filter(([, lines]) => lines.length).map(([name, lines, kind]) => h("div.wb-how", {}, h("h4", {}, name), h("ul", {}, lines.map((line) => h("li", {}, h(kind, {}, sentence(line)))))));
    const figures = facts(data.facts);
    if (figures.length) parts.push(h("div.wb-how", {}, h("h4", {}, t("Figures")), h("dl.wb-facts", {}, figures.map(factView))));
    return h("details.wb-more", {}, h("summary", {}, t("How this came about")), parts);
  }

  #exports(task, table) {
    const button = ([format, word]) =>
      h("button.wb-quietbutton", { type: "button", "aria-label": t("Export {name} as {format}", { name: table.name, format: word }), onclick: () => this.act("export", task, { table: table.name, format }) }, icon("down"), word);
    return Object.entries(FORMATS).map(button);
  }

  /** The answer as a file, and the line that asks the same in a notebook. */
  #taken(result, task) {
    const saved = h("button.wb-button", { type: "button", onclick: () => this.act("export", task, { format: "json" }) }, icon("down"), t("Answer as JSON"));
    if (!result.line) return h("div.wb-where", {}, saved);
    const word = t("Copy the line");
    const copied = h("button.wb-iconbutton", { type: "button", "aria-label": word, title: word, onclick: () => copy(result.line) }, icon("copy"));
    return h("div.wb-where", {}, saved, h("span.wb-quiet", {}, t("In a notebook:")), h("code", {}, result.line), copied);
  }

  exported({ name, mediaType }, [file]) {
    show(this.refusal, false);
    download(name, file, mediaType);
  }

  refused(error) {
    const words = h("span");
    fill(this.refusal, icon("warning"), words);
    say(words, sentence(error));
    show(this.refusal, true);
  }
}
