/** Calls on states: folds that the server folds, and the registry of folds. */

import type { Timestamp } from "@bufbuild/protobuf/wkt";

import { type EventfoldError, UnexpectedAnswer } from "./errors.js";
import { integerOf, streamName, timeOf } from "./events.js";
import { errorOfStatus } from "./failures.js";
import {
  converted,
  type FoldDocument,
  type FoldLike,
  foldRef,
  foldSource,
  type FoldSource,
  Hydrated,
  type Into,
} from "./fold.js";
import {
  type CheckFoldResponse,
  type ExplainedEvent,
  type Fold,
  Folds,
  type HistoricState as WireState,
  type HydrateManyResponse,
  type HydrateRequest,
} from "./generated/eventfold/v1/folds_pb.js";
import { decodeJson, type JsonValue } from "./json.js";
import { LogCalls } from "./log.js";
import { paged } from "./paging.js";
import { logChanged } from "./reader.js";
import { type Follow, followToWire } from "./results.js";
import type { CallOptions } from "./settings.js";
import { items, lastReport, type ReportOptions } from "./streaming.js";

/** How to fold an aggregate. At most one of the points in time is named. Default: the head. */
export interface HydrateOptions<T> extends CallOptions {
  /** Name of a registered fold, or a document. */
  readonly fold: FoldLike;
  /** Makes the user's own type of the state. Default: the JSON as it came. */
  readonly into?: Into<T>;
  /** Events up to this version, inclusive. */
  readonly version?: number | bigint;
  /** Events up to this position of the log, inclusive. */
  readonly position?: number | bigint;
  /** Events recorded at or before this time. */
  readonly recordedAt?: Date | Timestamp;
  /** Events that occurred at or before this time. */
  readonly occurredAt?: Date | Timestamp;
  /** Waits, within the timeout, until the log has this position. 0, the default: does not wait. */
  readonly atLeastPosition?: number | bigint;
  /** Which streams of the line of periods. Default: the one that is named alone. */
  readonly follow?: Follow;
}

/** Which versions of an aggregate to go through. */
export interface VersionsOptions<T> extends CallOptions {
  readonly fold: FoldLike;
  readonly into?: Into<T>;
  /** First version, inclusive, at least 1. Default: 1. Events before it count. */
  readonly fromVersion?: number | bigint;
  /** Last version, inclusive. Default: the head. */
  readonly toVersion?: number | bigint;
}

/** The states of many streams: one that cannot be folded has an error in place of a state. */
export interface HydratedMany<T> {
  /** By name of the stream, in the order in which they were asked for. */
  readonly states: ReadonlyMap<string, Hydrated<T>>;
  /** By name of the stream. */
  readonly errors: ReadonlyMap<string, EventfoldError>;
}

/** The state after one version. */
export interface HistoricState<T> {
  readonly state: T;
  readonly exists: boolean;
  readonly version: bigint;
  readonly position: bigint;
  readonly eventId: string;
  readonly type: string;
  /** The message that came, with times and bytes. */
  readonly message: WireState;
}

const STREAMS_MAX = 1_000;

function pointOf(options: HydrateOptions<unknown>): HydrateRequest["at"] {
  const { version, position, recordedAt, occurredAt } = options;
  const points: HydrateRequest["at"][] = [];
  if (version !== undefined) {
    points.push({ case: "version", value: integerOf(version, "version") });
  }
  if (position !== undefined) {
    points.push({ case: "position", value: integerOf(position, "position") });
  }
  if (recordedAt !== undefined) points.push({ case: "recordedAt", value: timeOf(recordedAt) });
  if (occurredAt !== undefined) points.push({ case: "occurredAt", value: timeOf(occurredAt) });
  if (points.length > 1) throw new TypeError("there is one point in time, not several");
  return points[0] ?? { case: undefined };
}

/** The state of a message of a history. */
export function historicState<T>(message: WireState, into: Into<T> | undefined): HistoricState<T> {
  const { exists, version, position, eventId, type } = message;
  const state = converted<T>(decodeJson(message.state), into);
  return { state, exists, version, position, eventId, type, message };
}

/**
 * Follows an answer of one item for each version: a broken call begins again at the last version
 * that came, inclusive, and compares the id of its event.
 */
class Versions<T extends { version: bigint; position: bigint; eventId: string }> {
  #last: T | undefined;
  #repeats = false;

