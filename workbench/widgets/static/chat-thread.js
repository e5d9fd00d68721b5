// The messages in their order: follows the end while the reader is there, and never drags them along.
import { MessageView } from "./chat-message.js";
import { fill, h, icon, say, show } from "./dom.js";
import { t } from "./language.js";

const AT_END_PX = 8;
const KEEP_VIEWS = 120;
/** How many stay when there are more than that, while the reader is at the end. */
const TRIM_TO = 60;

export class Thread {
  constructor({ act, insertable, titleOf, empty }) {
    Object.assign(this, { act, insertable, titleOf, empty });
    this.views = new Map();
    this.queue = [];
    this.earlier = 0;
    this.pinned = true;
    this.before = h("button.wb-quietbutton.wb-before", { type: "button", hidden: true, onclick: () => this.#askEarlier() });
    this.list = h("div.wb-messages");
    this.blank = h("div.wb-start", { hidden: true });
    this.scroll = h("div.wb-thread", { role: "log", "aria-live": "off", "aria-label": t("Conversation"), tabindex: "0" }, this.before, this.blank, this.list);
    this.jump = h("button.wb-jump.wb-newest", { type: "button", hidden: true, onclick: () => this.toEnd() }, icon("chevron"), t("newest"));
    this.element = h("div.wb-threadbox", {}, this.scroll, this.jump);
    this.lastTop = 0;
    this.scroll.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.sizes = new ResizeObserver(() => this.#follow());
    this.sizes.observe(this.list);
    this.sizes.observe(this.scroll);
  }

  close() {
    this.sizes.disconnect();
    cancelAnimationFrame(this.frame);
  }

  get last() {
    return [...this.views.values()].at(-1);
  }

  get streaming() {
    return [...this.views.values()].reverse().find((view) => view.streaming);
  }

  /** Another conversation, or this one anew. The reader's place stays where it is the same one. */
  set({ messages, earlier }) {
    const editing = [...this.views.values()].find((view) => view.editing);
    const stay = !this.pinned && messages.some((one) => this.views.has(one.id));
    const top = this.scroll.scrollTop;
    this.queue = [];
    const before = this.views;
    this.views = new Map();
    for (const message of messages) {
      const same = editing && editing.message.id === message.id && before.get(message.id);
      const view = same || this.#make(message);
      this.views.set(message.id, view);
    }
    this.pending = null;
    fill(this.list, [...this.views.values()].map((view) => view.element));
    this.earlier = earlier;
    this.#around();
    if (stay) this.scroll.scrollTop = top;
    else this.toEnd();
  }

  #make(message) {
    return new MessageView({ message, act: this.act, insertable: this.insertable, titleOf: this.titleOf });
  }

  /** Changes wait for the next frame; a hidden page has none, and takes them as they come. */
  apply(changes) {
    this.queue.push(...changes);
    if (document.hidden) return this.#draw();
    this.frame ??= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    cancelAnimationFrame(this.frame);
    this.frame = undefined;
    const touched = new Set();
    for (const change of this.queue.splice(0)) {
      if (change.op === "add") this.#add(change.message);
      else if (change.op === "drop") this.#drop(change.ids);
      else {
        const view = this.views.get(change.id);
        if (!view) continue;
        view.change(change);
        touched.add(view);
        if (change.op === "end") this.act("ended", change.message);
      }
    }
    for (const view of touched) view.draw();
    this.#follow();
    this.act("drawn");
  }

  #add(message) {
    if (message.role === "user" && this.pending) {
      this.pending.element.remove();
      this.pending = null;
    }
    const known = this.views.get(message.id);
    const view = this.#make(message);
    this.views.set(message.id, view);
    if (known) known.element.replaceWith(view.element);
    else this.list.insertBefore(view.element, this.pending?.element ?? null);
    if (message.status === "streaming") this.act("began", message);
    this.#trim();
    this.#around();
  }

  /** What was just typed stands there at once, before the hub has it. */
  expect(message) {
    this.pending?.element.remove();
    this.pending = this.#make({ ...message, id: "pending", role: "user", status: "sending" });
    this.list.append(this.pending.element);
    this.#around();
    this.toEnd();
  }

  unexpect() {
    this.pending?.element.remove();
    this.pending = null;
    this.#around();
  }

  #drop(ids) {
    for (const id of ids) {
      const view = this.views.get(id);
      if (!view) continue;
      const focused = view.element.contains(document.activeElement);
      view.element.remove();
      this.views.delete(id);
      if (focused) this.act("focus");
    }
    this.#around();
  }

  /** A reader at the end does not need what is far above; it comes back on the way up. */
  #trim() {
    if (!this.pinned || this.views.size <= KEEP_VIEWS) return;
    for (const [id, view] of [...this.views].slice(0, this.views.size - TRIM_TO)) {
      if (view.element.contains(document.activeElement)) break;
      view.element.remove();
      this.views.delete(id);
      this.earlier += 1;
    }
  }

  #around() {
    show(this.before, this.earlier > 0);
    say(this.before, t("Show {count} earlier messages", { count: this.earlier }));
    const none = this.views.size === 0 && !this.pending;
    show(this.blank, none);
    if (none) this.empty(this.blank);
  }

  #askEarlier() {
    const [first] = this.views.keys();
    if (this.asking || first === undefined) return;
    this.asking = true;
    this.act("earlier", first);
  }

  /** Older messages come in above; what the reader looks at does not move. */
  addEarlier({ messages, earlier }) {
    this.asking = false;
    const made = messages.filter((one) => !this.views.has(one.id)).map((one) => [one.id, this.#make(one)]);
    const fromEnd = this.scroll.scrollHeight - this.scroll.scrollTop;
    this.views = new Map([...made, ...this.views]);
    this.list.prepend(...made.map(([, view]) => view.element));
    this.earlier = earlier;
    this.#around();
    this.scroll.scrollTop = this.scroll.scrollHeight - fromEnd;
    this.lastTop = this.scroll.scrollTop;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroll;
    if (scrollHeight - scrollTop - clientHeight < AT_END_PX) this.pinned = true;
    else if (scrollTop < this.lastTop - 1) this.pinned = false;
    this.lastTop = scrollTop;
    show(this.jump, !this.pinned);
    if (scrollTop < 120 && !this.pinned && this.earlier > 0) this.#askEarlier();
  }

  #follow() {
    if (!this.pinned) return show(this.jump, true);
    this.scroll.scrollTop = this.scroll.scrollHeight;
    this.lastTop = this.scroll.scrollTop;
    return show(this.jump, false);
  }

  toEnd() {
    this.pinned = true;
    this.#follow();
  }
}
