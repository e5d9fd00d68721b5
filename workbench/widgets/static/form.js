// A form made from a model's JSON Schema: one field per parameter, bounds checked before sending.
import { h, mark, say, show } from "./dom.js";
import { currentLanguage, quantity, t } from "./language.js";
import { asTyped, typedNumber, typedWhole, WHOLE } from "./typed.js";

/** As core/masking.py has it: the names of parameters whose values are secrets. */
const SECRET =
  /(?:pass(?:words?|wd|phrase)|pwd|secrets?|token|credentials?|(?:api|access|account|private|secret|shared|signing|subscription)[_-]?keys?|authorization|cookies?)$/i;

let serial = 0;
const nextId = (name) => `wb-${name}-${(serial += 1)}`;

/** The schema of one parameter with `$ref` and an optional null resolved. */
export function plainSchema(schema, definitions = {}) {
  const { $ref, anyOf, ...rest } = schema;
  if ($ref) return { ...plainSchema(definitions[$ref.split("/").pop()] ?? {}, definitions), ...rest };
  if (!anyOf) return schema;
  const options = anyOf.filter((one) => one.type !== "null");
  const optional = options.length < anyOf.length;
  return { ...plainSchema(options[0] ?? {}, definitions), ...rest, optional };
}

/** What the schema allows, in words; empty where there is no bound. */
export function rangeText(schema) {
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const high = schema.maximum ?? schema.exclusiveMaximum;
  const values = { low: low ?? 0, high: high ?? 0 };
  if ("exclusiveMinimum" in schema || "exclusiveMaximum" in schema) {
    const above = "minimum" in schema ? t("at least {low}", values) : t("above {low}", values);
    const below = "maximum" in schema ? t("at most {high}", values) : t("below {high}", values);
    return [low !== undefined && above, high !== undefined && below].filter(Boolean).join(", ");
  }
  if (low !== undefined && high !== undefined) return t("{low} to {high}", values);
  if (low !== undefined) return t("at least {low}", values);
  if (high !== undefined) return t("at most {high}", values);
  return "";
}

/** What was typed into a field of numbers. */
export const readNumber = (schema, text) => (schema.type === "integer" ? typedWhole : typedNumber)(text);

/** The fault of what was typed as a sentence, or nothing. */
export function numberFault(schema, text) {
  if (Number.isNaN(typedNumber(text))) return t("this is not a number");
  const value = Number(readNumber(schema, text));
  if (Number.isNaN(value)) return t("a whole number is needed");
  const outside =
    value < schema.minimum ||
    value > schema.maximum ||
    value <= schema.exclusiveMinimum ||
    value >= schema.exclusiveMaximum;
  return outside ? t("allowed: {range}", { range: rangeText(schema) }) : "";
}

/** JSON, where nothing in it would be rounded. */
function exactDocument(text) {
  return JSON.parse(text, (_, value, { source } = {}) => {
    if (typeof value !== "number" || Number.isSafeInteger(value) || !WHOLE.test(source ?? String(value))) return value;
    throw new RangeError(source ?? String(value));
  });
}

/** What a text of a form looks like. */
const EXAMPLES = {
  date: () => t("YYYY-MM-DD"),
  "date-time": () => t("YYYY-MM-DDTHH:MM:SS"),
  time: () => t("HH:MM:SS"),
  duration: () => "P1DT2H30M",
  decimal: () => "0.10",
};

/** Each kind of field gives {element, focus, read() -> value | undefined, fault() -> sentence}. */
const KINDS = {
  choice(schema, value, id) {
    const allowed = schema.optional && !schema.enum.includes(null) ? [null, ...schema.enum] : schema.enum;
    const options = allowed.map((one) =>
      h("option", { value: JSON.stringify(one), selected: one === value }, one === null ? t("none") : t(String(one))),
    );
    const control = h("select.wb-input", { id }, options);
    return { element: control, control, read: () => JSON.parse(control.value), fault: () => "" };
  },
  number(schema, value, id) {
    const control = h("input.wb-input.wb-number", { id, type: "text", inputmode: "decimal", autocomplete: "off" });
    control.value = value === null || value === undefined ? "" : asTyped(value);
    const empty = () => control.value.trim() === "";
    return {
      element: control,
      control,
      read: () => (empty() ? (schema.optional ? null : undefined) : readNumber(schema, control.value)),
      fault: () => (empty() ? "" : numberFault(schema, control.value)),
    };
  },
  boolean(schema, value, id) {
    const control = h("input", { id, type: "checkbox", role: "switch" });
    control.checked = Boolean(value);
    const element = h("span.wb-switch", {}, control, h("span.wb-track", { "aria-hidden": "true" }));
    return { element, control, read: () => control.checked, fault: () => "" };
  },
  text(schema, value, id, name) {
    const secret = SECRET.test(name);
    const control = h("input.wb-input", { id, type: secret ? "password" : "text", autocomplete: secret ? "new-password" : "off", spellcheck: false });
    control.placeholder = EXAMPLES[schema.format]?.() ?? "";
    control.value = value ?? "";
    const read = () => control.value || (schema.optional ? null : "");
    const fault = () =>
      control.value.length > (schema.maxLength ?? Infinity)
        ? t("at most {count} characters are allowed", { count: schema.maxLength })
        : "";
    return { element: control, control, read, fault };
  },
  list(schema, value, id) {
    const control = h("input.wb-input", { id, type: "text", autocomplete: "off", placeholder: t("separated by commas") });
    control.value = (value ?? []).join(", ");
    const before = control.value;
    const typed = () => control.value.split(",").map((one) => one.trim()).filter(Boolean);
    // Untouched it is what it was: a text of the list may hold a comma itself.
    const untouched = () => value !== undefined && control.value === before;
    const read = () => (untouched() ? value : typed().length || !schema.optional ? typed() : null);
    return { element: control, control, read, fault: () => "" };
  },
  document(schema, value, id) {
    const control = h("textarea.wb-input.wb-code", { id, rows: 3, spellcheck: false });
    control.value = value === null || value === undefined ? "" : JSON.stringify(value, null, 1);
    const read = () => (control.value.trim() ? exactDocument(control.value) : null);
    const fault = () => {
      try {
        read();
        return "";
      } catch (error) {
        if (error instanceof RangeError) return t("put whole numbers beyond 2^53 between quotes: {number}", { number: error.message });
        return t("this is not valid JSON");
      }
    };
    return { element: control, control, read, fault };
  },
};

