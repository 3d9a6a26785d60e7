/**
 * The page's language, as its HTML says it: sentences, lists and numbers. A sentence stands in the code in
 * English, whole; the server has written what it is called elsewhere into the page (viewer/languages.py).
 */

type Values<Value> = Readonly<Record<string, Value>>;

const tag = document.documentElement.lang || "en";
const written = document.querySelector("#words")?.textContent;
/** By the English sentence; of one with a number its forms. Empty for English. */
const translations = JSON.parse(written || "{}") as Record<string, string | readonly string[]>;

/** What the server is asked with, so that its refusals are in the language of the page. */
export const asJson = { Accept: "application/json", "Accept-Language": tag };

/** A sentence in the page's language, with its {named} places filled. build.mjs collects all of them. */
export function t(english: string, values: Values<string | number> = {}): string {
  return pieces(english, values).join("");
}

/** The same of a sentence with a number, {n}, in it. */
export function counted(
  one: string,
  many: string,
  n: number,
  values: Values<string | number> = {},
): string {
  const single = new Intl.PluralRules(tag).select(n) === "one";
  const forms = translations[one] ?? [one, many];
  return fill(forms[single ? 0 : forms.length - 1]!, { ...values, n }).join("");
}

/** The same where elements stand in the places. */
export function pieces<Value>(english: string, values: Values<Value>): (Value | string)[] {
  return fill((translations[english] as string | undefined) ?? english, values);
}

/** "Upper jaw", "Upper jaw and Bite", "Upper jaw, Bite and Design". */
export function list(labels: readonly string[]): string {
  // British English has no comma before "and".
  return new Intl.ListFormat(tag === "en" ? "en-GB" : tag).format(labels);
}

/** With the decimal sign of the language: "4.20" or "4,20". */
export function decimal(value: number, digits: number): string {
  return new Intl.NumberFormat(tag, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
    useGrouping: false,
  }).format(value);
}

function fill<Value>(sentence: string, values: Values<Value>): (Value | string)[] {
  const parts = sentence.split(/\{(\w+)\}/).map((part, place) => (place % 2 ? values[part]! : part));
  return parts.filter((part) => part !== "");
}
