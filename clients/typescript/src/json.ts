/** JSON of events, metadata and states: exact numbers in both directions. */

import { parse } from "lossless-json";

import { Decimal } from "./decimal.js";
import { InvalidValue } from "./errors.js";

/**
 * What JSON can be. Integers are numbers up to 2^53 - 1 and bigints beyond; numbers with a fraction
 * or an exponent are `Decimal`.
 */
export type JsonValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Decimal
  | readonly JsonValue[]
  | JsonObject;

/** An object of JSON. */
export interface JsonObject {
  readonly [name: string]: JsonValue;
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const BYTES = new TextEncoder();
// A text without any of these has only numbers that JavaScript holds exactly. What stands inside
// strings may look so too, and costs the slower way.
const INEXACT = /\d[.eE]|\d{16}|-0/;
// The server refuses what nests deeper than 64 levels.
const DEPTH_MAX = 200;

function exactNumber(text: string): number | bigint | Decimal {
  if (/[.eE]/.test(text) || text === "-0") return Decimal.of(text);
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

/**
 * Reads JSON that the server sent; no number is rounded. Empty bytes count as `{}`: a payload that
 * was deleted.
 *
 * @throws InvalidValue the bytes are no JSON.
 */
export function decodeJson(bytes: Uint8Array | string): JsonValue {
  if (bytes.length === 0) return {};
  try {
    const text = typeof bytes === "string" ? bytes : UTF8.decode(bytes);
    if (!INEXACT.test(text)) return JSON.parse(text) as JsonValue;
    return parse(text, undefined, exactNumber) as JsonValue;
  } catch (error) {
    throw Object.assign(new InvalidValue("this is no JSON"), { cause: error });
  }
}

/**
 * Writes a value as JSON; numbers keep all of their digits.
 *
 * Beside JSON's own types it takes `bigint` of any length, `Decimal`, what has `toJSON` (`Date` is
 * RFC 3339 in UTC), and, at the top, bytes that hold ready JSON. Members that are `undefined` are
 * left out, as `JSON.stringify` does.
 *
 * @throws InvalidValue a part has no JSON form: NaN, infinities, lone surrogates, functions,
 * symbols; or it is nested too deeply. `path` says where.
 */
export function encodeJson(value: unknown): Uint8Array<ArrayBuffer> {
  if (value instanceof Uint8Array) return new Uint8Array(value);
  return BYTES.encode(written(value, "", 0));
}

function written(value: unknown, path: string, depth: number): string {
  switch (typeof value) {
    case "string":
      if (!value.isWellFormed()) throw new InvalidValue("a text holds a lone surrogate", path);
      return JSON.stringify(value);
    case "number":
      if (!Number.isFinite(value)) throw new InvalidValue(`JSON has no ${value}`, path);
      if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
        throw new InvalidValue("an integer beyond 2^53 may be rounded already: use a bigint", path);
      }
      return Object.is(value, -0) ? "0" : String(value);
    case "bigint":
    case "boolean":
      return String(value);
    case "object":
      return value === null ? "null" : writtenObject(value, path, depth);
    default:
      throw new InvalidValue(`a ${typeof value} has no JSON form`, path);
  }
}

function writtenObject(value: object, path: string, depth: number): string {
  if (value instanceof Decimal) return value.text;
  if (depth >= DEPTH_MAX) throw new InvalidValue(`nested deeper than ${DEPTH_MAX} levels`);
  if (Array.isArray(value)) {
    const items = value.map((item, index) => written(item, `${path}[${index}]`, depth + 1));
    return `[${items.join(",")}]`;
  }
  if ("toJSON" in value && typeof value.toJSON === "function") {
    return written(value.toJSON(), path, depth + 1);
  }
  if (value instanceof Map || value instanceof Set || ArrayBuffer.isView(value)) {
    throw new InvalidValue(`a ${value.constructor.name} has no JSON form`, path);
  }
  const members: string[] = [];
  for (const [name, item] of Object.entries(value)) {
    if (item === undefined) continue;
    const place = path === "" ? name : `${path}.${name}`;
    members.push(`${written(name, place, depth + 1)}:${written(item, place, depth + 1)}`);
  }
  return `{${members.join(",")}}`;
}
