/** Calls on the log: appending events, reading them, streams. */

import { create, type MessageInitShape } from "@bufbuild/protobuf";

import type { Connection } from "./connection.js";
import {
  type ExpectedVersion,
  eventsToWire,
  eventToWire,
  expectedToWire,
  integerOf,
  jsonOf,
  type NewEvent,
  newId,
  RecordedEvent,
} from "./events.js";
import { UnexpectedAnswer } from "./errors.js";
import { foldRef, type FoldLike } from "./fold.js";
import type { CheckAppendResponse } from "./generated/eventfold/v1/appends_pb.js";
import type { CloseStreamResponse } from "./generated/eventfold/v1/closing_pb.js";
import {
  Direction,
  EventStore,
  type Lifecycle,
  ReadAllRequestSchema,
  ReadRequestSchema,
  type Stream,
} from "./generated/eventfold/v1/event_store_pb.js";
import { paged } from "./paging.js";
import { EventReader } from "./reader.js";
import {
  type AppendResult,
  appendedMany,
  appendResult,
  type Copies,
  copiesToWire,
  type Follow,
  followToWire,
} from "./results.js";
import type { CallOptions } from "./settings.js";

/** How to append. */
export interface AppendOptions extends CallOptions {
  /**
   * The version that the append was decided on; 0: the stream has no event yet. `exists`: it has
   * one; `any`: whatever it is. Required.
   */
  readonly expectedVersion: ExpectedVersion;
  /**
   * True: where the stream is closed, the events go to the open stream at the end of its line of
   * periods. Only with `any`. Default: STREAM_CLOSED.
   */
  readonly follow?: boolean;
}

/** The part of an append to several streams that goes to one of them. */
export interface StreamAppend {
  readonly stream: string;
  readonly events: Iterable<NewEvent>;
  readonly expectedVersion: ExpectedVersion;
}

/** What is common to all reads. */
export interface ReadingOptions extends CallOptions {
  /** Default: forwards. */
  readonly direction?: "forwards" | "backwards";
  /** Most events to return. 0, the default: all. */
  readonly limit?: number | bigint;
  /** Only events of these types; at most 100. Default: all. */
  readonly types?: Iterable<string>;
  /** Waits, within the timeout, until the log has this position. 0, the default: does not wait. */
  readonly atLeastPosition?: number | bigint;
  /** True: data as it is stored, without the mappings in force. Default: false. */
  readonly raw?: boolean;
}

/** How to read a stream. */
export interface ReadOptions extends ReadingOptions {
  /** Version to begin with, inclusive, at least 1. Default: 1 forwards, the head backwards. */
  readonly fromVersion?: number | bigint;
  /** Version to end with, inclusive. Default: the head forwards, 1 backwards. */
  readonly toVersion?: number | bigint;
  /** Which streams of the line of periods. Default: the one that is named alone. */
  readonly follow?: Follow;
  /** Also finds out which events others cancel: `isCancelled` of each says it. Default: false. */
  readonly markCancelled?: boolean;
}

/** How to read the log. */
export interface ReadAllOptions extends ReadingOptions {
  /** Position to begin with, inclusive, at least 1. Default: 1 forwards, the head backwards. */
  readonly fromPosition?: number | bigint;
  /** Begin behind what this token of an earlier end stands for. Not with `fromPosition`. */
  readonly resumeToken?: Uint8Array;
  /** Position to end with, inclusive; beyond the head it means the head. */
  readonly toPosition?: number | bigint;
  /** Only events of these categories; at most 100. Default: all. */
  readonly categories?: Iterable<string>;
  /** Only events that have all of these tags; at most 64. Default: all. */
  readonly tags?: Iterable<string>;
  /** Also events of streams whose name starts with `$`. Default: false. */
  readonly includeSystemEvents?: boolean;
  /** Default: those of `categories` are included, those of the whole log are not. */
  readonly copies?: Copies;
}

/** How to cancel an event that was wrong. */
export interface CompensateOptions extends CallOptions {
  /** Why, for people; 1 to 1,024 bytes. It stays in the log: nothing personal. */
  readonly reason: string;
  /** As in `append`. */
  readonly expectedVersion: ExpectedVersion;
  /** The event that would have been right, stored right behind. Default: none. */
  readonly correction?: NewEvent;
  /** What may be said of the cancellation; `type` has a default made of that of the event. */
  readonly cancellation?: Partial<Omit<NewEvent, "data">>;
}