/** What is written is written in the reader's language, where it can be: pt-BR is pt_BR, en is en_US. */
function spoken(schema) {
  const tagged = (one) => String(one).replace("_", "-");
  const found = (schema.enum ?? []).find((one) => tagged(one) === currentLanguage() || tagged(one).startsWith(`${currentLanguage()}-`));
  return found ?? schema.default;
}

function kindOf(schema) {
  if (schema.enum) return "choice";
  if (schema.type === "integer" || schema.type === "number") return "number";
  if (schema.type === "boolean") return "boolean";
  if (schema.type === "array" && schema.items?.type === "string") return "list";
  return schema.type === "string" || schema.type === undefined ? "text" : "document";
}

export class ParameterForm {
  /** `given` are values to start from; `source(schema, name)` makes the chooser of a second input. */
  constructor(model, given, { source, changed }) {
    this.fields = new Map();
    const { properties = {}, required = [], $defs } = model.parametersSchema ?? {};
    for (const [name, raw] of Object.entries(properties)) {
      const schema = plainSchema(raw, $defs);
      const value = given?.[name] ?? (name === "language" ? spoken(schema) : schema.default);
      this.fields.set(name, this.#field(name, schema, value, { source, changed, needed: required.includes(name) }));
    }
    this.element = h("div.wb-fields", {}, [...this.fields.values()].map((field) => field.row));
  }

  #field(name, schema, value, { source, changed, needed }) {
    const id = nextId(name);
    const title = h("label.wb-label", { for: id }, schema.title ? t(schema.title) : h("code", {}, name));
    const range = h("span.wb-range", {}, rangeText(schema));
    const hint = schema.description ? h("p.wb-hint", {}, t(schema.description)) : null;
    const fault = h("p.wb-fault", { id: `${id}-fault`, hidden: true });
    if (schema.format === "data-url") {
      const chooser = source(name, id);
      const row = h("div.wb-field.wb-wide", {}, h("div.wb-labelled", {}, title), chooser.element, hint, fault);
      return { row, fault, schema, needed, control: chooser.control, read: () => chooser.value(), check: () => chooser.fault(), given: value };
    }
    const part = KINDS[kindOf(schema)](schema, value, id, name);
    mark(part.control, "aria-describedby", `${id}-fault`);
    part.control.addEventListener("input", () => {
      this.#tell(name, part.fault());
      changed?.();
    });
    part.control.addEventListener("change", () => changed?.());
    const kind = kindOf(schema);
    const row = h(
      `div.wb-field.wb-is-${kind}`,
      { title: name },
      h("div.wb-labelled", {}, title, range),
      part.element,
      hint,
      fault,
    );
    return { row, fault, schema, needed, control: part.control, read: part.read, check: part.fault };
  }

  #tell(name, sentence) {
    const field = this.fields.get(name);
    say(field.fault, sentence);
    show(field.fault, Boolean(sentence));
    mark(field.control, "aria-invalid", sentence ? "true" : null);
    field.row.classList.toggle("wb-bad", Boolean(sentence));
  }

  /** The node's word about one parameter, shown where it was typed. False if it is not ours. */
  refuse(name, sentence) {
    if (!this.fields.has(name)) return false;
    this.#tell(name, sentence);
    this.fields.get(name).control.focus();
    return true;
  }

  /** Parameters as the model takes them, or null after showing (and focusing) what is wrong. */
  read() {
    const values = {};
    let first = null;
    for (const [name, field] of this.fields) {
      const missing = field.needed && [undefined, null, ""].includes(field.check() ? 0 : field.read());
      const sentence = field.check() || (missing ? t("this is needed") : "");
      this.#tell(name, sentence);
      if (sentence) first ??= field.control;
      else if (![undefined, null].includes(field.read())) values[name] = field.read();
    }
    first?.focus();
    return first ? null : values;
  }

  /** What stands in the fields now, faulty ones left out: kept when the page is drawn anew. */
  draft() {
    const values = {};
    for (const [name, field] of this.fields) {
      if (field.schema.format !== "data-url" && !field.check()) values[name] = field.read();
    }
    return values;
  }
}

/** A parameter's name as its model titles it, for a reader; else as it is. */
export function parameterWord(models, model, name) {
  const schema = models.find((one) => one.name === model)?.parametersSchema;
  const title = plainSchema(schema?.properties?.[name] ?? {}, schema?.$defs).title;
  return title ? t(title) : name;
}

/** A parameter's value as the history shows it. */
export const parameterText = (value, name) =>
  typeof value === "number" ? quantity(value, name) : typeof value === "string" ? t(value) : typeof value === "boolean" ? (value ? t("yes") : t("no")) : JSON.stringify(value);
