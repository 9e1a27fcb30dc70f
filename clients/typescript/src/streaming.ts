/** Answers that come in many messages, and go on when the connection breaks. */

import type {
  DescMessage,
  DescMethodServerStreaming,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";

import type { Connection } from "./connection.js";
import { UnexpectedAnswer } from "./errors.js";
import type { Safety } from "./failures.js";
import type { CallOptions } from "./settings.js";

/** What has come of a streamed answer, and what is still to be asked for. */
export interface Progress<I extends DescMessage, O extends DescMessage, T> {
  /** The request for what is still to come. */
  request(): MessageInitShape<I>;
  /** The items of a message that are new. */
  accept(message: MessageShape<O>): readonly T[];
  /** Called at the end of a call: whether nothing is still to come. */
  finish(): boolean;
}

/** The items of an answer, each once, however often it breaks. */
export async function* items<I extends DescMessage, O extends DescMessage, T>(
  connection: Connection,
  method: DescMethodServerStreaming<I, O>,
  progress: Progress<I, O, T>,
  options: CallOptions,
): AsyncGenerator<T, void, undefined> {
  const timeoutMs = connection.timeoutMs(options.timeoutMs);
  const { signal } = options;
  for (let failures = 0; ; ) {
    let hasProgress = false;
    try {
      const attempt = { timeoutMs, signal };
      for await (const message of connection.stream(method, progress.request(), attempt)) {
        const fresh = progress.accept(message);
        hasProgress ||= fresh.length > 0;
        yield* fresh;
      }
      if (progress.finish()) return;
      if (!hasProgress) throw new UnexpectedAnswer("the answer stopped before its end");
    } catch (error) {
      failures = hasProgress ? 0 : failures + 1;
      await connection.pauseOrThrow(error, failures, { signal });
    }
  }
}

/** A message that tells how far a long work is; `done` says that it is the last. */
export type Report<O extends DescMessage> = MessageShape<O> & { readonly done: boolean };

/** How to make a call that tells how far it is. */
export interface ReportOptions<M> extends CallOptions {
  /** Called with each message, the last included. */
  readonly onProgress?: (message: M) => void;
}

/** Milliseconds for a long work, where nothing is said. */
const WORK_MS = 3_600_000;

/** The last message of an answer whose messages tell how far a long work is. */
export async function lastReport<I extends DescMessage, O extends DescMessage>(
  connection: Connection,
  method: DescMethodServerStreaming<I, O>,
  request: MessageInitShape<I>,
  options: ReportOptions<MessageShape<O>>,
  safety: Safety = "read",
): Promise<MessageShape<O>> {
  const timeoutMs = connection.timeoutMs(options.timeoutMs ?? WORK_MS);
  const deadline = performance.now() + timeoutMs;
  const { signal } = options;
  for (let failures = 1; ; failures++) {
    try {
      const attempt = { timeoutMs: Math.max(1, deadline - performance.now()), signal };
      for await (const message of connection.stream(method, request, attempt, safety)) {
        options.onProgress?.(message);
        if ((message as Report<O>).done) return message;
      }
      throw new UnexpectedAnswer("the answer stopped without its last message");
    } catch (error) {
      await connection.pauseOrThrow(error, failures, { safety, deadline, signal });
    }
  }
}
