// What a model and a download are called in words: sizes, who keeps it, whether it fits, its state.
import { number, t } from "./language.js";

/** Bytes in the unit in which they are read; a missing size is said to be missing. */
export function space(count) {
  if ((count ?? null) === null) return t("not known");
  const size = Math.abs(count);
  if (size >= 999.5e6) return `${number(count / 1e9, size < 99.5e9 ? 1 : 0)} GB`;
  if (size >= 1e6) return `${number(count / 1e6, 0)} MB`;
  return `${number(count / 1e3, 0)} kB`;
}

export const pace = (bytesPerSecond) => `${bytesPerSecond >= 1e6 ? `${number(bytesPerSecond / 1e6, 1)} MB` : `${number(bytesPerSecond / 1e3, 0)} kB`}/s`;

const OWNERS = { lmstudio: "LM Studio", ollama: "Ollama", "llama.cpp": "llama.cpp", hub: "Hugging Face" };

export function ownerName(owner) {
  if (owner === "workbench") return t("the models folder");
  if (owner === "huggingface") return t("Hugging Face's cache");
  return OWNERS[owner] ?? owner;
}

/** `id@backend` is one model of one back end, as everything that is asked of it names it. */
export const modelName = (card) => (card.backend ? `${card.id}@${card.backend}` : card.id);
export const isHere = (card) => card.state !== "remote";
export const isFile = (card) => isHere(card) && Boolean(card.place);
export const canRun = (card) => ["on-disk", "loaded"].includes(card.state) && Boolean(card.backend);
export const lastPart = (name) => name.split("/").pop();

/** The end of an id; a whole repository's weights are called as it is. */
export function shortName(id) {
  const parts = id.split("/");
  return parts.at(-1) === "safetensors" && parts.length > 1 ? parts.at(-2) : parts.at(-1);
}

const STATE_SIGN = { "on-disk": "file", loaded: "check", remote: "down", broken: "warning" };
const stateWords = () => ({ "on-disk": t("not loaded"), loaded: t("loaded"), remote: t("to download"), broken: t("cannot be loaded") });
export const cardState = (state) => ({ sign: STATE_SIGN[state] ?? "question", word: stateWords()[state] ?? state });

const fitWords = () => ({ gpu: t("fits the GPU"), memory: t("fits memory"), no: t("does not fit"), unknown: t("not known whether it fits") });
const fitNotNow = () => ({ gpu: t("fits the GPU, but not right now"), memory: t("fits memory, but not right now") });
const FIT_SIGN = { gpu: "check", memory: "check", no: "cross", unknown: "question" };

/** Whether a model fits this machine: a sign, a word, and the numbers that say why. */
export function fitOf(card) {
  const later = card.fitsNow === false && card.fits in fitNotNow();
  const word = later ? fitNotNow()[card.fits] : (fitWords()[card.fits] ?? card.fits);
  return { sign: later ? "clock" : (FIT_SIGN[card.fits] ?? "question"), word, why: fitNumbers(card), kind: later ? "later" : card.fits };
}

function fitNumbers({ fits, neededGpuBytes, neededMemoryBytes, machine = {}, estimated, contextChosen }) {
  const onGpu = fits === "gpu";
  const needed = onGpu ? neededGpuBytes : neededMemoryBytes;
  if ((needed ?? null) === null) return "";
  const free = onGpu ? machine.gpuFreeBytes : machine.memoryFreeBytes;
  const total = onGpu ? machine.gpuTotalBytes : machine.memoryTotalBytes;
  const values = { needed: space(needed), free: space(free), total: space(total) };
  const what = estimated ? t("needs about {needed}", values) : t("needs {needed}", values);
  const room = (total ?? null) === null ? null : onGpu ? t("{free} of {total} free on the GPU", values) : t("{free} of {total} of memory free", values);
  const context = contextChosen ? t("with {count} tokens of context", { count: contextChosen }) : null;
  return [[what, context].filter(Boolean).join(" "), room].filter(Boolean).join("; ");
}

const DOWNLOAD_SIGN = { queued: "clock", resolving: "search", downloading: "down", stalled: "warning", paused: "pause", verifying: "dots", done: "check", failed: "cross", cancelled: "ban" };
export const BUSY = ["queued", "resolving", "downloading", "stalled", "verifying"];
const downloadWords = () => ({
  queued: t("waits its turn"),
  resolving: t("is looked up"),
  downloading: t("downloading"),
  stalled: t("stalled"),
  paused: t("paused"),
  verifying: t("verifying"),
  done: t("complete and verified"),
  failed: t("failed"),
  cancelled: t("called off"),
});

/** A file whose source declares no sum is complete, and nobody can say more. */
export function downloadState({ state, verified }) {
  const unproved = state === "done" && !verified;
  return { sign: DOWNLOAD_SIGN[state] ?? "question", word: unproved ? t("complete; its source declares no sum") : (downloadWords()[state] ?? state) };
}
