/** Compares answers with what a case expects; see docs/conformance.md. */

import { compact, isMapping, listOf, type Mapping, textOf, type Value } from "./cases.js";

const SHOWN_CHARACTERS_MAX = 300;

const PATTERNS: Record<string, RegExp> = {
  $uuid: /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/,
  $uuid7: /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  $time: /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$/,
  $digest: /^[0-9a-f]{64}$/,
  $positive: /^[1-9][0-9]*$/,
  $nonempty: /^[^]+$/,
};
const TIME = PATTERNS["$time"] as RegExp;
// JSON of protobuf may leave out fields that have these.
const DEFAULTS = new Set(["", "0", "false"]);

/** What of the answer is not as expected, one sentence each; none: it is. */
export function differences(expected: Value, actual: Value | undefined, path = ""): string[] {
  if (Array.isArray(expected)) return ofList(expected, actual ?? null, path);
  if (isMapping(expected)) return ofMapping(expected, actual ?? null, path);
  const isMissing = actual === undefined || actual === null;
  if (expected === null) return isMissing ? [] : [differs(path, "nothing", actual)];
  if (expected === "$any") return [];
  const pattern = typeof expected === "string" ? PATTERNS[expected] : undefined;
  if (pattern !== undefined) {
    const fits = !isMissing && pattern.test(textOf(actual));
    return fits ? [] : [differs(path, expected, actual)];
  }
  if (isMissing) return DEFAULTS.has(textOf(expected)) ? [] : [differs(path, expected, "nothing")];
  const agrees = typeof actual !== "object" && textOf(expected) === textOf(actual);
  return agrees ? [] : [differs(path, expected, actual)];
}

function ofMapping(expected: Mapping, actual: Value, path: string): string[] {
  for (const [name, operator] of Object.entries(OPERATORS)) {
    const operand = expected[name];
    if (operand === undefined) continue;
    const problem = operator(operand, actual);
    return problem === "" ? [] : [`${path}: ${problem}`];
  }
  if (!isMapping(actual)) return [differs(path, expected, actual ?? "nothing")];
  return Object.entries(expected).flatMap(([key, item]) =>
    differences(item, actual[key], path === "" ? key : `${path}.${key}`),
  );
}

function ofList(expected: Value[], actual: Value, path: string): string[] {
  const found = actual ?? [];
  if (!Array.isArray(found)) return [differs(path, expected, found)];
  if (found.length !== expected.length) {
    const told = `expected ${expected.length} items, got ${found.length}: ${shown(found)}`;
    return [`${path}: ${told}`];
  }
  return expected.flatMap((item, index) => differences(item, found[index], `${path}.${index}`));
}

/** An integer, or nanoseconds of a time. */
function ordered(text: string): bigint | undefined {
  if (/^-?[0-9]+$/.test(text)) return BigInt(text);
  if (!TIME.test(text)) return undefined;
  const [seconds = "", fraction = ""] = text.replace("Z", "").split(".");
  const milliseconds = Date.parse(`${seconds}Z`);
  if (Number.isNaN(milliseconds)) return undefined;
  return BigInt(milliseconds) * 1_000_000n + BigInt(fraction.padEnd(9, "0").slice(0, 9));
}

function bound(word: string, holds: (found: bigint, limit: bigint) => boolean): Operator {
  return (expected, actual) => {
    const [found, limit] = [ordered(textOf(actual ?? "0")), ordered(textOf(expected))];
    if (found !== undefined && limit !== undefined && holds(found, limit)) return "";
    return `expected at ${word} ${textOf(expected)}, got ${textOf(actual)}`;
  };
}

function bytesAtMost(expected: Value, actual: Value): string {
  const found = Buffer.from(textOf(actual ?? ""), "base64").length;
  if (found <= Number(textOf(expected))) return "";
  return `expected at most ${textOf(expected)} bytes, got ${found}`;
}

function count(expected: Value, actual: Value): string {
  const found = listOf(actual ?? []).length;
  return String(found) === textOf(expected)
    ? ""
    : `expected ${textOf(expected)} items, got ${found}`;
}

function all(expected: Value, actual: Value): string {
  const problems = listOf(actual ?? []).flatMap((item, index) =>
    differences(expected, item, String(index)),
  );
  return problems.slice(0, 3).join("; ");
}

/** Looks for the items among the actual ones, in this order. */
function contains(expected: Value, actual: Value): string {
  const rest = listOf(actual ?? [])[Symbol.iterator]();
  for (const item of listOf(expected)) {
    let next = rest.next();
    while (!next.done && differences(item, next.value).length > 0) next = rest.next();
    if (next.done) return `expected somewhere in order ${shown(item)}, got ${shown(actual)}`;
  }
  return "";
}

function not(expected: Value, actual: Value): string {
  return differences(expected, actual).length > 0
    ? ""
    : `expected anything but ${shown(expected)}`;
}

/** Tells what is wrong; empty: nothing. */
type Operator = (expected: Value, actual: Value) => string;

const OPERATORS: Record<string, Operator> = {
  $count: count,
  $at_least: bound("least", (found, limit) => found >= limit),
  $at_most: bound("most", (found, limit) => found <= limit),
  $bytes_at_most: bytesAtMost,
  $all: all,
  $contains: contains,
  $not: not,
};

/** A value for people, not too long. */
export function shown(value: Value): string {
  const text = typeof value === "string" ? value : compact(value);
  return text.length <= SHOWN_CHARACTERS_MAX ? text : `${text.slice(0, SHOWN_CHARACTERS_MAX)}...`;
}

function differs(path: string, expected: Value, actual: Value | undefined): string {
  return `${path}: expected ${decoded(expected)}, got ${decoded(actual ?? "nothing")}`;
}

/** The value, and its text if it looks like bytes of JSON in base64: for people. */
function decoded(value: Value): string {
  const text = shown(value);
  if (typeof value !== "string" || value.length < 4 || !/^[A-Za-z0-9+/]+=*$/.test(value)) {
    return text;
  }
  const found = Buffer.from(value, "base64").toString();
  return /^[\x20-\x7e]+$/.test(found) ? `${text} (${shown(found)})` : text;
}
