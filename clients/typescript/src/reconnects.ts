/** When calls without an end are begun again, and who is told. */

import { ConnectionFailed, EventfoldError, UnexpectedAnswer } from "./errors.js";
import { backoffMs } from "./failures.js";
import { DeadlineExceeded, Overloaded } from "./generated/errors.js";
import { checkTimeout } from "./settings.js";

// A call that held for so long was no failure, whether or not something came.
const HELD_MS = 10_000;

/** A call broke, and is begun again. */
export interface Reconnect {
  /** What broke it. */
  readonly error: EventfoldError;
  /** Failures in a row without anything new, this one included. */
  readonly failures: number;
  /** Milliseconds until the next attempt. */
  readonly pauseMs: number;
  /** Position from which it goes on; 0n: from its start, or not known. */
  readonly position: bigint;
}

/** What may be said of calls without an end. */
export interface ReconnectOptions {
  /** Called when the call broke, before the pause. */
  readonly onReconnect?: (reconnect: Reconnect) => void;
  /**
   * Milliseconds for which a broken call is begun again until its error is thrown; 0: at once.
   * Default: without limit.
   */
  readonly giveUpAfterMs?: number;
  /** Milliseconds for which it is tried to reach the server at first. Default: of the client. */
  readonly timeoutMs?: number;
  /** Ends it when it is aborted: the loop then fails with the reason of the signal. */
  readonly signal?: AbortSignal;
}

function isMendable(error: EventfoldError): boolean {
  if (error instanceof UnexpectedAnswer) {
    // What gRPC makes of a connection that a proxy resets; not an answer that is no message.
    const isOfCall = error.cause instanceof Error && "details" in error.cause;
    return isOfCall && (error.code === "INTERNAL" || error.code === "UNKNOWN");
  }
  return (
    error.code === "UNAVAILABLE" || error instanceof Overloaded || error instanceof DeadlineExceeded
  );
}

/** Counts the failures in a row of a call without an end, and says when to call again. */
export class Reconnects {
  #wasHeard = false;
  #began = 0;
  #failures = 0;
  #failingSince = 0;

  constructor(
    private readonly timeoutMs: number,
    private readonly options: ReconnectOptions,
  ) {
    if (options.giveUpAfterMs) checkTimeout(options.giveUpAfterMs, "giveUpAfterMs");
  }

  /** Called when an attempt begins. */
  begin(): void {
    this.#began = performance.now();
  }

  /** Called when something came; `isNew`: something that the call is there for. */
  heard(isNew: boolean): void {
    this.#wasHeard = true;
    // A call that breaks before it brings anything new is not tried faster and faster.
    if (isNew || performance.now() - this.#began >= HELD_MS) this.#failures = 0;
  }

  /**
   * Milliseconds to wait until the next attempt.
   *
   * @throws the error itself, if no further attempt can mend it, or it took too long.
   */
  pauseMs(error: unknown, position = 0n): number {
    // A server that was there once may have a stand-in that speaks something else for a while.
    const again = (one: EventfoldError): boolean =>
      isMendable(one) || (this.#wasHeard && one.code === "UNAVAILABLE");
    if (!(error instanceof EventfoldError) || !again(error)) throw error;
    const now = performance.now();
    if (this.#failures === 0) this.#failingSince = now;
    this.#failures += 1;
    const pauseMs = backoffMs(this.#failures);
    const limit = this.#wasHeard ? (this.options.giveUpAfterMs ?? Infinity) : this.timeoutMs;
    if (now + pauseMs - this.#failingSince > limit) throw error;
    this.options.onReconnect?.({ error, failures: this.#failures, pauseMs, position });
    return pauseMs;
  }
}

/** The error of a call that ended though it has no end. */
export function ended(target: string): ConnectionFailed {
  return new ConnectionFailed(`${target}: the server ended the call`, { target });
}

/** Something that ends once, from wherever it is told to. */
export class Closing {
  readonly #controller = new AbortController();

  get isSet(): boolean {
    return this.#controller.signal.aborted;
  }

  set(): void {
    this.#controller.abort();
  }

  /** Waits, unless it ends, or the signal of the user is aborted. */
  async pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (this.isSet) return;
    const both = [this.#controller.signal, ...(signal === undefined ? [] : [signal])];
    const any = AbortSignal.any(both);
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        any.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      any.addEventListener("abort", done);
    });
    signal?.throwIfAborted();
  }
}
