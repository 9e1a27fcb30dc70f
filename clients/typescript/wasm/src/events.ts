/** Events as they are handed in. */

/** A time: microseconds since 1970, a `Date`, or a `google.protobuf.Timestamp`. */
export type Time =
  | bigint
  | Date
  | { readonly seconds: bigint | number; readonly nanos: number };

/** JSON text: its bytes as they are stored, or a string. */
export type Json = Uint8Array | string;

/**
 * A stored event, as `eventfold.v1.RecordedEvent` has it: whatever reads events over gRPC gives
 * objects of this shape. Times are those of the log; `undefined` and empty texts are the same.
 */
export interface RecordedEvent {
  readonly id: string;
  readonly stream: string;
  readonly type: string;
  readonly version: bigint | number;
  readonly position: bigint | number;
  readonly recordedAt?: Time | undefined;
  /** Default: `recordedAt`. */
  readonly occurredAt?: Time | undefined;
  readonly writer: string;
  readonly data: Json;
  readonly metadata?: Json | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly flags?: number | undefined;
  readonly copiedFrom?: string | undefined;
  readonly cancels?: string | undefined;
  readonly deleted?: boolean | undefined;
  readonly erasedPaths?: readonly string[] | undefined;
  readonly withheldPaths?: readonly string[] | undefined;
}

/** An event that is not stored: it counts as the next one of the stream, recorded now. */
export interface NewEvent {
  readonly type: string;
  readonly data: Json;
  readonly metadata?: Json | undefined;
  readonly tags?: readonly string[] | undefined;
  /** UUID. Default: a new one. */
  readonly id?: string | undefined;
  /** Default: now. */
  readonly occurredAt?: Time | undefined;
  readonly version?: undefined;
}

export type FoldEvent = RecordedEvent | NewEvent;

/** Of `flags`: the first event of a period, which goes on from another stream. */
const OPENS = 128;

/** The name of the stream that the event goes on from, if it opens one. */
export function predecessor(event: RecordedEvent): string | undefined {
  if (((event.flags ?? 0) & OPENS) === 0) return undefined;
  const { data } = event;
  try {
    const text = typeof data === "string" ? data : new TextDecoder().decode(data);
    const found = (JSON.parse(text) as { predecessor?: unknown }).predecessor;
    return typeof found === "string" ? found : undefined;
  } catch {
    // What is wrong with the data, the core tells.
    return undefined;
  }
}
