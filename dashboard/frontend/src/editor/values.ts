// Values as JSON text. A script's numbers would round a 64-bit id and turn 1.0 into 1, so a value
// is never parsed on its way through the page; only strings are, to be shown and typed.

export type Kind = "string" | "number" | "boolean" | "null" | "json" | "secret";
export type Value = { raw: string; text?: string }; // text: an object or list, laid out to be read

const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
export const KEY = /^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/;
const LONG = 120; // characters that one line still shows

export function kindOf(raw: string): Kind {
  const first = raw[0] ?? "";
  if (first === '"') return "string";
  if (raw.startsWith('{"$secret"')) return "secret";
  if (first === "{" || first === "[") return "json";
  if (raw === "true" || raw === "false") return "boolean";
  return raw === "null" ? "null" : "number";
}

export function textOf(value: Value): string {
  if (kindOf(value.raw) === "string") return JSON.parse(value.raw) as string;
  if (kindOf(value.raw) === "secret") return ""; // what was typed is never shown again
  return value.text ?? value.raw;
}

export function previewOf(value: Value): string {
  if (kindOf(value.raw) === "secret") return maskOf(value.raw);
  const text = kindOf(value.raw) === "json" ? value.raw : textOf(value);
  const end = text.indexOf("\n");
  if (end < 0) return text.slice(0, 200);
  return `${text.slice(0, Math.min(end, 200))} … ${text.split("\n").length} lines`;
}

// A secret by what it is known by; one that was typed here has no fingerprint yet.
function maskOf(raw: string): string {
  const { fingerprint, version } = JSON.parse(raw) as { fingerprint?: string; version?: number };
  return fingerprint
    ? `•••••• version ${version ?? "?"}, fingerprint ${fingerprint}`
    : "•••••• new value";
}

export function isLong(text: string): boolean {
  return text.includes("\n") || text.length > LONG;
}

// What somebody typed as JSON text, or the sentence that says what is wrong with it.
export function read(kind: Kind, text: string): { raw: string } | { problem: string } {
  if (kind === "string") return { raw: JSON.stringify(text) };
  if (kind === "secret") {
    return text
      ? { raw: JSON.stringify({ $secret: text }) }
      : { problem: "Write the new value. Without one the secret stays as it is." };
  }
  const word = text.trim();
  if (kind === "null") return { raw: "null" };
  if (kind === "boolean") {
    if (word === "true" || word === "false") return { raw: word };
    return { problem: "Write true or false." };
  }
  if (kind === "number") {
    if (NUMBER.test(word)) return { raw: word };
    return { problem: word ? "Write a number such as 200, -1.5 or 1e6." : "Write a number." };
  }
  if (!word) return { problem: 'Write JSON such as {"a": 1} or [1, 2].' };
  try {
    JSON.parse(text);
    return { raw: word };
  } catch (error) {
    return { problem: `This is not JSON: ${error instanceof Error ? error.message : error}` };
  }
}

// The text of a value under another kind; what fits nowhere stays as it was typed.
export function convert(text: string, to: Kind): string {
  if (to === "boolean") return text.trim() === "true" ? "true" : "false";
  if (to === "json" && text.trim() && "problem" in read("json", text)) return JSON.stringify(text);
  return text;
}
