// An empty conversation: what could be asked, or how to come by a model in the first place.
import { copy, differs, fill, h, icon } from "./dom.js";
import { flash } from "./chat-body.js";
import { sentence, t } from "./language.js";

const WAYS = [
  ["Ollama", ["ollama serve", "ollama pull qwen3:4b"]],
  ["LM Studio", ["lms server start", "lms get qwen/qwen3-4b"]],
  ["llama.cpp", ["llama-server -hf ggml-org/Qwen3-4B-GGUF --port 8080"]],
];

const starters = () => [
  t("Explain what a Runes etching is, with a short example."),
  t("Write a SQL query for DuckDB that counts messages per model and day."),
  t("Write a Python function that finds outliers in a DataFrame column, with tests."),
];

function command(line) {
  const button = h("button.wb-codebutton", { type: "button", "aria-label": t("Copy the command"), onclick: () => copy(line).then(() => flash(button, t("Copied"))) }, icon("copy"), h("span", {}, t("Copy")));
  return h("div.wb-command", {}, h("code", {}, line), button);
}

/** Without a model nothing can be answered: the ways to one, with exact commands. */
export function drawNoModel(element, { act, host }) {
  if (!differs(element, ["none", host])) return;
  const ways = WAYS.map(([name, lines]) => h("li", {}, h("strong", {}, name), lines.map(command)));
  const hints = host.map((part) => h("p.wb-hint", {}, sentence(part.said), " ", part.remedy ? sentence(part.remedy) : ""));
  fill(
    element,
    h("h3", {}, t("No language model was found on this machine")),
    h("p", {}, t("Start any of these in a terminal: a server on its usual port is found by itself.")),
    h("ul.wb-ways", {}, ways),
    hints,
    h("button.wb-primary", { type: "button", onclick: () => act("refreshModels") }, icon("again"), t("Look again")),
  );
}

/** With a model: a few beginnings. */
export function drawStart(element, { act, name }) {
  if (!differs(element, ["start", name])) return;
  const tips = starters().map((words) => h("button.wb-starter", { type: "button", onclick: () => act("draft", words) }, words));
  fill(
    element,
    h("h3", {}, t("What would you like to know?")),
    h("p.wb-quiet", {}, name ? t("{name} is ready. Type @ to attach a DataFrame of the notebook.", { name }) : t("Type @ to attach a DataFrame of the notebook.")),
    h("div.wb-starters", {}, tips),
  );
}
