// The gauges in words, for those who do not see them: one meter for each, and the details of each GPU.
import { fill, h, icon, keyed, mark, say, show } from "./dom.js";
import { alertOf, amount, gpuName, gpuStateWord, highOf, metricTitle, notGiven, subjectName, valueWords } from "./gpu-words.js";
import { number, sentence, t } from "./language.js";

/** A list of `role="meter"`, hidden from sight: the figure shows the same. */
export class Meters {
  constructor() {
    this.element = h("ul.wb-sr.wb-meters", { "aria-label": t("Values now") });
  }

  update(scene) {
    const cells = scene.subjects.flatMap((subject) => scene.metrics.map((metric) => ({ subject, metric })));
    keyed(this.element, cells, ({ subject, metric }) => `${metric} ${subject}`, () => h("li", { role: "meter" }), (row, cell) => this.#draw(scene, row, cell));
  }

  #draw(scene, row, { subject, metric }) {
    const value = scene.store.value(metric, subject);
    const alert = alertOf(scene.alerts, metric, subject);
    const words = [valueWords(scene, metric, subject), alert && t("alert"), scene.old && t("not current")].filter(Boolean).join(", ");
    mark(row, "aria-label", `${subjectName(scene.view, subject)}: ${metricTitle(scene.catalogue, metric)}`);
    mark(row, "aria-valuemin", scene.catalogue[metric]?.low ?? 0);
    mark(row, "aria-valuemax", highOf(scene, metric, subject));
    mark(row, "aria-valuenow", value === null ? null : Math.round(value * 100) / 100);
    mark(row, "aria-valuetext", words);
    say(row, `${row.getAttribute("aria-label")}: ${words}`);
  }
}

const SIGN = { ok: "check", lost: "cross", denied: "ban", failed: "warning" };
const throttleWords = () => ({ power: t("power limit"), thermal: t("heat"), hardware: t("hardware protection"), sync: t("kept in step with another"), clocks: t("clocks set by hand") });

const gpuBadge = (state) => h("span.wb-state.wb-gpustate", { "data-state": state }, icon(SIGN[state] ?? "question"), h("span", {}, gpuStateWord(state)));

/** What a GPU is, beside its name: a slice, of another machine, without memory of its own. */
const kindOf = (gpu) => [
  gpu.name ?? t("unnamed"),
  gpu.parent ? t("slice of GPU {id}", { id: gpu.parent }) : null,
  gpu.node ? t("on {node}", { node: gpu.node }) : null,
  gpu.unified ? t("shares the machine's memory") : null,
].filter(Boolean).join(" · ");

function slowness(gpu) {
  if (gpu.throttle === null || gpu.throttle === undefined) return notGiven();
  return gpu.throttle.length ? gpu.throttle.map((reason) => throttleWords()[reason] ?? reason).join(", ") : t("no");
}

/** One row per GPU: what no gauge shows. */
export class GpuTable {
  constructor() {
    this.rows = h("tbody");
    this.heads = ["GPU", t("State"), t("Memory"), t("Clock"), t("Memory clock"), t("Fan"), "PCIe", t("Slowed down by")];
    this.power = h("p.wb-hint");
    const table = h("table.wb-table.wb-gputable", {}, h("caption.wb-sr", {}, t("The GPUs in detail")), h("thead", {}, h("tr", {}, this.heads.map((word) => h("th", { scope: "col" }, word)))), this.rows);
    this.element = h("section.wb-card", { "aria-label": t("GPUs") }, h("div.wb-toolbar", {}, h("h3", {}, t("GPUs")), h("span.wb-grow"), this.power), h("div.wb-scroll", {}, table));
  }

  update(scene, gpus, price) {
    show(this.element, gpus.length > 0);
    keyed(this.rows, gpus, (gpu) => gpu.gpuId, (gpu) => this.#make(gpu), (row, gpu) => this.#draw(scene, row, gpu));
    this.#powered(scene, gpus, price);
  }

  #make() {
    const labelled = this.heads.slice(2).map((word) => h("td.wb-tabular", { "data-label": word }));
    return h("tr", {}, h("td.wb-gpuname"), h("td"), labelled);
  }

  #draw(scene, row, gpu) {
    const read = (metric) => scene.store.value(metric, gpu.gpuId);
    const said = (metric) => amount(read(metric), scene.catalogue[metric]?.unit ?? "");
    const [name, state, memory, clock, memoryClock, fan, pcie, slow] = row.children;
    const sign = JSON.stringify([gpu.name, gpu.parent, gpu.node, gpu.unified, gpu.state, gpu.note]);
    if (row.dataset.sign !== sign) {
      row.dataset.sign = sign;
      fill(name, h("strong", {}, gpuName(gpu.gpuId)), h("span.wb-quiet", {}, kindOf(gpu)));
      fill(state, gpuBadge(gpu.state ?? "ok"), gpu.note ? h("span.wb-quiet.wb-gpunote", {}, sentence(gpu.note)) : null);
    }
    const used = read("gpu.memory_used");
    say(memory, used === null || !gpu.memoryTotalMB ? notGiven() : t("{used} of {total}", { used: amount(used, "MB"), total: amount(gpu.memoryTotalMB, "MB") }));
    say(clock, said("gpu.clock"));
    say(memoryClock, said("gpu.memory_clock"));
    say(fan, said("gpu.fan"));
    const [received, sent] = [read("gpu.pcie_received"), read("gpu.pcie_sent")];
    say(pcie, received === null && sent === null ? notGiven() : `↓ ${amount(received, "MB/s")} ↑ ${amount(sent, "MB/s")}`);
    say(slow, slowness(gpu));
    mark(slow, "data-slow", gpu.throttle?.length ? "yes" : null);
    for (const cell of [memory, clock, memoryClock, fan, pcie, slow]) mark(cell, "data-none", cell.textContent === notGiven() ? "yes" : null);
  }

  /** What all of them draw now and, where a price is known, what an hour of that costs. */
  #powered(scene, gpus, price) {
    const cards = gpus.filter((gpu) => !gpu.parent);
    const given = cards.map((gpu) => scene.store.value("gpu.power", gpu.gpuId)).filter((one) => one !== null);
    const watts = given.reduce((sum, one) => sum + one, 0);
    if (!given.length) return say(this.power, t("Power is not given."));
    const power = amount(watts, "W");
    const values = { power, cost: price ? number((watts / 1000) * price.perKwh, 2) : "", currency: price?.currency ?? "" };
    const part = given.length < cards.length ? ` ${t("({known} of {count} GPUs say it)", { known: given.length, count: cards.length })}` : "";
    return say(this.power, (price ? t("{power} now, {cost} {currency} per hour", values) : t("{power} now", values)) + part);
  }
}