/** How to close the books of a stream. */
export interface CloseOptions extends CallOptions {
  /** Name of the stream that goes on, of the same category. Default: none does. */
  readonly successor?: string;
  /** Folds whose states the successor starts from. Default: none. */
  readonly folds?: Iterable<FoldLike>;
  /** Default: `exists`, whichever version it is. */
  readonly expectedVersion?: ExpectedVersion;
  /** Type and further data of the closing event. Default: `$Closed`. */
  readonly closing?: { readonly type?: string; readonly data?: object; readonly id?: string };
  /** Type and further data of the opening event. Default: `$Opened`. */
  readonly opening?: { readonly type?: string; readonly data?: object; readonly id?: string };
  /** `all`: folds that the stream was not opened with are folded through all periods. */
  readonly follow?: "all";
}

/** Which streams to list. */
export interface ListStreamsOptions extends CallOptions {
  readonly category?: string;
  readonly prefix?: string;
  /** Default: any. */
  readonly lifecycle?: Lifecycle;
  /** Streams fetched at once, 1 to 1,000. Default: 100. */
  readonly pageSize?: number;
}

const wireDirection = (direction: "forwards" | "backwards" | undefined): Direction =>
  direction === "backwards" ? Direction.BACKWARDS : Direction.FORWARDS;

/** The calls of the service `EventStore`. */
export class LogCalls {
  constructor(
    /** @internal */
    protected readonly connection: Connection,
  ) {}

  /**
   * Appends events to a stream: all of them are stored, or none.
   *
   * Every event has an id, so the call is repeated by itself when the connection breaks, and the
   * events are stored once.
   *
   * @throws VersionConflict the stream is at another version.
   * @throws StreamClosed, StreamDeleted the stream takes no events.
   * @throws OutcomeUnknown, ConnectionFailed the events may be stored or not; append the same
   * events with the same ids again.
   */
  async append(
    stream: string,
    events: Iterable<NewEvent>,
    options: AppendOptions,
  ): Promise<AppendResult> {
    const request = {
      stream,
      events: eventsToWire(events),
      expectedVersion: expectedToWire(options.expectedVersion),
      follow: options.follow ?? false,
    };
    const { append } = EventStore.method;
    return appendResult(await this.connection.unary(append, request, options, "append"), stream);
  }

  /**
   * Appends events to several streams: all of them are stored, or none. `checks` are streams that
   * are not written to, and the version that each is expected at.
   *
   * @throws ChecksFailed streams are at other versions, or take no events; `failed` lists all.
   */
  async appendMany(
    appends: Iterable<StreamAppend>,
    options: CallOptions & {
      readonly checks?: Readonly<Record<string, Exclude<ExpectedVersion, "any">>>;
    } = {},
  ): Promise<AppendResult[]> {
    const parts = Array.from(appends, (one) => ({
      stream: one.stream,
      events: eventsToWire(one.events),
      expectedVersion: expectedToWire(one.expectedVersion),
    }));
    const checks = Object.entries(options.checks ?? {}).map(([stream, expected]) => ({
      stream,
      expectedVersion: expectedToWire(expected),
    }));
    const { appendMany } = EventStore.method;
    const request = { appends: parts, checks };
    const answer = await this.connection.unary(appendMany, request, options, "append");
    return appendedMany(answer, parts.map((one) => one.stream));
  }

  /** Says what `append` would answer now, and stores nothing; violations of schemas come whole. */
  async checkAppend(
    stream: string,
    events: Iterable<NewEvent>,
    options: AppendOptions,
  ): Promise<CheckAppendResponse> {
    const append = {
      stream,
      events: eventsToWire(events),
      expectedVersion: expectedToWire(options.expectedVersion),
    };
    return this.connection.unary(EventStore.method.checkAppend, { append }, options);
  }

  /**
   * Cancels an event that was wrong, and stores what would have been right. There is no update of
   * events: the wrong one stays, and one behind it says so.
   *
   * @throws EventNotFound, EventOfOtherStream, EventAlreadyCancelled, EventNotCancellable
   */
  async compensate(
    stream: string,
    eventId: string,
    options: CompensateOptions,
  ): Promise<AppendResult> {
    const { correction, cancellation } = options;
    const said = eventToWire({ type: "", ...cancellation }, "cancellation");
    const request = {
      stream,
      eventId,
      reason: options.reason,
      expectedVersion: expectedToWire(options.expectedVersion),
      cancellation: {
        id: said.id ?? newId(),
        type: said.type ?? "",
        metadata: said.metadata ?? new Uint8Array(),
        tags: said.tags ?? [],
        ...(said.occurredAt === undefined ? {} : { occurredAt: said.occurredAt }),
      },
      ...(correction === undefined ? {} : { correction: eventToWire(correction, "correction") }),
    };
    const { compensate } = EventStore.method;
    const answer = await this.connection.unary(compensate, request, options, "append");
    if (answer.appended === undefined) throw new UnexpectedAnswer("the answer says nothing");
    return appendResult(answer.appended, stream);
  }

