/** A fold on its way along one stream, or along a line of periods. */

import { bug, call, currentInstance } from "./engine.js";
import { invalidValue } from "./errors.js";
import { type FoldEvent, type NewEvent, predecessor, type RecordedEvent } from "./events.js";
import type { Fold as CoreFold, FoldRun as CoreRun } from "./eventfold_wasm.js";
import { Message } from "./message.js";
import { FoldState } from "./state.js";

/** Where a run begins, and what its events do not say. */
export interface RunOptions {
  /** Name of the stream. Default: that of the first recorded event. */
  readonly stream?: string | undefined;
  /** Name of the first stream of its line of periods. Default: that of the stream. */
  readonly root?: string | undefined;
}

/**
 * What a fold goes on from: what it came to before, the JSON text of a state, or nothing: its
 * initial state.
 */
export type StartState = FoldState | Uint8Array | string | undefined;

/** What a run needs of its fold. */
export interface FoldParts {
  readonly digest: string;
  readonly skipCancelled: boolean;
  core(): CoreFold;
}

const LOCAL_STREAM = "local-1";
const LOCAL_WRITER = "anonymous";
/** Events cross into the module when they have come to so many bytes. */
const MESSAGE_BYTES = 1 << 20;

/**
 * A fold on its way: feed it events as they come, then ask what they come to. One that fails gives
 * the same error from then on. Free it unless it is finished.
 */
export class FoldRun implements Disposable {
  readonly #fold: FoldParts;
  readonly #start: FoldState | undefined;
  readonly #root: string | undefined;
  readonly #message = new Message();
  /** All events of a fold that passes over what later ones cancel: they must be known first. */
  readonly #waiting: FoldEvent[] = [];
  #stream: string | undefined;
  #version: bigint;
  #core: CoreRun | undefined;
  #instance = 0;
  #failed: unknown;
  #freed = false;

  /** Use `Fold.run`. */
  constructor(fold: FoldParts, start: StartState, options: RunOptions) {
    this.#fold = fold;
    this.#start = startOf(start, fold.digest);
    this.#version = this.#start?.version ?? 0n;
    this.#stream = options.stream;
    this.#root = options.root;
  }

