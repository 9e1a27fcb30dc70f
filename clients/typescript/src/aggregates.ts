/** Calls on aggregates: folding them here, and deciding. */

import { type ExpectedVersion, type NewEvent, type RecordedEvent, streamName } from "./events.js";
import { ATTEMPTS_MAX, conflictPauseMs, notOpened } from "./failures.js";
import type { FoldLike, Into } from "./fold.js";
import { StreamClosed, StreamNotFound, VersionConflict } from "./generated/errors.js";
import { EventFlag } from "./generated/eventfold/v1/event_store_pb.js";
import type { JsonValue } from "./json.js";
import type { ReadOptions } from "./log.js";
import type { AppendResult, Follow } from "./results.js";
import type { CallOptions } from "./settings.js";
import { StateCalls } from "./states.js";

// More types than a read can filter by: then all events are read.
const TYPES_MAX = 100;

/** For each event type a function from state and event to state; other types are skipped. */
export interface Handlers<S> {
  // Each handler may say what data it takes its event to have.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly [type: string]: (state: S, event: RecordedEvent<any>) => S;
}

/** The state before the first event, or what makes it. */
export type Initial<S> = S | (() => S);

/** A state that was folded here, and the version to expect in an append decided on it. */
export interface Aggregate<S> {
  readonly state: S;
  /** 0n: the stream has no event. */
  readonly version: bigint;
  /** The stream that `version` is of: the one to append to. */
  readonly stream: string;
}

/** How to fold an aggregate here. */
export interface ReadAggregateOptions extends CallOptions {
  /** Version to begin with; `initial` is then the state before it. Default: 1. */
  readonly fromVersion?: number | bigint;
  /** `all`: all streams of the line of periods, as if they were one. Not with `fromVersion`. */
  readonly follow?: "all";
  /** Waits, within the timeout, until the log has this position. 0, the default: does not wait. */
  readonly atLeastPosition?: number | bigint;
}

/** What a decision is made of: a fold of the server's, or handlers. */
export type DecideOn<S> =
  | { readonly fold: FoldLike; readonly into?: Into<S> }
  | { readonly handlers: Handlers<S>; readonly initial: Initial<S> };

/** How to decide on an aggregate. */
export type RetryOptions<S> = CallOptions &
  DecideOn<S> & {
    /** `all`: decides on the state through all periods. Default: `open`, the open one alone. */
    readonly follow?: Follow;
    /** How often to try, at least 1, with a random pause in between. Default: 5. */
    readonly attempts?: number;
  };

/** From the state to the events that follow from it; none: nothing is appended. */
export type Decide<S> = (state: S) => Iterable<NewEvent> | Promise<Iterable<NewEvent>>;

/** A copy of a state whose arrays and plain objects are new; all else is the same. */
function copied<S>(value: S): S {
  if (Array.isArray(value)) return value.map(copied) as S;
  if (typeof value !== "object" || value === null) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copied(item)])) as S;
}

function started<S>(initial: Initial<S>): S {
  return typeof initial === "function" ? (initial as () => S)() : copied(initial);
}

/** Decisions on aggregates. */
export class AggregateCalls extends StateCalls {
  /**
   * Folds the events of an aggregate here, with functions.
   *
   * `initial` is the state before the first event that is read: a value, whose arrays and plain
   * objects are copied, so that handlers may change the state that they get; or a function that
   * makes it. A stream without events gives `initial` and version 0.
   *
   * @throws StateNotCarried the stream was opened when the books of another one were closed, and
   * no handler takes its opening event: write one, or follow all periods.
   * @throws StreamDeleted, VersionAhead
   */
  async readAggregate<S>(
    category: string,
    id: string,
    initial: Initial<S>,
    handlers: Handlers<S>,
    options: ReadAggregateOptions = {},
  ): Promise<Aggregate<S>> {
    if (options.follow !== undefined && options.fromVersion !== undefined) {
      throw new TypeError("there is either follow or fromVersion");
    }
    return this.#folded(streamName(category, id), initial, handlers, options);
  }

