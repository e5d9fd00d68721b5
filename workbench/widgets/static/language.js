// Words, numbers, durations and dates in the reader's language. English templates are the keys.
import { CATALOGUES } from "./catalogues.js";

export const LANGUAGES = { en: "English", "pt-BR": "Português" };
let language = "en";

const exactly = (wanted) => Object.keys(LANGUAGES).find((known) => known === wanted);
const nearest = (wanted) => (/^pt\b/i.test(wanted) ? "pt-BR" : /^en\b/i.test(wanted) ? "en" : null);

/** `?lang=` first, then the first language of the browser that we speak, then English. */
export function chooseLanguage(search = location.search, preferred = navigator.languages) {
  const asked = new URLSearchParams(search).get("lang");
  const wanted = [asked, ...(preferred ?? [])].filter(Boolean);
  for (const one of wanted) {
    const found = exactly(one) ?? nearest(one);
    if (found) return found;
  }
  return "en";
}

export function setLanguage(chosen) {
  language = chosen;
  counts.clear();
}

export const currentLanguage = () => language;
const lookup = (template) => CATALOGUES[language]?.[template];

const counts = new Map();
function numberFormat(options) {
  const key = JSON.stringify(options);
  if (!counts.has(key)) counts.set(key, new Intl.NumberFormat(language, options));
  return counts.get(key);
}

/** A number for people, three digits behind the point or (below 1) in all; strings of digits stay exact. */
export function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") {
    return /^-?\d+$/.test(value) ? numberFormat({}).format(BigInt(value)) : value;
  }
  const small = digits > 0 && Math.abs(value) < 1;
  return numberFormat(small ? { maximumSignificantDigits: digits } : { maximumFractionDigits: digits }).format(value);
}

export const percent = (share, digits = 0) =>
  (share ?? null) === null ? "–" : numberFormat({ style: "percent", maximumFractionDigits: digits }).format(share);

/** Bytes in MB (10^6) below a GB, as the limits of the workbench are stated. */
export function bytes(count) {
  if (count < 1000) return `${number(count)} B`;
  if (count < 1e6) return `${number(count / 1e3, 1)} kB`;
  return `${number(count / 1e6, 1)} MB`;
}

/** Seconds as a duration: 820 ms, 4.2 s, 1 min 05 s, 2 h 03 min. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  if (seconds < 0.9995) return `${number(Math.max(0, seconds) * 1000, 0)} ms`;
  if (seconds < 9.95) return `${number(seconds, 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${number(whole)} s`;
  const two = (count) => String(count).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${number(Math.floor(whole / 3600))} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

export function moment(milliseconds) {
  if (!milliseconds) return "–";
  const date = new Date(milliseconds);
  const today = date.toDateString() === new Date().toDateString();
  const options = today ? { timeStyle: "medium" } : { dateStyle: "short", timeStyle: "short" };
  return new Intl.DateTimeFormat(language, options).format(date);
}

export const clockTime = (milliseconds) =>
  new Intl.DateTimeFormat(language, { timeStyle: "medium", hourCycle: "h23" }).format(new Date(milliseconds));

/** Whole numbers that are names rather than amounts are not grouped. */
const NAMING = /height|block(?!s)|index|time|bits|nonce|pointer|output$|cluster$|version|code|port$|id$|seed$|^since$|^until$/i;
const SHARE = /share$/i;
const SMALLEST_SHARE = 1e-4;

export function quantity(value, name) {
  if (SHARE.test(name) && value > 0 && value < SMALLEST_SHARE) return t("less than {share}", { share: percent(SMALLEST_SHARE, 2) });
  return Number.isInteger(value) && NAMING.test(name) ? String(value) : number(value);
}

/** A number as Python writes it for people: 1,234.5, 76.2 %, 12.5 ⧉. */
const WRITTEN = /^-?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?( \S+| atomic units)?$/;
const GROUPED = /^-?\d{1,3}(,\d{3})+(?!\d)/; // a height among them: 840,000; not a version: 1.200

function inOurDigits(text) {
  const [, amount, unit] = /^(\S+)(.*)$/.exec(text);
  const digits = language === "pt-BR" ? amount.replace(/[,.]/g, (sign) => (sign === "," ? "." : ",")) : amount;
  return digits + (unit === " atomic units" ? ` ${t("atomic units")}` : unit);
}

