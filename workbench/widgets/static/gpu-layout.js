// Where each gauge stands: rows of a table where there is room, else cells that wrap. In pixels.

const TABLE_FROM = 880;
const NAME_W = 176;
const CELL_W = 150;
const GUTTER = 22;

/** One cell for each subject and metric: {subject, metric, x, y, w}; headings: {text of, x, y}. */
export function placed(subjects, metrics, width) {
  const inRows = subjects.length > 1 && width >= TABLE_FROM;
  return inRows ? rows(subjects, metrics, width) : wrapped(subjects, metrics, width);
}

function rows(subjects, metrics, width) {
  const column = (width - NAME_W) / metrics.length;
  const heads = metrics.map((metric, at) => ({ metric, x: NAME_W + at * column, y: 9 }));
  const names = subjects.map((subject, row) => ({ subject, x: 0, y: 26 + row * 46 + 13, below: 26 + row * 46 + 30 }));
  const cells = subjects.flatMap((subject, row) =>
    metrics.map((metric, at) => ({ subject, metric, x: NAME_W + at * column, y: 26 + row * 46, w: column - GUTTER })),
  );
  return { heads, names, cells, size: "small", height: 26 + subjects.length * 46 };
}

function wrapped(subjects, metrics, width) {
  const fit = Math.min(metrics.length, Math.max(1, Math.floor(width / CELL_W)));
  const lines = Math.ceil(metrics.length / fit);
  const across = Math.ceil(metrics.length / lines);
  const column = width / across;
  const big = subjects.length === 1;
  const [title, tall] = big ? [0, 92] : [26, 68];
  const block = title + lines * tall + (big ? 0 : 6);
  const places = subjects.flatMap((subject, row) =>
    metrics.map((metric, at) => ({
      subject,
      metric,
      x: (at % across) * column,
      y: row * block + title + Math.floor(at / across) * tall + 20,
      w: column - GUTTER,
    })),
  );
  const heads = places.map(({ metric, x, y }) => ({ metric, x, y: y - 10 }));
  const names = big ? [] : subjects.map((subject, row) => ({ subject, x: 0, y: row * block + 12 }));
  return { heads, names, cells: places, size: big ? "big" : "small", height: subjects.length * block };
}

const SIZES = {
  big: { value: 22, line: 17, bar: 48, thick: 8, spark: [2, 34], after: 124 },
  small: { value: 15, line: 13, bar: 30, thick: 6, spark: [3, 23], after: 112 },
};

/** Inside a cell: middle of the value's line, of the bar, and the box of the sparkline. */
export function inside(cell, size) {
  const { value, line, bar, thick, spark, after } = SIZES[size];
  const from = cell.x + Math.min(cell.w - 34, Math.max(cell.w * 0.5, after));
  return {
    font: value,
    thick,
    valueY: cell.y + line,
    barY: cell.y + bar,
    spark: { x: from, w: cell.x + cell.w - from, top: cell.y + spark[0], bottom: cell.y + spark[1] },
  };
}
