/** The base of all errors, and the errors that the client itself finds. */

/** The facts of an error by name, as strings. */
export type Facts = Readonly<Record<string, string>>;

/** A fact that is an integer. */
export function factInteger(text: string | undefined): bigint | undefined {
  return text !== undefined && /^-?\d+$/.test(text) ? BigInt(text) : undefined;
}

/**
 * A call was refused, or failed.
 *
 * Each reason of the catalogue has a class of its own, named after it: `VERSION_CONFLICT` is
 * `VersionConflict`. A reason that this version of the client does not know (the server is newer)
 * arrives as `EventfoldError` itself. Branch on the class or on `reason`, never on the message.
 */
export class EventfoldError extends Error {
  override readonly name: string = "EventfoldError";

  constructor(
    /** Name of the reason, such as `VERSION_CONFLICT`. */
    readonly reason: string,
    /** Name of the gRPC status code, such as `ABORTED`. */
    readonly code: string,
    message: string,
    /** The facts of the reason by name; the classes have typed accessors. */
    readonly facts: Facts = {},
  ) {
    super(message);
  }

  override toString(): string {
    return `${this.reason}: ${this.message}`;
  }
}

/**
 * A value that was handed to the client cannot be sent, or one that it received cannot be read.
 * Found before anything is sent: NaN in event data, an id that is no UUID, a deadline below 0.
 */
export class InvalidValue extends EventfoldError {
  override readonly name = "InvalidValue";

  constructor(problem: string, path = "") {
    const place = path === "" ? "" : ` (at ${path})`;
    super("INVALID_VALUE", "INVALID_ARGUMENT", `${problem}${place}`, { problem, path });
  }

  /** Where in the value the fault is, such as `items[2].price`. */
  get path(): string | undefined {
    return this.facts["path"];
  }
}

/**
 * The server cannot be reached, or the connection broke before an answer came.
 *
 * Calls that are safe to repeat have been repeated. A call that changes something may have been
 * done or not; an append may be repeated with the same events, and is stored once.
 */
export class ConnectionFailed extends EventfoldError {
  override readonly name = "ConnectionFailed";

  constructor(message: string, facts: Facts = {}) {
    super("CONNECTION_FAILED", "UNAVAILABLE", message, facts);
  }

  /** Address that was called. */
  get target(): string | undefined {
    return this.facts["target"];
  }
}

/**
 * What answered does not speak the eventfold protocol, or speaks another version of it. `code` has
 * the gRPC status code that came; UNIMPLEMENTED from a gRPC server of another kind.
 */
export class UnexpectedAnswer extends EventfoldError {
  override readonly name = "UnexpectedAnswer";

  constructor(message: string, facts: Facts = {}, code = "UNKNOWN") {
    super("UNEXPECTED_ANSWER", code, message, facts);
  }

  /** Address that was called. */
  get target(): string | undefined {
    return this.facts["target"];
  }
}

/**
 * A token would travel in plain text to another machine. Use TLS, or say `insecure` if something
 * else protects the way there.
 */
export class InsecureConnection extends EventfoldError {
  override readonly name = "InsecureConnection";

  constructor(message: string, facts: Facts = {}) {
    super("INSECURE_CONNECTION", "FAILED_PRECONDITION", message, facts);
  }

  /** Address that was to be called. */
  get target(): string | undefined {
    return this.facts["target"];
  }
}

/**
 * A state does not fit what `into` makes of it, or there is none, because the fold deleted the
 * aggregate: look at `exists` first. `cause` is what `into` said.
 */
export class StateMismatch extends EventfoldError {
  override readonly name = "StateMismatch";

  constructor(message: string, facts: Facts = {}) {
    super("STATE_MISMATCH", "FAILED_PRECONDITION", message, facts);
  }
}

/** One demand of an append to several streams that the store did not meet. */
export interface FailedCheck {
  /** Index of the append, from 0; or of the check. */
  readonly appendIndex?: number;
  /** Index of the check, from 0. */
  readonly checkIndex?: number;
  /** Name of the stream. */
  readonly stream: string;
  /** The version at which it is. */
  readonly actualVersion: bigint;
  /** What a single append would have been refused with. */
  readonly error: EventfoldError;
}

/** An append to several streams was refused; nothing was stored. `failed` lists why. */
export class ChecksFailed extends EventfoldError {
  override readonly name = "ChecksFailed";

  constructor(
    /** All that failed, appends before checks, each in order. */
    readonly failed: readonly FailedCheck[],
  ) {
    const told = failed.map((one) => `${one.stream}: ${one.error.toString()}`).join("; ");
    super("CHECKS_FAILED", "ABORTED", `nothing was stored: ${told}`);
  }
}
