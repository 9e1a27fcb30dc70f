/** Requests and expectations as cases write them become plain JSON; see docs/conformance.md. */

import { randomBytes, randomUUID } from "node:crypto";

import { CaseError, countOf, listOf, type Mapping, textOf, type Value } from "./cases.js";

const VARIABLE = /\$\{([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)?)([+-][0-9]+)?\}/g;

/** What `${...}` stands for within one run of a case. */
export class Variables {
  readonly #values = new Map<string, string>([["run", randomBytes(6).toString("hex")]]);

  /** `texts`: those that the file declares under `let`. */
  constructor(texts: Iterable<readonly [string, string]>) {
    for (const [name, text] of texts) this.#values.set(name, this.fillIn(text));
  }

  /** Gives the name a value; numbers and booleans are kept as their text. */
  set(name: string, value: Value): void {
    this.#values.set(name, textOf(value));
  }

  /** The text with every `${name}`, `${name+1}` and `${name-1}` replaced, inner ones first. */
  fillIn(text: string): string {
    let filled = text;
    while (filled.includes("${")) {
      const next = filled.replaceAll(VARIABLE, (_, name: string, offset: string | undefined) =>
        this.#replacement(name, offset),
      );
      if (next === filled) throw new CaseError(`no variable can be read in ${text.slice(0, 80)}`);
      filled = next;
    }
    return filled;
  }

  #replacement(name: string, offset: string | undefined): string {
    const value = this.#value(name);
    if (offset === undefined) return value;
    if (!/^-?[0-9]+$/.test(value)) throw new CaseError(`${name} is no integer: ${value}`);
    return String(BigInt(value) + BigInt(offset.replace("+", "")));
  }

  #value(name: string): string {
    const known = this.#values.get(name);
    if (known !== undefined) return known;
    const [kind, label] = name.split(".");
    if (kind === "uuid_upper" && label) return this.#value(`uuid.${label}`).toUpperCase();
    if (kind !== "uuid" || !label) throw new CaseError(`nothing is known as ${name}`);
    const made = randomUUID();
    this.#values.set(name, made);
    return made;
  }
}

/** The value with variables filled in, generators run, and bytes fields in base64. */
export function expand(value: Value, variables: Variables): Value {
  if (typeof value === "string") return variables.fillIn(value);
  if (Array.isArray(value)) return value.map((item) => expand(item, variables));
  if (typeof value !== "object" || value === null) return value;
  for (const [name, generator] of Object.entries(GENERATORS)) {
    if (name in value) return generator(value, variables);
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => bytesField(key, expand(item, variables))),
  );
}

/** Fields of bytes may be written as text or in hexadecimal; JSON has them in base64. */
function bytesField(key: string, value: Value): [string, Value] {
  if (typeof value !== "string") return [key, value];
  if (key.endsWith("_text")) return [key.slice(0, -5), Buffer.from(value).toString("base64")];
  if (key.endsWith("_hex")) return [key.slice(0, -4), bytesOf(value).toString("base64")];
  return [key, value];
}

/** The bytes of hexadecimal digits. */
export function bytesOf(digits: string): Buffer {
  if (!/^([0-9a-fA-F]{2})*$/.test(digits)) throw new CaseError(`${digits} is not hexadecimal`);
  return Buffer.from(digits, "hex");
}

function fill(value: Mapping, variables: Variables): Value {
  const [before, after] = [value["before"] ?? "", value["after"] ?? ""].map((part) =>
    textOf(expand(part, variables)),
  ) as [string, string];
  const unit = textOf(value["with"] ?? "x");
  const room = countOf(value["$fill"] ?? 0) - Buffer.byteLength(before + after);
  const count = room / Buffer.byteLength(unit);
  if (count < 0 || !Number.isInteger(count)) {
    throw new CaseError(`$fill: ${room} bytes cannot be filled with ${unit}`);
  }
  return before + unit.repeat(count) + after;
}

function times(value: Mapping, variables: Variables): Value {
  const text = textOf(expand(value["text"] ?? "", variables));
  return text.repeat(countOf(value["$times"] ?? 0));
}

function concat(value: Mapping, variables: Variables): Value {
  const parts = listOf(value["$concat"] ?? []);
  return parts.map((part) => textOf(expand(part, variables))).join("");
}

function each(value: Mapping, variables: Variables): Value {
  const items: Value[] = [];
  for (let index = 0; index < countOf(value["$each"] ?? 0); index++) {
    variables.set("i", index);
    items.push(expand(value["item"] ?? null, variables));
  }
  return value["join"] === undefined ? items : items.map(textOf).join(textOf(value["join"]));
}

const GENERATORS: Record<string, (value: Mapping, variables: Variables) => Value> = {
  $fill: fill,
  $times: times,
  $concat: concat,
  $each: each,
};
