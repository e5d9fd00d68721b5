// Who uses GPU memory: processes of ours by name, others as one sum; leases, and who waits for one.
import { differs, fill, h, icon, keyed, say, show } from "./dom.js";
import { amount, gpuName, span } from "./gpu-words.js";
import { sentence, t } from "./language.js";

const kindWords = () => ({ hub: t("hub"), task: t("task"), model: t("language model"), kernel: t("this kernel"), other: t("other programs") });

function processRow(gpu, user, total) {
  const name = user.kind === "other" ? t("{count} processes", { count: user.count ?? 1 }) : user.name || "–";
  const share = total && user.memoryMB !== null ? (100 * user.memoryMB) / total : null;
  return h(
    "tr",
    {},
    h("td.wb-nowrap", {}, gpuName(gpu.gpuId)),
    h("td", {}, name),
    h("td.wb-quiet", {}, kindWords()[user.kind] ?? user.kind),
    h("td.wb-right.wb-tabular.wb-nowrap", {}, amount(user.memoryMB, "MB")),
    h("td.wb-sharecell", {}, share === null ? null : h("span.wb-bar", { "aria-hidden": "true" }, h("i", { style: `width:${Math.min(100, share)}%` }))),
  );
}

const unlisted = (gpu) => h("tr", {}, h("td.wb-nowrap", {}, gpuName(gpu.gpuId)), h("td.wb-quiet", { colSpan: 4 }, gpu.state === "lost" ? t("not known while it is lost") : t("its driver lists no processes")));
const unused = (gpu) => h("tr", {}, h("td.wb-nowrap", {}, gpuName(gpu.gpuId)), h("td.wb-quiet", { colSpan: 4 }, t("nobody")));

function table(caption, heads, rows) {
  const head = heads.map((word, at) => h(`th${word && at >= heads.length - 2 ? ".wb-right" : ""}`, { scope: "col" }, word || h("span.wb-sr", {}, t("Share"))));
  return h("div.wb-scroll", {}, h("table.wb-table", {}, h("caption.wb-sr", {}, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)));
}

export class MemoryCard {
  constructor({ act }) {
    this.act = act;
    this.users = h("div");
    this.lines = h("ul.wb-lines");
    this.leases = h("div.wb-leases", {}, h("h4", {}, t("Promised memory")), this.lines);
    this.element = h("section.wb-card.wb-memory", { "aria-label": t("GPU memory") }, h("h3", {}, t("Who uses GPU memory")), this.users, this.leases);
  }

  update({ gpus, processes, ledger }) {
    show(this.element, gpus.length > 0);
    this.#lent(ledger);
    if (!differs(this.users, [gpus.map((gpu) => [gpu.gpuId, gpu.memoryTotalMB, gpu.state]), processes])) return;
    const rows = gpus.flatMap((gpu) => {
      const users = processes[gpu.gpuId];
      if (!users) return [unlisted(gpu)];
      return users.length ? users.map((user) => processRow(gpu, user, gpu.memoryTotalMB)) : [unused(gpu)];
    });
    fill(this.users, table(t("Processes on the GPUs"), ["GPU", t("Name"), t("Kind"), t("Memory"), ""], rows));
  }

  #lent({ holdings = [], waiting = [] }) {
    show(this.leases, holdings.length + waiting.length > 0);
    const rows = [...holdings.map((one) => ({ ...one, holds: true })), ...waiting];
    keyed(this.lines, rows, (one) => `${one.claimId} ${Boolean(one.holds)}`, (one) => (one.holds ? this.#holding(one) : this.#waits(one)), (row, one) => {
      const [, quiet, , reason] = row.children[1].children;
      say(quiet, one.holds ? heldWords(one) : t("waits for {memory} since {time}", { memory: amount(one.memoryMB, "MB"), time: span(one.waitsS) }));
      if (reason) say(reason, sentence(one.reason));
    });
  }

  #holding({ kind, name }) {
    const unload = h("button.wb-quietbutton", { type: "button", "aria-label": t("Unload {name}", { name }), onclick: () => this.act("unload", { model: name }) }, t("Unload"));
    return h("li", {}, icon("chip"), h("span.wb-grow", {}, h("strong", {}, name), " ", h("span.wb-quiet")), kind === "model" ? unload : null);
  }

  #waits({ name }) {
    return h("li.wb-waits", {}, icon("clock"), h("span.wb-grow", {}, h("strong", {}, name), " ", h("span.wb-quiet"), h("br"), h("span")));
  }
}

function heldWords({ memoryMB, gpuId, heldS, idleS }) {
  const said = t("{memory} on GPU {id} for {time}", { memory: amount(memoryMB, "MB"), id: gpuId, time: span(heldS) });
  return `${said}, ${idleS >= 60 ? t("idle for {time}", { time: span(idleS) }) : t("in use")}`;
}