  async #folded<S>(
    stream: string,
    initial: Initial<S>,
    handlers: Handlers<S>,
    options: ReadOptions,
  ): Promise<Aggregate<S>> {
    let state = started(initial);
    const from = BigInt(options.fromVersion ?? 1);
    const types = Object.keys(handlers);
    let isOpened = options.follow === "all" || from > 1n;
    const filter = types.length > TYPES_MAX ? {} : { types };
    const reader = this.read(stream, { ...options, ...filter });
    try {
      for await (const event of reader) {
        const handler = Object.hasOwn(handlers, event.type) ? handlers[event.type] : undefined;
        if (handler === undefined) continue;
        isOpened ||= event.hasFlag(EventFlag.OPENS);
        state = handler(state, event);
      }
    } catch (error) {
      if (!(error instanceof StreamNotFound) || from > 1n) throw error;
      return { state, version: 0n, stream };
    }
    const { end } = reader;
    const at = end.stream ?? stream;
    if (end.openedFrom !== undefined && !isOpened) throw notOpened(at, end.openedFrom);
    return { state, version: end.version > from - 1n ? end.version : from - 1n, stream: at };
  }

  /** Appends events to an aggregate, at the version that its state was read at. */
  async emitEvents(
    category: string,
    id: string,
    events: Iterable<NewEvent>,
    expectedVersion: ExpectedVersion,
    options: CallOptions = {},
  ): Promise<AppendResult> {
    return this.append(streamName(category, id), events, { ...options, expectedVersion });
  }

  /**
   * Reads an aggregate, decides, and appends; again from the start when it has moved.
   *
   * `decide` gets the state and returns the events that follow from it. It is called once an
   * attempt, so it should depend on the state alone; what it throws ends all. Undefined: there was
   * nothing to append.
   *
   * @throws VersionConflict the aggregate moved in every attempt.
   * @throws StreamClosed it was closed and nothing goes on from it, or in every attempt.
   */
  async retry<S = JsonValue>(
    category: string,
    id: string,
    decide: Decide<S>,
    options: RetryOptions<S>,
  ): Promise<AppendResult | undefined> {
    const { attempts = ATTEMPTS_MAX } = options;
    if (!(attempts >= 1)) throw new RangeError(`attempts must be at least 1, not ${attempts}`);
    const stream = streamName(category, id);
    for (let conflicts = 1; ; conflicts++) {
      const read = await this.#decidedOn(stream, options);
      const events = [...(await decide(read.state))];
      if (events.length === 0) return undefined;
      try {
        return await this.append(read.stream, events, {
          ...callOptions(options),
          expectedVersion: read.version,
        });
      } catch (error) {
        // Closed meanwhile, the line has another stream that is open: it is decided anew there.
        const again =
          error instanceof VersionConflict ||
          (error instanceof StreamClosed && error.successor !== undefined);
        if (!again || conflicts >= attempts) throw error;
      }
      await this.connection.pause(conflictPauseMs(conflicts), options.signal);
    }
  }

  async #decidedOn<S>(stream: string, options: RetryOptions<S>): Promise<Aggregate<S>> {
    // An append would tell that the books are closed, but what is decided may be that there is
    // nothing to append.
    const reading = { ...callOptions(options), follow: options.follow ?? "open" } as const;
    if ("handlers" in options) {
      return this.#folded(stream, options.initial, options.handlers, reading);
    }
    const { fold, into } = options;
    const hydrated = await this.hydrateStream<S>(stream, {
      ...reading,
      fold,
      ...(into === undefined ? {} : { into }),
    });
    return { state: hydrated.state, version: hydrated.version, stream: hydrated.stream };
  }
}

function callOptions(options: CallOptions): CallOptions {
  const { timeoutMs, signal } = options;
  return {
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(signal === undefined ? {} : { signal }),
  };
}
