/** Subscriptions: iterators over the log, from history into the present, that survive breaks. */

import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";

import type { Answers, Connection } from "./connection.js";
import { integerOf, RecordedEvent, timeOf } from "./events.js";
import { BEGINNING, Following, type Frame, type Place } from "./following.js";
import { EventNotFound, PositionAhead } from "./generated/errors.js";
import { EventStore } from "./generated/eventfold/v1/event_store_pb.js";
import {
  type SubscribeRequest,
  SubscribeRequestSchema,
  type SubscribeResponse,
  Subscriptions,
} from "./generated/eventfold/v1/subscriptions_pb.js";
import { Closing, ended, type ReconnectOptions, Reconnects } from "./reconnects.js";
import { type Copies, copiesToWire } from "./results.js";

/** Which events are meant; all that is set must hold. */
export interface SourceOptions {
  /** Only events of this stream, which need not exist yet; not with `categories`. */
  readonly stream?: string;
  /** Only events of these categories; at most 100. Default: all. */
  readonly categories?: Iterable<string>;
  /** Only events of these types; at most 100. Default: all. */
  readonly types?: Iterable<string>;
  /** Only events that have all of these tags; at most 64. Default: all. */
  readonly tags?: Iterable<string>;
  /** Only events for which this CEL expression over `event` and `meta` is true. */
  readonly where?: string;
  /** Also events of streams whose name starts with `$`. Default: false. */
  readonly includeSystemEvents?: boolean;
  /** Default: those of a stream or of categories are included, those of the whole log are not. */
  readonly copies?: Copies;
}

/** Where to begin; at one of these at the most. Default: with the first event. */
export interface StartOptions {
  /** Behind what this token of a frame or of a read stands for. */
  readonly resumeToken?: Uint8Array;
  /** With this position, inclusive, at least 1, at most head + 1. */
  readonly fromPosition?: number | bigint;
  /** With the first event recorded at or after this time. */
  readonly fromRecordedAt?: Date | Timestamp;
  /** With the first event after the head. */
  readonly fromNow?: boolean;
}

/** What to follow, from where on, and how. */
export interface SubscribeOptions extends SourceOptions, StartOptions, ReconnectOptions {
  /** Behind this place, which an earlier subscription told, and which proves the log. */
  readonly place?: Place;
  /** With this version of the stream, inclusive, at least 1. */
  readonly fromVersion?: number | bigint;
  /** True: data as it is stored, also for `where`. Default: false. */
  readonly raw?: boolean;
}

/** A source as requests have it. */
export function sourceToWire(source: SourceOptions) {
  return {
    stream: source.stream ?? "",
    categories: [...(source.categories ?? [])],
    types: [...(source.types ?? [])],
    tags: [...(source.tags ?? [])],
    where: source.where ?? "",
    includeSystemEvents: source.includeSystemEvents ?? false,
    copies: copiesToWire(source.copies),
  };
}

type Start =
  | { case: "resumeToken"; value: Uint8Array }
  | { case: "fromPosition"; value: bigint }
  | { case: "fromRecordedAt"; value: Timestamp }
  | { case: "now"; value: object }
  | { case: undefined };

/** A start as requests have it. */
export function startToWire(start: StartOptions): Start {
  const starts: Start[] = [];
  if (start.resumeToken?.length) starts.push({ case: "resumeToken", value: start.resumeToken });
  if (start.fromPosition !== undefined) {
    const value = integerOf(start.fromPosition, "fromPosition");
    starts.push({ case: "fromPosition", value });
  }
  if (start.fromRecordedAt !== undefined) {
    starts.push({ case: "fromRecordedAt", value: timeOf(start.fromRecordedAt) });
  }
  if (start.fromNow) starts.push({ case: "now", value: {} });
  if (starts.length > 1) throw new TypeError("there is one start, not several");
  return starts[0] ?? { case: undefined };
}

function requestOf(options: SubscribeOptions): SubscribeRequest {
  const request = create(SubscribeRequestSchema, {
    ...sourceToWire(options),
    raw: options.raw ?? false,
    start: startToWire(options) as SubscribeRequest["start"],
  });
  if (options.fromVersion !== undefined) {
    if (request.start.case !== undefined) throw new TypeError("there is one start, not several");
    request.start = { case: "fromVersion", value: integerOf(options.fromVersion, "fromVersion") };
  }
  if (options.place !== undefined && request.start.case !== undefined) {
    throw new TypeError("there is one start, not several");
  }
  return request;
}

