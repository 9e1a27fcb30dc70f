/** Calls with deadlines, repeated where that is safe. */

import { setTimeout as sleep } from "node:timers/promises";

import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { ServiceError } from "@grpc/grpc-js";

import { ConnectionFailed, EventfoldError, InvalidValue, UnexpectedAnswer } from "./errors.js";
import {
  ATTEMPTS_MAX,
  backoffMs,
  errorOfCall,
  finalError,
  isRetryable,
  mayBeDone,
  type Safety,
} from "./failures.js";
import { DeadlineExceeded } from "./generated/errors.js";
import { type CallOptions, checkTimeout, Settings } from "./settings.js";
import { type Attempt, type Incoming, type Session, Silence, Transport } from "./transport.js";

/** A subscription that hears nothing for so long has lost its connection. */
export const SILENCE_MS = 30_000;

/** The path of a call. */
export function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** The bytes of a request. */
export function encoded<I extends DescMessage>(input: I, request: MessageInitShape<I>): Uint8Array {
  try {
    return toBinary(input, create(input, request));
  } catch (error) {
    const told = error instanceof Error ? error.message : String(error);
    throw Object.assign(new InvalidValue(told), { cause: error });
  }
}

/** A connection to a server, opened with the first call. */
export class Connection {
  readonly #transport: Transport;
  #isClosed = false;

  constructor(readonly settings: Settings) {
    this.#transport = new Transport(settings);
  }

  /** The timeout of a call in milliseconds; undefined is that of the client. */
  timeoutMs(ms: number | undefined): number {
    return ms === undefined ? this.settings.timeoutMs : checkTimeout(ms);
  }

  /** The error of what failed; the reason of a signal that was aborted passes through. */
  failure(error: unknown, timeoutMs: number, safety: Safety): unknown {
    const { target } = this.settings;
    if (error instanceof Silence) {
      return new ConnectionFailed(`${target}: nothing came for ${timeoutMs / 1000} s`, { target });
    }
    if (!(error instanceof Error && "code" in error && "details" in error)) return error;
    return errorOfCall(error as ServiceError, target, timeoutMs, safety);
  }

  #open(): Transport {
    if (this.#isClosed) throw new Error("the client is closed");
    return this.#transport;
  }

