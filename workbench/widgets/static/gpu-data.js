// The panel's numbers: the newest values, and a bounded series for each metric and subject.

const POINTS = 300; // of a series, where no history says otherwise
const GAP = 2.5; // so many steps without a value are a hole in the line

const keyOf = (metric, subject) => `${metric}\n${subject}`;

/** The float32 numbers of a buffer, whatever its offset. */
export const numbersOf = (view) => {
  const from = view.byteOffset ?? 0;
  return new Float32Array((view.buffer ?? view).slice(from, from + view.byteLength));
};

const known = (value) => (Number.isNaN(value) ? null : value);

/** One metric of one subject: points as wide as the history's step, the newest still growing. */
class Track {
  constructor() {
    Object.assign(this, { at: [], mean: [], low: [], high: [], bin: null, count: 0 });
  }

  add(at, mean, low = mean, high = mean) {
    this.at.push(at);
    this.mean.push(mean);
    this.low.push(low);
    this.high.push(high);
  }

  /** A live value joins the newest point where that is of the same step. */
  fold(at, value, step) {
    const bin = Math.floor(at / step);
    const last = this.at.length - 1;
    if (bin === this.bin && value !== null && this.mean[last] !== null) {
      this.count += 1;
      this.mean[last] += (value - this.mean[last]) / this.count;
      this.low[last] = Math.min(this.low[last], value);
      this.high[last] = Math.max(this.high[last], value);
    } else if (value !== null || this.mean[last] !== null) {
      this.add(at, value);
      Object.assign(this, { bin, count: 1 });
    }
  }

  trim(from) {
    let gone = 0;
    while (gone < this.at.length && this.at[gone] < from) gone += 1;
    if (gone > 60) for (const list of [this.at, this.mean, this.low, this.high]) list.splice(0, gone);
  }
}

export class Store {
  constructor() {
    Object.assign(this, { columns: [], values: new Map(), tracks: new Map(), at: null, step: 3000, windowMs: 900_000, epoch: 0 });
  }

  /** The board's snapshot: another order of columns, and what was newest. */
  begin({ columns, at, values }) {
    this.columns = columns ?? [];
    this.values.clear();
    this.at = at ?? null;
    if (at) this.#take(values);
  }

  /** One moment's numbers, in the order of the columns. */
  tick({ at, columns }, row) {
    if (columns) this.columns = columns;
    if (row.length !== this.columns.length) return;
    this.at = at;
    this.#take(row);
    for (const [metric, subject] of this.columns) {
      const track = this.#track(metric, subject);
      track.fold(at, this.value(metric, subject), this.step);
      track.trim(at - this.windowMs * 1.02);
    }
  }

  #take(row) {
    this.columns.forEach(([metric, subject], place) => this.values.set(keyOf(metric, subject), known(row[place] ?? Number.NaN)));
  }

  #track(metric, subject) {
    const key = keyOf(metric, subject);
    if (!this.tracks.has(key)) this.tracks.set(key, new Track());
    return this.tracks.get(key);
  }

  /** Another window: what is kept of the old one stays until its history comes. */
  look(windowMs) {
    if (windowMs === this.windowMs) return;
    this.windowMs = windowMs;
    this.step = Math.max(500, windowMs / POINTS);
  }

  /** The beginning of the charts, in place of what was there; later ticks join it. */
  history({ series, since, stepMs }, numbers) {
    this.tracks = new Map();
    this.step = Math.max(500, stepMs);
    let from = 0;
    for (const [metric, subject, count] of series) {
      const list = (place) => numbers.subarray(from + place * count, from + (place + 1) * count);
      const [at, mean, low, high] = [0, 1, 2, 3].map(list);
      const track = this.#track(metric, subject);
      for (let i = 0; i < count; i += 1) track.add(since + at[i] * 1000, mean[i], low[i], high[i]);
      from += 4 * count;
    }
    this.epoch += 1;
  }

  value(metric, subject) {
    return this.values.get(keyOf(metric, subject)) ?? null;
  }

  has(metric, subject) {
    return this.columns.some(([known, of]) => known === metric && of === subject);
  }

  /** {x, mean, low, high} from `from` on, at most about `points`, with a null where values are missing. */
  line(metric, subject, from, interval, points = Infinity) {
    const track = this.tracks.get(keyOf(metric, subject));
    const drawn = { x: [], mean: [], low: [], high: [] };
    if (!track) return drawn;
    const gap = GAP * Math.max(this.step, interval);
    const first = track.at.findIndex((at) => at >= from);
    const stride = Math.max(1, Math.ceil((track.at.length - first) / points));
    const put = (x, i) => {
      drawn.x.push(x);
      for (const name of ["mean", "low", "high"]) drawn[name].push(i === null ? null : track[name][i]);
    };
    for (let i = first; first >= 0 && i < track.at.length; i += stride) {
      if (i > first && track.at[i] - track.at[i - stride] > gap * stride) put(track.at[i - stride] + gap, null);
      put(track.at[i], i);
    }
    return drawn;
  }

  /** Whether there is anything of it since an instant. */
  has(metric, subject, from) {
    const track = this.tracks.get(keyOf(metric, subject));
    return Boolean(track) && track.at.at(-1) >= from;
  }

  /** The largest value of a metric that is known, over all subjects. */
  highest(metric) {
    let found = 0;
    for (const [key, track] of this.tracks) {
      if (key.startsWith(`${metric}\n`)) for (const high of track.high) if (high > found) found = high;
    }
    for (const [name, subject] of this.columns) if (name === metric) found = Math.max(found, this.value(name, subject) ?? 0);
    return found;
  }
}