  /** Folds events, in order. */
  feed(events: Iterable<FoldEvent>): void {
    this.#guarded(() => {
      if (!this.#fold.skipCancelled) return this.#feed(events);
      // One by one: the arguments of a call lie on the stack, which many events overflow.
      for (const event of events) this.#waiting.push(event);
    });
  }

  /** What the events come to; after it the run is over. */
  finish(): FoldState {
    return this.#guarded(() => {
      this.#feed(this.#waiting);
      const run = this.#begun(LOCAL_STREAM);
      const state = call(() => {
        const outcome = run.finish();
        try {
          return new FoldState({
            exists: outcome.exists,
            version: outcome.version,
            position: outcome.position,
            state: outcome.state,
            erasedPaths: outcome.erased,
            withheldPaths: outcome.withheld,
            eventsRead: Number(outcome.events_read),
            eventsFolded: Number(outcome.events_folded),
            foldDigest: this.#fold.digest,
          });
        } finally {
          outcome.free();
        }
      });
      this.free();
      return state;
    });
  }

  /** Gives its memory back. */
  free(): void {
    this.#freed = true;
    const core = this.#core;
    this.#core = undefined;
    if (core !== undefined && this.#instance === currentInstance()) call(() => core.free());
  }

  [Symbol.dispose](): void {
    this.free();
  }

  #guarded<T>(step: () => T): T {
    if (this.#failed !== undefined) throw this.#failed;
    if (this.#freed) throw new Error("the run is over");
    try {
      return step();
    } catch (error) {
      this.#failed = error;
      this.free();
      throw error;
    }
  }

  #feed(events: Iterable<FoldEvent>): void {
    try {
      for (const event of events) {
        if (event.version === undefined) this.#new(event);
        else this.#recorded(event);
        if (this.#message.length >= MESSAGE_BYTES) this.#flush();
      }
    } catch (error) {
      // An error of the events before comes first.
      this.#flush();
      throw error;
    }
    this.#flush();
  }

  #recorded(event: RecordedEvent): void {
    const { stream } = event;
    const version = whole(event.version);
    this.#begun(stream);
    if (stream !== this.#stream) {
      if (this.#stream === undefined || predecessor(event) !== this.#stream) {
        throw invalidValue("events", "the events are of several streams");
      }
      // The next period: the state goes on through all of them.
      this.#flush();
      const run = this.#begun(stream);
      call(() => run.go_on_in(stream));
      this.#stream = stream;
      this.#version = 0n;
    }
    if (version <= this.#version) {
      const problem = `the event of version ${version} comes after ${this.#version}`;
      throw invalidValue("events", problem);
    }
    this.#message.add(event);
    this.#version = version;
  }

  #new(event: NewEvent): void {
    this.#begun(LOCAL_STREAM);
    const now = BigInt(Date.now()) * 1000n;
    this.#message.add({
      id: event.id ?? crypto.randomUUID(),
      stream: this.#stream ?? LOCAL_STREAM,
      type: event.type,
      version: this.#version + 1n,
      position: 0n,
      recordedAt: now,
      occurredAt: event.occurredAt ?? now,
      writer: LOCAL_WRITER,
      data: event.data,
      metadata: event.metadata,
      tags: event.tags && sorted(event.tags),
    });
    this.#version += 1n;
  }

  #flush(): void {
    if (this.#message.length === 0) return;
    const run = this.#begun(LOCAL_STREAM);
    const bytes = this.#message.bytes;
    this.#message.clear();
    call(() => run.feed(bytes));
  }

  /** The run in the module, begun on this stream if none was named. */
  #begun(stream: string): CoreRun {
    if (this.#core !== undefined) {
      if (this.#instance === currentInstance()) return this.#core;
      this.#core = undefined;
      throw bug("the core panicked in another call while this run was under way");
    }
    const fold = this.#fold.core();
    const name = (this.#stream ??= stream);
    const start = this.#start;
    const cancelled = this.#cancelled();
    this.#instance = currentInstance();
    this.#core = call(() => {
      const run = fold.run(name, this.#root ?? name, cancelled);
      if (start === undefined) return run;
      const { state, exists, version, position, erasedPaths, withheldPaths } = start;
      // Strings of these lists become the module's.
      return run.resume(state, exists, version, position, [...erasedPaths], [...withheldPaths]);
    });
    return this.#core;
  }

  /** Ids of what events cancel, none of which the state that is gone on from may have seen. */
  #cancelled(): string[] {
    const recorded = this.#waiting.filter((event) => event.version !== undefined);
    const cancelled = recorded.flatMap(({ cancels }) => cancels || []);
    const known = new Set(recorded.map(({ id }) => id));
    if (this.#start !== undefined && cancelled.some((id) => !known.has(id))) {
      const problem = "an event cancels one before the state; fold from the first event";
      throw invalidValue("events", problem);
    }
    return cancelled;
  }
}

/** What a run goes on from; `undefined`: the beginning. */
function startOf(start: StartState, foldDigest: string): FoldState | undefined {
  if (start === undefined) return undefined;
  if (start instanceof FoldState) return start.version === 0n ? undefined : start;
  return new FoldState({
    exists: true,
    version: 0n,
    position: 0n,
    state: typeof start === "string" ? new TextEncoder().encode(start) : start,
    erasedPaths: [],
    withheldPaths: [],
    eventsRead: 0,
    eventsFolded: 0,
    foldDigest,
  });
}

function whole(version: bigint | number): bigint {
  if (typeof version === "bigint" || Number.isSafeInteger(version)) return BigInt(version);
  throw invalidValue("version", "version must be a whole number");
}

/** Tags as they are stored: each once, in the order of their bytes. */
function sorted(tags: readonly string[]): string[] {
  // The order of UTF-8 is that of code points, which that of UTF-16 is not.
  const points = (text: string) => Array.from(text, (letter) => letter.codePointAt(0) ?? 0);
  const byPoints = (left: string, right: string) => {
    const [a, b] = [points(left), points(right)];
    const place = a.findIndex((point, index) => point !== b[index]);
    return place < 0 ? a.length - b.length : (a[place] ?? 0) - (b[place] ?? -1);
  };
  return [...new Set(tags)].sort(byPoints);
}
