/** Compiled folds. */

import { call, currentInstance } from "./engine.js";
import { invalidValue } from "./errors.js";
import { Fold as CoreFold } from "./eventfold_wasm.js";
import type { FoldEvent } from "./events.js";
import { FoldRun, type RunOptions, type StartState } from "./run.js";
import { FoldState } from "./state.js";

/**
 * A compiled fold. It never changes. Its memory in the module is given back by `free`, at the end
 * of a block with `using`, or when it is collected.
 */
export class Fold implements Disposable {
  /** Text of the document. */
  readonly source: string;
  /** The name that the document carries. */
  readonly name: string;
  /** SHA-256 of the normal form, lower-case hexadecimal: the same as on the server. */
  readonly digest: string;
  /** The event types with a handler, in the order of the document. */
  readonly eventTypes: readonly string[];
  /** Whether it passes over cancelled events: a run of it holds all events until it is finished. */
  readonly skipCancelled: boolean;
  readonly #initial: Uint8Array;
  #core: CoreFold | undefined;
  #instance: number;

  /** Use `compileFold`. */
  constructor(source: string) {
    this.source = source;
    this.#instance = currentInstance();
    const core = call(() => new CoreFold(source));
    this.#core = core;
    this.name = call(() => core.name);
    this.digest = call(() => core.digest);
    this.eventTypes = call(() => core.event_types);
    this.skipCancelled = call(() => core.skip_cancelled);
    this.#initial = call(() => core.initial);
  }

  /** The state before the first event: what a stream without events comes to. */
  start(): FoldState {
    return new FoldState({
      exists: false,
      version: 0n,
      position: 0n,
      state: this.#initial.slice(),
      erasedPaths: [],
      withheldPaths: [],
      eventsRead: 0,
      eventsFolded: 0,
      foldDigest: this.digest,
    });
  }

  /**
   * Folds events of one stream, or of all streams of a line of periods, in order.
   *
   * @throws FoldError with the reason that the server gives, or `INVALID_VALUE`: the events are of
   *   several streams or out of order, or one cannot be written.
   */
  fold(events: Iterable<FoldEvent>, options?: RunOptions): FoldState {
    return this.apply(undefined, events, options);
  }

  /**
   * Folds events into a state that this fold came to; see `fold`.
   *
   * @param state where to go on: a `FoldState` with its version; JSON text of a state, at version
   *   0; `undefined`: the initial state.
   */
  apply(state: StartState, events: Iterable<FoldEvent>, options?: RunOptions): FoldState {
    const run = this.run(state, options);
    run.feed(events);
    return run.finish();
  }

  /** Begins to fold events that come in parts, as pages of a read do. */
  run(state?: StartState, options: RunOptions = {}): FoldRun {
    const { digest, skipCancelled } = this;
    return new FoldRun({ digest, skipCancelled, core: () => this.#compiled() }, state, options);
  }

  /** Gives its memory back; it cannot be used any more. */
  free(): void {
    const core = this.#core;
    this.#core = undefined;
    if (core !== undefined && this.#instance === currentInstance()) call(() => core.free());
  }

  [Symbol.dispose](): void {
    this.free();
  }

  #compiled(): CoreFold {
    if (this.#core === undefined) throw new Error(`the fold ${this.name} was freed`);
    if (this.#instance !== currentInstance()) {
      // The instance that it was compiled in is gone.
      this.#instance = currentInstance();
      this.#core = call(() => new CoreFold(this.source));
    }
    return this.#core;
  }
}

/**
 * Compiles the document of a fold, YAML or JSON.
 *
 * @param source its text, or the bytes of it in UTF-8.
 * @throws FoldError INVALID_FOLD with line, column and excerpt, FOLD_TOO_LARGE, ...
 */
export function compileFold(source: string | Uint8Array): Fold {
  if (typeof source === "string") {
    if (source.isWellFormed()) return new Fold(source);
  } else {
    const text = utf8(source);
    if (text !== undefined) return new Fold(text);
  }
  throw invalidValue("source", "the document is not UTF-8");
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    // A mark of the order of bytes belongs to the text, as it does on the server.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