  fromVersion(first: bigint): bigint {
    if (this.#last === undefined) return first;
    this.#repeats = true;
    return this.#last.version;
  }

  accept(found: readonly T[]): readonly T[] {
    let fresh = found;
    if (this.#repeats && found.length > 0) {
      if (found[0]?.eventId !== this.#last?.eventId) throw logChanged(this.#last?.position ?? 0n);
      this.#repeats = false;
      fresh = found.slice(1);
    }
    this.#last = fresh.at(-1) ?? this.#last;
    return fresh;
  }

  finish(): boolean {
    if (this.#repeats) throw logChanged(this.#last?.position ?? 0n);
    return true;
  }
}

/** The calls of the service `Folds`. */
export class StateCalls extends LogCalls {
  /**
   * Folds an aggregate, on the spot: consistent, and the version to append at beside it. A stream
   * without events has the initial state, version 0, and `exists` false.
   *
   * @throws FoldNotFound, InvalidFold the fold.
   * @throws FoldFailed, NumberRange, StateNotJson, StateTooLarge, EvaluationLimit an event.
   * @throws VersionAhead, PositionAhead the point lies beyond the head.
   */
  async hydrate<T = JsonValue>(
    category: string,
    id: string,
    options: HydrateOptions<T>,
  ): Promise<Hydrated<T>> {
    return this.hydrateStream(streamName(category, id), options);
  }

  /** The same, by the name of the stream. */
  async hydrateStream<T = JsonValue>(
    stream: string,
    options: HydrateOptions<T>,
  ): Promise<Hydrated<T>> {
    const request = {
      stream,
      fold: foldRef(options.fold),
      at: pointOf(options),
      atLeastPosition: integerOf(options.atLeastPosition ?? 0, "atLeastPosition"),
      follow: followToWire(options.follow),
    };
    const answer = await this.connection.unary(Folds.method.hydrate, request, options);
    return new Hydrated(answer, answer.stream || stream, options.into);
  }

  /** Folds any number of streams with one fold, 1,000 of them by one query. */
  async hydrateMany<T = JsonValue>(
    streams: Iterable<string>,
    options: CallOptions & {
      readonly fold: FoldLike;
      readonly into?: Into<T>;
      readonly atLeastPosition?: number | bigint;
    },
  ): Promise<HydratedMany<T>> {
    const names = [...new Set(streams)];
    const missing = new Set(names);
    const answers = new Map<string, HydrateManyResponse["streams"][number]>();
    const fold = foldRef(options.fold);
    const atLeastPosition = integerOf(options.atLeastPosition ?? 0, "atLeastPosition");
    const progress = {
      request: () => ({ streams: [...missing].slice(0, STREAMS_MAX), fold, atLeastPosition }),
      accept: (message: HydrateManyResponse) =>
        message.streams.filter((one) => missing.delete(one.stream)),
      finish: () => missing.size === 0,
    };
    if (names.length > 0) {
      const { hydrateMany } = Folds.method;
      for await (const one of items(this.connection, hydrateMany, progress, options)) {
        answers.set(one.stream, one);
      }
    }
    const states = new Map<string, Hydrated<T>>();
    const errors = new Map<string, EventfoldError>();
    for (const name of names) {
      const answer = answers.get(name)?.answer;
      if (answer?.case === "error") errors.set(name, errorOfStatus(answer.value));
      if (answer?.case === "hydrated") {
        states.set(name, new Hydrated(answer.value, name, options.into));
      }
    }
    return { states, errors };
  }

  /** The state of an aggregate after each of its versions, in their order. */
  async *hydrateHistory<T = JsonValue>(
    category: string,
    id: string,
    options: VersionsOptions<T>,
  ): AsyncGenerator<HistoricState<T>, void, undefined> {
    const versions = new Versions<WireState>();
    const { first, rest } = this.#versions(category, id, options);
    const progress = {
      request: () => ({ ...rest, fromVersion: versions.fromVersion(first) }),
      accept: (message: { states: WireState[] }) => versions.accept(message.states),
      finish: () => versions.finish(),
    };
    const { hydrateHistory } = Folds.method;
    for await (const state of items(this.connection, hydrateHistory, progress, options)) {
      yield historicState(state, options.into);
    }
  }

  /** Says of each event of an aggregate which places of the state it changed. */
  async *explain(
    category: string,
    id: string,
    options: VersionsOptions<never>,
  ): AsyncGenerator<ExplainedEvent, void, undefined> {
    const versions = new Versions<ExplainedEvent>();
    const { first, rest } = this.#versions(category, id, options);
    const progress = {
      request: () => ({ ...rest, fromVersion: versions.fromVersion(first) }),
      accept: (message: { events: ExplainedEvent[] }) => versions.accept(message.events),
      finish: () => versions.finish(),
    };
    yield* items(this.connection, Folds.method.explain, progress, options);
  }

  #versions(category: string, id: string, options: VersionsOptions<unknown>) {
    const rest = {
      stream: streamName(category, id),
      fold: foldRef(options.fold),
      toVersion: integerOf(options.toVersion ?? 0, "toVersion"),
    };
    return { first: integerOf(options.fromVersion ?? 0, "fromVersion"), rest };
  }

  /** Folds all stored events of a category, and reports how that went; stores nothing. */
  async checkFold(
    fold: FoldLike,
    category: string,
    options: ReportOptions<CheckFoldResponse> = {},
  ): Promise<CheckFoldResponse> {
    const request = { fold: foldRef(fold), category };
    return lastReport(this.connection, Folds.method.checkFold, request, options);
  }

  /**
   * Registers a fold under the name that its document carries. The same fold again changes
   * nothing; another one becomes the next revision.
   *
   * @throws InvalidFold it does not compile; the facts have line, column and excerpt.
   */
  async putFold(
    fold: FoldSource | FoldDocument,
    options: CallOptions = {},
  ): Promise<{ fold: Fold; created: boolean }> {
    const request = { source: foldSource(fold) };
    const answer = await this.connection.unary(Folds.method.putFold, request, options, "write");
    return { fold: known(answer.fold), created: answer.created };
  }

  /**
   * A registered fold. `revision` counts from 1; default: the newest.
   *
   * @throws FoldNotFound
   */
  async getFold(
    name: string,
    options: CallOptions & { readonly revision?: number | bigint } = {},
  ): Promise<Fold> {
    const request = { name, revision: integerOf(options.revision ?? 0, "revision") };
    return known((await this.connection.unary(Folds.method.getFold, request, options)).fold);
  }

  /** The newest revision of every registered fold in byte order of their names. */
  listFolds(options: CallOptions & { readonly pageSize?: number } = {}): AsyncGenerator<Fold> {
    const { pageSize = 0 } = options;
    return paged(async (pageToken) => {
      const request = { pageSize, pageToken };
      const page = await this.connection.unary(Folds.method.listFolds, request, options);
      return [page.folds, page.nextPageToken];
    });
  }
}

/** A part that every answer has. */
export function known<T>(part: T | undefined): T {
  if (part === undefined) throw new UnexpectedAnswer("the answer lacks what it is about");
  return part;
}
