// The states of a task: word, sign and colour, and what may be done in each.
import { h, icon } from "./dom.js";
import { t } from "./language.js";

const SIGNS = {
  sending: "dots", queued: "dots", fetching: "down", running: "play", cancelling: "stop",
  done: "check", cancelled: "ban", timeout: "clock", failed: "cross", rejected: "warning", lost: "question",
};
export const TERMINAL = ["done", "cancelled", "timeout", "failed", "rejected", "lost"];
export const STATES = Object.keys(SIGNS).slice(1);
export const isOver = (task) => TERMINAL.includes(task.state);

const words = () => ({
  sending: t("sending"), queued: t("queued"), fetching: t("fetching"), running: t("running"), cancelling: t("cancelling…"),
  done: t("done"), cancelled: t("cancelled"), timeout: t("out of time"), failed: t("failed"), rejected: t("rejected"), lost: t("lost"),
});
export const stateWord = (state) => words()[state] ?? state;

export const stateBadge = (state) =>
  h("span.wb-state", { "data-state": state }, icon(SIGNS[state] ?? "question"), h("span", {}, stateWord(state)));

/** Seconds from start (or submission) to the end, or to `now` (ms) while it runs. */
export function elapsed(task, now) {
  const start = task.startedAt ?? task.submittedAt;
  return start ? Math.max(0, ((task.finishedAt ?? now) - start) / 1000) : null;
}

/**
 * Seconds still to go, from the pace so far; null where a guess would be idle: at the very
 * start, and while there is no news.
 */
export function remaining(task, now) {
  if (task.state !== "running" || !task.progressAt || !task.progressFrom) return null;
  const worked = (task.progressAt - task.progressFrom.at) / 1000;
  const gained = task.progress - task.progressFrom.share;
  if (worked < 1 || !(gained > 0.02) || quiet(task, now) !== null) return null;
  return Math.max(0, (worked / gained) * (1 - task.progress) - (now - task.progressAt) / 1000);
}

export const NEWS_S = 5;

/** Seconds without news while there should be some, else null. */
export function quiet(task, now) {
  if (!["fetching", "running"].includes(task.state) || !task.heardAt) return null;
  const seconds = (now - task.heardAt) / 1000;
  return seconds >= NEWS_S ? seconds : null;
}

/**
 * Done, share of successes, median and p95 of the durations (s) of tasks that ended well. A task
 * that was called off, or whose input was refused, did not run: it is no success and no failure.
 */
export function summary(tasks) {
  const over = tasks.filter(isOver);
  const well = over.filter((task) => task.state === "done");
  const judged = over.filter((task) => !["cancelled", "rejected"].includes(task.state));
  const times = well.map((task) => elapsed(task, 0)).filter((one) => one !== null).sort((a, b) => a - b);
  const quantile = (share) => (times.length ? times[Math.min(times.length - 1, Math.ceil(share * times.length) - 1)] : null);
  return {
    active: tasks.length - over.length,
    done: well.length,
    success: judged.length ? well.length / judged.length : null,
    judged: judged.length,
    median: quantile(0.5),
    p95: quantile(0.95),
  };
}
