/** Watching an aggregate: its state, and its state after each further event. */

import type { Connection } from "./connection.js";
import { integerOf } from "./events.js";
import { type FoldLike, foldRef, type Into } from "./fold.js";
import { Folds, type HistoricState as WireState } from "./generated/eventfold/v1/folds_pb.js";
import { logChanged } from "./reader.js";
import { ended, Closing, type ReconnectOptions, Reconnects } from "./reconnects.js";
import { type HistoricState, historicState } from "./states.js";

/** What to watch, and how. */
export interface WatchOptions<T> extends ReconnectOptions {
  readonly fold: FoldLike;
  readonly into?: Into<T>;
  /** First version whose state comes, inclusive. Default: that of the head. */
  readonly fromVersion?: number | bigint;
}

/**
 * The states of a stream, without an end. When the call breaks, it goes on behind the last version
 * that came: none is left out, none comes twice.
 */
export async function* watched<T>(
  connection: Connection,
  stream: string,
  options: WatchOptions<T>,
): AsyncGenerator<HistoricState<T>, void, undefined> {
  const { signal } = options;
  const reconnects = new Reconnects(connection.timeoutMs(options.timeoutMs), options);
  const fold = foldRef(options.fold);
  const closing = new Closing();
  let last: WireState | undefined;
  for (;;) {
    let failure: unknown = ended(connection.settings.target);
    let repeats = last !== undefined && last.version > 0n;
    // A stream that had no event goes on with its first.
    const after = last === undefined ? (options.fromVersion ?? 0) : last.version || 1n;
    const fromVersion = integerOf(after, "fromVersion");
    reconnects.begin();
    try {
      const request = { stream, fold, fromVersion };
      for await (const message of connection.stream(Folds.method.watch, request, { signal })) {
        reconnects.heard(message.states.length > 0);
        for (const state of message.states) {
          if (repeats) {
            repeats = false;
            if (state.eventId !== last?.eventId) throw logChanged(last?.position ?? 0n);
            continue;
          }
          last = state;
          yield historicState(state, options.into);
        }
      }
    } catch (error) {
      failure = error;
    }
    signal?.throwIfAborted();
    await closing.pause(reconnects.pauseMs(failure, last?.position), signal);
  }
}
