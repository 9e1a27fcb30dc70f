/** Reading events: an iterator that survives broken connections. */

import { clone } from "@bufbuild/protobuf";

import type { Connection } from "./connection.js";
import { UnexpectedAnswer } from "./errors.js";
import { RecordedEvent } from "./events.js";
import { StoreIncarnationChanged } from "./generated/errors.js";
import {
  EventStore,
  type ReadAllRequest,
  ReadAllRequestSchema,
  type ReadAllResponse,
  type ReadRequest,
  ReadRequestSchema,
  type ReadResponse,
} from "./generated/eventfold/v1/event_store_pb.js";
import { Follow } from "./generated/eventfold/v1/follow_pb.js";
import { type ReadEnd, readEnd } from "./results.js";
import type { CallOptions } from "./settings.js";

/** The error of a log that lost what was read. */
export function logChanged(position: bigint, common?: bigint): StoreIncarnationChanged {
  return new StoreIncarnationChanged(
    `the event at position ${position} was read, and is now missing or another one`,
    {
      token_position: String(position),
      ...(common === undefined ? {} : { common_position: String(common) }),
    },
  );
}

/**
 * Follows a read. A broken one begins again at the last event that came, inclusive, and compares
 * its id: a store that lost its tail in between is noticed, and no special case is needed at the
 * ends of the stream.
 */
class Cursor {
  #last: RecordedEvent | undefined;
  #count = 0n;
  #repeats = false;

  constructor(readonly first: ReadRequest | ReadAllRequest) {}

  /** The stream that is read, or the last one that was; undefined: the log is. */
  get stream(): string | undefined {
    if (this.first.$typeName !== "eventfold.v1.ReadRequest") return undefined;
    return this.#last?.stream ?? this.first.stream;
  }

  /** The request for what is still to come. */
  request(): ReadRequest | ReadAllRequest {
    const last = this.#last;
    if (last === undefined) return this.first;
    this.#repeats = true;
    const limit = this.first.limit === 0n ? 0n : this.first.limit - this.#count + 1n;
    if (this.first.$typeName === "eventfold.v1.ReadAllRequest") {
      const request = clone(ReadAllRequestSchema, this.first);
      request.from = { case: "fromPosition", value: last.position };
      request.limit = limit;
      return request;
    }
    const request = clone(ReadRequestSchema, this.first);
    request.fromVersion = last.version;
    request.limit = limit;
    // On from that very event: through all streams behind it, or in the open one.
    if (request.follow !== Follow.UNSPECIFIED) request.stream = last.stream;
    if (request.follow === Follow.OPEN) request.follow = Follow.UNSPECIFIED;
    return request;
  }

  /** The events of a message that are new. */
  accept(events: RecordedEvent[]): RecordedEvent[] {
    let fresh = events;
    if (this.#repeats && events.length > 0) {
      if (events[0]?.id !== this.#last?.id) throw logChanged(this.#last?.position ?? 0n);
      this.#repeats = false;
      fresh = events.slice(1);
    }
    this.#last = fresh.at(-1) ?? this.#last;
    this.#count += BigInt(fresh.length);
    return fresh;
  }

  /** Called at the end of the read. */
  finish(): void {
    if (this.#repeats) throw logChanged(this.#last?.position ?? 0n);
  }
}

/**
 * The events of a read, in order; used once.
 *
 * The call begins with the first event that is asked for. When the connection breaks, the read goes
 * on behind the last event that came, without gap or repetition; it then sees the stream or the log
 * as it stands at that moment. The timeout bounds the time in which nothing new comes, not the
 * whole read. Leaving the loop ends the call.
 */
export class EventReader implements AsyncIterable<RecordedEvent> {
  readonly #cursor: Cursor;
  #end: ReadEnd | undefined;

  /** Made by `read` and `readAll`. */
  constructor(
    private readonly connection: Connection,
    request: ReadRequest | ReadAllRequest,
    private readonly options: CallOptions,
  ) {
    this.#cursor = new Cursor(request);
    connection.timeoutMs(options.timeoutMs);
  }

  /**
   * Where the read ended.
   *
   * @throws Error not all events were taken yet.
   */
  get end(): ReadEnd {
    if (this.#end === undefined) {
      throw new Error("the end of a read is known when all of its events were taken");
    }
    return this.#end;
  }

  /** All events that are still to come. */
  async toArray(): Promise<RecordedEvent[]> {
    const events: RecordedEvent[] = [];
    for await (const page of this.pages()) events.push(...page);
    return events;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RecordedEvent, void, undefined> {
    for await (const page of this.pages()) yield* page;
  }

  /** The events in the pages in which they come: about 1 MiB each. */
  async *pages(): AsyncGenerator<RecordedEvent[], void, undefined> {
    const timeoutMs = this.connection.timeoutMs(this.options.timeoutMs);
    const { signal } = this.options;
    for (let failures = 0; ; ) {
      let hasProgress = false;
      try {
        for await (const message of this.#call(timeoutMs)) {
          const page = this.#cursor.accept(message.events.map((one) => new RecordedEvent(one)));
          hasProgress ||= page.length > 0;
          if (message.end !== undefined) {
            this.#cursor.finish();
            this.#end = readEnd(message.end, this.#cursor.stream);
          }
          if (page.length > 0) yield page;
        }
        if (this.#end === undefined) {
          throw new UnexpectedAnswer("the answer stopped without its last message");
        }
        return;
      } catch (error) {
        // All has been read; only the status of the call got lost.
        if (this.#end !== undefined) return;
        failures = hasProgress ? 0 : failures + 1;
        await this.connection.pauseOrThrow(error, failures, { signal });
      }
    }
  }

  #call(timeoutMs: number): AsyncIterable<ReadResponse | ReadAllResponse> {
    const request = this.#cursor.request();
    const attempt = { timeoutMs, signal: this.options.signal };
    if (request.$typeName === "eventfold.v1.ReadRequest") {
      return this.connection.stream(EventStore.method.read, request, attempt);
    }
    return this.connection.stream(EventStore.method.readAll, request, attempt);
  }
}
