// Numbers as a person types them, and as a field shows them: with the signs of the page's language.
import { currentLanguage } from "./language.js";

export const WHOLE = /^-?\d+$/;

const isPortuguese = () => currentLanguage() === "pt-BR";

/** The digits with a point and nothing between them. Where the other language's signs can only be meant, they are read too. */
function plainDigits(text) {
  const [group, point] = isPortuguese() ? [".", ","] : [",", "."];
  const bare = text.replace(/\s/g, "");
  const grouped = new RegExp(`^-?[1-9]\\d{0,2}(\\${group}\\d{3})+(\\${point}\\d+)?$`);
  return (grouped.test(bare) ? bare.replaceAll(group, "") : bare).replace(",", ".");
}

/** NaN for what is none. */
export const typedNumber = (text) => Number(plainDigits(text) || Number.NaN);

/** The same where only a whole number will do: 1.000 may be one or a thousand, so it is none. Beyond 2^53 it stays its digits: the kernel makes a number of them. */
export function typedWhole(text) {
  const bare = plainDigits(text);
  if (!WHOLE.test(bare)) return Number.NaN;
  return Number.isSafeInteger(Number(bare)) ? Number(bare) : bare;
}

/** As it is typed: the reader's decimal sign, nothing grouped or rounded away. */
export const asTyped = (value) => (isPortuguese() ? String(value).replace(".", ",") : String(value));
