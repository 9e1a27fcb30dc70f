/** Events: those to be stored, and those that are. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { v7 } from "uuid";

import { InvalidValue } from "./errors.js";
import {
  type ExpectedVersionSchema,
  type NewEventSchema,
} from "./generated/eventfold/v1/appends_pb.js";
import {
  EventFlag,
  type RecordedEvent as WireEvent,
} from "./generated/eventfold/v1/event_store_pb.js";
import { decodeJson, encodeJson, type JsonObject } from "./json.js";

/**
 * What an append demands of its stream: a version (0: it has no event yet), that it has an event,
 * or nothing.
 */
export type ExpectedVersion = number | bigint | "exists" | "any";

/** An event to be stored. */
export interface NewEvent {
  /** Name of what happened, such as `MoneyDeposited`; 1 to 128 bytes. */
  readonly type: string;
  /** A JSON object, as `encodeJson` takes it, or its bytes; at most 1 MiB. Default: `{}`. */
  readonly data?: object;
  /** The same, at most 64 KiB. Reserved: `causation_id`, `correlation_id`, `refs`. */
  readonly metadata?: object;
  /** A set of at most 64 texts of 1 to 128 bytes. Default: none. */
  readonly tags?: Iterable<string>;
  /**
   * A UUID. Default: a new one of version 7 for each call of `append`, kept over its repetitions.
   * Whoever repeats an append names it, or makes the event by `newEvent`.
   */
  readonly id?: string;
  /** When it happened. Default: the time at which the server records it. */
  readonly occurredAt?: Date | Timestamp;
}

/** An event with an id of its own, so that its append may be repeated at any time. */
export function newEvent(
  type: string,
  data: object = {},
  rest: Omit<NewEvent, "type" | "data"> = {},
): NewEvent & { readonly id: string } {
  return Object.freeze({ ...rest, type, data, id: rest.id ?? newId() });
}

/** A new id: a UUID of version 7. */
export function newId(): string {
  return v7();
}

/** Name of the stream of an aggregate: `category-id`. */
export function streamName(category: string, id: string): string {
  if (category.includes("-") || category === "" || id === "") {
    throw new InvalidValue(`no stream is named by ${JSON.stringify([category, id])}`, "category");
  }
  return `${category}-${id}`;
}

/** A stored event. `Data` is what its data is taken for; nothing checks it. */
export class RecordedEvent<Data extends object = JsonObject> {
  #data: Data | undefined;
  #metadata: JsonObject | undefined;

  constructor(
    /** The message that came. */
    readonly message: WireEvent,
  ) {}

  /** UUID in canonical lower case. */
  get id(): string {
    return this.message.id;
  }

  /** Name of its stream. */
  get stream(): string {
    return this.message.stream;
  }

  /** Name of what happened. */
  get type(): string {
    return this.message.type;
  }

  /** Its place in the stream; the first has 1. */
  get version(): bigint {
    return this.message.version;
  }

  /** Its place in the log; the first has 1. */
  get position(): bigint {
    return this.message.position;
  }

  /** When the server recorded it; `message.recordedAt` has the microseconds. */
  get recordedAt(): Date {
    return dateOf(this.message.recordedAt);
  }

  /** When it happened; `message.occurredAt` has the microseconds. */
  get occurredAt(): Date {
    return dateOf(this.message.occurredAt);
  }

  /** Who appended it: the name of the token, or `anonymous`. */
  get writer(): string {
    return this.message.writer;
  }

  /** Its data, with exact numbers; read when first asked for. `{}` if it was deleted. */
  get data(): Data {
    return (this.#data ??= decodeJson(this.message.data) as unknown as Data);
  }

  /** The bytes of its data as they were stored, or as the mapping of its type made them. */
  get dataBytes(): Uint8Array {
    return this.message.data;
  }

  /** Its metadata, as `data`. */
  get metadata(): JsonObject {
    return (this.#metadata ??= decodeJson(this.message.metadata) as JsonObject);
  }

  /** The bytes of its metadata. */
  get metadataBytes(): Uint8Array {
    return this.message.metadata;
  }

  /** Its tags, sorted. */
  get tags(): readonly string[] {
    return this.message.tags;
  }

  /** Whether the server has set a mark on it. */
  hasFlag(flag: EventFlag): boolean {
    return (this.message.flags & flag) !== 0;
  }

  /** Whether a later event of its stream cancels it; known in reads with `markCancelled`. */
  get isCancelled(): boolean {
    return this.hasFlag(EventFlag.CANCELLED);
  }

  /** Id of the event that it cancels. */
  get cancels(): string | undefined {
    return this.message.cancels || undefined;
  }

  /** Id of the event that it is a copy of. */
  get copiedFrom(): string | undefined {
    return this.message.copiedFrom || undefined;
  }

  /** Whether data, metadata and tags were deleted. */
  get isDeleted(): boolean {
    return this.message.deleted;
  }
}

/** A time of an answer; one that is missing is the beginning of 1970. */
export function dateOf(time: Timestamp | undefined): Date {
  return time === undefined ? new Date(0) : timestampDate(time);
}

/** A time of a request. */
export function timeOf(time: Date | Timestamp): Timestamp {
  if (!(time instanceof Date)) return time;
  if (Number.isNaN(time.getTime())) throw new InvalidValue("the date is invalid");
  return timestampFromDate(time);
}

/** An integer of a request. */
export function integerOf(value: number | bigint, name: string): bigint {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new InvalidValue(`${value} is no whole number`, name);
  }
  return BigInt(value);
}

/** An expectation as the request has it. */
export function expectedToWire(
  expected: ExpectedVersion,
): MessageInitShape<typeof ExpectedVersionSchema> {
  if (expected === "any" || expected === "exists") return { kind: { case: expected, value: {} } };
  return { kind: { case: "exact", value: integerOf(expected, "expectedVersion") } };
}

/** An event as the request has it. */
export function eventToWire(
  event: NewEvent,
  path: string,
): MessageInitShape<typeof NewEventSchema> {
  return {
    id: event.id ?? newId(),
    type: event.type,
    data: jsonOf(event.data, `${path}.data`),
    metadata: event.metadata === undefined ? new Uint8Array() : jsonOf(event.metadata, path),
    tags: [...(event.tags ?? [])],
    ...(event.occurredAt === undefined ? {} : { occurredAt: timeOf(event.occurredAt) }),
  };
}

/** Events as the request has them. */
export function eventsToWire(
  events: Iterable<NewEvent>,
): MessageInitShape<typeof NewEventSchema>[] {
  return Array.from(events, (event, index) => eventToWire(event, `events[${index}]`));
}

/** The bytes of an object of JSON; a fault in it is told with its place. */
export function jsonOf(value: object | undefined, place: string): Uint8Array {
  try {
    return encodeJson(value ?? {});
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error;
    const path = error.path ? `${place}.${error.path}` : place;
    throw new InvalidValue(error.facts["problem"] ?? error.message, path);
  }
}
