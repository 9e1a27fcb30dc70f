/** Folds as calls name them, and what becomes of states. */

import { readFile } from "node:fs/promises";

import type { MessageInitShape } from "@bufbuild/protobuf";

import { StateMismatch } from "./errors.js";
import { jsonOf } from "./events.js";
import type { FoldRefSchema, HydrateResponse } from "./generated/eventfold/v1/folds_pb.js";
import { decodeJson, type JsonValue } from "./json.js";

/** A fold document as an object. */
export interface FoldDocument {
  readonly fold: string;
  readonly initial?: object;
  readonly handlers: object;
  readonly [key: string]: unknown;
}

/** A fold document as text, YAML 1.2 or JSON; at most 64 KiB. */
export interface FoldSource {
  readonly source: string;
}

/** The name of a registered fold, the text of a document, or a document. */
export type FoldLike = string | FoldSource | FoldDocument;

/** Reads a fold document from a file. */
export async function foldFile(path: string | URL): Promise<FoldSource> {
  return { source: await readFile(path, "utf8") };
}

/** The text of a document. */
export function foldSource(fold: FoldSource | FoldDocument): string {
  if ("source" in fold && typeof fold.source === "string") return fold.source;
  return new TextDecoder().decode(jsonOf(fold, "fold"));
}

/** A fold as requests name it. */
export function foldRef(fold: FoldLike): MessageInitShape<typeof FoldRefSchema> {
  if (typeof fold === "string") return { kind: { case: "name", value: fold } };
  return { kind: { case: "source", value: foldSource(fold) } };
}

/** A schema of a library that speaks Standard Schema: Zod, Valibot, ArkType and others. */
export interface StandardSchema<T> {
  readonly "~standard": {
    readonly validate: (value: unknown) => unknown;
    readonly types?: { readonly output: T } | undefined;
  };
}

/** What makes the user's own type of a state: a function, or a schema. */
export type Into<T> = ((value: JsonValue) => T) | StandardSchema<T>;

/**
 * A value as the user's own type.
 *
 * @throws StateMismatch it does not fit; `cause` is what `into` said.
 */
export function converted<T>(value: JsonValue, into: Into<T> | undefined, what = "state"): T {
  if (into === undefined) return value as T;
  try {
    if (typeof into === "function") return into(value);
    const told = into["~standard"].validate(value) as { issues?: unknown; value: T };
    if (told instanceof Promise) throw new TypeError("a schema that is asynchronous is of no use");
    if (!told.issues) return told.value;
    throw new TypeError(`the schema has ${(told.issues as unknown[]).length} issues`, {
      cause: told.issues,
    });
  } catch (error) {
    const failure = new StateMismatch(`the ${what} does not fit what it is to be made into`);
    throw Object.assign(failure, { cause: error });
  }
}

/** A state, and where it stands. */
export class Hydrated<T = JsonValue> {
  readonly #into: Into<T> | undefined;
  #state: { readonly value: T } | undefined;

  /** Made by `hydrate`. */
  constructor(
    /** The message that came. */
    readonly message: HydrateResponse,
    /** The stream that `version` is of: the one to append to. */
    readonly stream: string,
    into?: Into<T>,
  ) {
    this.#into = into;
  }

  /** False: the stream has no event up to that point, or the fold deleted the aggregate. */
  get exists(): boolean {
    return this.message.exists;
  }

  /**
   * The state, with exact numbers; made into the user's type when first asked for. Null after a
   * delete, the initial state for a stream without events.
   *
   * @throws StateMismatch it does not fit `into`.
   */
  get state(): T {
    this.#state ??= { value: converted(decodeJson(this.message.state), this.#into) };
    return this.#state.value;
  }

  /** The bytes of the state, the same wherever it is folded. */
  get stateBytes(): Uint8Array {
    return this.message.state;
  }

  /** The version to expect in an append decided on this state. 0n: no event. */
  get version(): bigint {
    return this.message.version;
  }

  /** Position of the event there; 0n: no event. */
  get position(): bigint {
    return this.message.position;
  }

  /** Pointers to what is null because the subject of the values was erased. */
  get erasedPaths(): readonly string[] {
    return this.message.erasedPaths;
  }

  /** Pointers to what is null because the caller may not see it. */
  get withheldPaths(): readonly string[] {
    return this.message.withheldPaths;
  }
}
