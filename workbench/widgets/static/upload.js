// Sending a file to the kernel in acknowledged slices: never one frame that a server would refuse.

export const SLICE_BYTES = 1 << 20; // tornado closes a websocket at a frame of 10 MiB
const WINDOW = 4; // slices under way at once: one round trip each would be slow from afar
const PATIENCE_MS = 30_000;

/** Random, for a browser that grants `crypto.randomUUID` only to secure contexts. */
export function randomId() {
  const words = crypto.getRandomValues(new Uint32Array(4));
  return [...words].map((word) => word.toString(16).padStart(8, "0")).join("");
}

/**
 * One file on its way. `changed()` follows every step. `phase`: sending (to the kernel),
 * storing (on the node), ready, failed. After `failed`, `start()` goes on where it stopped.
 */
export class Upload {
  constructor(file, { send, changed }) {
    this.id = randomId();
    this.file = file;
    this.changed = changed;
    this.sendMessage = send;
    this.acknowledged = 0;
    this.sent = 0;
    this.phase = "sending";
    this.share = 0;
    this.error = null;
    this.url = null;
    this.whenReady = new Promise((resolve) => (this.settle = resolve));
  }

  start() {
    this.phase = "sending";
    this.error = null;
    this.sent = this.acknowledged;
    this.#say("begin", { name: this.file.name, size: this.file.size, from: this.acknowledged });
    this.#wait();
    this.#pump();
    this.changed();
  }

  cancel() {
    clearTimeout(this.timer);
    this.phase = "cancelled";
    this.#say("drop", {});
    this.settle(false);
  }

  /** What the kernel says of this upload. */
  receive(message) {
    if (this.phase === "cancelled") return;
    if (message.error) this.#fail(message.error);
    else if (message.inputDataURL) this.#finish(message.inputDataURL);
    else if (message.phase === "storing") {
      this.phase = "storing";
      this.share = message.size ? message.done / message.size : 0;
      this.#wait();
    } else if (message.acknowledged !== undefined) {
      this.acknowledged = Math.max(this.acknowledged, message.acknowledged);
      this.share = this.file.size ? this.acknowledged / this.file.size : 1;
      this.#wait();
      this.#pump();
    }
    this.changed();
  }

  async #pump() {
    if (this.pumping) return;
    this.pumping = true;
    try {
      while (this.phase === "sending" && this.sent < this.file.size) {
        if (this.sent - this.acknowledged >= WINDOW * SLICE_BYTES) break;
        const offset = this.sent;
        const slice = await this.file.slice(offset, offset + SLICE_BYTES).arrayBuffer();
        this.sent = offset + slice.byteLength;
        if (!this.#say("slice", { offset }, [slice])) break;
      }
    } catch {
      this.#fail({ template: "{name} cannot be read any more: choose it again", values: { name: this.file.name } });
      this.changed();
    } finally {
      this.pumping = false;
    }
  }

  #say(step, more, buffers) {
    return this.sendMessage({ kind: "upload", step, uploadId: this.id, ...more }, buffers);
  }

  #wait() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.#fail({ template: "the upload stands still at {share} %: try again, it goes on from there", values: { share: Math.floor(this.share * 100) } });
      this.changed();
    }, PATIENCE_MS);
  }

  #finish(url) {
    clearTimeout(this.timer);
    this.phase = "ready";
    this.share = 1;
    this.url = url;
    this.settle(true);
  }

  #fail(error) {
    clearTimeout(this.timer);
    this.phase = "failed";
    this.error = error;
  }
}