/** A text of data: a number as Python writes it, or words that the catalogue may know. */
export const dataText = (text) => (WRITTEN.test(text) ? inOurDigits(text) : t(text));

function shown(value, name) {
  if (typeof value === "number") return quantity(value, name);
  if (typeof value !== "string") return JSON.stringify(value);
  const written = WRITTEN.test(value) && (GROUPED.test(value) || !NAMING.test(name));
  return written ? inOurDigits(value) : translateRule(value);
}

/** `one` or `many` of a thing, as the language counts: Portuguese says "0 linha". */
const counted = (count, one, many) => (new Intl.PluralRules(language).select(count) === "one" ? one : many);

/**
 * An English template with {names} in the reader's language, filled with its values.
 * A sentence of a catalogue may count: "{count} {count:line|lines}".
 */
export function t(template, values = {}) {
  const text = lookup(template) ?? template;
  return text.replace(/\{(\w+)(?:!r|:([^|}]*)\|([^}]*))?\}/g, (whole, name, one, many) => {
    if (!(name in values)) return whole;
    return one === undefined ? shown(values[name], name) : counted(values[name], one, many);
  });
}

/** A sentence from Python: {template, values}, or plain text where there is no template. */
export function sentence(said) {
  if (!said) return "";
  if (typeof said === "string") return t(said);
  return said.template ? t(said.template, said.values ?? {}) : (said.text ?? "");
}

const UNIT = / (sat|bits|bytes|log10)$/; // the same as in cypher_figures.py
/** A sentence begins with a capital; a name that it begins with stays as it is. */
export const begun = (said, values = {}) => (Object.values(values).some((one) => typeof one === "string" && one && said.startsWith(one)) ? said : capital(said));

const capital = (text) => text.charAt(0).toLocaleUpperCase(language) + text.slice(1);

/** A key of data in words: mint_fee_sat and mintFeeSat are "mint fee (sat)". */
export function term(name) {
  const parts = name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replaceAll("_", " ").toLowerCase();
  return t(parts.replace(UNIT, " ($1)"));
}

export const heading = (name) => capital(term(name));

// What a field allows travels as a value: "integer from 1 to 5". These are its shapes.
const RULES = [
  { shape: /^(\w+) from (\S+) to (\S+)$/, say: (m) => t("{kind} from {low} to {high}", { kind: m[1], low: m[2], high: m[3] }) },
  { shape: /^(\w+) from (\S+)$/, say: (m) => t("{kind} from {low}", { kind: m[1], low: m[2] }) },
  { shape: /^(\w+) to (\S+)$/, say: (m) => t("{kind} to {high}", { kind: m[1], high: m[2] }) },
  { shape: /^the id \(840000:3\) or the name of one of the (\d+) runes here; did you mean (.+)\?$/, say: (m) => t("the id (840000:3) or the name of one of the {count} runes here; did you mean {names}?", { count: Number(m[1]), names: m[2] }) },
  { shape: /^the id \(840000:3\) or the name of one of the (\d+) runes here$/, say: (m) => t("the id (840000:3) or the name of one of the {count} runes here", { count: Number(m[1]) }) },
  { shape: /^text of (\d+) to (\d+) characters$/, say: (m) => t("text of {low} to {high} characters", { low: m[1], high: m[2] }) },
  { shape: /^text of at most (\d+) characters$/, say: (m) => t("text of at most {high} characters", { high: m[1] }) },
  { shape: /^text of at least (\d+) characters$/, say: (m) => t("text of at least {low} characters", { low: m[1] }) },
  { shape: /^one of (.+)$/, say: (m) => t("one of {names}", { names: m[1] }) },
  { shape: /^\[Errno \d+\] ([^:]+)(.*)$/s, say: (m) => t(m[1]) + m[2] }, // how Python says an OSError
];

function translateRule(text) {
  const known = lookup(text);
  if (known !== undefined) return known;
  for (const { shape, say } of RULES) {
    const match = shape.exec(text);
    if (match) return say(match);
  }
  return text;
}
