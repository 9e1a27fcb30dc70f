/** Watching an aggregate: its state, and its state after each further event. */

import type { Connection } from "./connection.js";
import { integerOf } from "./events.js";
import { type FoldLike, foldRef, type Into } from "./fold.js";
import { EventNotFound, VersionAhead } from "./generated/errors.js";
import { EventStore } from "./generated/eventfold/v1/event_store_pb.js";
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
 *
 * @throws StoreIncarnationChanged the log lost an event whose state came.
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
        // A sign of life in place of the state that came last: the head may be below it.
        if (repeats && message.states.length === 0) await prove(connection, last, signal);
        for (const state of message.states) {
          if (repeats) {
            repeats = false;
            const isSame = state.version === last?.version && state.eventId === last.eventId;
            if (!isSame) throw logChanged(last?.position ?? 0n);
            continue;
          }
          last = state;
          yield historicState(state, options.into);
        }
      }
    } catch (error) {
      failure = error;
      if (error instanceof VersionAhead && last !== undefined && last.version > 0n) {
        failure = Object.assign(logChanged(last.position), { cause: error });
      }
    }
    signal?.throwIfAborted();
    await closing.pause(reconnects.pauseMs(failure, last?.position), signal);
  }
}

/** Looks up the event of the state that came last. */
async function prove(
  connection: Connection,
  last: WireState | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const options = signal === undefined ? {} : { signal };
  const { getEvent } = EventStore.method;
  try {
    await connection.unary(getEvent, { id: last?.eventId ?? "" }, options);
  } catch (error) {
    if (!(error instanceof EventNotFound)) throw error;
    throw Object.assign(logChanged(last?.position ?? 0n), { cause: error });
  }
}
