/** Reads cases: plain scalars as the format says, whatever the library takes them for. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { isMap, isScalar, isSeq, type Node, parseDocument } from "yaml";

/**
 * Values of cases and of answers. Integers of cases are bigints, so that no number passes through a
 * float; answers have theirs as texts, or as numbers of 32 bits and doubles.
 */
export type Value = null | boolean | number | bigint | string | Value[] | Mapping;

/** A mapping. */
export interface Mapping {
  [key: string]: Value;
}

/** One case of a file. */
export interface Case {
  /** Unique over all files. */
  readonly id: string;
  /** What the file declares under `let`, in its order. */
  readonly texts: readonly (readonly [string, string])[];
  /** Where steps run that do not say it: `shared`, `tokens` or `fresh`. */
  readonly server: string;
  readonly steps: readonly Mapping[];
  /** Of a case that must fail: what the runner must say then. */
  readonly fails: string;
}

/** The case itself is wrong: an unknown variable, a generator that cannot work. */
export class CaseError extends Error {}

/** Where a step runs. */
export function targetOf(one: Case, step: Mapping): string {
  return typeof step["server"] === "string" ? step["server"] : one.server;
}

/** Reads a node of YAML as the format says it. */
export function valueOf(node: unknown): Value {
  if (isMap<Node, Node>(node)) {
    return Object.fromEntries(
      node.items.map((pair) => [textOf(valueOf(pair.key)), valueOf(pair.value)]),
    );
  }
  if (isSeq(node)) return node.items.map(valueOf);
  if (!isScalar(node)) return null;
  if (node.type !== "PLAIN") return String(node.value);
  const source = node.source ?? "";
  if (source === "null" || source === "") return null;
  if (source === "true" || source === "false") return source === "true";
  return /^-?(0|[1-9][0-9]*)$/.test(source) ? BigInt(source) : source;
}

/** A document as a value. */
export function parse(text: string): Value {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) throw error;
  return valueOf(document.contents);
}

/** The cases of the text of a file. */
export function parseCases(text: string): Case[] {
  const document = mappingOf(parse(text));
  const subject = textOf(document["subject"] ?? "");
  const texts = Object.entries(mappingOf(document["let"] ?? {})).map(
    ([name, value]) => [name, textOf(value)] as const,
  );
  return listOf(document["cases"] ?? []).map((item) => {
    const one = mappingOf(item);
    return {
      id: `${subject}/${textOf(one["name"] ?? "")}`,
      texts,
      server: textOf(one["server"] ?? "shared"),
      steps: listOf(one["steps"] ?? []).map(mappingOf),
      fails: textOf(one["fails"] ?? ""),
    };
  });
}

/** The cases of one file. */
export function loadFile(path: string): Case[] {
  return parseCases(readFileSync(path, "utf8"));
}

/** The cases of all files of a folder, in the order of their names. */
export function loadFolder(folder: string): Case[] {
  const files = readdirSync(folder).filter((name) => name.endsWith(".yaml"));
  return files.sort().flatMap((name) => loadFile(join(folder, name)));
}

/** What the catalogue says of an error. */
export interface Reason {
  readonly code: string;
  readonly facts: readonly string[];
}

/** The catalogue of errors, from `reasons.yaml`. */
export function loadReasons(path: string): Map<string, Reason> {
  const document = mappingOf(parse(readFileSync(path, "utf8")));
  return new Map(
    Object.entries(document).map(([name, value]) => {
      const { code = "", facts = [] } = mappingOf(value);
      return [name, { code: textOf(code), facts: listOf(facts).map(textOf) }];
    }),
  );
}

/** A scalar as comparisons see it; anything else as JSON. */
export function textOf(value: Value): string {
  return typeof value === "object" && value !== null ? compact(value) : String(value);
}

/** JSON of a value; integers of any length are digits. */
export function compact(value: Value): string {
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map(compact).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}:${compact(v)}`);
  return `{${members.join(",")}}`;
}

export function isMapping(value: Value | undefined): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function mappingOf(value: Value): Mapping {
  if (!isMapping(value)) throw new CaseError(`${compact(value)} is no mapping`);
  return value;
}

export function listOf(value: Value): Value[] {
  if (!Array.isArray(value)) throw new CaseError(`${compact(value)} is no list`);
  return value;
}

/** A count of a case: an integer, or a text of one. */
export function countOf(value: Value): number {
  const count = Number(textOf(value));
  if (!Number.isSafeInteger(count) || count < 0) throw new CaseError(`${compact(value)}: no count`);
  return count;
}
