// Building and updating elements: the few helpers that every view of the page uses.

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  check: "M3 8.5l3.2 3.2L13 5",
  cross: "M4 4l8 8M12 4l-8 8",
  dots: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  play: "M5 3.5v9l7.5-4.5z",
  down: "M8 2.5v8M4.5 7.5L8 11l3.5-3.5M3 13.5h10",
  stop: "M4.5 4.5h7v7h-7z",
  ban: "M3.8 3.8l8.4 8.4M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z",
  clock: "M8 4.5V8l2.5 1.5M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z",
  warning: "M8 2.5l6 11H2zM8 6.5v3.2M8 11.6h.01",
  question: "M6 6a2 2 0 1 1 2.8 1.8c-.5.3-.8.7-.8 1.4M8 11.5h.01M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z",
  again: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  bell: "M4 11V7.5a4 4 0 0 1 8 0V11l1 1.5H3zM6.8 14h2.4",
  file: "M4 2h5l3 3v9H4zM9 2v3h3",
  log: "M3 4h10M3 8h10M3 12h6",
  link: "M6.5 9.5l3-3M7 4.5l1-1a3 3 0 0 1 4.5 4.5l-1 1M9 11.5l-1 1A3 3 0 0 1 3.5 8l1-1",
  chevron: "M4 6l4 4 4-4",
  send: "M8 13V3.5M4 7.2L8 3.2l4 4",
  pencil: "M3 13l.6-2.8 7-7a1.4 1.4 0 0 1 2 0l.2.2a1.4 1.4 0 0 1 0 2l-7 7zM9.5 4.5l2 2",
  search: "M11 7A4 4 0 1 1 3 7a4 4 0 0 1 8 0zM10 10l3.2 3.2",
  sidebar: "M2.5 3h11v10h-11zM6.2 3v10",
  sliders: "M2.5 5h6M12 5h1.5M2.5 11H4M8 11h5.5M10.2 3.4v3.2M5.9 9.4v3.2",
  picture: "M2.5 3h11v10h-11zM2.8 11.5l3.2-3.6 2.4 2.6 1.6-1.7 3.2 3.4M10.6 6h.01",
  table: "M2.5 3h11v10h-11zM2.5 6.4h11M2.5 9.7h11M6.5 6.4V13",
  trash: "M3 4.5h10M6.5 4V2.8h3V4M4.2 4.5l.6 8.7h6.4l.6-8.7M6.8 7v3.8M9.2 7v3.8",
  plus: "M8 3v10M3 8h10",
  cell: "M2.5 3.5h11v5h-11zM8 10.2v4M6 12.2h4",
  tool: "M13.2 4.2a3.2 3.2 0 0 1-4.3 3.7l-4.6 4.7a1.3 1.3 0 0 1-1.9-1.9l4.7-4.6a3.2 3.2 0 0 1 3.7-4.3L9 3.6l.4 1.6 1.6.4z",
  chip: "M4.5 4.5h7v7h-7zM6.5 2v2.5M9.5 2v2.5M6.5 11.5V14M9.5 11.5V14M2 6.5h2.5M2 9.5h2.5M11.5 6.5H14M11.5 9.5H14",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  text: "M3 4.2V3h10v1.2M8 3v10M6 13h4",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "wb-icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Children may be lists of lists; what is null, undefined or false is left out. */
const present = (children) => children.flat(Infinity).filter((child) => (child ?? false) !== false);

/** An element: h("button.wb-primary", {onclick}, "words", child). */
export function h(what, properties = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(properties)) set(element, name, value);
  element.append(...present(children));
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name in element && typeof value !== "string" && name !== "list") element[name] = value;
  else element.setAttribute(name, value === true ? "" : value);
}

const PRESSED = ["button", "checkbox", "file", "radio", "range", "submit"];

/** `work` at a press of the form's button, and at Enter in a field: in a cell of JupyterLab the browser does not see to that. */
export function onSubmit(form, work) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    work();
  });
  form.addEventListener("keydown", (event) => {
    const field = event.target;
    if (event.key !== "Enter" || event.isComposing || event.defaultPrevented) return;
    if (field.tagName !== "INPUT" || PRESSED.includes(field.type)) return;
    event.preventDefault();
    if (!form.querySelector("button[type=submit]")?.disabled) form.requestSubmit();
  });
}

/** Touch the page only where something changed: text and attributes. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function mark(element, name, value) {
  const wanted = value === null || value === undefined || value === false ? null : String(value);
  if (element.getAttribute(name) === wanted) return;
  if (wanted === null) element.removeAttribute(name);
  else element.setAttribute(name, wanted);
}

export const show = (element, visible) => {
  if (element.hidden === visible) element.hidden = !visible;
};

export function fill(element, ...children) {
  element.replaceChildren(...present(children));
}

/** What is drawn of `element` is of this `sign` now; whether it was of another one. */
export function differs(element, sign) {
  const text = JSON.stringify(sign);
  if (element.dataset.sign === text) return false;
  element.dataset.sign = text;
  return true;
}

/** Children of `parent` follow `items` by key: rows keep their element, focus and selection. */
export function keyed(parent, items, key, make, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const held = parent.contains(document.activeElement) ? document.activeElement : null;
  const wanted = new Set(items.map((item) => String(key(item))));
  for (const [name, child] of known) if (!wanted.has(name)) child.remove(); // first: nothing moves up by being moved
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let child = known.get(name);
    if (!child) {
      child = make(item);
      child.dataset.key = name;
    }
    if (child === place) place = place.nextElementSibling;
    else {
      parent.insertBefore(child, place);
      if (child.contains(held) && held !== document.activeElement) held.focus({ preventScroll: true }); // moving takes it away
    }
    update(child, item);
  }
  if (!held || held.isConnected || parent.contains(document.activeElement)) return;
  const near = parent.childElementCount ? parent : parent.parentElement; // what is empty may be drawn nowhere
  near.tabIndex = -1;
  near.focus({ preventScroll: true }); // what had it is gone: it stays in its neighbourhood
}

export function download(name, text, kind = "text/plain") {
  const address = URL.createObjectURL(new Blob([text], { type: `${kind};charset=utf-8` }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

export async function copy(text) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
  const area = h("textarea", { style: "position:fixed;opacity:0" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy"); // the only way on a page that is not a secure context
  area.remove();
}

/** Follow JupyterLab's or Voilà's theme, else the system's; returns a function that stops. */
export function followTheme(element, changed) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const told = document.body.dataset.jpThemeLight;
    const theme = (told ? told === "false" : system.matches) ? "dark" : "light";
    if (element.dataset.theme === theme) return;
    element.dataset.theme = theme;
    changed(theme);
  };
  const watch = new MutationObserver(apply);
  watch.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  system.addEventListener("change", apply);
  apply();
  return () => {
    watch.disconnect();
    system.removeEventListener("change", apply);
  };
}
