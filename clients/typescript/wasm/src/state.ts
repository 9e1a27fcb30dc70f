/** What a fold came to. */

const decoder = new TextDecoder();

/** The fields of a state. */
export interface StateFields {
  readonly exists: boolean;
  readonly version: bigint;
  readonly position: bigint;
  readonly state: Uint8Array;
  readonly erasedPaths: readonly string[];
  readonly withheldPaths: readonly string[];
  readonly eventsRead: number;
  readonly eventsFolded: number;
  readonly foldDigest: string;
}

/** A state of an aggregate, and how far the fold has come. */
export class FoldState implements StateFields {
  /** False: there was no event, or the fold deleted the aggregate. */
  readonly exists: boolean;
  /** Version of the last event; `0n` without events. */
  readonly version: bigint;
  /** Position of the last event; `0n` without events. */
  readonly position: bigint;
  /** JSON text of the state, byte for byte that of the server. */
  readonly state: Uint8Array;
  /** Pointers (RFC 6901) to values that are `null` because they were erased. */
  readonly erasedPaths: readonly string[];
  /** Pointers to values that are `null` because the reader may not see them. */
  readonly withheldPaths: readonly string[];
  /** Number of events that this call was given. */
  readonly eventsRead: number;
  /** Number of these for which the fold has a handler. */
  readonly eventsFolded: number;
  /** Digest of the fold. */
  readonly foldDigest: string;

  constructor(fields: StateFields) {
    this.exists = fields.exists;
    this.version = fields.version;
    this.position = fields.position;
    this.state = fields.state;
    this.erasedPaths = fields.erasedPaths;
    this.withheldPaths = fields.withheldPaths;
    this.eventsRead = fields.eventsRead;
    this.eventsFolded = fields.eventsFolded;
    this.foldDigest = fields.foldDigest;
  }

  /** The state as text. */
  get stateText(): string {
    return decoder.decode(this.state);
  }

  /**
   * The state as `JSON.parse` reads it, anew at each call. Its numbers are doubles: what needs more
   * digits than they have stands in `stateText` alone.
   */
  get value(): unknown {
    return JSON.parse(this.stateText);
  }
}
