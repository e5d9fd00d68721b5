// The line to the kernel: greeting, numbered deltas, and a pulse that notices when nobody answers.

const PULSE_MS = 2000;
const SILENT_MS = 8000;
const RESUME_MS = 10_000;

/**
 * Sends `hello`, hands on every message in order, and asks anew after a gap.
 * `onPulse(alive, lastHeardAt)` is called when the kernel falls silent and when it is back.
 *
 * While the page or `element`'s tab is hidden there is no pulse, and the kernel is told so at once:
 * it sends nothing more, and may be culled. Where `stays()` says that the reader wants to hear of
 * it all the same (a notification), the page goes on as if it were seen.
 */
export class Link {
  constructor(model, { onMessage, onPulse, signal, element = null, stays = () => false }) {
    Object.assign(this, { model, onMessage, onPulse, element, stays });
    this.page = Math.random().toString(36).slice(2, 10);
    this.number = null;
    this.alive = true;
    this.away = false;
    this.heardAt = Date.now();
    this.looked = Date.now();
    this.receive = (content, buffers) => this.#receive(content, buffers ?? []);
    model.on("msg:custom", this.receive);
    this.timer = setInterval(() => this.#beat(), PULSE_MS / 4);
    this.look = () => this.#look();
    document.addEventListener("visibilitychange", this.look);
    signal?.addEventListener("abort", () => this.close());
    this.pulsedAt = 0;
    this.hello();
  }

  hello() {
    this.number = null;
    this.#tell("hello");
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

  #tell(kind) {
    return this.send({ kind, page: this.page });
  }

  close() {
    clearInterval(this.timer);
    document.removeEventListener("visibilitychange", this.look);
    this.model.off("msg:custom", this.receive);
    if (!this.away) this.#tell("hidden");
    this.away = true;
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

  /** A tab of JupyterLab is hidden by its style, and a cell far away is out of the page. */
  get #unseen() {
    if (this.stays()) return false;
    const shown = this.element ? this.element.checkVisibility() : true;
    return document.hidden || !shown;
  }

  /** Whether somebody looks; says to the kernel when that has changed. */
  #look() {
    const away = this.#unseen;
    if (away === this.away) return !away;
    this.away = away;
    if (away) this.#tell("hidden");
    else this.#looksAgain();
    return !away;
  }

  #beat() {
    if (!this.#look()) return; // silence would mean nothing: the kernel was told not to send
    const now = Date.now();
    if (now - this.looked > RESUME_MS) this.heardAt = now; // the page itself was asleep
    this.looked = now;
    if (now - this.pulsedAt >= PULSE_MS) {
      this.pulsedAt = now;
      this.#tell("ping");
    }
    if (this.alive && now - this.heardAt > SILENT_MS) {
      this.alive = false;
      this.onPulse(false, this.heardAt);
    }
  }

  /** The kernel greets whoever it was told to be hidden; where another page looked, nothing was missed. */
  #looksAgain() {
    const slept = Date.now() - this.looked > RESUME_MS;
    this.heardAt = this.looked = Date.now();
    if (slept) this.hello();
    else this.#tell("ping");
  }
}

/** `changed()` after each change of a trait, until what is given back is called. */
export function followTrait(model, trait, changed) {
  const heard = () => changed();
  model.on(`change:${trait}`, heard);
  return () => model.off(`change:${trait}`, heard);
}