  #decoded<O extends DescMessage>(output: O, bytes: Uint8Array): MessageShape<O> {
    try {
      return fromBinary(output, bytes);
    } catch (error) {
      const { target } = this.settings;
      const failure = new UnexpectedAnswer(`${target} answered what is no ${output.name}`, {
        target,
      });
      throw Object.assign(failure, { cause: error });
    }
  }

  /**
   * Makes a call, again after failures that allow it, all within one deadline.
   *
   * @throws EventfoldError the call was refused or failed.
   */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions = {},
    safety: Safety = "read",
  ): Promise<MessageShape<O>> {
    const timeoutMs = this.timeoutMs(options.timeoutMs);
    const [path, bytes] = [pathOf(method), encoded(method.input, request)];
    const attempt = async (leftMs: number): Promise<MessageShape<O>> => {
      const one = { timeoutMs: leftMs, signal: options.signal };
      return this.#decoded(method.output, await this.#open().unary(path, bytes, one));
    };
    return this.#repeated(attempt, safety, timeoutMs, options.signal);
  }

  async #repeated<T>(
    attempt: (leftMs: number) => Promise<T>,
    safety: Safety,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const deadline = performance.now() + timeoutMs;
    let wasUnsure = false;
    for (let failures = 1; ; failures++) {
      try {
        return await attempt(Math.max(1, deadline - performance.now()));
      } catch (error) {
        const failure = this.failure(error, timeoutMs, safety);
        if (!(failure instanceof EventfoldError)) throw failure;
        const pause = backoffMs(failures);
        const isLate = performance.now() + pause >= deadline;
        if (failures >= ATTEMPTS_MAX || isLate || !isRetryable(failure, safety)) {
          throw finalError(failure, safety, wasUnsure);
        }
        wasUnsure ||= mayBeDone(failure);
        await this.pause(pause, signal);
      }
    }
  }

  /** Makes one attempt of a call of bytes that need not be messages; errors are mapped. */
  async attempt(method: DescMethod, request: Uint8Array, attempt: Attempt): Promise<Uint8Array> {
    try {
      return await this.#open().unary(pathOf(method), request, attempt);
    } catch (error) {
      throw this.failure(error, attempt.timeoutMs ?? 0, "read");
    }
  }

  /**
   * The messages of one attempt of a call that streams its answer. Without a deadline, it fails
   * when nothing comes for `SILENCE_MS`. `safety` says what a deadline means that passes.
   */
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    attempt: Attempt,
    safety: Safety = "read",
  ): Answers<MessageShape<O>> {
    const silenceMs = attempt.timeoutMs === undefined ? SILENCE_MS : undefined;
    const bytes = encoded(method.input, request);
    const call = this.#open().stream(pathOf(method), bytes, attempt, silenceMs);
    const decode = (one: Uint8Array): MessageShape<O> => this.#decoded(method.output, one);
    return new Answers(call, decode, this.#mapping(attempt, safety));
  }

  /** The messages of bytes that need not be a message; as `stream`. */
  streamBytes(method: DescMethod, request: Uint8Array, attempt: Attempt): Answers<Uint8Array> {
    const call = this.#open().stream(pathOf(method), request, attempt);
    return new Answers(call, (bytes) => bytes, this.#mapping(attempt, "read"));
  }

  #mapping(attempt: Attempt, safety: Safety): (error: unknown) => unknown {
    return (error) => this.failure(error, attempt.timeoutMs ?? SILENCE_MS, safety);
  }

  /** Begins a call of many messages both ways, of bytes, without repetition. */
  session(
    method: DescMethod,
    attempt: Attempt,
    silenceMs?: number,
    safety: Safety = "read",
  ): { call: Session; answers: Answers<Uint8Array> } {
    const call = this.#open().session(pathOf(method), attempt, silenceMs);
    return { call, answers: new Answers(call, (bytes) => bytes, this.#mapping(attempt, safety)) };
  }

  /** Reads a message of its bytes. */
  decoded<O extends DescMessage>(output: O, bytes: Uint8Array): MessageShape<O> {
    return this.#decoded(output, bytes);
  }

  /**
   * Waits before a streamed answer is asked for again, or throws what broke it. `failures` counts
   * the calls in a row in which nothing new came, this one included.
   */
  async pauseOrThrow(
    failure: unknown,
    failures: number,
    options: { safety?: Safety; deadline?: number | undefined; signal?: AbortSignal | undefined },
  ): Promise<void> {
    if (!(failure instanceof EventfoldError)) throw failure;
    // The deadline of a long answer passes again and again; that is no failure as long as
    // something comes.
    if (failure instanceof DeadlineExceeded && failures === 0) return;
    const pause = backoffMs(Math.max(1, failures));
    const isLate = performance.now() + pause >= (options.deadline ?? Infinity);
    const again = isRetryable(failure, options.safety ?? "read");
    if (failures >= ATTEMPTS_MAX || isLate || !again) throw failure;
    await this.pause(pause, options.signal);
  }

  /** Waits; fails with the reason of the signal when that is aborted. */
  async pause(ms: number, signal?: AbortSignal): Promise<void> {
    try {
      await sleep(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }

  /** Ends the connection. Calls under way fail; closing twice is allowed. */
  close(): void {
    this.#isClosed = true;
    this.#transport.close();
  }
}

/** The messages of one attempt of a call, decoded, with errors mapped. */
export class Answers<T> implements AsyncIterable<T> {
  constructor(
    private readonly call: Incoming,
    private readonly decode: (bytes: Uint8Array) => T,
    private readonly failure: (error: unknown) => unknown,
  ) {}

  /** Ends the call. */
  cancel(): void {
    this.call.cancel();
  }

  /** The messages; ends the call when it is left. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    const messages = this.call[Symbol.asyncIterator]();
    try {
      for (;;) {
        let next: IteratorResult<Uint8Array, void>;
        try {
          next = await messages.next();
        } catch (error) {
          throw this.failure(error);
        }
        if (next.done) return;
        yield this.decode(next.value);
      }
    } finally {
      await messages.return();
    }
  }
}
