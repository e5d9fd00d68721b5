// The line to the kernel: greeting, numbered deltas, and a pulse that notices when nobody answers.

const PULSE_MS = 2000;
const SILENT_MS = 8000;
const RESUME_MS = 10_000;

/**
 * Sends `hello`, hands on every message in order, and asks anew after a gap.
 * `onPulse(alive, lastHeardAt)` is called when the kernel falls silent and when it is back.
 */
export class Link {
  constructor(model, { onMessage, onPulse, signal }) {
    this.model = model;
    this.onMessage = onMessage;
    this.onPulse = onPulse;
    this.number = null;
    this.alive = true;
    this.heardAt = Date.now();
    this.looked = Date.now();
    this.receive = (content, buffers) => this.#receive(content, buffers ?? []);
    model.on("msg:custom", this.receive);
    this.timer = setInterval(() => this.#beat(), PULSE_MS / 4);
    this.look = () => this.#looksAgain();
    document.addEventListener("visibilitychange", this.look);
    signal?.addEventListener("abort", () => this.close());
    this.pulsedAt = 0;
    this.hello();
  }

  hello() {
    this.number = null;
    this.send({ kind: "hello" });
  }

  /** False when the message could not even be handed over: the comm is closed. */
  send(content, buffers) {
    try {
      this.model.send(content, undefined, buffers);
      return true;
    } catch {
      return false;
    }
  }

  close() {
    clearInterval(this.timer);
    document.removeEventListener("visibilitychange", this.look);
    this.model.off("msg:custom", this.receive);
  }

  #receive(content, buffers) {
    this.#heard();
    if (content.kind === "pong") return;
    if (content.kind === "snapshot") this.number = content.n;
    else if (content.n !== undefined) {
      if (this.number === null) return; // a snapshot is on its way and holds this already
      if (content.n !== this.number + 1) return void this.hello();
      this.number = content.n;
    }
    this.onMessage(content, buffers);
  }

  #heard() {
    this.heardAt = Date.now();
    if (this.alive) return;
    this.alive = true;
    this.onPulse(true, this.heardAt);
    this.hello();
  }

  #beat() {
    if (document.hidden) return; // browsers throttle hidden pages; silence would mean nothing
    const now = Date.now();
    if (now - this.looked > RESUME_MS) this.heardAt = now; // the page itself was asleep
    this.looked = now;
    if (now - this.pulsedAt >= PULSE_MS) {
      this.pulsedAt = now;
      this.send({ kind: "ping" });
    }
    if (this.alive && now - this.heardAt > SILENT_MS) {
      this.alive = false;
      this.onPulse(false, this.heardAt);
    }
  }

  #looksAgain() {
    if (document.hidden) return;
    const slept = Date.now() - this.looked > RESUME_MS;
    this.heardAt = this.looked = Date.now();
    if (slept) this.hello();
    else this.send({ kind: "ping" });
  }
}