  /**
   * Closes the books of a stream: it refuses events from then on, and stays readable. With a
   * successor, that is opened by an event with the states of the folds, in the same transaction.
   *
   * @throws SuccessorExists, StreamClosed, StreamNotFound, VersionConflict, StateNotCarried
   */
  async closeStream(stream: string, options: CloseOptions = {}): Promise<CloseStreamResponse> {
    const { closing = {}, opening = {}, successor = "" } = options;
    const request = {
      stream,
      successor,
      expectedVersion: expectedToWire(options.expectedVersion ?? "exists"),
      folds: Array.from(options.folds ?? [], foldRef),
      closingType: closing.type ?? "",
      openingType: opening.type ?? "",
      closingData: closing.data ? jsonOf(closing.data, "closing.data") : new Uint8Array(),
      openingData: opening.data ? jsonOf(opening.data, "opening.data") : new Uint8Array(),
      closingId: closing.id ?? newId(),
      openingId: opening.id ?? (successor === "" ? "" : newId()),
      follow: followToWire(options.follow),
    };
    return this.connection.unary(EventStore.method.closeStream, request, options, "append");
  }

  /**
   * Reads a stream, as it stood when the read began. These errors come when it is first used:
   *
   * @throws StreamNotFound the stream never had an event.
   * @throws VersionAhead `fromVersion` is beyond the head + 1.
   */
  read(stream: string, options: ReadOptions = {}): EventReader {
    const { fromVersion, toVersion } = options;
    const request = create(ReadRequestSchema, {
      stream,
      ...reading(options),
      ...(fromVersion === undefined ? {} : { fromVersion: integerOf(fromVersion, "fromVersion") }),
      ...(toVersion === undefined ? {} : { toVersion: integerOf(toVersion, "toVersion") }),
      follow: followToWire(options.follow),
      markCancelled: options.markCancelled ?? false,
    });
    return new EventReader(this.connection, request, options);
  }

  /**
   * Reads the log in the order of commits, as it stood when the read began.
   *
   * @throws PositionAhead `fromPosition` is beyond the head + 1.
   * @throws StoreIncarnationChanged the log is not the one that the token was made on.
   */
  readAll(options: ReadAllOptions = {}): EventReader {
    const request = create(ReadAllRequestSchema, {
      ...reading(options),
      categories: [...(options.categories ?? [])],
      tags: [...(options.tags ?? [])],
      includeSystemEvents: options.includeSystemEvents ?? false,
      copies: copiesToWire(options.copies),
    });
    if (options.fromPosition !== undefined) {
      const value = integerOf(options.fromPosition, "fromPosition");
      request.from = { case: "fromPosition", value };
    } else if (options.resumeToken?.length) {
      request.from = { case: "resumeToken", value: options.resumeToken };
    }
    if (options.toPosition !== undefined) {
      request.toPosition = integerOf(options.toPosition, "toPosition");
    }
    return new EventReader(this.connection, request, options);
  }

  /**
   * One event by its id.
   *
   * @throws EventNotFound
   */
  async getEvent(
    id: string,
    options: CallOptions & { readonly raw?: boolean } = {},
  ): Promise<RecordedEvent> {
    const request = { id, raw: options.raw ?? false };
    const answer = await this.connection.unary(EventStore.method.getEvent, request, options);
    if (answer.event === undefined) throw new UnexpectedAnswer("the answer has no event");
    return new RecordedEvent(answer.event);
  }

  /**
   * Describes a stream.
   *
   * @throws StreamNotFound it never had an event.
   */
  async getStream(name: string, options: CallOptions = {}): Promise<Stream> {
    const answer = await this.connection.unary(EventStore.method.getStream, { name }, options);
    if (answer.stream === undefined) throw new UnexpectedAnswer("the answer has no stream");
    return answer.stream;
  }

  /** Streams in byte order of their names. */
  listStreams(options: ListStreamsOptions = {}): AsyncGenerator<Stream, void, undefined> {
    const { category = "", prefix = "", pageSize = 0 } = options;
    return paged(async (pageToken) => {
      const request = {
        category,
        prefix,
        pageSize,
        pageToken,
        ...(options.lifecycle === undefined ? {} : { lifecycle: options.lifecycle }),
      };
      const page = await this.connection.unary(EventStore.method.listStreams, request, options);
      return [page.streams, page.nextPageToken];
    });
  }
}

function reading(options: ReadingOptions): Pick<
  Required<Omit<MessageInitShape<typeof ReadRequestSchema>, "$typeName" | "$unknown">>,
  "direction" | "limit" | "types" | "atLeastPosition" | "raw"
> {
  return {
    direction: wireDirection(options.direction),
    limit: integerOf(options.limit ?? 0, "limit"),
    types: [...(options.types ?? [])],
    atLeastPosition: integerOf(options.atLeastPosition ?? 0, "atLeastPosition"),
    raw: options.raw ?? false,
  };
}
