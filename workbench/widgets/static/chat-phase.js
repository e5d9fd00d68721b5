// How far an answer is: its phase, how long it takes, how fast it comes.
import { h, mark, say, show } from "./dom.js";
import { duration, number, percent, t } from "./language.js";

const tick = (seconds) => (seconds < 60 ? t("{seconds} s", { seconds: Math.floor(seconds) }) : duration(seconds));

export function phaseWords({ phase, position, progress, waiting }) {
  if (waiting) return t(waiting.template, waiting.values);
  const share = (progress ?? null) === null ? "" : ` ${percent(progress)}`;
  const words = {
    queued: position ? t("Waiting, place {position} in the queue", { position }) : t("Waiting for its turn"),
    loading: t("Loading the model") + share,
    prompt: t("Reading the prompt") + share,
    thinking: t("Thinking"),
    answering: t("Answering"),
  };
  return words[phase] ?? t("Waiting for the model");
}

export class PhaseLine {
  constructor() {
    this.word = h("strong");
    this.facts = h("span.wb-quiet.wb-tabular");
    this.bar = h("span.wb-bar", { "aria-hidden": "true" }, h("i"));
    this.element = h("div.wb-phase", {}, h("span.wb-pulse", { "aria-hidden": "true" }), this.word, this.facts, this.bar);
    this.state = null;
    this.since = Date.now();
    this.stopping = false;
  }

  /** `streaming`: core.chat.Streaming as a dict, or null while nothing is known of it. */
  update(streaming) {
    this.state = streaming;
    this.heard = Date.now();
    mark(this.element, "data-phase", streaming?.phase ?? "waiting");
    const share = ["loading", "prompt"].includes(streaming?.phase) ? streaming.progress : null;
    show(this.bar, (share ?? null) !== null);
    this.bar.firstChild.style.width = `${(share ?? 0) * 100}%`;
    this.tick();
  }

  stop() {
    this.stopping = true;
    mark(this.element, "data-phase", "stopping");
    show(this.bar, false);
    this.tick();
  }

  tick() {
    const state = this.state ?? {};
    const base = state.elapsedMs ?? 0;
    const seconds = (base + Date.now() - (this.state ? this.heard : this.since)) / 1000;
    say(this.word, this.stopping ? t("Stopping…") : phaseWords(state));
    const speed = state.tokensPerSecond && state.phase !== "queued" ? t("{speed} tokens/s", { speed: number(state.tokensPerSecond, 1) }) : "";
    const count = state.tokens ? t("{count} tokens", { count: state.tokens }) : "";
    say(this.facts, [count, speed, tick(Math.max(0, seconds))].filter(Boolean).join(" · "));
  }
}

/** What a finished answer took, in a line. */
export function usageWords(message) {
  const { completionTokens, tokensPerSecond, ttftMs, elapsedMs } = message.usage ?? {};
  return [
    completionTokens ? t("{count} tokens", { count: completionTokens }) : "",
    tokensPerSecond ? t("{speed} tokens/s", { speed: number(tokensPerSecond, 1) }) : "",
    ttftMs ? t("first after {time}", { time: duration(ttftMs / 1000) }) : "",
    elapsedMs ? t("{time} in all", { time: duration(elapsedMs / 1000) }) : "",
  ].filter(Boolean);
}

