/** What calls on the log answer. */

import {
  type AppendManyResponse,
  type AppendResponse,
  type FailedCheck as WireCheck,
} from "./generated/eventfold/v1/appends_pb.js";
import { Follow as WireFollow } from "./generated/eventfold/v1/follow_pb.js";
import {
  Copies as WireCopies,
  type ReadEnd as WireEnd,
} from "./generated/eventfold/v1/event_store_pb.js";
import { ChecksFailed, type FailedCheck } from "./errors.js";
import { dateOf } from "./events.js";
import { errorOfStatus } from "./failures.js";

/**
 * Which streams of a line of periods a call means: the open one in place of the one that is named,
 * or all of them as if they were one.
 */
export type Follow = "open" | "all";

/** Whether events that a transform has copied from others are among the events. */
export type Copies = "include" | "exclude";

/** Where the events of an append stand. */
export interface AppendResult {
  /** Version of the first event. */
  readonly firstVersion: bigint;
  /** Version of the last event; the version to expect in the next append. */
  readonly lastVersion: bigint;
  /** Position of each event in the log, in order. */
  readonly positions: readonly bigint[];
  /** Position of the last event: what `atLeastPosition` of a later call waits for. */
  readonly position: bigint;
  /** True: the events were stored already, and nothing was stored now. */
  readonly duplicate: boolean;
  /** When the server recorded the last event. */
  readonly recordedAt: Date;
  /** Name of the stream that has the events. */
  readonly stream: string;
}

/** Where a read ended. */
export interface ReadEnd {
  /** Last version that was looked at; 0n in reads of the log. */
  readonly version: bigint;
  /** Position of the event there, or the last one that was looked at; 0n: none. */
  readonly position: bigint;
  /** Stands for `position` on this very log: `subscribe` and `readAll` go on behind it. */
  readonly resumeToken: Uint8Array;
  /** True: the read came to its end; false: the limit ended it before. */
  readonly endReached: boolean;
  /** The stream that `version` is of; undefined in reads of the log. */
  readonly stream: string | undefined;
  /** The stream that this one was opened from, when its books were closed. */
  readonly openedFrom: string | undefined;
}

export function appendResult(answer: AppendResponse, stream: string): AppendResult {
  return {
    firstVersion: answer.firstVersion,
    lastVersion: answer.lastVersion,
    positions: answer.positions,
    position: answer.positions.at(-1) ?? 0n,
    duplicate: answer.duplicate,
    recordedAt: dateOf(answer.recordedAt),
    stream: answer.stream || stream,
  };
}

export function appendedMany(answer: AppendManyResponse, streams: string[]): AppendResult[] {
  if (answer.outcome.case === "stored") {
    const { appends } = answer.outcome.value;
    return appends.map((one, index) => appendResult(one, streams[index] ?? ""));
  }
  throw new ChecksFailed((answer.outcome.value?.checks ?? []).map(failedCheck));
}

function failedCheck(check: WireCheck): FailedCheck {
  const place = check.place;
  return {
    ...(place.case === "appendIndex" ? { appendIndex: place.value } : {}),
    ...(place.case === "checkIndex" ? { checkIndex: place.value } : {}),
    stream: check.stream,
    actualVersion: check.actualVersion,
    error: errorOfStatus(check.refused ?? ({ code: 2, message: "", details: [] } as never)),
  };
}

export function readEnd(end: WireEnd, stream: string | undefined): ReadEnd {
  return {
    version: end.version,
    position: end.position,
    resumeToken: end.resumeToken,
    endReached: end.endReached,
    stream: end.stream || stream,
    openedFrom: end.openedFrom || undefined,
  };
}

export function followToWire(follow: Follow | undefined): WireFollow {
  if (follow === undefined) return WireFollow.UNSPECIFIED;
  return follow === "open" ? WireFollow.OPEN : WireFollow.ALL;
}

export function copiesToWire(copies: Copies | undefined): WireCopies {
  if (copies === undefined) return WireCopies.UNSPECIFIED;
  return copies === "include" ? WireCopies.INCLUDE : WireCopies.EXCLUDE;
}