/**
 * The events of a subscription, in order and without an end; used once.
 *
 * The call begins with the first event that is asked for. When it breaks, the subscription calls
 * again, with growing pauses, and goes on behind the last event that was taken: none is left out,
 * none comes twice. An error that no further call can mend is thrown.
 *
 * `place` says after each event how far the loop is. The event in hand counts as taken: keep the
 * place after having handled it, best in the same transaction. `close` ends it, from wherever it
 * is called, and so does leaving the loop.
 */
export class Subscription implements AsyncIterable<RecordedEvent>, Disposable {
  readonly #following: Following;
  readonly #reconnects: Reconnects;
  readonly #closing = new Closing();
  #call: Answers<SubscribeResponse> | undefined;
  #isUsed = false;

  /** Made by `subscribe`. */
  constructor(
    private readonly connection: Connection,
    private readonly options: SubscribeOptions,
  ) {
    this.#following = new Following(requestOf(options), options.place ?? BEGINNING);
    this.#reconnects = new Reconnects(connection.timeoutMs(options.timeoutMs), options);
  }

  /** How far the loop is: what `subscribe({ place })` goes on from. */
  get place(): Place {
    return this.#following.place;
  }

  /**
   * The newest token that stands for no more than what was taken; empty: none came yet. There is
   * one for each frame, not for each event: `place` goes on exactly.
   */
  get resumeToken(): Uint8Array {
    return this.place.resumeToken;
  }

  /** Head of the log as the server last told it; 0n: not known yet. */
  get head(): bigint {
    return this.#following.head;
  }

  /** Whether the subscription got to the head, and events come as they are appended. */
  get isCaughtUp(): boolean {
    return this.#following.isCaughtUp;
  }

  /** Ends the subscription; its loop ends as if there were no more events. */
  close(): void {
    this.#closing.set();
    this.#call?.cancel();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RecordedEvent, void, undefined> {
    for await (const frame of this.#frames()) {
      this.#following.take(frame, 0);
      for (const [index, event] of frame.events.entries()) {
        this.#following.take(frame, index + 1);
        yield event;
        if (this.#closing.isSet) return;
      }
    }
  }

  /**
   * The frames in which the events come, in place of the events: also checkpoints, news of having
   * caught up, and a sign of life every 10 s. A frame is taken as a whole, and has a token of its
   * own: a good unit for a transaction.
   */
  async *frames(): AsyncGenerator<Frame, void, undefined> {
    for await (const frame of this.#frames()) {
      this.#following.take(frame);
      yield frame;
    }
  }

  async *#frames(): AsyncGenerator<Frame, void, undefined> {
    if (this.#isUsed) throw new Error("a subscription is used once");
    this.#isUsed = true;
    const { signal } = this.options;
    while (!this.#closing.isSet) {
      let failure: unknown = ended(this.connection.settings.target);
      try {
        for await (const frame of this.#oneCall()) {
          yield frame;
          if (this.#closing.isSet) return;
        }
      } catch (error) {
        failure = error;
      }
      if (this.#closing.isSet) return;
      signal?.throwIfAborted();
      const pauseMs = this.#reconnects.pauseMs(failure, this.place.position);
      await this.#closing.pause(pauseMs, signal);
    }
  }

  /** The frames of one call. */
  async *#oneCall(): AsyncGenerator<Frame, void, undefined> {
    const following = this.#following;
    this.#reconnects.begin();
    const attempt = { signal: this.options.signal };
    const { subscribe } = Subscriptions.method;
    this.#call = this.connection.stream(subscribe, following.request(), attempt);
    try {
      for await (const message of this.#call) {
        const frame = following.accept(message);
        this.#reconnects.heard((frame?.events.length ?? 0) > 0);
        await this.#prove();
        if (frame !== undefined) yield frame;
      }
    } catch (error) {
      if (error instanceof PositionAhead && following.place.eventId !== undefined) {
        throw Object.assign(following.changed(), { cause: error });
      }
      throw error;
    }
  }

  /** Looks up the event that was taken last, if it did not come by. */
  async #prove(): Promise<void> {
    const place = this.#following.doubtful;
    if (place === undefined) return;
    const request = { id: place.eventId ?? "" };
    const { signal } = this.options;
    const options = signal === undefined ? {} : { signal };
    try {
      const answer = await this.connection.unary(EventStore.method.getEvent, request, options);
      this.#following.prove(answer.event && new RecordedEvent(answer.event));
    } catch (error) {
      if (!(error instanceof EventNotFound)) throw error;
      this.#following.prove(undefined);
    }
  }
}
